package coursework

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Limits of a round of the sweep.
const (
	sweepAssignments = 200
	sweepBatch       = 100
	maxFailed        = 10
	keepNotices      = 30 * 24 * time.Hour
	// resweep is how often it is looked again who is to be told that work is due:
	// people enroll after they would have been.
	resweep = 15 * time.Minute
	// missingSpan is how long after a due time missing work is looked for: longer
	// than the service is ever down.
	missingSpan = 7 * 24 * time.Hour
)

// Sweep tells what time alone changes: work that is due soon, and work that is
// missing (rule 18). Each person is told once per due time.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.Now()
	soon := s.sweepAll(ctx, s.tellDueSoon, func(ctx context.Context, tx Tx, after uuid.UUID) ([]uuid.UUID, error) {
		return tx.DueSoon(ctx, now, now.Add(s.Settings.DueSoonBefore), now.Add(-resweep), after, sweepAssignments)
	})
	past := s.sweepAll(ctx, s.tellMissing, func(ctx context.Context, tx Tx, after uuid.UUID) ([]uuid.UUID, error) {
		return tx.PastDue(ctx, now.Add(-missingSpan), now, after, sweepAssignments)
	})
	return errors.Join(soon, past, s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.PruneNotices(ctx, now.Add(-keepNotices), 1000)
	}))
}

// sweeping is what a sweep does with an assignment.
type sweeping func(ctx context.Context, a Assignment, ext extensions, now time.Time) error

// sweepAll sweeps page after page: however many are due at once, all are reached in
// one round. One that cannot be swept does not hold up the others; where many
// cannot, a neighbour is away, and the next round goes on.
func (s *Service) sweepAll(ctx context.Context, do sweeping, next func(context.Context, Tx, uuid.UUID) ([]uuid.UUID, error)) error {
	var failed []error
	after := uuid.Nil
	for {
		ids, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) { return next(ctx, tx, after) })
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, id := range ids {
			if err := s.sweepOne(ctx, id, do); err != nil {
				failed = append(failed, err)
			}
			if len(failed) >= maxFailed {
				return errors.Join(failed...)
			}
			after = id
		}
		if len(ids) < sweepAssignments {
			return errors.Join(failed...)
		}
	}
}

// sweepOne sweeps an assignment; one that was deleted in between is done.
func (s *Service) sweepOne(ctx context.Context, id uuid.UUID, do sweeping) error {
	a, ext, err := s.extended(ctx, work.AllTenants(), id)
	if err == nil && a.Expects() && a.Published {
		err = do(ctx, a, ext, s.Now())
	}
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	return err
}

// whom are the people of a sweep for whom it is time: of all who learn in the course
// while the due time of everybody has not been swept, and then of those who have
// another one. A cohort has members who do not learn here: they are nobody's.
func (s *Service) whom(ctx context.Context, a Assignment, ext extensions, swept bool, dueNow func(time.Time) bool, fn func([]uuid.UUID) error) error {
	is := func(user uuid.UUID) bool {
		due := ext.dates(a, user).DueAt
		return due != nil && dueNow(*due)
	}
	extended := map[uuid.UUID]bool{}
	note := func(user uuid.UUID) {
		if is(user) {
			extended[user] = true
		}
	}
	for user := range ext.users {
		note(user)
	}
	for group := range ext.groups {
		for _, user := range ext.members[group] {
			note(user)
		}
	}
	if swept && len(extended) == 0 {
		return nil
	}
	return s.eachLearners(ctx, a.CourseID, func(ids []uuid.UUID) error {
		return inBatches(slices.DeleteFunc(ids, func(user uuid.UUID) bool {
			return swept && !extended[user] || !swept && !is(user)
		}), fn)
	})
}

func inBatches(ids []uuid.UUID, fn func([]uuid.UUID) error) error {
	for from := 0; from < len(ids); from += sweepBatch {
		if err := fn(ids[from:min(from+sweepBatch, len(ids))]); err != nil {
			return err
		}
	}
	return nil
}

// tellDueSoon tells everybody who has not handed in and whose own due time comes.
func (s *Service) tellDueSoon(ctx context.Context, a Assignment, ext extensions, now time.Time) error {
	until := now.Add(s.Settings.DueSoonBefore)
	comes := a.DueAt != nil && a.DueAt.After(now) && !a.DueAt.After(until)
	swept := !comes || sameTime(a.DueSoonToldFor, a.DueAt) && a.DueSoonSweptAt != nil && now.Sub(*a.DueSoonSweptAt) < resweep
	due := func(at time.Time) bool { return at.After(now) && !at.After(until) }
	err := s.whom(ctx, a, ext, swept, due, func(some []uuid.UUID) error {
		notices := make([]DueNotice, len(some))
		for i, user := range some {
			notices[i] = DueNotice{UserID: user, DueAt: *ext.dates(a, user).DueAt}
		}
		return s.notice(ctx, a, notices, now)
	})
	if err != nil || swept {
		return err
	}
	a.DueSoonToldFor, a.DueSoonSweptAt = a.DueAt, &now
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error { return tx.SetSwept(ctx, a) })
}

func (s *Service) notice(ctx context.Context, a Assignment, notices []DueNotice, now time.Time) error {
	users := make([]uuid.UUID, len(notices))
	for i, n := range notices {
		users[i] = n.UserID
	}
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error {
		done, err := tx.Submitted(ctx, a.ID, users)
		if err != nil {
			return err
		}
		var open []DueNotice
		for _, n := range notices {
			if !done[n.UserID] {
				open = append(open, n)
			}
		}
		fresh, err := tx.NoteDue(ctx, a, open, now)
		if err != nil {
			return err
		}
		for _, n := range fresh {
			err := tx.Emit(ctx, events.AssignmentDueSoon{
				AssignmentID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title, UserID: n.UserID, DueAt: n.DueAt, At: now,
			}, a.meta())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// tellMissing makes missing what was not handed in by a person's own due time, and
// gives it what the policy says (rule 18).
func (s *Service) tellMissing(ctx context.Context, a Assignment, ext extensions, now time.Time) error {
	passed := a.DueAt != nil && a.DueAt.Before(now)
	swept := !passed || a.MissingCheckedAt != nil && !a.MissingCheckedAt.Before(*a.DueAt)
	overdue := func(at time.Time) bool { return at.Before(now) }
	err := s.whom(ctx, a, ext, swept, overdue, func(some []uuid.UUID) error { return s.missing(ctx, a, ext, some, now) })
	if err != nil || swept {
		return err
	}
	a.MissingCheckedAt = &now
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error { return tx.SetSwept(ctx, a) })
}

func (s *Service) missing(ctx context.Context, a Assignment, ext extensions, users []uuid.UUID, now time.Time) error {
	sortIDs(users)
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error {
		rows, err := tx.EnsureGrades(ctx, s.freshGrades(a, users, now))
		if err != nil {
			return err
		}
		rules, err := s.rules(ctx, tx, a)
		if err != nil {
			return err
		}
		var later people
		for _, user := range users {
			before := rows[user]
			if before.MissingAt != nil || before.SubmittedAt != nil {
				continue
			}
			g := before
			judge(a, &g, ext.dates(a, user).DueAt, rules, now)
			if same(before, g) {
				continue
			}
			if _, err := s.saveGrade(ctx, tx, a, &before, g, saving{cause: CauseMissing, later: &later}); err != nil {
				return err
			}
		}
		return s.counted(ctx, tx, &later)
	})
}
