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

// Client is a service account: a program of an organisation that gets tokens
// with a secret.
type Client struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	Epoch       int64
	Grants      []authz.Grant
	Secrets     []ClientSecret // live ones
	CreatedBy   uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastUsedAt  *time.Time
	Version     int64
}

// ClientSecret is a secret without its text.
type ClientSecret struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	ClientID  uuid.UUID
	Hash      []byte `json:"-"`
	Hint      string // its last four characters
	CreatedAt time.Time
	ExpiresAt *time.Time
}

// NewClient is what is said of a new service account.
type NewClient struct {
	OrgUnitID   uuid.UUID
	Name        string
	Description string
	Grants      []authz.Grant
	ExpiresAt   *time.Time // of the secret
}

// MaxClientSecrets are live at once, so that one can be replaced by the next.
const MaxClientSecrets = 2

const (
	clientSecretPrefix = "lms_cs_"
	maxClientGrants    = 20
)

// ListClients lists the service accounts of the actor's reach.
func (s *Service) ListClients(ctx context.Context, actor authz.Principal, q page.Request) (p page.Page[Client], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	reach := policy.Reach(actor, authz.ClientManage)
	if reach.None() {
		return p, apperr.Forbidden("You may not see service accounts.")
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListClients(ctx, reach, q)
		return err
	})
	return p, err
}

// CreateClient makes a service account with its first secret. A repeated
// request with the same idempotency key gets another secret in the place of the
// first, whose text nobody has kept.
func (s *Service) CreateClient(ctx context.Context, actor authz.Principal, in NewClient) (c Client, secret string, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return c, "", err
	}
	if !policy.AllowsSomewhere(actor, authz.ClientManage) {
		return c, "", apperr.Forbidden("You may not make service accounts.")
	}
	now := s.Now()
	c = Client{
		ID: s.NewID(), OrgUnitID: in.OrgUnitID, Name: strings.TrimSpace(in.Name), Description: in.Description, Epoch: 1,
		Grants: slices.Clone(in.Grants), CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	var f apperr.Fields
	checkName(&f, "name", c.Name, true)
	f.Require(validText(c.Description, 1000), "description", "invalid", "At most 1000 characters.")
	f.Require(policy.Allows(actor, authz.ClientManage, in.OrgUnitID), "org_unit_id", "not_found", "No such org unit where you may make service accounts.")
	f.Require(in.ExpiresAt == nil || in.ExpiresAt.After(now), "expires_at", "past", "Must be in the future.")
	f.Require(len(in.Grants) <= maxClientGrants, "grants", "too_many", "At most 20 roles.")
	if err := f.Err(); err != nil {
		return c, "", err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		made := false
		err := tx.Once(ctx, &c, func() error {
			made = true
			unit, err := openUnit(ctx, tx, c.OrgUnitID)
			if err != nil {
				return err
			}
			c.TenantID = unit.TenantID
			if err := s.checkClientGrants(ctx, tx, policy, actor, c); err != nil {
				return err
			}
			if err := tx.InsertClient(ctx, c); err != nil {
				return err
			}
			return s.noteClient(ctx, tx, c, "client.create", map[string]work.Change{"name": {To: c.Name}, "grants": {To: c.Grants}})
		})
		if err != nil {
			return err
		}
		if !made {
			if err := tx.RevokeClientSecrets(ctx, c.ID, s.Now()); err != nil {
				return err
			}
		}
		secret, err = s.addSecret(ctx, tx, &c, in.ExpiresAt)
		return err
	})
	return c, secret, err
}

func (s *Service) checkClientGrants(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, c Client) error {
	for i, g := range c.Grants {
		if slices.Contains(c.Grants[:i], g) {
			return apperr.Invalid(apperr.Field{Path: "grants", Code: "duplicate", Message: "A role is named twice."})
		}
		if _, err := s.checkGrant(ctx, tx, policy, actor, c.TenantID, g); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) noteClient(ctx context.Context, tx Tx, c Client, action string, changes map[string]work.Change) error {
	if err := s.security(ctx, tx, SecurityEvent{
		Kind: strings.ReplaceAll(action, ".", "_"), TenantID: c.TenantID, Details: map[string]string{"client_id": c.ID.String()},
	}); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "client", ResourceID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Changes: changes,
	})
}

// addSecret writes a new secret and returns its text, which is shown once.
func (s *Service) addSecret(ctx context.Context, tx Tx, c *Client, expires *time.Time) (string, error) {
	text, _ := s.newSecret()
	text = clientSecretPrefix + text
	secret := ClientSecret{
		ID: s.NewID(), TenantID: c.TenantID, ClientID: c.ID, Hash: secretHash(text), Hint: text[len(text)-4:], CreatedAt: s.Now(), ExpiresAt: expires,
	}
	if err := tx.InsertClientSecret(ctx, secret); err != nil {
		return "", err
	}
	c.Secrets = append(slices.Clone(c.Secrets), secret)
	return text, nil
}

// onClient locks a service account that the actor may manage, and whose grants
// the actor holds, and runs fn.
func (s *Service) onClient(ctx context.Context, actor authz.Principal, id uuid.UUID, fn func(context.Context, Tx, *authz.Policy, *Client) error) (c Client, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return c, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if c, err = tx.LockClient(ctx, id); err != nil {
			return err
		}
		if !policy.Allows(actor, authz.ClientManage, c.OrgUnitID) {
			return apperr.NotFound("service account")
		}
		if !coversAll(policy, actor, c.Grants) {
			return apperr.New(apperr.KindForbidden, "outranked", "This service account may do more than you.")
		}
		return fn(ctx, tx, policy, &c)
	})
	return c, err
}

// DeleteClient ends a service account: its tokens within seconds.
func (s *Service) DeleteClient(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	_, err := s.onClient(ctx, actor, id, func(ctx context.Context, tx Tx, _ *authz.Policy, c *Client) error {
		if err := tx.DeleteClient(ctx, c.ID); err != nil {
			return err
		}
		if err := s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: c.ID, TenantID: c.TenantID, Reason: "client_deleted", Epoch: c.Epoch + 1}); err != nil {
			return err
		}
		return s.noteClient(ctx, tx, *c, "client.delete", map[string]work.Change{"name": {From: c.Name}})
	})
	return err
}

// AddClientSecret makes another secret, at most two live ones; with
// revokeOthers the earlier ones and their tokens end at once.
func (s *Service) AddClientSecret(ctx context.Context, actor authz.Principal, id uuid.UUID, expires *time.Time, revokeOthers bool) (c Client, secret string, err error) {
	if expires != nil && !expires.After(s.Now()) {
		return c, "", apperr.Invalid(apperr.Field{Path: "expires_at", Code: "past", Message: "Must be in the future."})
	}
	c, err = s.onClient(ctx, actor, id, func(ctx context.Context, tx Tx, _ *authz.Policy, c *Client) error {
		if revokeOthers {
			if err := s.revokeSecrets(ctx, tx, c); err != nil {
				return err
			}
		}
		if len(c.Secrets) >= MaxClientSecrets {
			return apperr.Conflict("too_many_secrets", "Two secrets are live; revoke them with the next one.")
		}
		if secret, err = s.addSecret(ctx, tx, c, expires); err != nil {
			return err
		}
		return s.noteClient(ctx, tx, *c, "client.add_secret", map[string]work.Change{"revoke_others": {To: revokeOthers}})
	})
	return c, secret, err
}

// revokeSecrets ends all secrets of a client and what was signed in with them.
// The epoch moves with it, so that a token whose proof was the old secret never
// lives, however late it is opened.
func (s *Service) revokeSecrets(ctx context.Context, tx Tx, c *Client) error {
	if err := tx.RevokeClientSecrets(ctx, c.ID, s.Now()); err != nil {
		return err
	}
	c.Secrets, c.Epoch = nil, c.Epoch+1
	if err := tx.SetClientEpoch(ctx, c.ID, c.Epoch); err != nil {
		return err
	}
	return s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: c.ID, TenantID: c.TenantID, Reason: "secrets_revoked", Epoch: c.Epoch})
}

// SetClientGrants replaces what a service account may do; its tokens of before
// become stale.
func (s *Service) SetClientGrants(ctx context.Context, actor authz.Principal, id uuid.UUID, grants []authz.Grant) (Client, error) {
	if len(grants) > maxClientGrants {
		return Client{}, apperr.Invalid(apperr.Field{Path: "grants", Code: "too_many", Message: "At most 20 roles."})
	}
	return s.onClient(ctx, actor, id, func(ctx context.Context, tx Tx, policy *authz.Policy, c *Client) error {
		before := c.Grants
		c.Grants = slices.Clone(grants)
		if err := s.checkClientGrants(ctx, tx, policy, actor, *c); err != nil {
			return err
		}
		c.Epoch++
		if err := tx.SetClientGrants(ctx, *c); err != nil {
			return err
		}
		if err := tx.SetClientEpoch(ctx, c.ID, c.Epoch); err != nil {
			return err
		}
		if err := s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: c.ID, TenantID: c.TenantID, Reason: "roles_changed", EpochOnly: true, Epoch: c.Epoch}); err != nil {
			return err
		}
		return s.noteClient(ctx, tx, *c, "client.set_grants", map[string]work.Change{"grants": {From: before, To: c.Grants}})
	})
}

// VerifyClient checks a service account's secret. An unknown id costs the same
// look-up as a wrong secret.
func (s *Service) VerifyClient(ctx context.Context, id uuid.UUID, secret string, from From) (c *Client, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		found, err := tx.ClientBySecret(ctx, id, secretHash(secret), s.Now())
		if apperr.IsKind(err, apperr.KindNotFound) {
			return s.security(ctx, tx, SecurityEvent{Kind: "client_login_failed", From: from, Details: map[string]string{"client_id": id.String()}})
		}
		if err != nil {
			return err
		}
		c = &found
		return s.security(ctx, tx, SecurityEvent{Kind: "client_login", TenantID: found.TenantID, From: from, Details: map[string]string{"client_id": id.String()}})
	})
	return c, err
}
