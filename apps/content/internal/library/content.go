// Package library is the domain of the media library: contents with their
// versions, uploads, captions, and how far people watched. It does no I/O of its
// own: Store, Members, Placements and Files are given to it.
package library

import (
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

// Limits of a content, in characters or entries.
const (
	MaxTitle       = 255
	MaxDescription = 20_000
	MaxAttribution = 500
	MaxTags        = 50
	MaxTag         = 64
	// MaxBody is the text of a page, in bytes after it was made harmless.
	MaxBody = 512 << 10
)

// Kinds of a content.
var Kinds = []string{ //nolint:gochecknoglobals // constant
	events.ContentVideo, events.ContentPDF, events.ContentDocument, events.ContentImage, events.ContentAudio, events.ContentPage,
}

// Licences that a content may have.
var Licences = []string{ //nolint:gochecknoglobals // constant
	"all_rights_reserved", "public_domain", "cc_by", "cc_by_sa", "cc_by_nc", "cc_by_nc_sa", "cc_by_nd", "cc_by_nc_nd",
}

// Properties are what editors say about a content.
type Properties struct {
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Language    string   `json:"language"`
	Tags        []string `json:"tags"`
	Licence     string   `json:"licence"`
	Attribution string   `json:"attribution"`
}

// DefaultProperties are what a new content has where nothing else was said.
func DefaultProperties() Properties {
	return Properties{Language: "en", Tags: []string{}, Licence: "all_rights_reserved"}
}

// Content is an item of the library.
type Content struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	OrgUnitPath []uuid.UUID
	// CourseID is the course that it was made for, if any: that course's staff may
	// change it without a right in the org unit.
	CourseID *uuid.UUID
	Kind     string
	Properties
	Status string
	// Current is the number of the version that is shown, 0 while there is none.
	Current     int
	CreatedBy   uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	PublishedAt *time.Time
	DeletedAt   *time.Time
	Version     int64
}

// Published says whether learners may see it where it is placed.
func (c Content) Published() bool { return c.Status == events.ContentStatusPublished }

// Version is one state of a content's file or text. It is never changed.
type Version struct {
	ContentID uuid.UUID
	TenantID  uuid.UUID
	Number    int
	// Key is the object, "" for a page.
	Key       string
	Filename  string
	MediaType string
	Size      int64
	SHA256    string
	Facts
	// Body is the text of a page as HTML, else "".
	Body string
	// Text is what a search should find of it.
	Text      string
	CreatedBy uuid.UUID
	CreatedAt time.Time
}

// Facts are what the bytes of a file tell; nil where they do not.
type Facts struct {
	Pages      *int
	Width      *int
	Height     *int
	DurationMS *int64
}

var languagePattern = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// Normalise trims texts, lowers tags and drops doubles, so that equal properties
// compare equal.
func (p *Properties) Normalise() {
	p.Title, p.Attribution = strings.TrimSpace(p.Title), strings.TrimSpace(p.Attribution)
	tags := make([]string, 0, len(p.Tags))
	for _, t := range p.Tags {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	p.Tags = tags
}

// Check tells everything that is wrong with the properties.
func (p Properties) Check() error {
	var f apperr.Fields
	checkText(&f, "title", p.Title, 1, MaxTitle)
	checkText(&f, "description", p.Description, 0, MaxDescription)
	checkText(&f, "attribution", p.Attribution, 0, MaxAttribution)
	f.Require(languagePattern.MatchString(p.Language), "language", "pattern", "A language tag such as en or pt-BR.")
	f.Require(slices.Contains(Licences, p.Licence), "licence", "enum", "One of: "+strings.Join(Licences, ", ")+".")
	f.Require(len(p.Tags) <= MaxTags, "tags", "too_many", "At most 50 tags.")
	for _, t := range p.Tags {
		checkText(&f, "tags", t, 1, MaxTag)
	}
	return f.Err()
}

func checkText(f *apperr.Fields, path, text string, least, most int) {
	n := utf8.RuneCountInString(text)
	switch {
	case n < least:
		f.Add(path, "required", "It must not be empty.")
	case n > most:
		f.Add(path, "too_long", "It is too long.")
	}
	f.Require(!strings.ContainsRune(text, 0), path, "invalid_character", "It has characters that cannot be kept.")
}

// changed are the names of the fields of a snapshot in which two properties differ.
func changed(a, b Properties) map[string]work.Change {
	out := map[string]work.Change{}
	note := func(name string, differs bool, from, to any) {
		if differs {
			out[name] = work.Change{From: from, To: to}
		}
	}
	note("title", a.Title != b.Title, a.Title, b.Title)
	note("description", a.Description != b.Description, a.Description, b.Description)
	note("language", a.Language != b.Language, a.Language, b.Language)
	note("tags", !slices.Equal(a.Tags, b.Tags), a.Tags, b.Tags)
	note("licence", a.Licence != b.Licence, a.Licence, b.Licence)
	note("attribution", a.Attribution != b.Attribution, a.Attribution, b.Attribution)
	return out
}

// State is the snapshot that events carry. v is the current version, nil for none;
// text is all that a search should find.
func (c Content) State(v *Version, captions []string, text string) events.ContentState {
	s := events.ContentState{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, OrgUnitPath: c.OrgUnitPath, CourseID: c.CourseID,
		Kind: c.Kind, Title: c.Title, Description: c.Description, Language: c.Language, Tags: c.Tags,
		Licence: c.Licence, Attribution: c.Attribution, Status: c.Status, Deleted: c.DeletedAt != nil,
		Captions: captions, CreatedBy: c.CreatedBy, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, PublishedAt: c.PublishedAt, Version: c.Version,
	}
	if s.Captions == nil {
		s.Captions = []string{}
	}
	if v != nil {
		s.File = v.file()
	}
	s.Text, s.TextTruncated = cut(text, events.MaxContentText)
	return s
}

func (v Version) file() *events.ContentFile {
	return &events.ContentFile{
		Number: v.Number, Filename: v.Filename, MediaType: v.MediaType, Size: v.Size,
		Pages: v.Pages, Width: v.Width, Height: v.Height, DurationMS: v.DurationMS,
	}
}

// cut shortens a text so that its JSON has at most so many bytes.
func cut(text string, most int) (string, bool) {
	size := 2
	for i, r := range text {
		if size += jsonBytes(r); size > most {
			return text[:i], true
		}
	}
	return text, false
}

// jsonBytes is how many bytes a character takes in a JSON string as Go writes it.
func jsonBytes(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return 2
	case r < 0x20, r == '<', r == '>', r == '&', r == 0x2028, r == 0x2029, r == utf8.RuneError:
		return 6
	}
	return utf8.RuneLen(r)
}

func (c Content) meta() work.Meta {
	m := work.Meta{TenantID: c.TenantID, OrgUnitID: c.OrgUnitID}
	if c.CourseID != nil {
		m.CourseID = *c.CourseID
	}
	return m
}

func (c Content) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "content", ResourceID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Changes: changes,
	}
}
