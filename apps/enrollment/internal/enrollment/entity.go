package enrollment

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/contracts/events"
)

// Where an enrollment came from.
const (
	SourceSelf       = "self"
	SourceStaff      = "staff"
	SourceImport     = "import"
	SourceJoinCode   = "join_code"
	SourceInvitation = "invitation"
	SourcePayment    = "payment"
)

// Enrollment is one person in one course (rule 31).
type Enrollment struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	CourseID uuid.UUID
	UserID   uuid.UUID
	State    State
	Source   string
	Reason   string // of the last change of state, where one was given

	StartsAt      *time.Time
	EndsAt        *time.Time
	EntitledUntil *time.Time // the end of what payment granted
	// AccessEndsAt is the earlier of EndsAt and EntitledUntil; the store derives it.
	AccessEndsAt *time.Time

	WaitlistNumber *int64
	// AnswerBy ends an invitation or an offer.
	AnswerBy *time.Time
	// Waived: staff let the person in without.
	WaivedPrerequisites bool
	WaivedEntitlement   bool
	// Entitled: access rests on an entitlement, and lasts as long as one does.
	Entitled bool

	ExternalSource string
	ExternalID     string

	ActivatedAt    *time.Time // first; what opens by itself is open since then
	CompletedAt    *time.Time // rule 13: stays, only a reset clears it
	LastActivityAt *time.Time
	ExpiryToldAt   *time.Time

	Required, Met int
	NextItemID    *uuid.UUID
	// NextChangeAt is when time alone may open or complete something next.
	NextChangeAt *time.Time
	// CurriculumSeq is the version under which the progress was last stored.
	CurriculumSeq int64

	GradeCurrent *events.Hundredths
	GradeFinal   *events.Hundredths
	GradeLetter  string
	GradedAt     *time.Time
	GradeVersion int64

	StateChangedAt time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Version        int64
}

// Grade is the posted course grade; nil without one.
func (e Enrollment) Grade() *progress.Grade {
	if e.GradeFinal == nil || e.GradedAt == nil {
		return nil
	}
	return &progress.Grade{Final: *e.GradeFinal, GradedAt: *e.GradedAt}
}

// From is since when the learner has access, for what opens by itself.
func (e Enrollment) From() time.Time {
	if e.ActivatedAt != nil {
		return *e.ActivatedAt
	}
	return e.CreatedAt
}

// Entitle says on what access rests: on the person's entitlement, if there is one
// and staff let nobody in without; then it ends with it.
func (e *Enrollment) Entitle(r *Entitlement) {
	e.Entitled = r != nil && !e.WaivedEntitlement
	if e.Entitled {
		e.SetEnds(e.EndsAt, r.ValidUntil)
	} else {
		e.SetEnds(e.EndsAt, nil)
	}
}

// SetEnds sets the ends and what follows from them.
func (e *Enrollment) SetEnds(own, entitled *time.Time) {
	e.EndsAt, e.EntitledUntil = own, entitled
	e.AccessEndsAt = earliest(own, entitled)
}

// Hold is a seat kept for a checkout (rule 35).
type Hold struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	CourseID  uuid.UUID
	UserID    uuid.UUID
	State     string // held, used, released
	ExpiresAt time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// States of a hold.
const (
	HoldHeld     = "held"
	HoldUsed     = "used"
	HoldReleased = "released"
)

// Entitlement is a right to be in a course, as payment has it.
type Entitlement struct {
	ID         uuid.UUID
	TenantID   uuid.UUID
	CourseID   uuid.UUID
	UserID     uuid.UUID
	State      string // granted, revoked
	ValidFrom  *time.Time
	ValidUntil *time.Time
	UpdatedAt  time.Time
}

// Valid says whether the entitlement holds at now, bounds included.
func (e Entitlement) Valid(now time.Time) bool {
	return e.State == "granted" && !before(now, e.ValidFrom) && !after(now, e.ValidUntil)
}

// Current is what a person is entitled to at now; nil for nothing. Entitlements
// that follow one another without a gap count as one, which is the one that lasts
// longest now, with the end of the last.
func Current(all []Entitlement, now time.Time) *Entitlement {
	var found *Entitlement
	for _, e := range all {
		if e.Valid(now) && (found == nil || e.outlasts(*found)) {
			found = &e
		}
	}
	if found == nil {
		return nil
	}
	for grew := true; grew; {
		grew = false
		for _, e := range all {
			if e.State == "granted" && e.outlasts(*found) && !before(*found.ValidUntil, e.ValidFrom) {
				found.ValidUntil, grew = e.ValidUntil, true
			}
		}
	}
	return found
}

func (e Entitlement) outlasts(o Entitlement) bool {
	return o.ValidUntil != nil && (e.ValidUntil == nil || e.ValidUntil.After(*o.ValidUntil))
}

// JoinCode lets whoever knows it into a course, a limited number of times.
type JoinCode struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	CourseID  uuid.UUID
	Code      string
	Label     string
	MaxUses   *int
	Uses      int
	ExpiresAt *time.Time
	RevokedAt *time.Time
	CreatedBy *uuid.UUID
	CreatedAt time.Time
}

// Usable says whether somebody may join by it at now.
func (j JoinCode) Usable(now time.Time) bool {
	return j.RevokedAt == nil && !after(now, j.ExpiresAt) && (j.MaxUses == nil || j.Uses < *j.MaxUses)
}

// Certificate says that a person completed a course (rule 15).
type Certificate struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	EnrollmentID uuid.UUID
	CourseID     uuid.UUID
	UserID       uuid.UUID
	Code         string // of verification; ≥ 128 random bits
	Name         string // of the person, as it was at issue
	CourseCode   string
	CourseTitle  string
	Title        string
	Signatory    string
	CompletedAt  time.Time
	Grade        *events.Hundredths
	IssuedAt     time.Time
	IssuedBy     *uuid.UUID // nil: by itself
	ValidUntil   *time.Time
	RevokedAt    *time.Time
	RevokedBy    *uuid.UUID
	RevokeReason string
	Version      int64
}

// Valid says whether the certificate holds at now.
func (c Certificate) Valid(now time.Time) bool {
	return c.RevokedAt == nil && !after(now, c.ValidUntil)
}

// Allowed is a person of a course's certificate allowlist.
type Allowed struct {
	CourseID  uuid.UUID
	UserID    uuid.UUID
	TenantID  uuid.UUID
	Note      string
	CreatedBy *uuid.UUID
	CreatedAt time.Time
}

// Person is what user said of somebody who may not act, or may again.
type Person struct {
	UserID    uuid.UUID
	TenantID  uuid.UUID
	Status    string
	UpdatedAt time.Time
}

// Statuses of a Person.
const (
	PersonActive      = "active"
	PersonDeactivated = "deactivated"
	PersonErased      = "erased"
)
