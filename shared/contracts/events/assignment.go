package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of the topic assignment.events.
const (
	TypeAssignmentCreated     = "lms.assignment.created.v1"
	TypeAssignmentUpdated     = "lms.assignment.updated.v1"
	TypeAssignmentPublished   = "lms.assignment.published.v1"
	TypeAssignmentUnpublished = "lms.assignment.unpublished.v1"
	TypeAssignmentDeleted     = "lms.assignment.deleted.v1"
	TypeAssignmentDueSoon     = "lms.assignment.due_soon.v1"
	TypeOverrideChanged       = "lms.assignment.override_changed.v1"
	TypeSubmissionSubmitted   = "lms.assignment.submission_submitted.v1"
	TypeSubmissionMissing     = "lms.assignment.submission_missing.v1"
	TypeSubmissionWithdrawn   = "lms.assignment.submission_withdrawn.v1"
	TypeSubmissionCommented   = "lms.assignment.submission_commented.v1"
	TypeGraded                = "lms.assignment.graded.v1"
	TypeGradePosted           = "lms.assignment.grade_posted.v1"
	TypeGradeChanged          = "lms.assignment.grade_changed.v1"
	TypeGradeHidden           = "lms.assignment.grade_hidden.v1"
	TypeLatenessChanged       = "lms.assignment.lateness_changed.v1"
)

// AssignmentState is an assignment as it stands after the event, for everybody who
// has no override.
type AssignmentState struct {
	AssignmentID    uuid.UUID  `json:"assignment_id"`
	TenantID        uuid.UUID  `json:"tenant_id"`
	OrgUnitID       uuid.UUID  `json:"org_unit_id"`
	CourseID        uuid.UUID  `json:"course_id"`
	GroupID         *uuid.UUID `json:"group_id,omitempty"` // of assignments
	Title           string     `json:"title"`
	GradingType     string     `json:"grading_type"` // points, percent, letter, pass_fail, gpa, not_graded
	Points          Hundredths `json:"points"`
	DueAt           *time.Time `json:"due_at,omitempty"`
	AvailableFrom   *time.Time `json:"available_from,omitempty"`
	CutoffAt        *time.Time `json:"cutoff_at,omitempty"`
	LockAt          *time.Time `json:"lock_at,omitempty"`
	SubmissionTypes []string   `json:"submission_types"` // text, file, link
	GroupWork       bool       `json:"group_work,omitempty"`
	Published       bool       `json:"published"`
	At              time.Time  `json:"at"`
}

// AggregateID is the assignment.
func (s AssignmentState) AggregateID() uuid.UUID { return s.AssignmentID }

// AssignmentCreated: staff made an assignment, as a draft.
type AssignmentCreated struct{ AssignmentState }

// AssignmentUpdated: staff changed an assignment; Changed are the fields.
type AssignmentUpdated struct {
	AssignmentState
	Changed []string `json:"changed"`
}

// AssignmentPublished: learners see the assignment.
type AssignmentPublished struct{ AssignmentState }

// AssignmentUnpublished: learners do not see the assignment any more.
type AssignmentUnpublished struct{ AssignmentState }

// AssignmentDeleted: the assignment is gone; its grades count no more.
type AssignmentDeleted struct{ AssignmentState }

// AssignmentDueSoon: a person who has handed nothing in has little time left. DueAt
// is the person's own (rule 21).
type AssignmentDueSoon struct {
	AssignmentID uuid.UUID `json:"assignment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	Title        string    `json:"title"`
	UserID       uuid.UUID `json:"user_id" x-personal:"true"`
	DueAt        time.Time `json:"due_at"`
	At           time.Time `json:"at"`
}

// AggregateID is the assignment.
func (e AssignmentDueSoon) AggregateID() uuid.UUID { return e.AssignmentID }

// OverrideChanged: a person, a group or a cohort has other dates, or no longer.
type OverrideChanged struct {
	AssignmentID uuid.UUID `json:"assignment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	Title        string    `json:"title"`
	// Kind is user or group; SubjectID is whom it is for.
	Kind              string     `json:"kind"`
	SubjectID         uuid.UUID  `json:"subject_id" x-personal:"true"`
	Removed           bool       `json:"removed,omitempty"`
	DueAt             *time.Time `json:"due_at,omitempty"`
	AvailableFrom     *time.Time `json:"available_from,omitempty"`
	CutoffAt          *time.Time `json:"cutoff_at,omitempty"`
	Attempts          *int       `json:"attempts,omitempty"`
	UnlimitedAttempts bool       `json:"unlimited_attempts,omitempty"`
	At                time.Time  `json:"at"`
}

// AggregateID is the assignment.
func (e OverrideChanged) AggregateID() uuid.UUID { return e.AssignmentID }

// SubmissionState is an attempt as it stands after the event.
type SubmissionState struct {
	SubmissionID uuid.UUID  `json:"submission_id"`
	AssignmentID uuid.UUID  `json:"assignment_id"`
	TenantID     uuid.UUID  `json:"tenant_id"`
	OrgUnitID    uuid.UUID  `json:"org_unit_id"`
	CourseID     uuid.UUID  `json:"course_id"`
	Title        string     `json:"title"` // of the assignment
	UserID       uuid.UUID  `json:"user_id" x-personal:"true"`
	GroupID      *uuid.UUID `json:"group_id,omitempty"`
	// MemberIDs are all whom the attempt counts for.
	MemberIDs   []uuid.UUID `json:"member_ids" x-personal:"true"`
	Attempt     int         `json:"attempt"`
	SubmittedAt time.Time   `json:"submitted_at"`
	DueAt       *time.Time  `json:"due_at,omitempty"`
	SecondsLate int64       `json:"seconds_late"`
	At          time.Time   `json:"at"`
}

// AggregateID is the submission.
func (s SubmissionState) AggregateID() uuid.UUID { return s.SubmissionID }

// SubmissionSubmitted: somebody handed work in; Files says how many files.
type SubmissionSubmitted struct {
	SubmissionState
	Files int `json:"files"`
}

// SubmissionWithdrawn: somebody took back what was handed in.
type SubmissionWithdrawn struct{ SubmissionState }

// SubmissionCommented: somebody wrote a comment. RecipientIDs are the learners who
// may see it: nobody while what graders write is hidden (rule 25).
type SubmissionCommented struct {
	SubmissionState
	CommentID    uuid.UUID   `json:"comment_id"`
	AuthorID     uuid.UUID   `json:"author_id" x-personal:"true"`
	ByStaff      bool        `json:"by_staff"`
	RecipientIDs []uuid.UUID `json:"recipient_ids" x-personal:"true"`
}

// SubmissionMissing: the due time of a person passed and nothing was handed in
// (rule 18).
type SubmissionMissing struct {
	GradeID      uuid.UUID `json:"grade_id"`
	AssignmentID uuid.UUID `json:"assignment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	Title        string    `json:"title"`
	UserID       uuid.UUID `json:"user_id" x-personal:"true"`
	DueAt        time.Time `json:"due_at"`
	At           time.Time `json:"at"`
}

// AggregateID is the person's grade in the assignment.
func (e SubmissionMissing) AggregateID() uuid.UUID { return e.GradeID }

// GradeState is a person's grade in an assignment as it stands after the event.
// While Posted is false it is for staff alone: nothing of it may reach the learner
// (rule 25).
type GradeState struct {
	GradeID      uuid.UUID `json:"grade_id"`
	AssignmentID uuid.UUID `json:"assignment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	Title        string    `json:"title"` // of the assignment
	UserID       uuid.UUID `json:"user_id" x-personal:"true"`
	// GraderID is nil where a rule of the system decided.
	GraderID *uuid.UUID `json:"grader_id,omitempty" x-personal:"true"`
	// Entered is what the grader gave, Deduction what lateness took (rules 16, 20),
	// Score what is left; nil is no score.
	Entered   *Hundredths `json:"entered,omitempty"`
	Deduction Hundredths  `json:"deduction"`
	Score     *Hundredths `json:"score,omitempty"`
	Possible  Hundredths  `json:"possible"`
	// Grade is the grade as it was typed: "B+", "pass".
	Grade       string     `json:"grade,omitempty"`
	Excused     bool       `json:"excused,omitempty"`
	Late        bool       `json:"late,omitempty"`
	SecondsLate int64      `json:"seconds_late"`
	Missing     bool       `json:"missing,omitempty"`
	Posted      bool       `json:"posted"`
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	At          time.Time  `json:"at"`
}

// AggregateID is the person's grade in the assignment.
func (s GradeState) AggregateID() uuid.UUID { return s.GradeID }

// Graded: a grade was given or changed. For staff: the learner is told by
// GradePosted and GradeChanged.
type Graded struct{ GradeState }

// GradePosted: the learner sees the grade from now on.
type GradePosted struct{ GradeState }

// GradeChanged: a grade that the learner sees has changed.
type GradeChanged struct {
	GradeState
	PreviousScore *Hundredths `json:"previous_score,omitempty"`
}

// GradeHidden: the learner does not see the grade any more. It carries no score.
type GradeHidden struct{ GradeState }

// LatenessChanged: work became late, or is not late any more, or what lateness
// takes has changed: new dates, another policy, a status set by hand (rules 18, 19).
type LatenessChanged struct {
	GradeState
	PreviousDeduction   Hundredths `json:"previous_deduction"`
	PreviousSecondsLate int64      `json:"previous_seconds_late"`
}

// EventType implements Event.
func (AssignmentCreated) EventType() string { return TypeAssignmentCreated }

// EventType implements Event.
func (AssignmentUpdated) EventType() string { return TypeAssignmentUpdated }

// EventType implements Event.
func (AssignmentPublished) EventType() string { return TypeAssignmentPublished }

// EventType implements Event.
func (AssignmentUnpublished) EventType() string { return TypeAssignmentUnpublished }

// EventType implements Event.
func (AssignmentDeleted) EventType() string { return TypeAssignmentDeleted }

// EventType implements Event.
func (AssignmentDueSoon) EventType() string { return TypeAssignmentDueSoon }

// EventType implements Event.
func (OverrideChanged) EventType() string { return TypeOverrideChanged }

// EventType implements Event.
func (SubmissionSubmitted) EventType() string { return TypeSubmissionSubmitted }

// EventType implements Event.
func (SubmissionWithdrawn) EventType() string { return TypeSubmissionWithdrawn }

// EventType implements Event.
func (SubmissionCommented) EventType() string { return TypeSubmissionCommented }

// EventType implements Event.
func (SubmissionMissing) EventType() string { return TypeSubmissionMissing }

// EventType implements Event.
func (Graded) EventType() string { return TypeGraded }

// EventType implements Event.
func (GradePosted) EventType() string { return TypeGradePosted }

// EventType implements Event.
func (GradeChanged) EventType() string { return TypeGradeChanged }

// EventType implements Event.
func (GradeHidden) EventType() string { return TypeGradeHidden }

// EventType implements Event.
func (LatenessChanged) EventType() string { return TypeLatenessChanged }
