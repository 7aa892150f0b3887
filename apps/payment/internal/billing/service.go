package billing

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/sweep"
	"lms/shared/work"
)

// Settings that an operator can change.
type Settings struct {
	// PublicURL is where clients reach the gateway, without a slash at the end.
	PublicURL string
	// ReturnOrigins are the origins to which a buyer may be sent back from the
	// payment page, besides the public one.
	ReturnOrigins []string
	// SessionFor is how long a payment page stands.
	SessionFor time.Duration
	// HoldGrace is how much longer the seat is held than the page stands.
	HoldGrace time.Duration
	// WaitFor is how long an answer waits for enrollment.
	WaitFor time.Duration
	// Dunning are the pauses after the first, second, … failed charge; after the last
	// one it is over.
	Dunning []time.Duration
	// TrialNotice is how long before its end a trial is told to end.
	TrialNotice time.Duration
}

// Service is the use cases of payment.
type Service struct {
	Store     Store
	Authz     authz.Source
	Courses   CourseSource
	People    Directory
	Facts     FactSource
	Provider  provider.Provider
	Calls     Settler
	Settings  Settings
	Now       func() time.Time
	NewID     func() uuid.UUID
	Telemetry Telemetry
}

// Telemetry counts what an operator watches; all fields may be nil.
type Telemetry struct {
	Webhook func(outcome string)
}

func (t Telemetry) webhook(outcome string) {
	if t.Webhook != nil {
		t.Webhook(outcome)
	}
}

// Course is what a plan needs to know of a course.
type Course struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	Title     string
	Deleted   bool
}

// CourseSource asks course; NotFound for a course that never was.
type CourseSource interface {
	Course(ctx context.Context, id uuid.UUID) (Course, error)
}

// Card is what may be known of a person.
type Card struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	Name     string
	Active   bool
}

// Directory asks user; who is not known is not in the map.
type Directory interface {
	Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Card, error)
}

// RefundFacts are what rule 33 needs to know of a person in a course.
type RefundFacts struct {
	EverCertified  bool
	CourseStartsAt *time.Time
}

// Standing is an entitlement as enrollment has it.
type Standing struct {
	EntitlementID   uuid.UUID
	State           string
	ValidUntil      *time.Time
	EnrollmentState string // "" for no enrollment
	Waived          bool   // staff let the person in without
}

// FactSource asks enrollment.
type FactSource interface {
	RefundFacts(ctx context.Context, course, user uuid.UUID) (RefundFacts, error)
	// Standings of entitlements; one that enrollment does not know is not in the map.
	Standings(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Standing, error)
}

// Settler waits for a reliable call that this process has just committed; see
// outbox.Settled.
type Settler interface {
	Settled(ctx context.Context, call uuid.UUID, d time.Duration) bool
}

// scopeOf is the rows that a caller may see.
func scopeOf(p authz.Principal) work.Scope { return work.ScopeOf(p) }

func (s *Service) policy(ctx context.Context, actor authz.Principal, unit uuid.UUID) (*authz.Policy, error) {
	return authz.Knowing(ctx, s.Authz, actor, unit)
}

// may is nil for who holds the permission in an org unit; 404 for who may not know
// of the thing, called what.
func (s *Service) may(ctx context.Context, actor authz.Principal, perm authz.Permission, unit uuid.UUID, knows bool, what string) error {
	policy, err := s.policy(ctx, actor, unit)
	if err != nil {
		return err
	}
	switch {
	case policy.Allows(actor, perm, unit):
		return nil
	case knows:
		return apperr.Forbidden("You may not do this.").Detail("permission", perm)
	}
	return apperr.NotFound(what)
}

// owns is nil for the person whose it is, and for who holds the permission in its org
// unit; 404 otherwise.
func (s *Service) owns(ctx context.Context, actor authz.Principal, owner, unit uuid.UUID, perm authz.Permission, what string) error {
	if actor.UserID == owner {
		return nil
	}
	return s.may(ctx, actor, perm, unit, false, what)
}

// reach says whose rows of a list the caller may see: one person's (their own without
// a wish), or all within the permission.
func (s *Service) reach(ctx context.Context, actor authz.Principal, wish *uuid.UUID, everybody bool, perm authz.Permission) (Reach, error) {
	if wish == nil && !everybody || wish != nil && *wish == actor.UserID {
		return Reach{UserID: &actor.UserID, All: true}, nil
	}
	policy, err := s.policy(ctx, actor, uuid.Nil)
	if err != nil {
		return Reach{}, err
	}
	r := policy.Reach(actor, perm)
	if r.None() {
		return Reach{}, apperr.Forbidden("You may see your own only.").Detail("permission", perm)
	}
	return Reach{UserID: wish, All: r.All, OrgUnits: r.OrgUnits}, nil
}

// audit notes what a person did; what the system does by itself is told by events.
func audit(ctx context.Context, tx Tx, action, kind string, id, tenant, unit uuid.UUID, changes map[string]work.Change) error {
	if work.ActorFrom(ctx).Principal.UserID == uuid.Nil {
		return nil
	}
	return tx.Audit(ctx, work.AuditEntry{Action: action, ResourceType: kind, ResourceID: id, TenantID: tenant, OrgUnitID: unit, Changes: changes})
}

// commerce is what every event of money carries.
func commerce(p Plan, tenant, user uuid.UUID, quantity int, currency string, at time.Time) events.Commerce {
	c := events.Commerce{
		TenantID: tenant, OrgUnitID: p.OrgUnitID, UserID: user, PlanID: p.ID, PlanName: p.Name, PlanKind: p.Kind,
		CourseIDs: p.CourseIDs(), Quantity: quantity, Currency: currency, At: at,
	}
	if len(p.Courses) > 0 {
		c.CourseID, c.CourseTitle = p.Courses[0].CourseID, p.Courses[0].Title
	}
	return c
}

// emit tells an event of a plan.
func emit(ctx context.Context, tx Tx, e events.Event, c events.Commerce) error {
	return tx.Emit(ctx, e, work.Meta{TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.CourseID})
}

// system runs work that belongs to no request.
func (s *Service) system(ctx context.Context, fn func(context.Context, Tx) error) error {
	return s.Store.InTx(ctx, work.AllTenants(), fn)
}

// eachDue does one for all that find gives; what fails keeps nobody else waiting, and
// is told of at the end.
func (s *Service) eachDue(ctx context.Context, find func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error), one func(context.Context, uuid.UUID) error) error {
	return sweep.Each(ctx, func(ctx context.Context, skip []uuid.UUID, limit int) (ids []uuid.UUID, err error) {
		err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			ids, err = find(ctx, tx, skip, limit)
			return err
		})
		return ids, err
	}, one)
}

// Sweep does what time asks for: sessions expire, subscriptions renew, instalments
// fall due, and what got stuck goes on.
func (s *Service) Sweep(ctx context.Context) error {
	return errors.Join(s.sweepCheckouts(ctx), s.sweepSubscriptions(ctx), s.sweepInstalments(ctx), s.sweepChanges(ctx), s.sweepRefunds(ctx), s.purge(ctx))
}

// keepWebhooks is how long the ids of webhooks are remembered; their signatures are
// good for minutes.
const keepWebhooks = 60 * 24 * time.Hour

func (s *Service) purge(ctx context.Context) error {
	return s.system(ctx, func(ctx context.Context, tx Tx) error {
		return tx.PurgeWebhooks(ctx, s.Now().Add(-keepWebhooks), 5000)
	})
}
