package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
)

// person is one account of the double below.
type person struct {
	internalapi.LoginSubject
	password string
	code     string // of the second factor
}

// directory is the user service as auth sees it through its interfaces, with the
// answers that the contract promises.
type directory struct {
	now func() time.Time

	mu        sync.Mutex
	people    map[uuid.UUID]*person
	clients   map[uuid.UUID]*internalapi.Client
	secrets   map[string]uuid.UUID
	tokens    map[string]*internalapi.PersonalToken
	providers map[uuid.UUID]internalapi.IDPSecret
	mailed    map[string]uuid.UUID // tokens of mails
	keys      internalapi.SigningKeys
	events    []internalapi.SecurityEvent
	mails     []string
	verified  int
	busy      bool
	sso       func(internalapi.SSORequest) internalapi.LoginReply
}

func newDirectory(c *clock.Manual) *directory {
	return &directory{
		now: c.Now, people: map[uuid.UUID]*person{}, clients: map[uuid.UUID]*internalapi.Client{}, secrets: map[string]uuid.UUID{},
		tokens: map[string]*internalapi.PersonalToken{}, providers: map[uuid.UUID]internalapi.IDPSecret{}, mailed: map[string]uuid.UUID{},
	}
}

func (d *directory) add(email string, change ...func(*person)) person {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &person{password: "correct horse", LoginSubject: internalapi.LoginSubject{
		UserID: uuid.New(), TenantID: tenant, OrgUnitID: tenant, Status: internalapi.PersonActive, Epoch: 1, Email: email, EmailVerified: true,
	}}
	for _, c := range change {
		c(p)
	}
	d.people[p.UserID] = p
	return *p
}

func (d *directory) change(id uuid.UUID, fn func(*person)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn(d.people[id])
}

func (d *directory) kinds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, e := range d.events {
		out = append(out, e.Kind)
	}
	return out
}

func (d *directory) find(email string) *person {
	for _, p := range d.people {
		if strings.EqualFold(p.Email, email) {
			return p
		}
	}
	return nil
}

func refuse(refusal string) internalapi.LoginReply { return internalapi.LoginReply{Refusal: refusal} }

func (d *directory) VerifyPassword(_ context.Context, in internalapi.CredentialsRequest) (internalapi.LoginReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verified++
	p := d.find(in.Email)
	switch {
	case d.busy:
		return refuse(internalapi.RefusalBusy), nil
	case p == nil || p.password != in.Password:
		return refuse(internalapi.RefusalInvalid), nil
	case p.Status == internalapi.PersonDeactivated:
		return refuse(internalapi.RefusalDeactivated), nil
	case !p.EmailVerified:
		return refuse(internalapi.RefusalUnverified), nil
	}
	s := p.LoginSubject
	return internalapi.LoginReply{OK: true, Subject: &s}, nil
}

func (d *directory) VerifyCode(_ context.Context, in internalapi.MFARequest) (internalapi.LoginReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.people[in.UserID]
	if p == nil || p.code == "" || p.code != in.Code {
		return refuse(internalapi.RefusalCode), nil
	}
	s := p.LoginSubject
	left := 9
	return internalapi.LoginReply{OK: true, Subject: &s, RecoveryCodesLeft: &left}, nil
}

func (d *directory) Subject(_ context.Context, id uuid.UUID) (internalapi.LoginSubject, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.people[id]
	if p == nil {
		return internalapi.LoginSubject{}, apperr.NotFound("user")
	}
	return p.LoginSubject, nil
}

func (d *directory) Report(_ context.Context, e internalapi.SecurityEvent) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	return nil
}

func (d *directory) Impersonate(_ context.Context, in internalapi.ImpersonateRequest) (internalapi.LoginSubject, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	actor, target := d.people[in.Acting.UserID], d.people[in.UserID]
	switch {
	case target == nil:
		return internalapi.LoginSubject{}, apperr.NotFound("user")
	case actor == nil || len(actor.Grants) < len(target.Grants):
		return internalapi.LoginSubject{}, apperr.Forbidden("The person may do more than you.")
	}
	return target.LoginSubject, nil
}

func (d *directory) ResolveSSO(_ context.Context, in internalapi.SSORequest) (internalapi.LoginReply, error) {
	return d.sso(in), nil
}

func (d *directory) Provider(_ context.Context, id uuid.UUID) (internalapi.IDPSecret, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.providers[id]
	if !ok {
		return p, apperr.NotFound("identity provider")
	}
	return p, nil
}

func (d *directory) SigningKeys(context.Context) (internalapi.SigningKeys, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return internalapi.SigningKeys{Version: d.keys.Version, Keys: slices.Clone(d.keys.Keys)}, nil
}

func (d *directory) PutSigningKeys(_ context.Context, set internalapi.SigningKeys) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if set.Version != d.keys.Version {
		return apperr.Conflict("version_conflict", "changed")
	}
	set.Version++
	d.keys = set
	return nil
}

func (d *directory) PasswordForgot(_ context.Context, in internalapi.EmailRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mails = append(d.mails, "forgot "+in.Email)
	return nil
}

func (d *directory) EmailResend(_ context.Context, in internalapi.EmailRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mails = append(d.mails, "resend "+in.Email)
	return nil
}

// redeem uses up a mailed token.
func (d *directory) redeem(token string) (*person, error) {
	id, ok := d.mailed[token]
	if !ok {
		return nil, apperr.Invalid(apperr.Field{Path: "token", Code: "token_invalid"}).With(nil)
	}
	delete(d.mailed, token)
	return d.people[id], nil
}

var errLink = apperr.New(apperr.KindInvalid, "token_invalid", "The link is not valid any more.")

func (d *directory) PasswordReset(_ context.Context, in internalapi.TokenPassword) (internalapi.AccountReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.redeem(in.Token)
	if err != nil {
		return internalapi.AccountReply{}, errLink
	}
	d.setPassword(p, in.Password)
	return accountOf(p), nil
}

func accountOf(p *person) internalapi.AccountReply {
	s := p.LoginSubject
	return internalapi.AccountReply{UserID: p.UserID, Email: p.Email, Subject: &s}
}

func (d *directory) setPassword(p *person, password string) {
	at := d.now()
	p.password, p.PasswordChangedAt = password, &at
	p.Epoch++
}

func (d *directory) PasswordChange(_ context.Context, in internalapi.PasswordChange) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.people[in.Acting.UserID]
	if p.password != in.Current {
		return apperr.Invalid(apperr.Field{Path: "current_password", Code: "wrong"})
	}
	d.setPassword(p, in.New)
	return nil
}

func (d *directory) EmailVerify(_ context.Context, in internalapi.TokenRequest) (internalapi.AccountReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.redeem(in.Token)
	if err != nil {
		return internalapi.AccountReply{}, errLink
	}
	p.EmailVerified = true
	return accountOf(p), nil
}

func (d *directory) AcceptInvitation(_ context.Context, in internalapi.InvitationAccept) (internalapi.AccountReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.redeem(in.Token)
	if err != nil {
		return internalapi.AccountReply{}, errLink
	}
	p.Status, p.password = internalapi.PersonActive, in.Password
	return accountOf(p), nil
}

func (d *directory) TOTPBegin(context.Context, internalapi.ActingRequest) (internalapi.TOTPSetup, error) {
	return internalapi.TOTPSetup{Secret: "JBSWY3DP", URI: "otpauth://totp/LMS"}, nil
}

func (d *directory) TOTPConfirm(_ context.Context, in internalapi.TOTPConfirm) (internalapi.RecoveryCodes, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.people[in.Acting.UserID]
	p.MFAEnabled, p.code = true, in.Code
	return internalapi.RecoveryCodes{Codes: []string{"aaaa-bbbb"}}, nil
}

func (d *directory) proof(in internalapi.PasswordProof) error {
	if p := d.people[in.Acting.UserID]; p.password != in.Password && (p.code == "" || p.code != in.Code) {
		return apperr.Invalid(apperr.Field{Path: "password", Code: "wrong"})
	}
	return nil
}

func (d *directory) TOTPRemove(_ context.Context, in internalapi.PasswordProof) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.proof(in); err != nil {
		return err
	}
	p := d.people[in.Acting.UserID]
	p.MFAEnabled, p.code = false, ""
	return nil
}

func (d *directory) RecoveryCodes(_ context.Context, in internalapi.PasswordProof) (internalapi.RecoveryCodes, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return internalapi.RecoveryCodes{Codes: []string{"cccc-dddd"}}, d.proof(in)
}

func (d *directory) Clients(context.Context, internalapi.ListRequest) (internalapi.ClientPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var p internalapi.ClientPage
	for _, c := range d.clients {
		p.Items = append(p.Items, *c)
	}
	return p, nil
}

func (d *directory) CreateClient(_ context.Context, in internalapi.ClientCreate) (internalapi.ClientSecret, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &internalapi.Client{ID: uuid.New(), TenantID: tenant, OrgUnitID: in.OrgUnitID, Name: in.Name, Grants: in.Grants, CreatedBy: in.Acting.UserID, CreatedAt: d.now(), Epoch: 1}
	d.clients[c.ID] = c
	return d.secret(c), nil
}

func (d *directory) secret(c *internalapi.Client) internalapi.ClientSecret {
	s := "lms_cs_" + uuid.NewString()
	d.secrets[s] = c.ID
	return internalapi.ClientSecret{Client: *c, Secret: s}
}

func (d *directory) DeleteClient(_ context.Context, in internalapi.ActingOn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clients[in.ID] == nil {
		return apperr.NotFound("client")
	}
	delete(d.clients, in.ID)
	return nil
}

func (d *directory) AddClientSecret(_ context.Context, in internalapi.ClientSecretCreate) (internalapi.ClientSecret, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[in.ID]
	if c == nil {
		return internalapi.ClientSecret{}, apperr.NotFound("client")
	}
	if in.RevokeOthers {
		for s, id := range d.secrets {
			if id == in.ID {
				delete(d.secrets, s)
			}
		}
		c.Epoch++
	}
	return d.secret(c), nil
}

func (d *directory) SetClientGrants(_ context.Context, in internalapi.ClientGrants) (internalapi.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[in.ID]
	if c == nil {
		return internalapi.Client{}, apperr.NotFound("client")
	}
	c.Grants = in.Grants
	c.Epoch++
	return *c, nil
}

func (d *directory) VerifyClient(_ context.Context, in internalapi.ClientVerify) (internalapi.ClientReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.secrets[in.Secret]
	c := d.clients[id]
	if !ok || id != in.ClientID || c == nil {
		return internalapi.ClientReply{Refusal: internalapi.RefusalInvalid}, nil
	}
	return internalapi.ClientReply{OK: true, Client: c}, nil
}

func (d *directory) Tokens(context.Context, internalapi.ListRequest) (internalapi.TokenPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var p internalapi.TokenPage
	for _, t := range d.tokens {
		p.Items = append(p.Items, *t)
	}
	return p, nil
}

func (d *directory) CreateToken(_ context.Context, in internalapi.TokenCreate) (internalapi.TokenCreated, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw := internalapi.PersonalTokenPrefix + strings.ReplaceAll(fmt.Sprintf("%043s", uuid.NewString()), " ", "0")
	t := &internalapi.PersonalToken{ID: uuid.New(), UserID: in.Acting.UserID, Name: in.Name, Permissions: in.Permissions, ExpiresAt: in.ExpiresAt, CreatedAt: d.now()}
	d.tokens[raw] = t
	return internalapi.TokenCreated{Token: *t, Secret: raw}, nil
}

func (d *directory) DeleteToken(_ context.Context, in internalapi.ActingOn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for raw, t := range d.tokens {
		if t.ID == in.ID && t.UserID == in.Acting.UserID {
			delete(d.tokens, raw)
			return nil
		}
	}
	return apperr.NotFound("token")
}

func (d *directory) VerifyToken(_ context.Context, in internalapi.TokenVerify) (internalapi.TokenReply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tokens[in.Secret]
	if t == nil {
		return internalapi.TokenReply{Refusal: internalapi.RefusalInvalid}, nil
	}
	s := d.people[t.UserID].LoginSubject
	return internalapi.TokenReply{OK: true, TokenID: t.ID, Permissions: t.Permissions, ExpiresAt: t.ExpiresAt, Subject: &s}, nil
}

func (d *directory) ProviderList(context.Context, internalapi.ListRequest) (internalapi.IDPPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var p internalapi.IDPPage
	for _, i := range d.providers {
		p.Items = append(p.Items, i.Provider)
	}
	return p, nil
}

func (d *directory) CreateProvider(_ context.Context, in internalapi.IDPCreate) (internalapi.IdentityProvider, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := internalapi.IdentityProvider{ID: uuid.New(), TenantID: tenant, OrgUnitID: in.OrgUnitID, Name: in.Name, Issuer: in.Issuer, ClientID: in.ClientID, Enabled: in.Enabled, Version: 1}
	d.providers[i.ID] = internalapi.IDPSecret{Provider: i, ClientSecret: in.ClientSecret}
	return i, nil
}

func (d *directory) UpdateProvider(_ context.Context, in internalapi.IDPUpdate) (internalapi.IdentityProvider, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.providers[in.ID]
	if i.Provider.Version != in.Version {
		return i.Provider, apperr.VersionMismatch()
	}
	if in.Enabled != nil {
		i.Provider.Enabled = *in.Enabled
	}
	i.Provider.Version++
	d.providers[in.ID] = i
	return i.Provider, nil
}

func (d *directory) DeleteProvider(_ context.Context, in internalapi.ActingOn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.providers, in.ID)
	return nil
}

func (d *directory) PublicProviders(context.Context) (internalapi.IDPPublicList, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var l internalapi.IDPPublicList
	for _, i := range d.providers {
		l.Items = append(l.Items, internalapi.IDPPublic{ID: i.Provider.ID, Name: i.Provider.Name})
	}
	return l, nil
}

var _ userService = (*directory)(nil)

// admin gives every permission on the platform.
func admin(p *person) {
	p.Grants = []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}
}
