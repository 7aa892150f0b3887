package coursework

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// FinalGrade is a person's final grade in a course, with what staff set instead of
// the computed one, and the history of that.
type FinalGrade struct {
	Total   CourseTotal
	History []FinalChange
}

// maxFinal is the highest percent that a final grade can be set to.
const maxFinal = 1000_00

// FinalGradeOf reads a person's final grade, for staff.
func (s *Service) FinalGradeOf(ctx context.Context, actor authz.Principal, course, user uuid.UUID) (FinalGrade, error) {
	st, err := s.inCourse(ctx, actor, course, authz.GradeRead)
	if err != nil {
		return FinalGrade{}, err
	}
	out, err := read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (out FinalGrade, err error) {
		rows, err := tx.TotalsOf(ctx, course, []uuid.UUID{user})
		if err != nil {
			return out, err
		}
		c, items, err := tx.Counting(ctx, course, []uuid.UUID{user})
		if err != nil {
			return out, err
		}
		out.Total = CourseTotal{CourseID: course, TenantID: st.TenantID, UserID: user, OverrideVersion: FirstVersion}
		if len(rows) > 0 {
			out.Total = rows[0]
			if out.History, err = tx.FinalHistory(ctx, out.Total.ID); err != nil {
				return out, err
			}
		}
		c.apply(&out.Total, c.count(byPerson(items)[user]))
		return out, nil
	})
	if err != nil || out.Total.ID != uuid.Nil {
		return out, err
	}
	return out, s.learns(ctx, course, user)
}

// PutFinalGrade sets a person's final grade instead of the computed one; nil lets
// the computed one hold again. Both stay known, and history says who and why.
func (s *Service) PutFinalGrade(ctx context.Context, actor authz.Principal, course, user uuid.UUID, version int64, percent *Points, why string) (FinalGrade, error) {
	why = strings.TrimSpace(why)
	var bad apperr.Fields
	bad.Require(percent == nil || *percent >= 0 && *percent <= maxFinal, "percent", "range", "From 0 to 1000; null for the computed one.")
	bad.Require(why != "" && len(why) <= 500, "reason", "length", "1 to 500 bytes.")
	if err := bad.Err(); err != nil {
		return FinalGrade{}, err
	}
	st, err := s.inCourse(ctx, actor, course, authz.GradeEdit)
	if err != nil {
		return FinalGrade{}, err
	}
	if err := s.grades(ctx, actor, course); err != nil {
		return FinalGrade{}, err
	}
	if _, err := s.FinalGradeOf(ctx, actor, course, user); err != nil { // 404 for who does not learn here
		return FinalGrade{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (out FinalGrade, err error) {
		in := Place{st.TenantID, st.OrgUnitID, course}
		now := s.Now()
		rows, err := tx.LockTotals(ctx, []CourseTotal{in.fresh(s.NewID(), user, now)})
		if err != nil {
			return out, err
		}
		t := rows[0]
		if version != t.OverrideVersion {
			return out, apperr.VersionMismatch()
		}
		was := t
		t.OverridePercent, t.OverrideBy, t.OverrideAt = percent, optionalID(actor.UserID), &now
		if percent == nil {
			t.OverrideBy, t.OverrideAt = nil, nil
		}
		t.OverrideVersion++
		c, items, err := tx.Counting(ctx, course, []uuid.UUID{user})
		if err != nil {
			return out, err
		}
		c.apply(&t, c.count(byPerson(items)[user]))
		posted := !equal(was.Effective(was.PostedFinal), t.Effective(t.PostedFinal)) || was.PostedLetter != t.PostedLetter
		if err := s.tellTotal(ctx, tx, in, was, &t, posted, now); err != nil {
			return out, err
		}
		if err := tx.SaveTotals(ctx, []CourseTotal{t}); err != nil {
			return out, err
		}
		err = tx.InsertFinalChange(ctx, FinalChange{
			ID: s.NewID(), TenantID: in.TenantID, TotalID: t.ID, At: now, ActorID: optionalID(actor.UserID), Note: why,
			Before: was.OverridePercent, After: percent,
		})
		if err != nil {
			return out, err
		}
		if out.History, err = tx.FinalHistory(ctx, t.ID); err != nil {
			return out, err
		}
		out.Total = t
		return out, tx.Audit(ctx, work.AuditEntry{
			Action: "final_grade.set", ResourceType: "course_total", ResourceID: t.ID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID,
			Changes: map[string]work.Change{"percent": {From: was.OverridePercent, To: percent}},
		})
	})
}

// Own is what a learner sees of the grades of a course: only what is posted (rule
// 25).
type Own struct {
	Counting Counting
	// Cells by column: of what is not posted only what the learner did.
	Cells map[uuid.UUID]Cell
	// Total is nil where staff show no totals to learners.
	Total   *CourseTotal
	Counted Counted
}

// OwnGrades are the caller's own grades in a course.
func (s *Service) OwnGrades(ctx context.Context, actor authz.Principal, course uuid.UUID) (Own, error) {
	st, err := s.standing(ctx, actor, course)
	if err != nil {
		return Own{}, err
	}
	if st.Staff {
		return Own{}, apperr.Forbidden("These are the grades of those who learn in the course; the gradebook has them all.")
	}
	user := actor.UserID
	return read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (out Own, err error) {
		rows, err := tx.TotalsOf(ctx, course, []uuid.UUID{user})
		if err != nil {
			return out, err
		}
		var items []ScoredItem
		if out.Counting, items, err = tx.Counting(ctx, course, []uuid.UUID{user}); err != nil {
			return out, err
		}
		out.Cells = map[uuid.UUID]Cell{}
		err = tx.Cells(ctx, course, []uuid.UUID{user}, func(c *Cell) { out.Cells[c.ColumnID] = c.own() })
		if err != nil {
			return out, err
		}
		out.Counted = out.Counting.count(byPerson(items)[user])
		if !out.Counting.Grading.ShowTotals {
			return out, nil
		}
		t := CourseTotal{CourseID: course, UserID: user}
		if len(rows) > 0 {
			t = rows[0]
		}
		out.Counting.apply(&t, out.Counted)
		out.Total = &t
		return out, nil
	})
}

// own takes out of a cell what its learner must not see.
func (c Cell) own() Cell {
	if c.Posted {
		return c
	}
	return Cell{UserID: c.UserID, ColumnID: c.ColumnID, SubmittedAt: c.SubmittedAt, DueAt: c.DueAt}
}

// Standing says whether the work of a cell is late or missing, and how late, in
// whole seconds.
func (c *Cell) Standing(col *Column, now time.Time) (status string, seconds int64) {
	w := grading.Work{Due: c.DueAt, SubmittedAt: c.SubmittedAt, Entered: c.Entered, Excused: c.Excused}
	if c.Status != nil {
		manual := grading.Status(*c.Status)
		w.Manual = &manual
	}
	if c.StatusLate != nil {
		w.ManualLate = time.Duration(*c.StatusLate) * time.Second
	}
	st, by := col.standing(w, now)
	return string(st), wholeSeconds(by)
}

// Text is a score as its column shows it.
func (c Counting) Text(col Column, score Points) string {
	return c.Scheme.Text(grading.Kind(col.GradingType), score, col.Points)
}
