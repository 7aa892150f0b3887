package grading

import (
	"math/big"
	"time"
)

// QuizGrace is what an online quiz may come later than due without being late; it
// is taken off before intervals are counted (rule 17).
const QuizGrace = 60 * time.Second

// LatePolicy is what late and missing work costs in a course. The zero policy
// costs nothing.
type LatePolicy struct {
	// Late switches the deduction for late work on.
	Late bool
	// Rate is percent of the possible points per interval that has begun, 0 to 100.
	Rate Hundredths
	// Interval is an hour or a day.
	Interval time.Duration
	// Floor is the percent below which lateness takes no score, 0 to 100.
	Floor Hundredths
	// Missing switches the score for missing work on.
	Missing bool
	// MissingRate is the percent of the possible points that missing work loses.
	MissingRate Hundredths
}

// Status is how work stands to its due time.
type Status string

// The statuses. None is also a manual one: neither late nor missing, whatever the
// clock says.
const (
	None    Status = "none"
	Late    Status = "late"
	Missing Status = "missing"
)

// Task is what an assignment has to do with lateness.
type Task struct {
	Kind     Kind
	Possible Hundredths
	// Quiz is an online quiz: it has the grace.
	Quiz bool
	// Expected: something is to be handed in here, so that it can be missing.
	Expected bool
}

// Work is what one person did for a task.
type Work struct {
	// Due is the person's own due time (rule 21), nil for none.
	Due *time.Time
	// SubmittedAt is when the work that counts was received, nil for none.
	SubmittedAt *time.Time
	// Entered is the score as it was given, before any deduction (rule 20).
	Entered *Hundredths
	// Excused work is neither late nor missing (rule 17).
	Excused bool
	// Manual is the status that a person set, nil for the clock's.
	Manual *Status
	// ManualLate is how late work is whose manual status is late.
	ManualLate time.Duration
}

// Result is what lateness makes of a person's work.
type Result struct {
	Status Status
	// Late is how late it is, the grace taken off.
	Late time.Duration
	// Deduction is what was taken off the entered score.
	Deduction Hundredths
	// Score is what counts: the entered score less the deduction, or what missing
	// work gets; nil for none.
	Score *Hundredths
	// Imputed: the score comes from the policy for missing work; nobody gave it.
	Imputed bool
}

// Apply computes what counts of a person's work at a time (rules 16 to 20). It
// looks at the entered score, never at an earlier result, so that it can be
// applied again whenever the policy, the due time or the work changes (rule 19).
func (p LatePolicy) Apply(t Task, w Work, now time.Time) Result {
	if w.Excused {
		return Result{Status: None}
	}
	r := Result{Score: w.Entered}
	r.Status, r.Late = Standing(t, w, now)
	switch {
	case r.Status == Late:
		r.Deduction = p.Deduction(t, w.Entered, r.Late)
		if r.Deduction != 0 {
			left := *w.Entered - r.Deduction
			r.Score = &left
		}
	case r.Status == Missing && w.Entered == nil:
		r.Score = p.missingScore(t)
		r.Imputed = r.Score != nil
	}
	return r
}

// Standing says whether work is late or missing, and how late (rules 17, 18).
func Standing(t Task, w Work, now time.Time) (Status, time.Duration) {
	if w.Excused {
		return None, 0
	}
	if w.Manual != nil {
		if *w.Manual == Late {
			return Late, max(w.ManualLate, 0)
		}
		return *w.Manual, 0
	}
	if w.Due == nil {
		return None, 0
	}
	until := *w.Due
	if t.Quiz {
		until = until.Add(QuizGrace)
	}
	switch {
	case w.SubmittedAt != nil && w.SubmittedAt.After(until):
		return Late, w.SubmittedAt.Sub(until)
	case w.SubmittedAt == nil && t.Expected && w.Entered == nil && now.After(until):
		return Missing, 0
	}
	return None, 0
}

// MissingFrom is the time after which work that nobody handed in is missing; nil
// for never. A sweep finds by it whose standing time alone has changed.
func MissingFrom(t Task, w Work) *time.Time {
	if w.Excused || w.Manual != nil || w.Due == nil || w.SubmittedAt != nil || w.Entered != nil || !t.Expected {
		return nil
	}
	until := *w.Due
	if t.Quiz {
		until = until.Add(QuizGrace)
	}
	return &until
}

// Deduction is possible × min(rate × intervals begun, score in percent − floor) ÷
// 100, rounded to hundredths, and never negative: the floor raises no score (rule
// 16).
func (p LatePolicy) Deduction(t Task, entered *Hundredths, late time.Duration) Hundredths {
	if !p.Late || late <= 0 || p.Interval <= 0 || !t.Kind.Deducts() || t.Possible <= 0 || entered == nil || *entered < 0 {
		return 0
	}
	intervals := Hundredths((late + p.Interval - 1) / p.Interval)
	// Both sides in ten-thousandths of hundredths of a point.
	byTime := product(t.Possible, p.Rate, intervals)
	toFloor := product(*entered, hundred)
	toFloor.Sub(toFloor, product(t.Possible, p.Floor))
	least := byTime
	if toFloor.Cmp(byTime) < 0 {
		least = toFloor
	}
	if least.Sign() <= 0 {
		return 0
	}
	return rounded(least, big.NewInt(hundred))
}

// missingScore is what missing work gets where nobody gave a score (rule 18). Of
// pass and fail it is fail: a share of a pass is none.
func (p LatePolicy) missingScore(t Task) *Hundredths {
	if !p.Missing || !t.Kind.Counts() || t.Possible <= 0 {
		return nil
	}
	var score Hundredths
	if t.Kind.Deducts() {
		score = rounded(product(t.Possible, hundred-p.MissingRate), big.NewInt(hundred))
	}
	return &score
}
