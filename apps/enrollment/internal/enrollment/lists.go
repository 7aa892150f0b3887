package enrollment

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
)

// Listed is an enrollment with its course, as lists show it.
type Listed struct {
	Enrollment
	Course    Course
	StaffRole string // of the viewer in the course
	// Position on the waiting list, from 1; 0 for who does not wait.
	Position int
	// CertificateID of an issued certificate that is not revoked.
	CertificateID *uuid.UUID
}

// RosterFilter selects a course's enrollments. Sort is one of created_at,
// activity, progress, with "-" in front for descending.
type RosterFilter struct {
	CourseID      uuid.UUID
	States        []State
	UserIDs       []uuid.UUID
	MinProgress   *int // percent, included
	MaxProgress   *int
	InactiveSince *time.Time // no activity since then
	Source        string
	ExternalID    string
	Sort          string
}

// Sorts of a roster.
const (
	SortCreated  = "created_at"
	SortActivity = "activity"
	SortProgress = "progress"
)

// MineFilter selects a person's enrollments, the newest first. Reach limits
// what a viewer other than the person sees.
type MineFilter struct {
	UserID     uuid.UUID
	States     []State
	CourseID   *uuid.UUID
	ExternalID string
	Reach      *authz.Reach // nil: the person looks
	Viewer     uuid.UUID    // whose staff roles count besides Reach
}

// CertificateFilter selects certificates of a person or of a course.
type CertificateFilter struct {
	UserID   *uuid.UUID
	CourseID *uuid.UUID
	// Valid: true leaves out the revoked.
	Valid bool
}

// Summary is a course's roster in numbers.
type Summary struct {
	States    map[string]int
	Learners  int     // active and completed
	Started   int     // of them, with at least one requirement met
	Completed int     // of them
	Average   float64 // percent of requirements met, over learners
	Modules   map[uuid.UUID]int
}

// Member is one of a course's people, for other services.
type Member struct {
	UserID       uuid.UUID
	Role         string // "" for a learner
	EnrollmentID *uuid.UUID
	State        *string
	Since        *time.Time
	Until        *time.Time
}

// Belonging is a course in which a person learns (Role "") or teaches.
type Belonging struct {
	Course Course
	Role   string
	// Enrollment of a learner.
	Enrollment *Enrollment
}
