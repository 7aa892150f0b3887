package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// SecurityEvent is one line of the security audit. Details carry no secret and
// no address of another person.
type SecurityEvent struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	UserID   uuid.UUID // nil for nobody known
	ActorID  uuid.UUID
	Kind     string
	At       time.Time
	From     From
	Details  map[string]string
}

// fromContext is where the request of ctx comes from.
func fromContext(ctx context.Context) From {
	a := work.ActorFrom(ctx)
	return From{IP: a.IP, UserAgent: a.UserAgent, RequestID: a.RequestID}
}

// security writes one line; who acts and from where come from ctx unless said.
func (s *Service) security(ctx context.Context, tx Tx, e SecurityEvent) error {
	if e.ID == uuid.Nil {
		e.ID = s.NewID()
	}
	if e.At.IsZero() {
		e.At = s.Now()
	}
	if e.From == (From{}) {
		e.From = fromContext(ctx)
	}
	if e.ActorID == uuid.Nil {
		p := work.ActorFrom(ctx).Principal
		e.ActorID = p.UserID
		if p.Impersonator != uuid.Nil {
			e.ActorID = p.Impersonator
		}
	}
	if e.Details == nil {
		e.Details = map[string]string{}
	}
	return tx.InsertSecurityEvent(ctx, e)
}

// RecordSecurity writes a line that auth reports; the same id counts once.
func (s *Service) RecordSecurity(ctx context.Context, e SecurityEvent) error {
	if e.ID == uuid.Nil || e.Kind == "" || len(e.Kind) > 64 || len(e.Details) > 20 {
		return apperr.Invalid(apperr.Field{Path: "kind", Code: "invalid", Message: "An event needs an id and a kind."})
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if e.UserID != uuid.Nil {
			u, err := tx.User(ctx, e.UserID)
			if apperr.IsKind(err, apperr.KindNotFound) {
				return nil // erased meanwhile: nothing of the person is written any more
			}
			if err != nil {
				return err
			}
			e.TenantID = u.TenantID
		}
		return s.security(ctx, tx, e)
	})
}

// AuditLine is one line of what happened to, and by, a person: of the audit
// trail and of the security audit in one.
type AuditLine struct {
	ID             uuid.UUID
	At             time.Time
	Source         string // "audit" or "security"
	Action         string
	ActorID        *uuid.UUID
	ImpersonatorID *uuid.UUID
	Service        string
	ResourceType   string
	ResourceID     *uuid.UUID
	IP             string
	UserAgent      string
	RequestID      string
	Changes        []byte // JSON
}

// UserAudit reads what happened to, and by, a person whom the actor may see.
// A person reads the own one.
func (s *Service) UserAudit(ctx context.Context, actor authz.Principal, id uuid.UUID, q page.Request) (p page.Page[AuditLine], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if id != actor.UserID {
			if _, err := s.visible(ctx, tx, policy, actor, id, authz.AuditRead); err != nil {
				return err
			}
		}
		p, err = tx.AuditOf(ctx, id, q)
		return err
	})
	return p, err
}

// ListSessions reads a person's sessions for an administrator.
func (s *Service) ListSessions(ctx context.Context, actor authz.Principal, id uuid.UUID) ([]Session, error) {
	if err := s.maySecure(ctx, actor, id); err != nil {
		return nil, err
	}
	return s.Sessions.List(ctx, id)
}

func (s *Service) maySecure(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	return s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		_, err := s.visible(ctx, tx, policy, actor, id, authz.UserSecurity)
		return err
	})
}

// EndSessionsOf ends all of a person's sessions for an administrator: by a
// reliable call, so that it happens also when auth is away at the moment.
func (s *Service) EndSessionsOf(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		u, err := s.changeable(ctx, tx, policy, actor, id, authz.UserSecurity, true)
		if err != nil {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "sessions_ended_by_admin", UserID: u.ID, TenantID: u.TenantID}); err != nil {
			return err
		}
		if err := tx.Audit(ctx, work.AuditEntry{Action: "user.end_sessions", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
			return err
		}
		return s.endSessions(ctx, tx, &u, uuid.Nil, "ended_by_admin")
	})
}

// Impersonation is support's wish to act as a person.
type Impersonation struct {
	UserID uuid.UUID
	Reason string
	Write  bool
}

// MinReason is the shortest reason that is worth the name, in characters.
const MinReason = 10

// Impersonate decides whether the actor may act as a person, notes it, and
// tells the person. Nobody acts as oneself, as somebody who may do more, or
// while acting as another already. To change things as the person takes the
// permission to change the person.
func (s *Service) Impersonate(ctx context.Context, actor authz.Principal, in Impersonation) (sub *Subject, err error) {
	var f apperr.Fields
	f.Require(len([]rune(in.Reason)) >= MinReason && validText(in.Reason, MaxReason), "reason", "invalid", "10 to 500 characters.")
	f.Require(in.UserID != actor.UserID, "user_id", "own_account", "You are this person.")
	if err := f.Err(); err != nil {
		return nil, err
	}
	if actor.Impersonator != uuid.Nil {
		return nil, apperr.Forbidden("You are acting as somebody already.")
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return nil, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		u, err := s.changeable(ctx, tx, policy, actor, in.UserID, authz.UserImpersonate, true)
		if err != nil {
			return err
		}
		if u.Status != StatusActive {
			return apperr.Conflict("not_active", "The account is not active.")
		}
		if in.Write && !policy.Allows(actor, authz.UserUpdate, u.OrgUnitID) {
			return apperr.New(apperr.KindForbidden, "impersonation_read_only", "You may look as this person, but not change things.").Detail("permission", authz.UserUpdate)
		}
		if err := s.security(ctx, tx, SecurityEvent{
			Kind: "impersonation_started", UserID: u.ID, ActorID: actor.UserID, TenantID: u.TenantID,
			Details: map[string]string{"reason": in.Reason, "write": map[bool]string{true: "yes", false: "no"}[in.Write]},
		}); err != nil {
			return err
		}
		if err := tx.Audit(ctx, work.AuditEntry{
			Action: "user.impersonate", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
			Changes: map[string]work.Change{"reason": {To: in.Reason}, "write": {To: in.Write}},
		}); err != nil {
			return err
		}
		if sub, err = subjectOf(ctx, tx, u); err != nil {
			return err
		}
		return s.mailTo(ctx, tx, u, u.Email, MailImpersonated, MailData{Detail: in.Reason})
	})
	return sub, err
}
