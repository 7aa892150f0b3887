package events

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Event types of the topic course.events. The aggregate of all of them is the
// course, but for CategoryRenamed (the category).
const (
	TypeCourseCreated         = "lms.course.created.v1"
	TypeCourseUpdated         = "lms.course.updated.v1"
	TypeCoursePublished       = "lms.course.published.v1"
	TypeCourseUnpublished     = "lms.course.unpublished.v1"
	TypeCourseArchived        = "lms.course.archived.v1"
	TypeCourseRestored        = "lms.course.restored.v1"
	TypeCourseDeleted         = "lms.course.deleted.v1"
	TypeCurriculumChanged     = "lms.course.curriculum_changed.v1"
	TypeCourseStaffChanged    = "lms.course.staff_changed.v1"
	TypeAnnouncementPublished = "lms.course.announcement_published.v1"
	TypeCourseViewed          = "lms.course.viewed.v1"
	TypeCategoryRenamed       = "lms.course.category_renamed.v1"
)

// Statuses of a course.
const (
	CourseDraft     = "draft"
	CoursePublished = "published"
	CourseArchived  = "archived"
)

// Visibilities of a course: who may know that a published course exists.
const (
	VisibilityPublic       = "public"       // everybody, also without credentials
	VisibilityOrganisation = "organisation" // everybody of the tenant
	VisibilityEnrolled     = "enrolled"     // learners and staff of the course
)

// Enrollment modes of a course.
const (
	EnrollmentSelf       = "self"        // a learner enrolls alone
	EnrollmentApproval   = "approval"    // a learner asks, staff approve
	EnrollmentInviteOnly = "invite_only" // staff enroll or invite
)

// Kinds of a curriculum item.
const (
	ItemContent    = "content"
	ItemQuiz       = "quiz"
	ItemAssignment = "assignment"
	ItemLink       = "link"
	ItemPage       = "page"
)

// Kinds of a completion requirement (rules 1–6).
const (
	RequireView     = "view"
	RequireDone     = "done"
	RequireSubmit   = "submit"
	RequireMinScore = "min_score"
)

// Units of a min_score requirement (rule 3: said explicitly).
const (
	ScorePercent = "percent"
	ScorePoints  = "points"
)

// Ways in which a course completes.
const (
	// CompleteModules: every visible module is completed (rules 1, 2), and at
	// least one requirement is visible (rule 10).
	CompleteModules = "all_modules"
	// CompleteSelectedModules: every visible module of RequiredModules is completed.
	CompleteSelectedModules = "selected_modules"
	// CompleteNever: the course never completes by itself.
	CompleteNever = "never"
)

// Seats of a course as the catalogue shows them.
const (
	SeatsOpen = "open"
	SeatsFew  = "few"
	SeatsFull = "full"
)

// Hundredths is an exact decimal with two places: 7.5 is 750. In JSON it is a
// plain number with at most two decimals.
type Hundredths int64

// MarshalJSON writes the shortest decimal number.
func (h Hundredths) MarshalJSON() ([]byte, error) { return []byte(h.String()), nil }

// String writes the shortest decimal number.
func (h Hundredths) String() string { return string(h.Append(nil)) }

// Append adds the shortest decimal number to a text.
func (h Hundredths) Append(b []byte) []byte {
	v := int64(h)
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	b = strconv.AppendInt(b, v/100, 10)
	frac := v % 100
	if frac == 0 {
		return b
	}
	b = append(b, '.', byte('0'+frac/10))
	if frac%10 != 0 {
		b = append(b, byte('0'+frac%10))
	}
	return b
}

var errHundredths = errors.New("events: not a number with at most two decimals")

// UnmarshalJSON reads a number with at most two decimals, without exponent.
func (h *Hundredths) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	s := string(b)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" || len(whole) > 15 || len(frac) > 2 {
		return errHundredths
	}
	v, err := strconv.ParseUint(whole+(frac + "00")[:2], 10, 63)
	if err != nil {
		return errHundredths
	}
	*h = Hundredths(v)
	if neg {
		*h = -*h
	}
	return nil
}

// CourseStaff is one person of a course's staff. Role is a role's key:
// instructor, teaching_assistant, or a custom role's id.
type CourseStaff struct {
	UserID uuid.UUID `json:"user_id" x-personal:"true"`
	Role   string    `json:"role"`
	// Active is false while the person is deactivated: the role then gives nothing.
	Active bool `json:"active"`
}

// CoursePrice is what payment last said about the price of a course: the
// lowest one-off or first-period price. Amount is in minor units (rule 34).
type CoursePrice struct {
	PlanID   uuid.UUID `json:"plan_id"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	// Kind is one_off, subscription or instalments.
	Kind string `json:"kind"`
	// Plans says how many plans there are to choose from.
	Plans int `json:"plans"`
}

// CompletionSettings say when a course is complete and what a certificate asks for
// (rules 12–15).
type CompletionSettings struct {
	// Mode is all_modules, selected_modules or never.
	Mode            string      `json:"mode"`
	RequiredModules []uuid.UUID `json:"required_modules,omitempty"`
	// MinGrade is the posted course grade, in percent, that completion asks for
	// besides the modules; nil asks for none.
	MinGrade    *Hundredths         `json:"min_grade,omitempty"`
	Certificate CertificateSettings `json:"certificate"`
}

// CertificateSettings say whether and how certificates are issued (rule 15).
type CertificateSettings struct {
	Enabled bool   `json:"enabled"`
	Title   string `json:"title,omitempty"`
	// MinGrade is the posted course grade, in percent, that passes; nil asks for none.
	MinGrade *Hundredths `json:"min_grade,omitempty"`
	// ValidDays ends the validity that many days after issue; nil is for ever.
	ValidDays *int   `json:"valid_days,omitempty"`
	Signatory string `json:"signatory,omitempty"`
}

// CourseState is the whole snapshot of a course, without its curriculum.
type CourseState struct {
	ID        uuid.UUID `json:"id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	// OrgUnitPath runs from the tenant's root to OrgUnitID, both included, as it
	// was when the event was made.
	OrgUnitPath []uuid.UUID `json:"org_unit_path"`

	Code           string     `json:"code"`
	Title          string     `json:"title"`
	Description    string     `json:"description"`
	Language       string     `json:"language"` // BCP 47
	Level          string     `json:"level,omitempty"`
	Tags           []string   `json:"tags"`
	CategoryID     *uuid.UUID `json:"category_id,omitempty"`
	CategoryName   string     `json:"category_name,omitempty"`
	CoverURL       string     `json:"cover_url,omitempty"`
	TermID         *uuid.UUID `json:"term_id,omitempty"`
	ExternalSource string     `json:"external_source,omitempty"`
	ExternalID     string     `json:"external_id,omitempty"`

	Status     string `json:"status"`     // draft, published, archived
	Visibility string `json:"visibility"` // public, organisation, enrolled
	Deleted    bool   `json:"deleted,omitempty"`

	EnrollmentMode string `json:"enrollment_mode"` // self, approval, invite_only
	// Capacity is the number of seats; nil is unlimited (rule 32).
	Capacity *int `json:"capacity,omitempty"`
	// WaitlistEnabled: who finds no seat waits; otherwise 409 course_full.
	WaitlistEnabled bool `json:"waitlist_enabled"`
	// Enrollment is open from EnrollmentOpensAt to EnrollmentClosesAt, both
	// included; nil is unbounded. Likewise the course itself (rule 30).
	EnrollmentOpensAt  *time.Time `json:"enrollment_opens_at,omitempty"`
	EnrollmentClosesAt *time.Time `json:"enrollment_closes_at,omitempty"`
	StartsAt           *time.Time `json:"starts_at,omitempty"`
	EndsAt             *time.Time `json:"ends_at,omitempty"`
	Pacing             string     `json:"pacing"` // instructor, self

	// PrerequisiteCourses must all be completed before one enrolls.
	PrerequisiteCourses []uuid.UUID `json:"prerequisite_courses"`
	// PricePlanID is the reference set by staff, Price what payment said.
	PricePlanID *uuid.UUID   `json:"price_plan_id,omitempty"`
	Price       *CoursePrice `json:"price,omitempty"`
	// RequiresEntitlement: who enrolls needs an entitlement from payment.
	RequiresEntitlement bool   `json:"requires_entitlement"`
	Seats               string `json:"seats"` // open, few, full

	Staff      []CourseStaff      `json:"staff"`
	Completion CompletionSettings `json:"completion"`

	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
	ArchivedAt  *time.Time `json:"archived_at,omitempty"`
	Version     int64      `json:"version"`
}

// CurriculumState is the whole curriculum of a course in order, also what is
// not published. Bodies of pages are never inside.
type CurriculumState struct {
	CourseID  uuid.UUID `json:"course_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	// Version is that of the curriculum (its ETag), not of the course.
	Version   int64            `json:"version"`
	ChangedAt time.Time        `json:"changed_at"`
	Modules   []CurriculumPart `json:"modules"`
}

// CurriculumPart is a module. Position in the list is its order (rule 7).
type CurriculumPart struct {
	ID        uuid.UUID `json:"id"`
	Title     string    `json:"title"`
	Published bool      `json:"published,omitempty"`
	// UnlockAt in the future locks the module (rule 7).
	UnlockAt *time.Time `json:"unlock_at,omitempty"`
	// Prerequisites are earlier modules that must be completed (rule 7).
	Prerequisites []uuid.UUID `json:"prerequisites,omitempty"`
	// Sequential: items open one after the other, each when the requirements of
	// all items before it are met.
	Sequential bool `json:"sequential,omitempty"`
	// RequiredCount is the N of "N of M"; nil is all (rule 1).
	RequiredCount *int `json:"required_count,omitempty"`
	// Relock grows by one each time staff ask for re-locking: what was unlocked
	// under a lower number is then decided anew (rule 8).
	Relock int64            `json:"relock,omitempty"`
	Items  []CurriculumItem `json:"items"`
}

// CurriculumItem is an item of a module. Position in the list is its order.
type CurriculumItem struct {
	ID    uuid.UUID `json:"id"`
	Kind  string    `json:"kind"` // content, quiz, assignment, link, page
	Title string    `json:"title"`
	// Published is what staff said about the item, Visible what follows: the item,
	// its module and (where it has one) its resource are published. Only visible
	// items count (rules 9, 10, 14).
	Published bool `json:"published,omitempty"`
	Visible   bool `json:"visible,omitempty"`
	// ResourceID is the content, quiz or assignment. An item placed twice (same
	// resource) counts once (rule 14).
	ResourceID *uuid.UUID `json:"resource_id,omitempty"`
	// Points are the resource's possible points, where known.
	Points      *Hundredths      `json:"points,omitempty"`
	UnlockAt    *time.Time       `json:"unlock_at,omitempty"`
	Requirement *ItemRequirement `json:"requirement,omitempty"`
}

// ItemRequirement is what completes an item.
type ItemRequirement struct {
	Kind string `json:"kind"` // view, done, submit, min_score
	// MinScore and Unit belong to min_score only (rule 3).
	MinScore *Hundredths `json:"min_score,omitempty"`
	Unit     string      `json:"unit,omitempty"` // percent, points
}

// CourseCreated: a course came into being, as a draft.
type CourseCreated struct {
	CourseState
}

// CourseUpdated: a property of the course changed, also what other services say
// about it (seats, price).
type CourseUpdated struct {
	CourseState
	// Changed names the fields, in the names of this snapshot.
	Changed []string `json:"changed,omitempty"`
}

// CoursePublishedEvent: a draft became visible and may be enrolled in.
type CoursePublishedEvent struct {
	CourseState
}

// CourseUnpublishedEvent: a published course went back to draft.
type CourseUnpublishedEvent struct {
	CourseState
}

// CourseArchivedEvent: a course became read-only.
type CourseArchivedEvent struct {
	CourseState
}

// CourseRestoredEvent: an archived course went back to draft.
type CourseRestoredEvent struct {
	CourseState
}

// CourseDeleted: the course is gone; the snapshot is the last one, with Deleted set.
type CourseDeleted struct {
	CourseState
}

// CourseStaffChanged: somebody joined or left the staff, or has another role.
type CourseStaffChanged struct {
	CourseState
	Added   []CourseStaff `json:"added,omitempty"`
	Removed []CourseStaff `json:"removed,omitempty"`
}

// CurriculumChanged: the curriculum as a whole, after any change of it, of the
// published state or of the points of a resource in it.
type CurriculumChanged struct {
	CurriculumState
	// CourseStatus lets a reader know whether learners see it.
	CourseStatus string `json:"course_status"`
	// Reason is edited, resource_state, relock, imported, copied or restored.
	Reason string `json:"reason"`
}

// AnnouncementPublished: an announcement became visible to everyone enrolled.
// Text is the plain text of the body, cut at 4,000 characters.
type AnnouncementPublished struct {
	AnnouncementID uuid.UUID `json:"announcement_id"`
	CourseID       uuid.UUID `json:"course_id"`
	TenantID       uuid.UUID `json:"tenant_id"`
	OrgUnitID      uuid.UUID `json:"org_unit_id"`
	CourseCode     string    `json:"course_code"`
	CourseTitle    string    `json:"course_title"`
	AuthorID       uuid.UUID `json:"author_id" x-personal:"true"`
	Title          string    `json:"title"`
	Text           string    `json:"text"`
	Pinned         bool      `json:"pinned,omitempty"`
	PublishedAt    time.Time `json:"published_at"`
}

// CourseViewed: a person looked at a course, said at most once per person,
// course and UTC day.
type CourseViewed struct {
	CourseID  uuid.UUID `json:"course_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	Day       string    `json:"day"` // 2006-01-02, UTC
	ViewedAt  time.Time `json:"viewed_at"`
}

// CategoryRenamed: a category has another name or place in the tree.
type CategoryRenamed struct {
	CategoryID uuid.UUID  `json:"category_id"`
	TenantID   uuid.UUID  `json:"tenant_id"`
	ParentID   *uuid.UUID `json:"parent_id,omitempty"`
	Name       string     `json:"name"`
	OldName    string     `json:"old_name"`
}

// AggregateID is the course.
func (s CourseState) AggregateID() uuid.UUID { return s.ID }

// AggregateID is the course.
func (s CurriculumState) AggregateID() uuid.UUID { return s.CourseID }

// AggregateID is the course.
func (e AnnouncementPublished) AggregateID() uuid.UUID { return e.CourseID }

// AggregateID is the course.
func (e CourseViewed) AggregateID() uuid.UUID { return e.CourseID }

// AggregateID is the category.
func (e CategoryRenamed) AggregateID() uuid.UUID { return e.CategoryID }

// EventType names the event.
func (CourseCreated) EventType() string { return TypeCourseCreated }

// EventType names the event.
func (CourseUpdated) EventType() string { return TypeCourseUpdated }

// EventType names the event.
func (CoursePublishedEvent) EventType() string { return TypeCoursePublished }

// EventType names the event.
func (CourseUnpublishedEvent) EventType() string { return TypeCourseUnpublished }

// EventType names the event.
func (CourseArchivedEvent) EventType() string { return TypeCourseArchived }

// EventType names the event.
func (CourseRestoredEvent) EventType() string { return TypeCourseRestored }

// EventType names the event.
func (CourseDeleted) EventType() string { return TypeCourseDeleted }

// EventType names the event.
func (CourseStaffChanged) EventType() string { return TypeCourseStaffChanged }

// EventType names the event.
func (CurriculumChanged) EventType() string { return TypeCurriculumChanged }

// EventType names the event.
func (AnnouncementPublished) EventType() string { return TypeAnnouncementPublished }

// EventType names the event.
func (CourseViewed) EventType() string { return TypeCourseViewed }

// EventType names the event.
func (CategoryRenamed) EventType() string { return TypeCategoryRenamed }
