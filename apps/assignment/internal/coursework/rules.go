package coursework

import (
	"context"
	"time"

	"lms/apps/assignment/internal/grading"
)

// Rules are what a course says of late work, and of letters.
type Rules struct {
	Late   grading.LatePolicy
	Scheme grading.Scheme
}

// rules are those that hold for an assignment. They stay until the commit, so that
// a policy never changes under a grade that is being entered: whoever changes it
// waits, and its job judges that grade again.
func (s *Service) rules(ctx context.Context, tx Tx, a Assignment) (Rules, error) {
	in := DefaultGrading(a.CourseID)
	in.TenantID, in.OrgUnitID = a.TenantID, a.OrgUnitID
	g, err := tx.ShareGrading(ctx, in)
	if err != nil {
		return Rules{}, err
	}
	return s.rulesOf(ctx, tx, a, g)
}

// task is what the rules of late work need to know of an assignment.
func (a Assignment) task() grading.Task {
	return grading.Task{Kind: grading.Kind(a.GradingType), Possible: a.Points, Expected: a.Expects() && a.Published}
}

// work is what the rules of late work need to know of a person.
func (g Grade) work() grading.Work {
	w := grading.Work{Due: g.DueAt, SubmittedAt: g.SubmittedAt, Entered: g.EnteredScore, Excused: g.ExcusedAt != nil}
	if g.Status != nil {
		manual := grading.Status(*g.Status)
		w.Manual = &manual
	}
	if g.StatusSeconds != nil {
		w.ManualLate = time.Duration(*g.StatusSeconds) * time.Second
	}
	return w
}

// judge computes what the rules make of a grade (16 to 18): it looks at what was
// entered and handed in, never at its own earlier result (rule 19).
func judge(a Assignment, g *Grade, due *time.Time, r Rules, now time.Time) {
	g.DueAt = due
	g.SecondsLate = 0
	if g.SubmittedAt != nil {
		g.SecondsLate = late(due, *g.SubmittedAt)
	}
	res := r.Late.Apply(a.task(), g.work(), now)
	g.Deduction, g.MissingScore = res.Deduction, nil
	if res.Imputed {
		g.MissingScore = res.Score
	}
	switch {
	case res.Status != grading.Missing:
		g.MissingAt = nil
	case g.MissingAt == nil:
		g.MissingAt = &now
	}
	g.Score = nil
	switch {
	case g.EnteredScore != nil:
		left := *g.EnteredScore - g.Deduction
		g.Score = &left
	case g.MissingScore != nil:
		g.Score = g.MissingScore
	}
	post(a, g, now)
}

// Counts is the score that counts: none while the person is excused.
func (g Grade) Counts() *Points {
	if g.ExcusedAt != nil {
		return nil
	}
	return g.Score
}

// Standing says at a time whether the work is late or missing, and how late.
func (g Grade) Standing(a Assignment, now time.Time) (grading.Status, int64) {
	status, by := grading.Standing(a.task(), g.work(), now)
	return status, wholeSeconds(by)
}

// decided says whether there is something to show to the learner.
func (g Grade) decided() bool {
	return g.EnteredScore != nil || g.EnteredGrade != "" || g.ExcusedAt != nil || g.MissingScore != nil || g.GradedAt != nil
}

// post shows a grade at once where the posting policy is automatic, unless staff
// hid it (rule 25). What was posted stays so.
func post(a Assignment, g *Grade, now time.Time) {
	if a.Posting == PostAutomatic && !g.Hidden && g.PostedAt == nil && g.decided() {
		g.PostedAt = &now
	}
}

// Veils says whether those who grade may not learn whose grade it is yet.
func (a Assignment) Veils(g Grade) bool { return a.Anonymous && g.PostedAt == nil }
