package enrollment

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Course is our copy of a course, as new as the event of Seq.
type Course struct {
	ID                  uuid.UUID
	TenantID            uuid.UUID
	OrgUnitID           uuid.UUID
	Seq                 int64
	Code                string
	Title               string
	Language            string
	Status              string
	Deleted             bool
	Visibility          string
	EnrollmentMode      string
	Capacity            *int
	WaitlistEnabled     bool
	EnrollmentOpensAt   *time.Time
	EnrollmentClosesAt  *time.Time
	StartsAt            *time.Time
	EndsAt              *time.Time
	Prerequisites       []uuid.UUID
	RequiresEntitlement bool
	ExternalSource      string
	ExternalID          string
	Completion          events.CompletionSettings
	CurriculumSeq       int64
	SeatsState          string
	UpdatedAt           time.Time
}

// Published says whether learners see the course.
func (c Course) Published() bool { return !c.Deleted && c.Status == events.CoursePublished }

// Readable says whether learners may still look at what they were in.
func (c Course) Readable() bool {
	return !c.Deleted && (c.Status == events.CoursePublished || c.Status == events.CourseArchived)
}

// WindowOpen says whether one may enroll at now: within the enrollment window,
// bounds included, and before the end of the course.
func (c Course) WindowOpen(now time.Time) bool {
	return !before(now, c.EnrollmentOpensAt) && !after(now, c.EnrollmentClosesAt) && !after(now, c.EndsAt)
}

// Limited says whether the course has a number of seats.
func (c Course) Limited() bool { return c.Capacity != nil }

// Seats is what is taken of a course, read under the lock of its row.
type Seats struct {
	Limited  bool
	Capacity int
	// Taken counts active, suspended, offered, completed while access runs, and
	// live holds (rule 32).
	Taken   int
	Waiting int
}

// Free is how many seats can be given.
func (s Seats) Free() int {
	if !s.Limited {
		return 1 << 30
	}
	return max(s.Capacity-s.Taken, 0)
}

// State is what the catalogue shows: few is a tenth of the capacity or less.
func (s Seats) State() string {
	switch {
	case !s.Limited:
		return events.SeatsOpen
	case s.Free() == 0 || s.Waiting > 0:
		return events.SeatsFull
	case s.Free()*10 <= s.Capacity:
		return events.SeatsFew
	}
	return events.SeatsOpen
}

// sameCompletion compares what decides a completion or a certificate.
func (c Course) sameCompletion(o events.CompletionSettings) bool {
	w := c.Completion
	return w.Mode == o.Mode && slices.Equal(w.RequiredModules, o.RequiredModules) && sameScore(w.MinGrade, o.MinGrade) &&
		w.Certificate.Enabled == o.Certificate.Enabled && sameScore(w.Certificate.MinGrade, o.Certificate.MinGrade)
}
