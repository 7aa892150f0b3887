package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	ok := w.login("ADA@example.org", password)
	require.True(t, ok.OK)
	require.Equal(t, u.ID, ok.Subject.UserID)
	require.NotNil(t, ok.Subject.PasswordChangedAt)
	require.Equal(t, internalapi.LoginReply{Refusal: internalapi.RefusalInvalid}, w.login("ada@example.org", "wrong password"))
	require.Equal(t, internalapi.LoginReply{Refusal: internalapi.RefusalInvalid}, w.login("nobody@example.org", password))
	w.from("course").POST(internalapi.PathCredentialsVerify, internalapi.CredentialsRequest{}).Expect(http.StatusForbidden)
	w.as(w.root).POST(internalapi.PathCredentialsVerify, internalapi.CredentialsRequest{}).Expect(http.StatusNotFound)

	var sub internalapi.LoginSubject
	w.from("auth").GET(strings.Replace(internalapi.PathUserSubject, "{id}", w.root.UserID.String(), 1)).Expect(http.StatusOK).JSON(&sub)
	require.Equal(t, []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}, sub.Grants)
	w.from("auth").GET(strings.Replace(internalapi.PathUserSubject, "{id}", uuid.NewString(), 1)).Expect(http.StatusNotFound)
	w.from("auth").POST(internalapi.PathPasswordChange, internalapi.PasswordChange{Acting: acting(w.principal(u.ID)), Current: "wrong", New: "a new good one"}).
		Expect(http.StatusUnprocessableEntity).Field("current", "wrong")
	w.from("auth").POST(internalapi.PathPasswordChange, internalapi.PasswordChange{Acting: acting(w.principal(u.ID)), Current: password, New: "a new good one"}).Expect(http.StatusOK)
	require.True(t, w.login("ada@example.org", "a new good one").OK)
}

func TestForgottenPasswordTellsNobodyWhoIsHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person(w.tenant, "ada@example.org")
	for _, email := range []string{"ada@example.org", "nobody@example.org"} {
		r := w.from("auth").POST(internalapi.PathPasswordForgot, internalapi.EmailRequest{Email: email}).Expect(http.StatusOK)
		require.JSONEq(t, `{}`, string(r.Body))
	}
	w.work(2)
	require.Len(t, w.friends.links, 1, "nothing goes to who has no account")
	token := w.token(identity.MailReset, "ada@example.org")
	reset := internalapi.TokenPassword{Token: token, Password: "short"}
	w.from("auth").POST(internalapi.PathPasswordReset, reset).Expect(http.StatusUnprocessableEntity).Field("password", "password_too_short")
	reset.Password = "a new good one"
	w.from("auth").POST(internalapi.PathPasswordReset, reset).Expect(http.StatusOK)
	w.from("auth").POST(internalapi.PathPasswordReset, reset).Expect(http.StatusUnprocessableEntity).Code("token_invalid")
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	p, auth := w.principal(u.ID), w.from("auth")
	acted := p
	acted.Impersonator = w.root.UserID
	auth.POST(internalapi.PathTOTPBegin, internalapi.ActingRequest{Acting: acting(acted)}).Expect(http.StatusForbidden).Code("impersonating")
	auth.POST(internalapi.PathTOTPConfirm, internalapi.TOTPConfirm{Acting: acting(p), Code: "000000"}).Expect(http.StatusConflict).Code("mfa_not_begun")
	var setup internalapi.TOTPSetup
	auth.POST(internalapi.PathTOTPBegin, internalapi.ActingRequest{Acting: acting(p)}).Expect(http.StatusOK).JSON(&setup)
	code := func() string {
		c, err := totp.GenerateCode(setup.Secret, w.clock.Now())
		require.NoError(t, err)
		return c
	}
	var codes internalapi.RecoveryCodes
	auth.POST(internalapi.PathTOTPConfirm, internalapi.TOTPConfirm{Acting: acting(p), Code: code()}).Expect(http.StatusOK).JSON(&codes)
	require.Len(t, codes.Codes, 10)
	first := w.login("ada@example.org", password)
	require.True(t, first.OK && first.Subject.MFAEnabled)
	second := func(code string) (out internalapi.LoginReply) {
		auth.POST(internalapi.PathMFAVerify, internalapi.MFARequest{UserID: u.ID, Code: code}).Expect(http.StatusOK).JSON(&out)
		return out
	}
	require.Equal(t, internalapi.RefusalCode, second(code()).Refusal, "the code that confirmed is used up")
	w.clock.Advance(time.Minute)
	require.True(t, second(code()).OK)
	require.Equal(t, internalapi.RefusalCode, second(code()).Refusal)
	recovered := second(codes.Codes[0])
	require.True(t, recovered.OK)
	require.Equal(t, 9, *recovered.RecoveryCodesLeft)
	require.False(t, second(codes.Codes[0]).OK)
	auth.POST(internalapi.PathTOTPRemove, internalapi.PasswordProof{Acting: acting(p), Password: "wrong password"}).Expect(http.StatusUnprocessableEntity)
	auth.POST(internalapi.PathRecoveryCodes, internalapi.PasswordProof{Acting: acting(p), Password: password}).Expect(http.StatusOK).JSON(&codes)
	auth.POST(internalapi.PathTOTPRemove, internalapi.PasswordProof{Acting: acting(p), Password: password}).Expect(http.StatusOK)
	require.False(t, w.login("ada@example.org", password).Subject.MFAEnabled)
}

func TestMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	auth, student := w.from("auth"), w.principal(w.person(w.tenant, "ada@example.org").It.ID)
	create := internalapi.ClientCreate{
		Acting: acting(w.root), OrgUnitID: w.tenant, Name: "Registry",
		Grants: []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}}},
	}
	var made, next internalapi.ClientSecret
	auth.POST(internalapi.PathClientsCreate, create).Expect(http.StatusOK).JSON(&made)
	create.Acting = acting(student)
	auth.POST(internalapi.PathClientsCreate, create).Expect(http.StatusForbidden)
	verify := func(secret string) (out internalapi.ClientReply) {
		auth.POST(internalapi.PathClientsVerify, internalapi.ClientVerify{ClientID: made.Client.ID, Secret: secret}).Expect(http.StatusOK).JSON(&out)
		return out
	}
	require.True(t, verify(made.Secret).OK)
	require.Equal(t, internalapi.ClientReply{Refusal: internalapi.RefusalInvalid}, verify("wrong"))
	auth.POST(internalapi.PathClientsSecret, internalapi.ClientSecretCreate{Acting: acting(w.root), ID: made.Client.ID, RevokeOthers: true}).Expect(http.StatusOK).JSON(&next)
	require.False(t, verify(made.Secret).OK)
	require.True(t, verify(next.Secret).OK)
	var changed internalapi.Client
	auth.POST(internalapi.PathClientsGrants, internalapi.ClientGrants{Acting: acting(w.root), ID: made.Client.ID, Grants: []authz.Grant{}}).Expect(http.StatusOK).JSON(&changed)
	require.Empty(t, changed.Grants)
	var clients internalapi.ClientPage
	auth.POST(internalapi.PathClientsList, internalapi.ListRequest{Acting: acting(w.root)}).Expect(http.StatusOK).JSON(&clients)
	require.Len(t, clients.Items, 1)
	auth.POST(internalapi.PathClientsDelete, internalapi.ActingOn{Acting: acting(w.root), ID: made.Client.ID}).Expect(http.StatusOK)
	require.False(t, verify(next.Secret).OK)

	var token internalapi.TokenCreated
	auth.POST(internalapi.PathTokensCreate, internalapi.TokenCreate{
		Acting: acting(student), Name: "script", Permissions: []authz.Permission{authz.UserRead}, ExpiresAt: w.clock.Now().Add(time.Hour),
	}).Expect(http.StatusOK).JSON(&token)
	check := func() (out internalapi.TokenReply) {
		auth.POST(internalapi.PathTokensVerify, internalapi.TokenVerify{Secret: token.Secret}).Expect(http.StatusOK).JSON(&out)
		return out
	}
	good := check()
	require.True(t, good.OK)
	require.Equal(t, student.UserID, good.Subject.UserID)
	require.Equal(t, []authz.Permission{authz.UserRead}, good.Permissions)
	auth.POST(internalapi.PathTokensDelete, internalapi.ActingOn{Acting: acting(w.root), ID: token.Token.ID}).Expect(http.StatusNotFound)
	var tokens internalapi.TokenPage
	auth.POST(internalapi.PathTokensList, internalapi.ListRequest{Acting: acting(student)}).Expect(http.StatusOK).JSON(&tokens)
	require.Len(t, tokens.Items, 1)
	w.clock.Advance(2 * time.Hour)
	require.Equal(t, internalapi.RefusalInvalid, check().Refusal)
}

func TestProvidersAndSingleSignOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	auth := w.from("auth")
	var p internalapi.IdentityProvider
	auth.POST(internalapi.PathIDPCreate, internalapi.IDPCreate{
		Acting: acting(w.root), OrgUnitID: w.tenant, Name: "Campus", Issuer: "https://idp.example.org", ClientID: "lms", ClientSecret: "hush",
		Enabled: true, CreateUsers: true, LinkByEmail: true, AllowedDomains: []string{"example.org"},
	}).Expect(http.StatusOK).JSON(&p)
	var public internalapi.IDPPublicList
	auth.POST(internalapi.PathIDPPublic, internalapi.Empty{}).Expect(http.StatusOK).JSON(&public)
	require.Equal(t, []internalapi.IDPPublic{{ID: p.ID, Name: "Campus"}}, public.Items)
	var secret internalapi.IDPSecret
	auth.GET(strings.Replace(internalapi.PathIDPSecret, "{id}", p.ID.String(), 1)).Expect(http.StatusOK).JSON(&secret)
	require.Equal(t, "hush", secret.ClientSecret)
	sso := func(subject, email string) (out internalapi.LoginReply) {
		auth.POST(internalapi.PathSSOResolve, internalapi.SSORequest{ProviderID: p.ID, Subject: subject, Email: email, EmailVerified: true, Name: "Ada"}).Expect(http.StatusOK).JSON(&out)
		return out
	}
	first := sso("1", "ada@example.org")
	require.True(t, first.OK && first.Created)
	require.Equal(t, first.Subject.UserID, sso("1", "").Subject.UserID)
	require.Equal(t, internalapi.RefusalUnknownSubject, sso("2", "eve@elsewhere.org").Refusal)
	bob := w.person(w.tenant, "bob@example.org").It
	require.Equal(t, bob.ID, sso("3", "bob@example.org").Subject.UserID)

	off := false
	auth.POST(internalapi.PathIDPUpdate, internalapi.IDPUpdate{Acting: acting(w.root), ID: p.ID, Version: p.Version, Enabled: &off}).Expect(http.StatusOK)
	auth.POST(internalapi.PathIDPUpdate, internalapi.IDPUpdate{Acting: acting(w.root), ID: p.ID, Version: p.Version, Enabled: &off}).Expect(http.StatusPreconditionFailed)
	require.Equal(t, internalapi.RefusalProvider, sso("1", "").Refusal)
	var list internalapi.IDPPage
	auth.POST(internalapi.PathIDPList, internalapi.ListRequest{Acting: acting(w.root)}).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	auth.POST(internalapi.PathIDPDelete, internalapi.ActingOn{Acting: acting(w.root), ID: p.ID}).Expect(http.StatusOK)
}

func TestSigningKeysAndSecurityEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	auth := w.from("auth")
	var got internalapi.SigningKeys
	auth.GET(internalapi.PathSigningKeys).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, internalapi.SigningKeys{Keys: []internalapi.SealedSigningKey{}}, got)
	now := w.clock.Now()
	set := internalapi.SigningKeys{Keys: []internalapi.SealedSigningKey{{
		KID: "k1", Algorithm: "EdDSA", PublicJWK: json.RawMessage(`{"kty":"OKP"}`), Sealed: []byte{1, 2, 3}, CreatedAt: now, SignsFrom: now,
	}}}
	auth.PUT(internalapi.PathSigningKeys, set).Expect(http.StatusOK)
	auth.PUT(internalapi.PathSigningKeys, set).Expect(http.StatusConflict).Code("version_conflict")
	auth.GET(internalapi.PathSigningKeys).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, int64(1), got.Version)
	require.Equal(t, set.Keys, got.Keys)
	w.from("course").GET(internalapi.PathSigningKeys).Expect(http.StatusForbidden)

	u := w.person(w.tenant, "ada@example.org").It
	event := internalapi.SecurityEvent{ID: uuid.New(), Kind: internalapi.SecuritySessionStarted, UserID: u.ID, At: now, From: internalapi.From{IP: "203.0.113.7"}}
	for range 2 {
		auth.POST(internalapi.PathSecurityEvents, event).Expect(http.StatusOK)
	}
	raw := string(w.as(w.root).GET(userPath(u.ID, "/audit")).Expect(http.StatusOK).Body)
	require.Equal(t, 1, strings.Count(raw, `"`+internalapi.SecuritySessionStarted+`"`))
	require.Contains(t, raw, "203.0.113.7")
}

func TestImpersonationAndCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	ask := internalapi.ImpersonateRequest{Acting: acting(w.root), UserID: u.ID, Reason: "a ticket about grades"}
	var sub internalapi.LoginSubject
	w.from("auth").POST(internalapi.PathImpersonate, ask).Expect(http.StatusOK).JSON(&sub)
	require.Equal(t, u.ID, sub.UserID)
	ask.Acting, ask.UserID = acting(w.principal(u.ID)), w.root.UserID
	require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, w.from("auth").POST(internalapi.PathImpersonate, ask).Status)

	cards := func(service string) (out internalapi.CardsReply) {
		w.from(service).POST(internalapi.PathUserCards, internalapi.CardsRequest{IDs: []uuid.UUID{u.ID, uuid.New()}}).Expect(http.StatusOK).JSON(&out)
		require.Len(t, out.Cards, 1)
		return out
	}
	require.Empty(t, cards("course").Cards[0].Email)
	require.Equal(t, "ada@example.org", cards("notification").Cards[0].Email)
	var again internalapi.BootstrapReply
	w.from("lms").POST(internalapi.PathBootstrap, internalapi.BootstrapRequest{Organisation: "Other", AdminEmail: "x@example.org", AdminPassword: password}).Expect(http.StatusOK).JSON(&again)
	require.Equal(t, internalapi.BootstrapReply{TenantID: w.tenant, AdminID: w.root.UserID}, again)
	w.from("course").POST(internalapi.PathBootstrap, internalapi.BootstrapRequest{}).Expect(http.StatusForbidden)
}
