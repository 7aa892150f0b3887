package tally

import (
	"time"

	"github.com/google/uuid"
)

// Work is a person's work on an assignment: what was handed in last, and what was
// said of it last.
type Work struct {
	AssignmentID uuid.UUID `json:"assignment_id"`
	UserID       uuid.UUID `json:"user_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	CourseID     uuid.UUID `json:"course_id"`

	SubmittedAt    *time.Time `json:"submitted_at"`
	DueAt          *time.Time `json:"due_at"`
	SecondsLate    int64      `json:"seconds_late"`
	Withdrawn      bool       `json:"withdrawn"`
	SubmissionRank int64      `json:"submission_rank"` // attempt and seq of what was handed in

	// How the work stands by the last judgement (rules 17, 18), and which
	// submission it was about.
	Missing          bool       `json:"missing"`
	Excused          bool       `json:"excused"`
	Late             bool       `json:"late"`
	JudgedSeconds    int64      `json:"judged_seconds"`
	JudgedSubmission *time.Time `json:"judged_submission"`
	StandingSeq      int64      `json:"standing_seq"`

	GraderID *uuid.UUID `json:"grader_id"`
	GradedAt *time.Time `json:"graded_at"`
	Score    *int64     `json:"score"` // hundredths, as Possible
	Possible *int64     `json:"possible"`
	ScoreSeq int64      `json:"score_seq"`
}

// attempts is more than the seq of one submission ever reaches.
const attempts = 1_000_000

// Merge takes over what o knows better.
func (w *Work) Merge(o *Work) {
	if o.SubmissionRank > w.SubmissionRank {
		w.SubmittedAt, w.DueAt, w.SecondsLate, w.Withdrawn, w.SubmissionRank = o.SubmittedAt, o.DueAt, o.SecondsLate, o.Withdrawn, o.SubmissionRank
	}
	if o.StandingSeq > w.StandingSeq {
		w.Missing, w.Excused, w.Late, w.JudgedSeconds, w.JudgedSubmission, w.StandingSeq = o.Missing, o.Excused, o.Late, o.JudgedSeconds, o.JudgedSubmission, o.StandingSeq
	}
	if o.ScoreSeq > w.ScoreSeq {
		w.GraderID, w.GradedAt, w.Score, w.Possible, w.ScoreSeq = o.GraderID, o.GradedAt, o.Score, o.Possible, o.ScoreSeq
	}
}

// Plan is a plan that can be bought.
type Plan struct {
	PlanID   uuid.UUID `json:"plan_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Seq      int64     `json:"seq"`
}

// Merge takes over what o knows better.
func (p *Plan) Merge(o *Plan) { newer(p, o, p.Seq, o.Seq) }

// Kinds of a Payment.
const (
	Paid     = "payment"
	Refunded = "refund"
)

// Payment is money that was taken or given back, in minor units, tax included.
type Payment struct {
	PaymentID uuid.UUID  `json:"payment_id"` // or the refund's id
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID *uuid.UUID `json:"org_unit_id"`
	CourseID  *uuid.UUID `json:"course_id"`
	PlanID    uuid.UUID  `json:"plan_id"`
	UserID    uuid.UUID  `json:"user_id"`
	Kind      string     `json:"kind"`
	At        time.Time  `json:"at"`
	Amount    int64      `json:"amount"`
	Tax       int64      `json:"tax"`
	Currency  string     `json:"currency"`
}

// Merge keeps what is there: money is told of once.
func (*Payment) Merge(*Payment) {}

// SubscriptionChange is a subscription from At on, until its next change.
type SubscriptionChange struct {
	SubscriptionID uuid.UUID  `json:"subscription_id"`
	Seq            int64      `json:"seq"`
	TenantID       uuid.UUID  `json:"tenant_id"`
	OrgUnitID      *uuid.UUID `json:"org_unit_id"`
	CourseID       *uuid.UUID `json:"course_id"`
	PlanID         uuid.UUID  `json:"plan_id"`
	UserID         uuid.UUID  `json:"user_id"`
	At             time.Time  `json:"at"`
	State          string     `json:"state"`
	Currency       string     `json:"currency"`
	Monthly        int64      `json:"monthly"` // minor units, without tax
}

// Merge keeps what is there: a change is told of once.
func (*SubscriptionChange) Merge(*SubscriptionChange) {}

// Monthly is what an amount for a period of count units comes to in a month of a
// twelfth of a year of 365.25 days, rounded half up. An unknown unit, or a count
// below one, counts as one month.
func Monthly(amount int64, unit string, count int) int64 {
	n, d := int64(1), int64(max(count, 1))
	switch unit {
	case "day": // 30.4375 days
		n, d = 487, 16*d
	case "week": // 30.4375 ÷ 7 weeks
		n, d = 487, 112*d
	case "year":
		d *= 12
	}
	if amount < 0 {
		return -Monthly(-amount, unit, count)
	}
	return (2*amount*n + d) / (2 * d)
}

// SearchTerm counts searches for a term in a quarter of an hour.
type SearchTerm struct {
	TenantID      uuid.UUID `json:"tenant_id"`
	Term          string    `json:"term"`
	Slot          time.Time `json:"slot"`
	Searches      int       `json:"searches"`
	WithoutResult int       `json:"without_result"`
}

// Merge adds o.
func (t *SearchTerm) Merge(o *SearchTerm) {
	t.Searches, t.WithoutResult = t.Searches+o.Searches, t.WithoutResult+o.WithoutResult
}

func newer[T any](mine, other *T, mineSeq, otherSeq int64) {
	if otherSeq > mineSeq {
		*mine = *other
	}
}

// known: every event of a thing names the same tenant, or none.
func known(a, b uuid.UUID) uuid.UUID {
	if a == uuid.Nil {
		return b
	}
	return a
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}
