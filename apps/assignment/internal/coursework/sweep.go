package coursework

import (
	"context"
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
	keepNotices      = 30 * 24 * time.Hour
	// missingSpan is how long after a due time missing work is looked for: longer
	// than the service is ever down.
	missingSpan = 7 * 24 * time.Hour
)

// Sweep tells what time alone changes: work that is due soon, and work that is
// missing (rule 18). Each person is told once per due time.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.Now()
	soon, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]Assignment, error) {
		return tx.DueBetween(ctx, now, now.Add(s.Settings.DueSoonBefore), sweepAssignments)
	})
	if err != nil {
		return err
	}
	for _, a := range soon {
		if err := s.sweepOne(ctx, a.ID, s.tellDueSoon); err != nil {
			return err
		}
	}
	past, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]Assignment, error) {
		return tx.DueBetween(ctx, now.Add(-missingSpan), now, sweepAssignments)
	})
	if err != nil {
		return err
	}
	for _, a := range past {
		if err := s.sweepOne(ctx, a.ID, s.tellMissing); err != nil {
			return err
		}
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.PruneNotices(ctx, now.Add(-keepNotices), 1000)
	})
}

// sweepOne sweeps an assignment; one that was deleted in between is done.
func (s *Service) sweepOne(ctx context.Context, id uuid.UUID, do func(context.Context, Assignment, extensions, time.Time) error) error {
	a, ext, err := s.extended(ctx, work.AllTenants(), id)
	if err == nil && a.Expects() && a.Published {
		err = do(ctx, a, ext, s.Now())
	}
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	return err
}

// whom are the people of a sweep: all who learn in the course while the due time of
// everybody has not been swept, and then those who have another one.
func (s *Service) whom(ctx context.Context, a Assignment, ext extensions, swept bool, fn func([]uuid.UUID) error) error {
	if !swept {
		return s.eachLearners(ctx, a.CourseID, fn)
	}
	var ids []uuid.UUID
	for user := range ext.users {
		ids = append(ids, user)
	}
	for group := range ext.groups {
		ids = append(ids, ext.members[group]...)
	}
	if len(ids) == 0 {
		return nil
	}
	return fn(ids)
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
	swept := !comes || sameTime(a.DueSoonToldFor, a.DueAt)
	err := s.whom(ctx, a, ext, swept, func(ids []uuid.UUID) error {
		return inBatches(ids, func(some []uuid.UUID) error {
			var notices []DueNotice
			for _, user := range some {
				if due := ext.dates(a, user).DueAt; due != nil && due.After(now) && !due.After(until) {
					notices = append(notices, DueNotice{UserID: user, DueAt: *due})
				}
			}
			return s.notice(ctx, a, notices, now)
		})
	})
	if err != nil || swept {
		return err
	}
	a.DueSoonToldFor = a.DueAt
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error { return tx.SetSwept(ctx, a) })
}

func (s *Service) notice(ctx context.Context, a Assignment, notices []DueNotice, now time.Time) error {
	if len(notices) == 0 {
		return nil
	}
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
	err := s.whom(ctx, a, ext, swept, func(ids []uuid.UUID) error {
		return inBatches(ids, func(some []uuid.UUID) error {
			var overdue []uuid.UUID
			for _, user := range some {
				if due := ext.dates(a, user).DueAt; due != nil && due.Before(now) {
					overdue = append(overdue, user)
				}
			}
			return s.missing(ctx, a, ext, overdue, now)
		})
	})
	if err != nil || swept {
		return err
	}
	a.MissingCheckedAt = &now
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error { return tx.SetSwept(ctx, a) })
}

func (s *Service) missing(ctx context.Context, a Assignment, ext extensions, users []uuid.UUID, now time.Time) error {
	if len(users) == 0 {
		return nil
	}
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
