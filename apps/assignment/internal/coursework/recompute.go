package coursework

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// recomputePage is how many rows one page of a recomputation looks at.
const recomputePage = 200

// Kinds of what is recomputed, in their order.
const (
	recomputeGrades  = "grade"
	recomputeQuizzes = "quiz_score"
	recomputeTotals  = "course_total"
)

// Recompute computes one page of what is derived again: of each grade the
// deduction and the score for missing work from what was entered and handed in, of
// each quiz score the same from what content told, and the totals of everybody from
// these. A repair stores and tells it as a changed policy would.
func (s *Service) Recompute(ctx context.Context, in internalapi.RecomputeRequest) (out internalapi.RecomputeReply, err error) {
	kind, after := recomputeGrades, uuid.Nil
	if _, err := page.Decode(in.Cursor, &kind, &after); err != nil {
		return out, err
	}
	var last uuid.UUID
	next := map[string]string{recomputeGrades: recomputeQuizzes, recomputeQuizzes: recomputeTotals}
	switch kind {
	case recomputeGrades:
		last, err = s.recomputeGrades(ctx, after, in.Repair, &out)
	case recomputeQuizzes:
		last, err = s.recomputeQuizzes(ctx, after, in.Repair, &out)
	case recomputeTotals:
		last, err = s.recomputeTotals(ctx, after, in.Repair, &out)
	}
	switch {
	case err != nil:
	case last != uuid.Nil:
		out.NextCursor = page.Encode(kind, last)
	case next[kind] != "":
		out.NextCursor = page.Encode(next[kind], uuid.Nil)
	}
	return out, err
}

// difference notes a number that is stored otherwise.
func difference(out *internalapi.RecomputeReply, kind string, id uuid.UUID, field, stored, computed string) {
	if stored != computed {
		out.Differences = append(out.Differences, internalapi.Difference{Kind: kind, ID: id, Field: field, Stored: stored, Computed: computed})
	}
}

func scoreText(p *Points) string {
	if p == nil {
		return "none"
	}
	return p.String()
}

// recomputeGrades judges grades again by the due time that they were last judged
// by. What became missing and no sweep has noted yet is the sweep's.
func (s *Service) recomputeGrades(ctx context.Context, after uuid.UUID, repair bool, out *internalapi.RecomputeReply) (last uuid.UUID, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		last = uuid.Nil
		*out = internalapi.RecomputeReply{}
		rows, err := tx.GradesToCheck(ctx, after, recomputePage)
		if err != nil {
			return err
		}
		assignments, rules := map[uuid.UUID]*Assignment{}, map[uuid.UUID]Rules{}
		for _, g := range rows {
			a, known := assignments[g.AssignmentID]
			if !known {
				if a, err = optionally(tx.Assignment(ctx, g.AssignmentID)); err != nil {
					return err
				}
				if assignments[g.AssignmentID] = a; a != nil {
					if rules[a.ID], err = s.rulesNow(ctx, tx, *a); err != nil {
						return err
					}
				}
			}
			if out.Checked++; a == nil {
				continue // deleted: its grades stay as they were
			}
			want := g
			judge(*a, &want, g.DueAt, rules[a.ID], s.Now())
			if g.MissingAt == nil && want.MissingAt != nil {
				want.MissingScore, want.Score, want.MissingAt, want.PostedAt = g.MissingScore, g.Score, nil, g.PostedAt
			}
			n := len(out.Differences)
			difference(out, recomputeGrades, g.ID, "deduction", g.Deduction.String(), want.Deduction.String())
			difference(out, recomputeGrades, g.ID, "missing_score", scoreText(g.MissingScore), scoreText(want.MissingScore))
			difference(out, recomputeGrades, g.ID, "score", scoreText(g.Score), scoreText(want.Score))
			difference(out, recomputeGrades, g.ID, "seconds_late", strconv.FormatInt(g.SecondsLate, 10), strconv.FormatInt(want.SecondsLate, 10))
			if repair && len(out.Differences) > n {
				if _, err := s.saveGrade(ctx, tx, *a, &g, want, saving{cause: CauseRecomputed}); err != nil {
					return err
				}
			}
		}
		if len(rows) == recomputePage {
			last = rows[len(rows)-1].ID
		}
		return nil
	})
	return last, err
}

func (s *Service) recomputeQuizzes(ctx context.Context, after uuid.UUID, repair bool, out *internalapi.RecomputeReply) (last uuid.UUID, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		last = uuid.Nil
		*out = internalapi.RecomputeReply{}
		rows, err := tx.QuizScoresToCheck(ctx, after, recomputePage)
		if err != nil {
			return err
		}
		for _, q := range rows {
			out.Checked++
			c, err := tx.QuizColumn(ctx, q.QuizID)
			if err != nil {
				return err
			}
			g, err := tx.Grading(ctx, q.CourseID)
			if err != nil {
				return err
			}
			now := s.Now()
			want := q.judged(*c, g.Policy(), now)
			if q.MissingAt == nil && want.MissingAt != nil {
				want.MissingScore, want.MissingAt, want.Counted = q.MissingScore, nil, q.Counted
			}
			n := len(out.Differences)
			difference(out, recomputeQuizzes, q.ID, "deduction", q.Deduction.String(), want.Deduction.String())
			difference(out, recomputeQuizzes, q.ID, "missing_score", scoreText(q.MissingScore), scoreText(want.MissingScore))
			difference(out, recomputeQuizzes, q.ID, "score", scoreText(q.Counts()), scoreText(want.Counts()))
			if !repair || len(out.Differences) == n {
				continue
			}
			if _, err := s.saveQuizScore(ctx, tx, *c, q, want, quizRecomputed, now); err != nil {
				return err
			}
			if err := s.retotal(ctx, tx, c.place(), []uuid.UUID{q.UserID}); err != nil {
				return err
			}
		}
		if len(rows) == recomputePage {
			last = rows[len(rows)-1].ID
		}
		return nil
	})
	return last, err
}

// recomputeTotals counts again. What a newer revision of the course moves is
// brought in by CountAll.
func (s *Service) recomputeTotals(ctx context.Context, after uuid.UUID, repair bool, out *internalapi.RecomputeReply) (last uuid.UUID, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		last = uuid.Nil
		*out = internalapi.RecomputeReply{}
		rows, err := tx.TotalsAfter(ctx, after, recomputePage)
		if err != nil {
			return err
		}
		for _, t := range rows {
			out.Checked++
			n := len(out.Differences)
			if err := s.checkTotal(ctx, tx, t, out); err != nil {
				return err
			}
			if repair && len(out.Differences) > n {
				if err := s.retotal(ctx, tx, Place{t.TenantID, t.OrgUnitID, t.CourseID}, []uuid.UUID{t.UserID}); err != nil {
					return err
				}
			}
		}
		if len(rows) == recomputePage {
			last = rows[len(rows)-1].ID
		}
		return nil
	})
	return last, err
}

func (s *Service) checkTotal(ctx context.Context, tx Tx, t CourseTotal, out *internalapi.RecomputeReply) error {
	c, items, err := tx.Counting(ctx, t.CourseID, []uuid.UUID{t.UserID})
	if err != nil || c.Grading.Revision != t.Revision {
		return err
	}
	want := t
	c.apply(&want, c.count(byPerson(items)[t.UserID]))
	difference(out, recomputeTotals, t.ID, "current", scoreText(t.Current), scoreText(want.Current))
	difference(out, recomputeTotals, t.ID, "final", scoreText(t.Final), scoreText(want.Final))
	difference(out, recomputeTotals, t.ID, "letter", t.Letter, want.Letter)
	difference(out, recomputeTotals, t.ID, "posted_current", scoreText(t.PostedCurrent), scoreText(want.PostedCurrent))
	difference(out, recomputeTotals, t.ID, "posted_final", scoreText(t.PostedFinal), scoreText(want.PostedFinal))
	difference(out, recomputeTotals, t.ID, "posted_letter", t.PostedLetter, want.PostedLetter)
	return nil
}

// optionally makes nil of NotFound.
func optionally[T any](v T, err error) (*T, error) {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil //nolint:nilnil // there is none
	}
	return &v, err
}

// rulesNow are the rules of an assignment as they are, without keeping them so.
func (s *Service) rulesNow(ctx context.Context, tx Tx, a Assignment) (Rules, error) {
	g, err := tx.Grading(ctx, a.CourseID)
	if err != nil {
		return Rules{}, err
	}
	return s.rulesOf(ctx, tx, a, g)
}

// rulesOf are those of an assignment where a course counts so: its own scheme, else
// the course's, else the standard one.
func (s *Service) rulesOf(ctx context.Context, tx Tx, a Assignment, g Grading) (Rules, error) {
	r := Rules{Late: g.Policy(), Scheme: grading.Standard()}
	id := a.SchemeID
	if id == nil {
		id = g.SchemeID
	}
	if id == nil {
		return r, nil
	}
	scheme, err := tx.Scheme(ctx, *id)
	r.Scheme = scheme.Grades
	return r, err
}
