package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/work"
)

// JobJudge judges all grades of an assignment again (rule 19).
const JobJudge = "judge-assignment"

// Judging is the input of JobJudge.
type Judging struct {
	AssignmentID uuid.UUID `json:"assignment_id"`
	Cause        string    `json:"cause"`
	// Report tells enrollment of every posted score anew: what is possible, or how
	// it is graded, has changed, and with it what the score is worth (rule 3).
	Report bool `json:"report,omitempty"`
}

// judgeBatch is how many grades are judged in one transaction.
const judgeBatch = 100

// judgeLater judges again in the background. It has no key: a job that runs has
// perhaps read what was before the change.
func (s *Service) judgeLater(ctx context.Context, tx Tx, a Assignment, in Judging) error {
	in.AssignmentID = a.ID
	_, err := tx.Enqueue(ctx, JobJudge, in, work.JobOptions{TenantID: a.TenantID})
	return err
}

// JudgeAll judges every grade of an assignment by the rules and dates as they are
// now; history keeps both numbers (rule 19). after is where an earlier try stopped;
// note says how far this one is.
func (s *Service) JudgeAll(ctx context.Context, in Judging, after uuid.UUID, note func(context.Context, uuid.UUID, int) error) error {
	a, ext, err := s.extended(ctx, work.AllTenants(), in.AssignmentID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil // deleted: its grades stay as they were
	}
	if err != nil {
		return err
	}
	for {
		users, err := read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
			return tx.GradesAfter(ctx, a.ID, after, judgeBatch)
		})
		if err != nil || len(users) == 0 {
			return err
		}
		if err := s.judgeSome(ctx, a, ext, users, in); err != nil {
			return err
		}
		after = users[len(users)-1]
		if err := note(ctx, after, len(users)); err != nil {
			return err
		}
	}
}

// judgeSome judges the grades of some people and writes those that differ. The
// assignment is read again: of two jobs at once neither judges by what was before.
func (s *Service) judgeSome(ctx context.Context, a Assignment, ext extensions, users []uuid.UUID, in Judging) error {
	return s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error {
		a, err := tx.ShareAssignment(ctx, a.ID)
		if apperr.IsKind(err, apperr.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := tx.LockGrades(ctx, a.ID, users)
		if err != nil {
			return err
		}
		rules, err := s.rules(ctx, tx, a)
		if err != nil {
			return err
		}
		var later people
		for _, user := range users {
			before, ok := rows[user]
			if !ok {
				continue
			}
			g := before
			judge(a, &g, ext.dates(a, user).DueAt, rules, s.Now())
			if !same(before, g) {
				if _, err := s.saveGrade(ctx, tx, a, &before, g, saving{cause: in.Cause, later: &later}); err != nil {
					return err
				}
			}
			if in.Report && gradeSection(a, g).Score != nil {
				if _, err := s.report(ctx, tx, a, g); err != nil {
					return err
				}
			}
		}
		return s.counted(ctx, tx, &later)
	})
}

// same says whether judging changed nothing.
func same(old, g Grade) bool {
	return old.Deduction == g.Deduction && equal(old.MissingScore, g.MissingScore) && equal(old.Score, g.Score) && old.SecondsLate == g.SecondsLate &&
		sameTime(old.DueAt, g.DueAt) && sameTime(old.MissingAt, g.MissingAt) && sameTime(old.PostedAt, g.PostedAt)
}
