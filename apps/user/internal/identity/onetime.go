package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/work"
)

// TokenKind says what a single-use link does.
type TokenKind string

// The kinds of single-use links.
const (
	TokenInvitation   TokenKind = "invitation"
	TokenRegistration TokenKind = "registration"
	TokenVerification TokenKind = "email_verification"
	TokenEmailChange  TokenKind = "email_change"
	TokenReset        TokenKind = "password_reset"
)

// OneTimeToken is a single-use link, without the token itself: 256 random bits
// of which only the hash is kept.
type OneTimeToken struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	UserID         uuid.UUID // nil for a registration
	RegistrationID uuid.UUID
	Kind           TokenKind
	Hash           []byte
	Email          string // the address that it was sent to, and proves
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// paths are where links lead: a page of the client that posts the token.
var paths = map[TokenKind]string{
	TokenInvitation: "/invitation", TokenRegistration: "/verify-email", TokenVerification: "/verify-email",
	TokenEmailChange: "/confirm-email", TokenReset: "/reset-password",
}

func (s *Service) lifetime(k TokenKind) time.Duration {
	switch k {
	case TokenInvitation:
		return s.Config.InvitationTTL
	case TokenReset:
		return s.Config.ResetTTL
	case TokenRegistration, TokenVerification, TokenEmailChange:
	}
	return s.Config.VerificationTTL
}

// link is a public address; the token stands in the fragment, which browsers
// send to no server and put into no Referer.
func (s *Service) link(path, token string) string {
	out := strings.TrimSuffix(s.Config.PublicURL, "/") + path
	if token != "" {
		out += "#token=" + url.QueryEscape(token)
	}
	return out
}

// newSecret is 256 random bits as text, and their hash.
func (s *Service) newSecret() (text string, hash []byte) {
	text = base64.RawURLEncoding.EncodeToString(s.randomBytes(32))
	return text, secretHash(text)
}

// secretHash is what is kept of a random secret. A plain hash suffices: 256
// random bits cannot be guessed back.
func secretHash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func hashOf(text string) string { return hex.EncodeToString(secretHash(text)) }

// newToken writes a token of a kind and returns its text.
func (s *Service) newToken(ctx context.Context, tx Tx, t OneTimeToken) (text string, expires time.Time, err error) {
	text, t.Hash = s.newSecret()
	t.ID, t.CreatedAt = s.NewID(), s.Now()
	t.ExpiresAt = t.CreatedAt.Add(s.lifetime(t.Kind))
	return text, t.ExpiresAt, tx.InsertToken(ctx, t)
}

// sendLink sends a user a link of a kind. Earlier links of the kind end.
func (s *Service) sendLink(ctx context.Context, tx Tx, u User, kind TokenKind, email string, mail MailKind) error {
	if err := tx.UseUpTokens(ctx, u.ID, kind, s.Now()); err != nil {
		return err
	}
	text, expires, err := s.newToken(ctx, tx, OneTimeToken{TenantID: u.TenantID, UserID: u.ID, Kind: kind, Email: email})
	if err != nil {
		return err
	}
	return s.mailTo(ctx, tx, u, email, mail, MailData{Link: s.link(paths[kind], text), Email: email, Expires: expires})
}

func errTokenInvalid() *apperr.Error {
	return apperr.New(apperr.KindInvalid, "token_invalid", "The link is not valid any more. Ask for a new one.")
}

// useToken uses up a token of one of the kinds: an unknown, used or expired one
// is all the same 422 `token_invalid`.
func (s *Service) useToken(ctx context.Context, tx Tx, text string, kinds ...TokenKind) (OneTimeToken, error) {
	t, err := tx.UseToken(ctx, kinds, secretHash(text), s.Now())
	if apperr.IsKind(err, apperr.KindNotFound) {
		return t, errTokenInvalid()
	}
	return t, err
}

// peekToken looks at a token without using it up, so that a bad password does
// not cost the link.
func (s *Service) peekToken(ctx context.Context, text string, kinds ...TokenKind) (t OneTimeToken, u User, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if t, err = tx.PeekToken(ctx, kinds, secretHash(text), s.Now()); err != nil {
			return err
		}
		u, err = tx.User(ctx, t.UserID)
		return err
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return t, u, errTokenInvalid()
	}
	return t, u, err
}

// sendInvitation sends an invited user a link to accept.
func (s *Service) sendInvitation(ctx context.Context, tx Tx, u User) error {
	return s.sendLink(ctx, tx, u, TokenInvitation, u.Email, MailInvitation)
}
