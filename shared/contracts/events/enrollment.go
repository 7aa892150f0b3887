package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of the topic enrollment.events. The aggregate of all of them is
// the enrollment: one row per person and course (rule 31).
const (
	TypeEnrollmentInvited      = "lms.enrollment.invited.v1"
	TypeEnrollmentRequested    = "lms.enrollment.requested.v1"
	TypeEnrollmentApproved     = "lms.enrollment.approved.v1"
	TypeEnrollmentRejected     = "lms.enrollment.rejected.v1"
	TypeEnrollmentActivated    = "lms.enrollment.activated.v1"
	TypeEnrollmentDeclined     = "lms.enrollment.declined.v1"
	TypeEnrollmentWaitlisted   = "lms.enrollment.waitlisted.v1"
	TypeEnrollmentOffered      = "lms.enrollment.offered.v1"
	TypeEnrollmentOfferExpired = "lms.enrollment.offer_expired.v1"
	TypeEnrollmentPromoted     = "lms.enrollment.promoted.v1"
	TypeEnrollmentWithdrawn    = "lms.enrollment.withdrawn.v1"
	TypeEnrollmentSuspended    = "lms.enrollment.suspended.v1"
	TypeEnrollmentReactivated  = "lms.enrollment.reactivated.v1"
	TypeEnrollmentExpiringSoon = "lms.enrollment.expiring_soon.v1"
	TypeEnrollmentExpired      = "lms.enrollment.expired.v1"
	TypeEnrollmentDatesChanged = "lms.enrollment.dates_changed.v1"
	TypeProgressChanged        = "lms.enrollment.progress_changed.v1"
	TypeProgressRecalculated   = "lms.enrollment.progress_recalculated.v1"
	TypeModuleCompleted        = "lms.enrollment.module_completed.v1"
	TypeCourseCompleted        = "lms.enrollment.course_completed.v1"
	TypeCertificateIssued      = "lms.enrollment.certificate_issued.v1"
	TypeCertificateRevoked     = "lms.enrollment.certificate_revoked.v1"
)

// Stored states of an enrollment (rule 30).
const (
	EnrollmentStateInvited    = "invited"
	EnrollmentStateRequested  = "requested"
	EnrollmentStateWaitlisted = "waitlisted"
	EnrollmentStateOffered    = "offered"
	EnrollmentStateActive     = "active"
	EnrollmentStateCompleted  = "completed"
	EnrollmentStateWithdrawn  = "withdrawn"
	EnrollmentStateRejected   = "rejected"
	EnrollmentStateSuspended  = "suspended"
	EnrollmentStateExpired    = "expired"
)

// EnrollmentState is an enrollment as it stands after the event, with what a
// consumer needs of its course.
type EnrollmentState struct {
	EnrollmentID uuid.UUID `json:"enrollment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	CourseCode   string    `json:"course_code"`
	CourseTitle  string    `json:"course_title"`
	UserID       uuid.UUID `json:"user_id" x-personal:"true"`
	State        string    `json:"state"`
	// PreviousState is "" when the row is new.
	PreviousState string `json:"previous_state,omitempty"`
	// Source is self, staff, import, join_code, invitation or payment.
	Source string `json:"source"`
	// StartsAt and EndsAt are the enrollment's own bounds; EndsAt also heeds the
	// end of the entitlement.
	StartsAt *time.Time `json:"starts_at,omitempty"`
	EndsAt   *time.Time `json:"ends_at,omitempty"`
	// Progress counts requirements (rule 10).
	Required    int        `json:"required"`
	Met         int        `json:"met"`
	CompletedAt *time.Time `json:"completed_at,omitempty"`
	// At is when the change took effect.
	At time.Time `json:"at"`
}

// AggregateID is the enrollment.
func (s EnrollmentState) AggregateID() uuid.UUID { return s.EnrollmentID }

// EnrollmentInvited: staff invited a person, who may accept or decline.
type EnrollmentInvited struct {
	EnrollmentState
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// EnrollmentRequested: a person asked for a place that staff must approve.
type EnrollmentRequested struct{ EnrollmentState }

// EnrollmentApproved: staff approved the request; what came of it (active,
// waitlisted, offered) is in State and in the event that follows.
type EnrollmentApproved struct{ EnrollmentState }

// EnrollmentRejected: staff turned the request down.
type EnrollmentRejected struct {
	EnrollmentState
	Reason string `json:"reason,omitempty"`
}

// EnrollmentActivated: the person is in. Again says that an old row was taken up
// again (rule 31).
type EnrollmentActivated struct {
	EnrollmentState
	Again bool `json:"again,omitempty"`
}

// EnrollmentDeclined: the person turned an invitation or an offer down;
// PreviousState says which.
type EnrollmentDeclined struct{ EnrollmentState }

// EnrollmentWaitlisted: no seat was free. Number orders the list (rule 32).
type EnrollmentWaitlisted struct {
	EnrollmentState
	Number int64 `json:"number"`
}

// EnrollmentOffered: a seat is kept for the person until ExpiresAt, to be paid
// for (rule 35).
type EnrollmentOffered struct {
	EnrollmentState
	ExpiresAt time.Time `json:"expires_at"`
	// CheckoutURL is where the person pays.
	CheckoutURL string `json:"checkout_url"`
}

// EnrollmentOfferExpired: the offer was not taken up in time.
type EnrollmentOfferExpired struct{ EnrollmentState }

// EnrollmentPromoted: a person left the waiting list for a seat or an offer.
type EnrollmentPromoted struct {
	EnrollmentState
	Number int64 `json:"number"`
}

// EnrollmentWithdrawn: the person left or was removed. Progress is kept (rule 31).
type EnrollmentWithdrawn struct {
	EnrollmentState
	// Reason is self, staff, refund, entitlement_ended, import, erased, merged (the
	// enrollment of the other account stays), person_deleted or course_deleted.
	Reason string `json:"reason"`
}

// EnrollmentSuspended: access is held back, the seat stays taken.
type EnrollmentSuspended struct {
	EnrollmentState
	Reason string `json:"reason,omitempty"`
}

// EnrollmentReactivated: a suspended person has access again.
type EnrollmentReactivated struct{ EnrollmentState }

// EnrollmentExpiringSoon: access ends at EndsAt, said once, days before.
type EnrollmentExpiringSoon struct{ EnrollmentState }

// EnrollmentExpired: access ended by date.
type EnrollmentExpired struct{ EnrollmentState }

// EnrollmentDatesChanged: the bounds moved.
type EnrollmentDatesChanged struct {
	EnrollmentState
	OldStartsAt *time.Time `json:"old_starts_at,omitempty"`
	OldEndsAt   *time.Time `json:"old_ends_at,omitempty"`
}

// ProgressState places a progress event and says where the course stands.
type ProgressState struct {
	EnrollmentID uuid.UUID `json:"enrollment_id"`
	TenantID     uuid.UUID `json:"tenant_id"`
	OrgUnitID    uuid.UUID `json:"org_unit_id"`
	CourseID     uuid.UUID `json:"course_id"`
	UserID       uuid.UUID `json:"user_id" x-personal:"true"`
	Required     int       `json:"required"`
	Met          int       `json:"met"`
	At           time.Time `json:"at"`
}

// AggregateID is the enrollment.
func (s ProgressState) AggregateID() uuid.UUID { return s.EnrollmentID }

// ProgressChanged: something became known of an item.
type ProgressChanged struct {
	ProgressState
	ItemID     uuid.UUID  `json:"item_id"`
	ModuleID   uuid.UUID  `json:"module_id"`
	ItemKind   string     `json:"item_kind"`
	ResourceID *uuid.UUID `json:"resource_id,omitempty"`
	// Change is viewed, watched, done, undone, submitted, unsubmitted, scored,
	// excused or unexcused.
	Change string `json:"change"`
	// Requirement is what the item asks for, "" for nothing.
	Requirement string      `json:"requirement,omitempty"`
	Score       *Hundredths `json:"score,omitempty"`
	Possible    *Hundredths `json:"possible,omitempty"`
	CompletedAt *time.Time  `json:"completed_at,omitempty"`
	// Regressed: the item was completed and no longer is (rule 3).
	Regressed bool `json:"regressed,omitempty"`
}

// ProgressRecalculated: a changed curriculum, a reset, or the progress of an account
// that was merged into this one changed the numbers.
type ProgressRecalculated struct {
	ProgressState
	OldRequired int `json:"old_required"`
	OldMet      int `json:"old_met"`
	// Reason is curriculum_changed, reset or merged.
	Reason            string `json:"reason"`
	CurriculumVersion int64  `json:"curriculum_version"`
}

// ModuleCompleted: all that a module asks for is met (rules 1, 2). After a
// regression it can happen again.
type ModuleCompleted struct {
	ProgressState
	ModuleID    uuid.UUID `json:"module_id"`
	ModuleTitle string    `json:"module_title"`
	CompletedAt time.Time `json:"completed_at"`
}

// CourseCompleted: said once per enrollment (rule 13), again only after a reset.
type CourseCompleted struct {
	EnrollmentState
	StartedAt *time.Time  `json:"started_at,omitempty"`
	Grade     *Hundredths `json:"grade,omitempty"`
}

// CertificateState is a certificate with the name as it was at issue.
type CertificateState struct {
	CertificateID uuid.UUID   `json:"certificate_id"`
	EnrollmentID  uuid.UUID   `json:"enrollment_id"`
	TenantID      uuid.UUID   `json:"tenant_id"`
	OrgUnitID     uuid.UUID   `json:"org_unit_id"`
	CourseID      uuid.UUID   `json:"course_id"`
	CourseCode    string      `json:"course_code"`
	CourseTitle   string      `json:"course_title"`
	UserID        uuid.UUID   `json:"user_id" x-personal:"true"`
	Name          string      `json:"name" x-personal:"true"`
	CompletedAt   *time.Time  `json:"completed_at,omitempty"`
	IssuedAt      time.Time   `json:"issued_at"`
	ValidUntil    *time.Time  `json:"valid_until,omitempty"`
	Grade         *Hundredths `json:"grade,omitempty"`
}

// AggregateID is the enrollment.
func (s CertificateState) AggregateID() uuid.UUID { return s.EnrollmentID }

// CertificateIssued: a certificate was issued (rule 15).
type CertificateIssued struct {
	CertificateState
	VerifyURL string `json:"verify_url"`
}

// CertificateRevoked: a certificate is no longer valid.
type CertificateRevoked struct {
	CertificateState
	RevokedAt time.Time `json:"revoked_at"`
	Reason    string    `json:"reason"`
}

// EventType names the event.
func (EnrollmentInvited) EventType() string { return TypeEnrollmentInvited }

// EventType names the event.
func (EnrollmentRequested) EventType() string { return TypeEnrollmentRequested }

// EventType names the event.
func (EnrollmentApproved) EventType() string { return TypeEnrollmentApproved }

// EventType names the event.
func (EnrollmentRejected) EventType() string { return TypeEnrollmentRejected }

// EventType names the event.
func (EnrollmentActivated) EventType() string { return TypeEnrollmentActivated }

// EventType names the event.
func (EnrollmentDeclined) EventType() string { return TypeEnrollmentDeclined }

// EventType names the event.
func (EnrollmentWaitlisted) EventType() string { return TypeEnrollmentWaitlisted }

// EventType names the event.
func (EnrollmentOffered) EventType() string { return TypeEnrollmentOffered }

// EventType names the event.
func (EnrollmentOfferExpired) EventType() string { return TypeEnrollmentOfferExpired }

// EventType names the event.
func (EnrollmentPromoted) EventType() string { return TypeEnrollmentPromoted }

// EventType names the event.
func (EnrollmentWithdrawn) EventType() string { return TypeEnrollmentWithdrawn }

// EventType names the event.
func (EnrollmentSuspended) EventType() string { return TypeEnrollmentSuspended }

// EventType names the event.
func (EnrollmentReactivated) EventType() string { return TypeEnrollmentReactivated }

// EventType names the event.
func (EnrollmentExpiringSoon) EventType() string { return TypeEnrollmentExpiringSoon }

// EventType names the event.
func (EnrollmentExpired) EventType() string { return TypeEnrollmentExpired }

// EventType names the event.
func (EnrollmentDatesChanged) EventType() string { return TypeEnrollmentDatesChanged }

// EventType names the event.
func (ProgressChanged) EventType() string { return TypeProgressChanged }

// EventType names the event.
func (ProgressRecalculated) EventType() string { return TypeProgressRecalculated }

// EventType names the event.
func (ModuleCompleted) EventType() string { return TypeModuleCompleted }

// EventType names the event.
func (CourseCompleted) EventType() string { return TypeCourseCompleted }

// EventType names the event.
func (CertificateIssued) EventType() string { return TypeCertificateIssued }

// EventType names the event.
func (CertificateRevoked) EventType() string { return TypeCertificateRevoked }
