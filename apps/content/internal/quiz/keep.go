package quiz

import (
	"time"

	"github.com/google/uuid"
)

// Scored is an attempt that was finished at least once, as far as the kept score
// depends on it.
type Scored struct {
	ID          uuid.UUID
	Number      int
	Score       *Points // the last complete one, nil for none
	Possible    Points
	Pending     bool // waits to be graded by hand
	SubmittedAt time.Time
	GradedAt    *time.Time
}

// Kept is what the attempts of a person come to.
type Kept struct {
	// Score is nil while no attempt is graded.
	Score    *Points
	Possible *Points
	// AttemptID is the one that counts, nil for an average.
	AttemptID *uuid.UUID
	// Pending: an attempt that would count, or could, waits for a person (rule 29).
	Pending     bool
	SubmittedAt *time.Time
	GradedAt    *time.Time
}

// Keep is rule 26: the highest, latest, first or average score. An average leaves
// ungraded attempts out and rounds half-up to 2. Attempts carry their last
// complete score, so that while one is graded anew the value stays; the latest
// that has none yet leaves the one before it. Of equal scores the earlier attempt
// counts.
func Keep(policy string, attempts []Scored) Kept {
	var k Kept
	graded := make([]Scored, 0, len(attempts))
	for _, a := range attempts {
		if a.Score != nil {
			graded = append(graded, a)
		}
		if k.SubmittedAt == nil || a.SubmittedAt.After(*k.SubmittedAt) {
			at := a.SubmittedAt
			k.SubmittedAt = &at
		}
	}
	switch policy {
	case KeepLatest:
		newest := last(attempts)
		k.Pending = newest != nil && newest.Pending
		k.count(last(graded))
	case KeepFirst:
		oldest := first(attempts)
		if oldest == nil {
			return k
		}
		k.Pending = oldest.Pending
		if oldest.Score != nil {
			k.count(oldest)
		} else {
			at := oldest.SubmittedAt
			k.SubmittedAt = &at
		}
	case KeepAverage:
		k.Pending = anyPending(attempts)
		k.average(graded)
	default:
		k.Pending = anyPending(attempts)
		k.count(highest(graded))
	}
	return k
}

func (k *Kept) count(a *Scored) {
	if a == nil {
		return
	}
	id, possible, at := a.ID, a.Possible, a.SubmittedAt
	k.Score, k.Possible, k.AttemptID, k.SubmittedAt, k.GradedAt = a.Score, &possible, &id, &at, a.GradedAt
}

// average rounds half-up. What was possible is that of the latest attempt.
func (k *Kept) average(graded []Scored) {
	if len(graded) == 0 {
		return
	}
	var total Points
	for _, a := range graded {
		total += *a.Score
		if a.GradedAt != nil && (k.GradedAt == nil || a.GradedAt.After(*k.GradedAt)) {
			k.GradedAt = a.GradedAt
		}
	}
	n := Points(len(graded))
	mean := (2*total + n) / (2 * n)
	possible := last(graded).Possible
	k.Score, k.Possible = &mean, &possible
}

func anyPending(attempts []Scored) bool {
	for _, a := range attempts {
		if a.Pending {
			return true
		}
	}
	return false
}

func pick(attempts []Scored, better func(a, b Scored) bool) *Scored {
	var out *Scored
	for i := range attempts {
		if out == nil || better(attempts[i], *out) {
			out = &attempts[i]
		}
	}
	return out
}

func last(attempts []Scored) *Scored {
	return pick(attempts, func(a, b Scored) bool { return a.Number > b.Number })
}

func first(attempts []Scored) *Scored {
	return pick(attempts, func(a, b Scored) bool { return a.Number < b.Number })
}

func highest(graded []Scored) *Scored {
	return pick(graded, func(a, b Scored) bool {
		return *a.Score > *b.Score || *a.Score == *b.Score && a.Number < b.Number
	})
}

// Result is what counts for a person in a quiz, whether by attempts or by a
// teacher's word.
type Result struct {
	QuizID   uuid.UUID
	UserID   uuid.UUID
	TenantID uuid.UUID
	CourseID uuid.UUID

	// As Keep says.
	Score       *Points
	Possible    *Points
	AttemptID   *uuid.UUID
	Pending     bool
	SubmittedAt *time.Time
	GradedAt    *time.Time

	// A teacher's word goes before, and survives new attempts (rule 29).
	OverrideScore *Points
	OverrideNote  string
	OverriddenBy  *uuid.UUID
	OverriddenAt  *time.Time
	ExcusedBy     *uuid.UUID
	ExcusedAt     *time.Time

	// Posted: the person may see it; PostsAt is when that will be, if it is known.
	Posted    bool
	PostsAt   *time.Time
	UpdatedAt time.Time
	Version   int64
}

// Counts is the score that counts, with what is possible and since when.
func (r Result) Counts(points Points) (score, possible *Points, at *time.Time) {
	if r.OverrideScore != nil {
		return r.OverrideScore, &points, r.OverriddenAt
	}
	return r.Score, r.Possible, r.GradedAt
}

// Waits says that somebody has to grade before the score stands.
func (r Result) Waits() bool { return r.Pending && r.OverrideScore == nil }

// take stores what the attempts come to, and whether the person may see it.
func (r *Result) take(k Kept, q Quiz, t Terms, now time.Time) {
	r.Score, r.Possible, r.AttemptID, r.Pending, r.SubmittedAt, r.GradedAt = k.Score, k.Possible, k.AttemptID, k.Pending, k.SubmittedAt, k.GradedAt
	policy := q.ScoresPolicy()
	r.Posted, r.PostsAt = t.shows(policy, now), nil
	if !r.Posted && policy == AfterDue {
		r.PostsAt = t.Due
	}
}
