// Package catalog is the domain of the course service: courses and their
// curricula, categories, terms, templates, staff and announcements, with the
// rules that hold for them. It does no I/O of its own: Store, People and
// Membership are given to it.
package catalog

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Limits of a course, in characters or entries.
const (
	MaxTitle         = 255
	MaxCode          = 64
	MaxDescription   = 20_000
	MaxTags          = 50
	MaxTag           = 64
	MaxStaff         = 200
	MaxPrerequisites = 50
	MaxCapacity      = 1_000_000
	maxURL           = 2_000
	maxExternal      = 128
)

// Pacings of a course.
const (
	PacingInstructor = "instructor"
	PacingSelf       = "self"
)

// Levels of a course; "" says nothing about it.
var levels = []string{"", "beginner", "intermediate", "advanced", "expert"}

// Settings are the properties of a course that its staff set.
type Settings struct {
	Code           string     `json:"code"`
	Title          string     `json:"title"`
	Description    string     `json:"description"`
	Language       string     `json:"language"`
	Level          string     `json:"level"`
	Tags           []string   `json:"tags"`
	CategoryID     *uuid.UUID `json:"category_id"`
	CoverURL       string     `json:"cover_url"`
	TermID         *uuid.UUID `json:"term_id"`
	ExternalSource string     `json:"external_source"`
	ExternalID     string     `json:"external_id"`
	Visibility     string     `json:"visibility"`

	EnrollmentMode     string     `json:"enrollment_mode"`
	Capacity           *int       `json:"capacity"`
	WaitlistEnabled    bool       `json:"waitlist_enabled"`
	EnrollmentOpensAt  *time.Time `json:"enrollment_opens_at"`
	EnrollmentClosesAt *time.Time `json:"enrollment_closes_at"`
	StartsAt           *time.Time `json:"starts_at"`
	EndsAt             *time.Time `json:"ends_at"`
	Pacing             string     `json:"pacing"`

	PrerequisiteCourses []uuid.UUID `json:"prerequisite_courses"`
	PricePlanID         *uuid.UUID  `json:"price_plan_id"`
}

// DefaultSettings are what a new course has where nothing else was said.
func DefaultSettings() Settings {
	return Settings{
		Language: "en", Tags: []string{}, Visibility: events.VisibilityOrganisation,
		EnrollmentMode: events.EnrollmentSelf, WaitlistEnabled: true, Pacing: PacingInstructor,
		PrerequisiteCourses: []uuid.UUID{},
	}
}

// Course is a course without its curriculum.
type Course struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	OrgUnitPath []uuid.UUID
	Settings
	CategoryName string
	Status       string
	Price        *events.CoursePrice
	Seats        string
	Completion   events.CompletionSettings
	CreatedBy    uuid.UUID
	CreatedAt    time.Time
	UpdatedAt    time.Time
	PublishedAt  *time.Time
	ArchivedAt   *time.Time
	DeletedAt    *time.Time
	Version      int64
	// CurriculumVersion is the ETag of the curriculum, a module and an item.
	CurriculumVersion   int64
	CurriculumChangedAt time.Time
}

// DefaultCompletion completes a course with all of its modules, without a certificate.
func DefaultCompletion() events.CompletionSettings {
	return events.CompletionSettings{Mode: events.CompleteModules}
}

// RequiresEntitlement says whether enrolling needs an entitlement from payment:
// staff named a plan, or payment knows a price.
func (c Course) RequiresEntitlement() bool {
	return c.PricePlanID != nil || c.Price != nil && c.Price.Amount > 0
}

var (
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
	codePattern     = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._/-]*$`)
)

// Normalise trims texts, lowers tags and drops doubles, so that equal settings
// compare equal.
func (s *Settings) Normalise() {
	s.Code, s.Title = strings.TrimSpace(s.Code), strings.TrimSpace(s.Title)
	s.ExternalID, s.ExternalSource = strings.TrimSpace(s.ExternalID), strings.TrimSpace(s.ExternalSource)
	tags := make([]string, 0, len(s.Tags))
	for _, tag := range s.Tags {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	s.Tags = tags
	ids := make([]uuid.UUID, 0, len(s.PrerequisiteCourses))
	for _, id := range s.PrerequisiteCourses {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	s.PrerequisiteCourses = ids
	for _, t := range []**time.Time{&s.EnrollmentOpensAt, &s.EnrollmentClosesAt, &s.StartsAt, &s.EndsAt} {
		*t = stored(*t)
	}
}

// stored is a time as PostgreSQL keeps it.
func stored(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	v := t.UTC().Truncate(time.Microsecond)
	return &v
}

// Check collects everything that is wrong with the settings of the course self.
func (s Settings) Check(self uuid.UUID) error {
	var f apperr.Fields
	checkText(&f, "code", s.Code, 1, MaxCode)
	f.Require(s.Code == "" || codePattern.MatchString(s.Code), "code", "pattern", "Letters, digits, spaces and . _ / - only, beginning with a letter or digit.")
	checkText(&f, "title", s.Title, 1, MaxTitle)
	checkText(&f, "description", s.Description, 0, MaxDescription)
	f.Require(languagePattern.MatchString(s.Language), "language", "pattern", "A BCP 47 language tag, such as en or pt-BR.")
	checkOneOf(&f, "level", s.Level, levels...)
	checkOneOf(&f, "visibility", s.Visibility, events.VisibilityPublic, events.VisibilityOrganisation, events.VisibilityEnrolled)
	checkOneOf(&f, "enrollment_mode", s.EnrollmentMode, events.EnrollmentSelf, events.EnrollmentApproval, events.EnrollmentInviteOnly)
	checkOneOf(&f, "pacing", s.Pacing, PacingInstructor, PacingSelf)
	f.Require(len(s.Tags) <= MaxTags, "tags", "too_many", fmt.Sprintf("At most %d tags.", MaxTags))
	for i, tag := range s.Tags {
		checkText(&f, fmt.Sprintf("tags[%d]", i), tag, 1, MaxTag)
	}
	if s.CoverURL != "" {
		f.Require(webURL(s.CoverURL, "https"), "cover_url", "url", "An https address of at most 2,000 characters.")
	}
	if s.Capacity != nil {
		f.Require(*s.Capacity >= 0 && *s.Capacity <= MaxCapacity, "capacity", "range", "Between 0 and 1,000,000, or null for unlimited.")
	}
	f.Require((s.ExternalID == "") == (s.ExternalSource == ""), "external_id", "pair", "external_id and external_source come together.")
	checkText(&f, "external_id", s.ExternalID, 0, maxExternal)
	checkText(&f, "external_source", s.ExternalSource, 0, maxExternal)
	checkOrder(&f, "enrollment_closes_at", s.EnrollmentOpensAt, s.EnrollmentClosesAt)
	checkOrder(&f, "ends_at", s.StartsAt, s.EndsAt)
	f.Require(len(s.PrerequisiteCourses) <= MaxPrerequisites, "prerequisite_courses", "too_many", fmt.Sprintf("At most %d.", MaxPrerequisites))
	f.Require(!slices.Contains(s.PrerequisiteCourses, self), "prerequisite_courses", "self", "A course is not its own prerequisite.")
	return f.Err()
}

func checkText(f *apperr.Fields, path, value string, least, most int) {
	n := utf8.RuneCountInString(value)
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		f.Add(path, "text", "Not valid text.")
	case n < least && least == 1:
		f.Add(path, "required", "Must not be empty.")
	case n < least:
		f.Add(path, "too_short", fmt.Sprintf("At least %d characters.", least))
	case n > most:
		f.Add(path, "too_long", fmt.Sprintf("At most %d characters.", most))
	}
}

func checkOneOf(f *apperr.Fields, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.Add(path, "enum", "One of: "+strings.TrimPrefix(strings.Join(allowed, ", "), ", ")+".")
	}
}

func checkOrder(f *apperr.Fields, path string, first, last *time.Time) {
	if first != nil && last != nil && last.Before(*first) {
		f.Add(path, "order", "Must not be before its beginning.")
	}
}

func webURL(raw string, schemes ...string) bool {
	u, err := url.Parse(raw)
	return err == nil && len(raw) <= maxURL && u.Host != "" && u.User == nil && slices.Contains(schemes, u.Scheme)
}

// changesOf compares two values of one type field by field, by their JSON names.
func changesOf(before, after any) (map[string]work.Change, error) {
	a, err := fieldsOf(before)
	if err != nil {
		return nil, err
	}
	b, err := fieldsOf(after)
	if err != nil {
		return nil, err
	}
	out := map[string]work.Change{}
	for name, to := range b {
		if from := a[name]; !reflect.DeepEqual(from, to) {
			out[name] = work.Change{From: from, To: to}
		}
	}
	for name, from := range a {
		if _, ok := b[name]; !ok {
			out[name] = work.Change{From: from}
		}
	}
	return out, nil
}

func fieldsOf(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, apperr.Internal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, apperr.Internal(err)
	}
	return out, nil
}

// State is the snapshot that events and internal answers carry.
func (c Course) State(staff []StaffMember) events.CourseState {
	members := make([]events.CourseStaff, len(staff))
	for i, m := range staff {
		members[i] = m.event()
	}
	return events.CourseState{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, OrgUnitPath: c.OrgUnitPath,
		Code: c.Code, Title: c.Title, Description: c.Description, Language: c.Language, Level: c.Level, Tags: c.Tags,
		CategoryID: c.CategoryID, CategoryName: c.CategoryName, CoverURL: c.CoverURL, TermID: c.TermID,
		ExternalSource: c.ExternalSource, ExternalID: c.ExternalID,
		Status: c.Status, Visibility: c.Visibility, Deleted: c.DeletedAt != nil,
		EnrollmentMode: c.EnrollmentMode, Capacity: c.Capacity, WaitlistEnabled: c.WaitlistEnabled,
		EnrollmentOpensAt: c.EnrollmentOpensAt, EnrollmentClosesAt: c.EnrollmentClosesAt,
		StartsAt: c.StartsAt, EndsAt: c.EndsAt, Pacing: c.Pacing,
		PrerequisiteCourses: c.PrerequisiteCourses, PricePlanID: c.PricePlanID, Price: c.Price,
		RequiresEntitlement: c.RequiresEntitlement(), Seats: c.Seats, Staff: members, Completion: c.Completion,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, PublishedAt: c.PublishedAt, ArchivedAt: c.ArchivedAt, Version: c.Version,
	}
}
