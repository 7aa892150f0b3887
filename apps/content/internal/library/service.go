package library

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Service is everything that can be done with the library.
type Service struct {
	Store      Store
	Authz      authz.Source
	Members    Members
	Placements Placements
	Text       Text
	Files      Files
	Calls      Calls
	Opened     *Openings
	Now        func() time.Time
	NewID      func() uuid.UUID
}

// inTx runs a command once per idempotency key; what it gives back is kept as the
// answer.
func inTx[T any](ctx context.Context, s *Service, sc work.Scope, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			var err error
			out, err = fn(ctx, tx)
			return err
		})
	})
	return out, err
}

// holds says whether the caller holds a permission for a content: by a grant in
// its org unit, or as staff of the course that it was made for. fresh lets no answer
// be older than the question.
func (s *Service) holds(ctx context.Context, policy *authz.Policy, actor authz.Principal, c Content, perm authz.Permission, fresh bool) (bool, error) {
	if policy.Allows(actor, perm, c.OrgUnitID) {
		return true, nil
	}
	if c.CourseID == nil {
		return false, nil
	}
	v, err := s.Members.May(ctx, actor, *c.CourseID, nil, fresh)
	if err != nil || !v.Allowed {
		return false, err
	}
	return policy.AllowsInCourse(actor, perm, c.OrgUnitID, staffRole(v)), nil
}

func staffRole(v Verdict) string {
	if v.As == AsStaff {
		return v.Role
	}
	return ""
}

// allowed gives a content to who may do something with it: 404 for who may not
// know of it, 403 for who may see but not do it.
func (s *Service) allowed(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission) (*authz.Policy, Content, error) {
	policy, c, err := s.find(ctx, id)
	if err != nil {
		return nil, Content{}, err
	}
	ok, err := s.holds(ctx, policy, actor, c, perm, true)
	if err != nil || ok {
		return policy, c, err
	}
	_, err = s.sees(ctx, actor, policy, c, nil, false)
	if err != nil && !apperr.IsKind(err, apperr.KindForbidden) {
		return nil, Content{}, err
	}
	return nil, Content{}, apperr.Forbidden("This needs the permission " + string(perm) + " for the content.")
}

// find reads a content for a decision: who learns in a course may be of another
// organisation.
func (s *Service) find(ctx context.Context, id uuid.UUID) (*authz.Policy, Content, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return nil, Content{}, err
	}
	var c Content
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		c, err = tx.Content(ctx, id)
		return err
	})
	return policy, c, err
}

// pathOf runs from the root to the unit; a unit that the policy does not know
// keeps the path that was known before.
func pathOf(policy *authz.Policy, unit uuid.UUID, known []uuid.UUID) []uuid.UUID {
	path := policy.Ancestors(unit)
	if len(path) == 0 {
		return known
	}
	slices.Reverse(path)
	return path
}

func checkVersion(want *int64, have int64) error {
	if want != nil && *want != have {
		return apperr.VersionMismatch()
	}
	return nil
}

// snapshot is the state of a content and all of its text.
func (s *Service) snapshot(ctx context.Context, tx Tx, c Content) (events.ContentState, string, error) {
	var v *Version
	if c.Current > 0 {
		current, err := tx.Version(ctx, c.ID, c.Current)
		if err != nil {
			return events.ContentState{}, "", err
		}
		v = &current
	}
	var captions []Caption
	if recording(c.Kind) {
		var err error
		if captions, err = tx.Captions(ctx, c.ID); err != nil {
			return events.ContentState{}, "", err
		}
	}
	languages, text := textOf(v, captions)
	return c.State(v, languages, text), text, nil
}

// tell emits an event with the whole snapshot.
func (s *Service) tell(ctx context.Context, tx Tx, c Content, event func(events.ContentState) events.Event) error {
	st, _, err := s.snapshot(ctx, tx, c)
	if err != nil {
		return err
	}
	return tx.Emit(ctx, event(st), c.meta())
}

// tellCourse says to course what a curriculum shows of the content.
func (s *Service) tellCourse(ctx context.Context, tx Tx, c Content) (uuid.UUID, error) {
	return tx.Call(ctx, work.Call{
		To: "course", Name: internalapi.CallResourceState, Key: c.ID.String(), TenantID: c.TenantID,
		Body: internalapi.ResourceState{
			ResourceID: c.ID, TenantID: c.TenantID, Kind: events.ItemContent, Title: c.Title,
			Published: c.Published() && c.DeletedAt == nil, Deleted: c.DeletedAt != nil,
		},
	})
}
