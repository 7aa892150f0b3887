package internalapi

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// Paths and call names that the enrollment service serves.
const (
	// PathAccess takes AccessRequest and answers AccessVerdict; POST.
	PathAccess = "/internal/access"
	// PathUserCourses answers UserCourses: where the person learns or teaches.
	PathUserCourses = "/internal/users/{id}/courses"
	// PathCourseMembers answers CourseMembers; query: cursor, limit (≤ 1000),
	// state (repeatable; default active and completed), staff (bool).
	PathCourseMembers = "/internal/courses/{id}/members"

	CallProgressReport = "progress-report" // content, assignment; key: "<user>/<resource or item>/<course>"
	CallCourseGrade    = "course-grade"    // assignment; key: "<user>/<course>"
	CallSeatHold       = "seat-hold"       // payment; key: the hold's id
	CallSeatRelease    = "seat-release"    // payment; key: the hold's id
	CallEntitlement    = "entitlement"     // payment; key: the entitlement's id
	CallCoursePriced   = "course-priced"   // payment; key: the course's id
)

// Actions that a person may ask for in a course.
const (
	// ActionSee: look at the course, or at the item.
	ActionSee = "see"
	// ActionSubmit: hand in, start or go on with an attempt: what changes something.
	ActionSubmit = "submit"
	// ActionGrade: see and grade the work of others.
	ActionGrade = "grade"
	// ActionTeach: see drafts and change contents of the course.
	ActionTeach = "teach"
)

// CoursePriced is what payment says before a price counts: from then on who enrolls
// needs an entitlement, whatever course has told so far. Not Priced takes that back;
// then it is as course says.
type CoursePriced struct {
	CourseID uuid.UUID `json:"course_id"`
	Priced   bool      `json:"priced"`
}

// Ways in which a person stands to a course.
const (
	AsLearner = "learner"
	AsStaff   = "staff" // a role in the course
	AsAdmin   = "admin" // a grant of the platform or of an org unit above
)

// Codes of a verdict that does not allow.
const (
	DeniedUnknown    = "not_found"       // the person may not know: answer 404
	DeniedNotActive  = "not_enrolled"    // known to the person, but not (or no longer) a member
	DeniedReadOnly   = "read_only"       // upcoming or concluded (rule 30): see, but change nothing
	DeniedItemLocked = "item_locked"     // Reasons say why (rule 11)
	DeniedForbidden  = "forbidden"       // a member without the right to do this
	DeniedSuspended  = "suspended"       // the enrollment is suspended
	DeniedInactive   = "person_inactive" // the account is deactivated
)

// AccessRequest asks whether a person may do something in a course. ItemID or
// ResourceID narrows it to an item: an item that is not in the visible
// curriculum is unknown to learners. Of several places of a resource one that
// is open suffices.
type AccessRequest struct {
	UserID     uuid.UUID  `json:"user_id"`
	CourseID   uuid.UUID  `json:"course_id"`
	ItemID     *uuid.UUID `json:"item_id,omitempty"`
	ResourceID *uuid.UUID `json:"resource_id,omitempty"`
	Action     string     `json:"action"` // see, submit, grade, teach
	// Grants are the platform and org grants of the person, from the token that
	// the asking service verified; without them only the course's staff and
	// learners are judged.
	Grants []authz.Grant `json:"grants,omitempty"`
	// Limited are the permissions that the token is limited to; nil is all.
	Limited []authz.Permission `json:"limited,omitempty"`
}

// AccessVerdict is the answer. Only a positive one may be cached, at most 2 s.
type AccessVerdict struct {
	Allowed bool   `json:"allowed"`
	Code    string `json:"code,omitempty"` // why not
	// Reasons are given with item_locked.
	Reasons []LockReason `json:"reasons,omitempty"`

	As           string     `json:"as,omitempty"`   // learner, staff, admin
	Role         string     `json:"role,omitempty"` // the role's key for staff
	TenantID     uuid.UUID  `json:"tenant_id"`
	OrgUnitID    uuid.UUID  `json:"org_unit_id"`
	EnrollmentID *uuid.UUID `json:"enrollment_id,omitempty"`
	State        string     `json:"state,omitempty"` // effective state of the enrollment (rule 30)
	ReadOnly     bool       `json:"read_only,omitempty"`
	// Since is when the access began: of the item when one was asked for (its
	// unlocking, as far as it is known), else of the enrollment.
	Since *time.Time `json:"since,omitempty"`
	// Until is when access to change things ends: the earliest of enrollment,
	// entitlement and course (rule 28).
	Until *time.Time `json:"until,omitempty"`
	// ItemID is the open place of the resource.
	ItemID *uuid.UUID `json:"item_id,omitempty"`
}

// LockReason says one thing that keeps an item locked (rule 11).
type LockReason struct {
	// Code is module_prerequisite, module_unlock_at, item_unlock_at or sequential.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Until is set where time alone opens it.
	Until *time.Time `json:"until,omitempty"`
	// Missing are the modules (module_prerequisite) or items (sequential) to complete.
	Missing []LockMissing `json:"missing,omitempty"`
}

// LockMissing is a module or item that is not completed yet.
type LockMissing struct {
	ID    uuid.UUID `json:"id"`
	Title string    `json:"title"`
	// Requirement is what the item asks for: view, done, submit, min_score.
	Requirement string `json:"requirement,omitempty"`
}

// UserCourses are the courses in which a person learns or teaches now.
type UserCourses struct {
	Items []UserCourse `json:"items"`
}

// UserCourse is one of them. Role is "learner" or the staff role's key.
type UserCourse struct {
	CourseID  uuid.UUID `json:"course_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	As        string    `json:"as"` // learner, staff
	Role      string    `json:"role"`
	State     string    `json:"state,omitempty"` // learners: effective state
}

// CourseMembers is a page of a course's people in the order of their ids.
type CourseMembers struct {
	Items      []CourseMember `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty"`
}

// CourseMember is a learner, or one of the staff. Deactivated people are left out.
type CourseMember struct {
	UserID       uuid.UUID  `json:"user_id"`
	As           string     `json:"as"` // learner, staff
	Role         string     `json:"role"`
	EnrollmentID *uuid.UUID `json:"enrollment_id,omitempty"`
	State        string     `json:"state,omitempty"` // stored state
	Since        *time.Time `json:"since,omitempty"`
	Until        *time.Time `json:"until,omitempty"`
}

// ProgressReport says all that its sender knows of one person and one resource
// (or item): each section that is present replaces what was stored of it, an
// absent one says nothing. A sender puts every section that it owns into every
// report, so that an older report that was overtaken may be dropped.
type ProgressReport struct {
	UserID   uuid.UUID `json:"user_id"`
	CourseID uuid.UUID `json:"course_id"`
	// ResourceID is the content, quiz or assignment; all its places in the course
	// are meant. ItemID names one item instead.
	ResourceID *uuid.UUID `json:"resource_id,omitempty"`
	ItemID     *uuid.UUID `json:"item_id,omitempty"`
	// ViewedAt is the first view; views stick (rule 3).
	ViewedAt *time.Time `json:"viewed_at,omitempty"`
	// Watched is how much of a video was seen.
	Watched    *WatchedSection    `json:"watched,omitempty"`
	Submission *SubmissionSection `json:"submission,omitempty"`
	Grade      *GradeSection      `json:"grade,omitempty"`
}

// WatchedSection says how much of a recording was seen, by intervals. All of it
// (Percent 100) counts as a view.
type WatchedSection struct {
	Percent int       `json:"percent"` // 0–100
	At      time.Time `json:"at"`
}

// SubmissionSection says whether there is a real attempt (rule 6): nil says that
// there is none, or none any more (withdrawn).
type SubmissionSection struct {
	SubmittedAt *time.Time `json:"submitted_at"`
}

// GradeSection is the posted grade (rule 25): one that is hidden is no score.
type GradeSection struct {
	Score    *events.Hundredths `json:"score"`
	Possible *events.Hundredths `json:"possible"`
	// GradedAt is when the score came to be (or was posted, if later).
	GradedAt *time.Time `json:"graded_at"`
	// ExcusedAt is set while the person is excused (rule 4).
	ExcusedAt *time.Time `json:"excused_at,omitempty"`
}

// ProgressReply says what a report did. Ignored names why nothing was stored:
// not_enrolled (there never was an enrollment).
type ProgressReply struct {
	Ignored string `json:"ignored,omitempty"`
	// Completed are the items that are completed now.
	Completed []uuid.UUID `json:"completed,omitempty"`
}

// CourseGrade is the course grade of a person as posted (rule 25), in percent.
type CourseGrade struct {
	UserID   uuid.UUID `json:"user_id"`
	CourseID uuid.UUID `json:"course_id"`
	// Current ignores the ungraded, Final counts them as 0 (rule 24); nil is no
	// grade. Certificates and completion look at Final.
	Current  *events.Hundredths `json:"current"`
	Final    *events.Hundredths `json:"final"`
	Letter   string             `json:"letter,omitempty"`
	GradedAt time.Time          `json:"graded_at"`
	Version  int64              `json:"version"`
}

// SeatHold asks for a seat during a checkout (rule 35). A second hold with the
// same id moves its end. A person who was offered a seat holds that one.
type SeatHold struct {
	HoldID    uuid.UUID `json:"hold_id"`
	CourseID  uuid.UUID `json:"course_id"`
	UserID    uuid.UUID `json:"user_id"`
	ExpiresAt time.Time `json:"expires_at"`
	// Replaces are holds of the same person and course that this one takes over the
	// seat of. Nobody else can get it in between, and they end also when this one is
	// refused, or when they are told of only later.
	Replaces []uuid.UUID `json:"replaces,omitempty"`
}

// SeatHoldReply: a refusal is an answer, not an error. Code is course_full,
// already_enrolled, window_closed, prerequisite_missing, course_unavailable,
// not_invited or released.
type SeatHoldReply struct {
	Held      bool       `json:"held"`
	Code      string     `json:"code,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Missing are the courses to complete first (prerequisite_missing).
	Missing []uuid.UUID `json:"missing,omitempty"`
}

// SeatRelease gives a held seat back; a hold that is told later with the same id
// is refused.
type SeatRelease struct {
	HoldID   uuid.UUID `json:"hold_id"`
	CourseID uuid.UUID `json:"course_id"`
	UserID   uuid.UUID `json:"user_id"`
}

// SeatReleaseReply answers SeatRelease.
type SeatReleaseReply struct {
	Released bool `json:"released"`
}

// States of an entitlement.
const (
	EntitlementGranted = "granted"
	EntitlementRevoked = "revoked"
)

// Entitlement is the whole state of a right to be in a course, as payment has it
// (rules 33, 35). Granted and changed carry granted; what was granted and is told
// as revoked ends the access that came from it, unless KeepAccess.
type Entitlement struct {
	EntitlementID uuid.UUID  `json:"entitlement_id"`
	UserID        uuid.UUID  `json:"user_id"`
	CourseID      uuid.UUID  `json:"course_id"`
	State         string     `json:"state"` // granted, revoked
	ValidFrom     *time.Time `json:"valid_from,omitempty"`
	ValidUntil    *time.Time `json:"valid_until,omitempty"`
	// Enroll takes a seat in the same step; HoldID is the seat held for it.
	Enroll bool       `json:"enroll,omitempty"`
	HoldID *uuid.UUID `json:"hold_id,omitempty"`
	// KeepAccess: staff chose to let a refunded person stay (rule 33).
	KeepAccess bool   `json:"keep_access,omitempty"`
	Reason     string `json:"reason,omitempty"` // refund, subscription_ended, seat_taken_back, …
}

// EntitlementReply says what became of it. Enrolled is false with a Code where
// Enroll was asked for and no seat could be taken: payment then refunds in full
// (rule 35). Codes as in SeatHoldReply.
type EntitlementReply struct {
	Enrolled     bool       `json:"enrolled"`
	Code         string     `json:"code,omitempty"`
	EnrollmentID *uuid.UUID `json:"enrollment_id,omitempty"`
	State        string     `json:"state,omitempty"`
	// Certified: a certificate was ever issued here (rule 33: no self-service refund).
	Certified bool `json:"certified,omitempty"`
}

// PathRefundFacts answers RefundFacts for a person in a course; query: user_id.
// Payment asks it before a self-service refund (rule 33).
const PathRefundFacts = "/internal/courses/{id}/refund-facts"

// RefundFacts are what rule 33 needs to know from here.
type RefundFacts struct {
	CourseID       uuid.UUID  `json:"course_id"`
	UserID         uuid.UUID  `json:"user_id"`
	EverCertified  bool       `json:"ever_certified"`
	CourseStartsAt *time.Time `json:"course_starts_at,omitempty"`
}

// PathEntitlements takes EntitlementsRequest and answers EntitlementStandings; POST.
// Payment compares by it what it has told with what is stored.
const PathEntitlements = "/internal/entitlements"

// EntitlementsRequest names entitlements, at most 500.
type EntitlementsRequest struct {
	IDs []uuid.UUID `json:"ids"`
}

// EntitlementStandings are those that are known, in no order.
type EntitlementStandings struct {
	Items []EntitlementStanding `json:"items"`
}

// EntitlementStanding is an entitlement as enrollment has it, with the person's
// enrollment in its course.
type EntitlementStanding struct {
	EntitlementID uuid.UUID  `json:"entitlement_id"`
	State         string     `json:"state"` // granted, revoked
	ValidUntil    *time.Time `json:"valid_until,omitempty"`
	// EnrollmentState is the stored state, "" without an enrollment.
	EnrollmentState string `json:"enrollment_state,omitempty"`
	// Waived: staff let the person in, or stay, without an entitlement.
	Waived bool `json:"waived,omitempty"`
}
