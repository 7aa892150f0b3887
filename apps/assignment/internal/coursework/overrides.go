package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// maxOverrides bounds those of one assignment.
const maxOverrides = 2000

// Overrides are those of an assignment.
func (s *Service) Overrides(ctx context.Context, actor authz.Principal, id uuid.UUID) ([]Override, error) {
	a, _, err := s.staffOf(ctx, actor, id, authz.SubmissionRead)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) ([]Override, error) { return tx.Overrides(ctx, id) })
}

// NewOverride asks for other dates for a person or a group.
type NewOverride struct {
	Override
	// IfVersion is what the caller has read; nil is any.
	IfVersion *int64
}

// PutOverride gives a person or a group other dates, or replaces those that they
// have. What it changes of lateness is judged again (rule 19).
func (s *Service) PutOverride(ctx context.Context, actor authz.Principal, in NewOverride) (Override, error) {
	a, err := s.overridable(ctx, actor, in.AssignmentID, in.Kind, in.SubjectID)
	if err != nil {
		return Override{}, err
	}
	if err := in.check(a); err != nil {
		return Override{}, err
	}
	return inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (Override, error) {
		a, err := tx.LockAssignment(ctx, a.ID)
		if err != nil {
			return Override{}, err
		}
		old, err := tx.LockOverride(ctx, a.ID, in.Kind, in.SubjectID)
		if err != nil {
			return Override{}, err
		}
		now := s.Now()
		o := in.Override
		o.TenantID, o.CreatedAt, o.CreatedBy, o.UpdatedAt, o.Version = a.TenantID, now, optionalID(actor.UserID), now, 1
		if old != nil {
			o.CreatedAt, o.CreatedBy, o.Version = old.CreatedAt, old.CreatedBy, old.Version+1
		} else if all, err := tx.Overrides(ctx, a.ID); err != nil || len(all) >= maxOverrides {
			if err == nil {
				err = apperr.Conflict("too_many_overrides", "An assignment has at most 2,000 overrides: use a group.")
			}
			return Override{}, err
		}
		if in.IfVersion != nil && (old == nil || *in.IfVersion != old.Version) {
			return Override{}, apperr.VersionMismatch()
		}
		if err := tx.SaveOverride(ctx, o); err != nil {
			return Override{}, err
		}
		return o, s.overrideChanged(ctx, tx, a, o, false)
	})
}

// DeleteOverride takes other dates away again.
func (s *Service) DeleteOverride(ctx context.Context, actor authz.Principal, id uuid.UUID, kind string, subject uuid.UUID, version *int64) error {
	a, _, err := s.staffOf(ctx, actor, id, authz.AssignmentEdit)
	if err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (struct{}, error) {
		a, err := tx.LockAssignment(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		o, err := tx.LockOverride(ctx, id, kind, subject)
		switch {
		case err != nil:
			return struct{}{}, err
		case o == nil:
			return struct{}{}, apperr.NotFound("override")
		case version != nil && *version != o.Version:
			return struct{}{}, apperr.VersionMismatch()
		}
		if err := tx.DeleteOverride(ctx, *o); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.overrideChanged(ctx, tx, a, *o, true)
	})
	return err
}

// overridable finds the assignment and checks whom the override is for.
func (s *Service) overridable(ctx context.Context, actor authz.Principal, id uuid.UUID, kind string, subject uuid.UUID) (Assignment, error) {
	a, _, err := s.staffOf(ctx, actor, id, authz.AssignmentEdit)
	if err != nil || kind != OverrideUser {
		return a, err
	}
	return a, s.learns(ctx, a.CourseID, subject)
}

// learns refuses a person who is no learner of the course: 404, as for a person
// who does not exist.
func (s *Service) learns(ctx context.Context, course, user uuid.UUID) error {
	v, err := s.Access.May(ctx, Ask{UserID: user, CourseID: course, Action: See})
	if err != nil {
		return err
	}
	if v.Staff || v.Code == DeniedUnknown {
		return apperr.NotFound("learner in the course")
	}
	return nil
}

func (o Override) check(a Assignment) error {
	var bad apperr.Fields
	bad.Require(o.DueAt != nil || o.AvailableFrom != nil || o.CutoffAt != nil || o.Attempts != nil || o.UnlimitedAttempts, "due_at", "required", "Say at least one of: due_at, available_from, cutoff_at, attempts, unlimited_attempts.")
	bad.Require(o.Attempts == nil || *o.Attempts >= 1 && *o.Attempts <= MaxAttempts, "attempts", "range", "From 1 to 100.")
	bad.Require(o.Attempts == nil || !o.UnlimitedAttempts, "attempts", "pair", "Either a number or unlimited.")
	bad.Require(len(o.Reason) <= 500, "reason", "too_long", "At most 500 bytes.")
	checkOrder(&bad, o.AvailableFrom, o.DueAt, "due_at", "Not before available_from.")
	checkOrder(&bad, o.DueAt, o.CutoffAt, "cutoff_at", "Not before due_at.")
	return bad.Err()
}

// overrideChanged tells what happened and judges again whom it concerns.
func (s *Service) overrideChanged(ctx context.Context, tx Tx, a Assignment, o Override, removed bool) error {
	event := events.OverrideChanged{
		AssignmentID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title, Kind: o.Kind, SubjectID: o.SubjectID,
		Removed: removed, At: s.Now(),
	}
	action := "assignment.override_remove"
	if !removed {
		action = "assignment.override"
		event.DueAt, event.AvailableFrom, event.CutoffAt = o.DueAt, o.AvailableFrom, o.CutoffAt
		event.Attempts, event.UnlimitedAttempts = o.Attempts, o.UnlimitedAttempts
	}
	if err := tx.Emit(ctx, event, a.meta()); err != nil {
		return err
	}
	if err := tx.Audit(ctx, a.audit(action, map[string]work.Change{"subject": {To: o.SubjectID}, "due_at": {To: o.DueAt}, "cutoff_at": {To: o.CutoffAt}})); err != nil {
		return err
	}
	return s.judgeLater(ctx, tx, a, Judging{Cause: CauseOverride})
}
