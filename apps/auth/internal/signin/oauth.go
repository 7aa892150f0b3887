package signin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
)

// oauthError is an error of RFC 6749: a problem document with its `error`
// member, so that both kinds of client understand it.
func oauthError(k apperr.Kind, code, message string) *apperr.Error {
	return apperr.New(k, code, message).Detail("error", code).Detail("error_description", message)
}

var (
	errClient  = oauthError(apperr.KindUnauthenticated, "invalid_client", "The client or its secret is not right.")
	errGrant   = oauthError(apperr.KindMalformed, "invalid_grant", "The grant is not valid, has expired or was revoked.")
	errScope   = oauthError(apperr.KindMalformed, "invalid_scope", "The scope names a permission that there is not.")
	errPATGone = apperr.Unauthenticated("invalid_token", "The access token is not valid.")
)

// ClientProof is how a client proves itself.
type ClientProof struct{ ID, Secret string }

// Client verifies a client's secret; 400/401 in the words of RFC 6749.
func (s *Service) Client(ctx context.Context, p ClientProof, caller Caller) (internalapi.Client, error) {
	id, err := uuid.Parse(p.ID)
	if err != nil || p.Secret == "" {
		return internalapi.Client{}, errClient
	}
	try, err := s.Throttle.Guess(ctx, "client", caller.IP)
	if err != nil {
		return internalapi.Client{}, err
	}
	reply, err := s.Users.VerifyClient(ctx, internalapi.ClientVerify{ClientID: id, Secret: p.Secret, From: caller.from()})
	switch {
	case err != nil:
		return internalapi.Client{}, s.voided(ctx, try, err)
	case reply.Refusal == internalapi.RefusalBusy:
		return internalapi.Client{}, s.voided(ctx, try, errBusy)
	case !reply.OK || reply.Client == nil:
		return internalapi.Client{}, errClient
	}
	return *reply.Client, try.Succeeded(ctx)
}

// ClientToken is the client_credentials grant. The scope, if given, limits the
// token to these permissions; what the client may do is in its grants.
func (s *Service) ClientToken(ctx context.Context, p ClientProof, scope string, caller Caller) (*Tokens, error) {
	words := strings.Fields(scope)
	slices.Sort(words)
	words = slices.Compact(words)
	all := authz.Permissions()
	for _, w := range words {
		if _, ok := all[authz.Permission(w)]; !ok {
			return nil, errScope
		}
	}
	c, err := s.Client(ctx, p, caller)
	if err != nil {
		return nil, err
	}
	rec, epoch, err := s.Sessions.OpenClient(ctx, c, caller.session())
	if err != nil {
		return nil, err
	}
	rec.Scope = strings.Join(words, " ")
	now := s.Now()
	access, err := s.Minter.Mint(AccessToken{
		ID: s.NewID(), Subject: c.ID, Session: rec.ID, Client: c.ID.String(), Scope: rec.Scope, Epoch: epoch,
		OrgUnit: c.OrgUnitID, Tenant: c.TenantID, Grants: c.Grants, IssuedAt: now, ExpiresAt: now.Add(s.Lives.Access),
	})
	if err != nil {
		return nil, err
	}
	return &Tokens{Access: access, AccessLife: s.Lives.Access, Session: rec}, nil
}

// RefreshGrant is Refresh in the words of RFC 6749. A refresh token of a browser's
// cookie has no place here: it would leave the cookie. Nor has a client's secret:
// the tokens of people were issued to no confidential client.
func (s *Service) RefreshGrant(ctx context.Context, client ClientProof, raw string, caller Caller) (*Tokens, error) {
	if client != (ClientProof{}) {
		return nil, errGrant
	}
	_, rec, err := s.Sessions.Peek(ctx, raw)
	if err != nil {
		return nil, err
	}
	if rec != nil && rec.Cookie {
		return nil, errGrant
	}
	t, err := s.Refresh(ctx, raw, caller)
	if apperr.IsKind(err, apperr.KindUnauthenticated) {
		return nil, errGrant.With(err)
	}
	return t, err
}

// Exchange turns a personal access token into an access token for the way from
// the gateway to services. Whether it is good is asked each time.
func (s *Service) Exchange(ctx context.Context, in internalapi.ExchangeRequest) (internalapi.ExchangedToken, error) {
	reply, err := s.verifyPersonal(ctx, in.Token, in.From)
	if err != nil {
		return internalapi.ExchangedToken{}, err
	}
	if reply == nil {
		return internalapi.ExchangedToken{}, errPATGone
	}
	now := s.Now()
	ends := now.Add(s.Lives.Access)
	if reply.ExpiresAt.Before(ends) {
		ends = reply.ExpiresAt
	}
	u := reply.Subject
	access, err := s.Minter.Mint(AccessToken{
		ID: s.NewID(), Subject: u.UserID, Client: "pat:" + reply.TokenID.String(), Scope: scopeOf(reply.Permissions),
		Epoch: u.Epoch, OrgUnit: u.OrgUnitID, Tenant: u.TenantID, Grants: u.Grants, IssuedAt: now, ExpiresAt: ends,
	})
	if err != nil {
		return internalapi.ExchangedToken{}, err
	}
	return internalapi.ExchangedToken{AccessToken: access, ExpiresIn: int(ends.Sub(now).Seconds())}, nil
}

func scopeOf(perms []authz.Permission) string {
	words := make([]string, len(perms))
	for i, p := range perms {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}

// verifyPersonal is nil for a token that is not good. One without permissions
// is not: an empty scope would mean "no limit".
func (s *Service) verifyPersonal(ctx context.Context, raw string, from internalapi.From) (*internalapi.TokenReply, error) {
	if !strings.HasPrefix(raw, internalapi.PersonalTokenPrefix) || len(raw) > 128 {
		return nil, nil //nolint:nilnil // not a token of this kind
	}
	reply, err := s.Users.VerifyToken(ctx, internalapi.TokenVerify{Secret: raw, From: from})
	if err != nil {
		return nil, err
	}
	good := reply.OK && reply.Subject != nil && len(reply.Permissions) > 0 && reply.Subject.Status == internalapi.PersonActive && s.Now().Before(reply.ExpiresAt)
	if !good {
		return nil, nil //nolint:nilnil // not good
	}
	return &reply, nil
}

// Introspection is the answer of RFC 7662. Of a token that is not good, or
// belongs to another tenant, nothing but Active false is told.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Session   string `json:"sid,omitempty"`
	ID        string `json:"jti,omitempty"`
	Tenant    string `json:"tenant,omitempty"`
	OrgUnit   string `json:"org,omitempty"`
	Actor     string `json:"act,omitempty"`
}

// Introspect tells a client about a token of its own tenant: an access token, a
// refresh token or a personal access token.
func (s *Service) Introspect(ctx context.Context, p ClientProof, token string, caller Caller) (Introspection, error) {
	c, err := s.Client(ctx, p, caller)
	if err != nil {
		return Introspection{}, err
	}
	found, err := s.inspect(ctx, token, caller)
	if err != nil {
		return Introspection{}, err
	}
	platform := authz.Principal{Grants: c.Grants}.HasPlatformGrant()
	if !found.Active || (found.Tenant != c.TenantID.String() && !platform) {
		return Introspection{}, nil
	}
	return found, nil
}

func (s *Service) inspect(ctx context.Context, token string, caller Caller) (Introspection, error) {
	switch {
	case session.IsRefresh(token):
		return s.inspectRefresh(ctx, token)
	case strings.HasPrefix(token, internalapi.PersonalTokenPrefix):
		return s.inspectPersonal(ctx, token, caller)
	}
	t, err := s.Minter.Read(ctx, token)
	if apperr.IsKind(err, apperr.KindUnavailable) {
		return Introspection{}, err
	}
	if err != nil || t.Session == uuid.Nil {
		return Introspection{}, nil //nolint:nilerr // not good is an answer here
	}
	good, err := s.Sessions.Good(ctx, t.Subject, t.Session, t.Epoch)
	if err != nil || !good {
		return Introspection{}, err
	}
	out := Introspection{
		Active: true, Scope: t.Scope, ClientID: t.Client, TokenType: "Bearer", ExpiresAt: t.ExpiresAt.Unix(), IssuedAt: t.IssuedAt.Unix(),
		Subject: t.Subject.String(), Session: t.Session.String(), ID: t.ID.String(), Tenant: t.Tenant.String(), OrgUnit: t.OrgUnit.String(),
	}
	if t.Actor != uuid.Nil {
		out.Actor = t.Actor.String()
	}
	return out, nil
}

func (s *Service) inspectRefresh(ctx context.Context, token string) (Introspection, error) {
	d, rec, err := s.Sessions.Peek(ctx, token)
	if err != nil || rec == nil {
		return Introspection{}, err
	}
	return Introspection{
		Active: true, Scope: rec.Scope, ClientID: FirstParty, TokenType: "refresh_token", ExpiresAt: ending(rec).Unix(), IssuedAt: rec.LastUsedAt.Unix(),
		Subject: d.Subject.String(), Session: rec.ID.String(), Tenant: d.Tenant.String(),
	}, nil
}

func ending(r *session.Record) time.Time { return session.View(r).ExpiresAt }

func (s *Service) inspectPersonal(ctx context.Context, token string, caller Caller) (Introspection, error) {
	reply, err := s.verifyPersonal(ctx, token, caller.from())
	if err != nil || reply == nil {
		return Introspection{}, err
	}
	return Introspection{
		Active: true, Scope: scopeOf(reply.Permissions), ClientID: "pat:" + reply.TokenID.String(), TokenType: "Bearer", ExpiresAt: reply.ExpiresAt.Unix(),
		Subject: reply.Subject.UserID.String(), Tenant: reply.Subject.TenantID.String(), OrgUnit: reply.Subject.OrgUnitID.String(),
	}, nil
}

// Revoke ends what a token stands for (RFC 7009): the session of a refresh or
// access token, a personal access token itself. Who holds a token may end it; a
// client that proves itself must be a good one. Unknown tokens are no error.
func (s *Service) Revoke(ctx context.Context, p ClientProof, token string, caller Caller) error {
	if p.ID != "" || p.Secret != "" {
		if _, err := s.Client(ctx, p, caller); err != nil {
			return err
		}
	}
	switch {
	case session.IsRefresh(token):
		_, err := s.Sessions.EndByToken(ctx, token)
		return err
	case strings.HasPrefix(token, internalapi.PersonalTokenPrefix):
		return s.revokePersonal(ctx, token, caller)
	}
	t, err := s.Minter.Read(ctx, token)
	if apperr.IsKind(err, apperr.KindUnavailable) {
		return err
	}
	if err != nil || t.Session == uuid.Nil {
		return nil //nolint:nilerr // unknown: nothing to revoke
	}
	_, err = s.Sessions.End(ctx, t.Subject, t.Session)
	return err
}

func (s *Service) revokePersonal(ctx context.Context, token string, caller Caller) error {
	reply, err := s.verifyPersonal(ctx, token, caller.from())
	if err != nil || reply == nil {
		return err
	}
	err = s.Users.DeleteToken(ctx, internalapi.ActingOn{
		Acting: internalapi.Acting{UserID: reply.Subject.UserID, IP: caller.IP, UserAgent: caller.UserAgent, RequestID: caller.RequestID},
		ID:     reply.TokenID,
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	return err
}
