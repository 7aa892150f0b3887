package events

import (
	"time"

	"github.com/google/uuid"
)

// TypeCourseGradeChanged is of the topic assignment.events.
const TypeCourseGradeChanged = "lms.assignment.course_grade_changed.v1"

// CourseGradeChanged: a person's totals in a course are other ones. Each exists
// twice (rule 25): Current, Final and Letter are for staff alone, the posted ones
// are what the person sees. Percents; nil where nothing counts.
type CourseGradeChanged struct {
	TotalID   uuid.UUID `json:"total_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	CourseID  uuid.UUID `json:"course_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	// Current ignores ungraded work, Final counts it as 0 (rule 24).
	Current       *Hundredths `json:"current"`
	Final         *Hundredths `json:"final"`
	Letter        string      `json:"letter,omitempty"` // of Final
	PostedCurrent *Hundredths `json:"posted_current"`
	PostedFinal   *Hundredths `json:"posted_final"`
	PostedLetter  string      `json:"posted_letter,omitempty"`
	// Posted says that what the person sees has changed.
	Posted bool `json:"posted"`
	// Overridden: Final is what staff set instead of the computed one.
	Overridden          bool        `json:"overridden,omitempty"`
	PreviousPostedFinal *Hundredths `json:"previous_posted_final,omitempty"`
	At                  time.Time   `json:"at"`
}

// AggregateID is the person's total in the course.
func (e CourseGradeChanged) AggregateID() uuid.UUID { return e.TotalID }

// EventType implements Event.
func (CourseGradeChanged) EventType() string { return TypeCourseGradeChanged }

func exampleCourseGrade() CourseGradeChanged {
	g := exampleGrade(true)
	current, final, postedFinal := Hundredths(8250), Hundredths(6100), Hundredths(5875)
	return CourseGradeChanged{
		TotalID: exampleAssignmentID(20), TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, CourseID: g.CourseID, UserID: g.UserID,
		Current: &current, Final: &final, Letter: "D-", PostedCurrent: &current, PostedFinal: &postedFinal, PostedLetter: "F",
		Posted: true, At: g.At,
	}
}
