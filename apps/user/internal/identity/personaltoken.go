package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// PersonalToken is a personal access token: a person's key for a program, with
// some of the person's permissions.
type PersonalToken struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	UserID      uuid.UUID
	Name        string
	Permissions []authz.Permission
	Hash        []byte `json:"-"`
	Hint        string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	LastUsedAt  *time.Time
}

const (
	personalTokenPrefix = "lms_pat_"
	// MaxPersonalTokens are live at once.
	MaxPersonalTokens = 50
	// MaxPersonalTokenLife is the longest life of one.
	MaxPersonalTokenLife = 366 * 24 * time.Hour
)

// ListPersonalTokens lists the actor's live tokens.
func (s *Service) ListPersonalTokens(ctx context.Context, actor authz.Principal, q page.Request) (p page.Page[PersonalToken], err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		p, err = tx.PersonalTokens(ctx, actor.UserID, s.Now(), q)
		return err
	})
	return p, err
}

// CreatePersonalToken makes a token for the actor. Its permissions are a wish:
// at every use they count only as far as the person holds them.
func (s *Service) CreatePersonalToken(ctx context.Context, actor authz.Principal, name string, perms []authz.Permission, expires time.Time) (t PersonalToken, secret string, err error) {
	now := s.Now()
	var f apperr.Fields
	checkName(&f, "name", strings.TrimSpace(name), true)
	known := authz.Permissions()
	for _, p := range perms {
		_, ok := known[p]
		f.Require(ok, "permissions", "unknown", "There is no permission "+string(p)+".")
	}
	f.Require(expires.After(now) && !expires.After(now.Add(MaxPersonalTokenLife)), "expires_at", "invalid", "Must be within a year from now.")
	if err := f.Err(); err != nil {
		return t, "", err
	}
	if actor.Impersonator != uuid.Nil || actor.Limited != nil {
		return t, "", apperr.Forbidden("Only the person makes tokens, signed in without one.")
	}
	text, _ := s.newSecret()
	text = personalTokenPrefix + text
	t = PersonalToken{
		ID: s.NewID(), UserID: actor.UserID, Name: strings.TrimSpace(name), Permissions: slices.Compact(slices.Sorted(slices.Values(perms))),
		Hint: text[len(text)-4:], CreatedAt: now, ExpiresAt: expires,
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		made := false
		err := tx.Once(ctx, &t, func() error {
			made = true
			return s.insertPersonalToken(ctx, tx, &t, secretHash(text))
		})
		if err != nil || made {
			return err
		}
		t.Hint = text[len(text)-4:]
		return tx.ReplacePersonalTokenHash(ctx, t.ID, secretHash(text), t.Hint)
	})
	return t, text, err
}

func (s *Service) insertPersonalToken(ctx context.Context, tx Tx, t *PersonalToken, hash []byte) error {
	u, err := tx.LockUser(ctx, t.UserID)
	if err != nil {
		return err
	}
	n, err := tx.CountPersonalTokens(ctx, u.ID, s.Now())
	if err != nil {
		return err
	}
	if n >= MaxPersonalTokens {
		return apperr.Conflict("too_many_tokens", "Fifty tokens are live; revoke one first.")
	}
	t.TenantID, t.Hash = u.TenantID, hash
	if err := tx.InsertPersonalToken(ctx, *t); err != nil {
		return err
	}
	if err := s.security(ctx, tx, SecurityEvent{Kind: "access_token_created", UserID: u.ID, TenantID: u.TenantID, Details: map[string]string{"token_id": t.ID.String()}}); err != nil {
		return err
	}
	if err := tx.Audit(ctx, work.AuditEntry{
		Action: "access_token.create", ResourceType: "access_token", ResourceID: t.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
		Changes: map[string]work.Change{"name": {To: t.Name}, "permissions": {To: t.Permissions}},
	}); err != nil {
		return err
	}
	return s.mailTo(ctx, tx, u, u.Email, MailTokenCreated, MailData{Detail: t.Name, Expires: t.ExpiresAt})
}

// RevokePersonalToken ends one of the actor's tokens.
func (s *Service) RevokePersonalToken(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, actor.UserID)
		if err != nil {
			return err
		}
		ok, err := tx.RevokePersonalToken(ctx, u.ID, id, s.Now())
		if err != nil {
			return err
		}
		if !ok {
			return apperr.NotFound("token")
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "access_token_revoked", UserID: u.ID, TenantID: u.TenantID, Details: map[string]string{"token_id": id.String()}}); err != nil {
			return err
		}
		return tx.Audit(ctx, work.AuditEntry{Action: "access_token.revoke", ResourceType: "access_token", ResourceID: id, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID})
	})
}

// touchEvery is how exact the last use of a token is: writing it at each use
// would make every request a write.
const touchEvery = time.Minute

// VerifyPersonalToken checks a token. Nil says that it is not good.
func (s *Service) VerifyPersonalToken(ctx context.Context, secret string) (t *PersonalToken, sub *Subject, err error) {
	now := s.Now()
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		found, err := tx.PersonalTokenByHash(ctx, secretHash(secret), now)
		if apperr.IsKind(err, apperr.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		u, err := tx.User(ctx, found.UserID)
		if err != nil || u.Status != StatusActive {
			return err
		}
		t = &found
		sub, err = subjectOf(ctx, tx, u)
		return err
	})
	if err != nil || t == nil || t.LastUsedAt != nil && now.Sub(*t.LastUsedAt) < touchEvery {
		return t, sub, err
	}
	return t, sub, s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.TouchPersonalToken(ctx, t.ID, now)
	})
}
