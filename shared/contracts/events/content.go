package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of the topic content.events that are about the media library. The
// aggregate of all of them is the content. Those about quizzes are in
// content_quiz.go.
const (
	TypeContentCreated     = "lms.content.created.v1"
	TypeContentUpdated     = "lms.content.updated.v1"
	TypeContentPublished   = "lms.content.published.v1"
	TypeContentUnpublished = "lms.content.unpublished.v1"
	TypeContentDeleted     = "lms.content.deleted.v1"
	TypeContentWatched     = "lms.content.watched.v1"
	TypeUploadRejected     = "lms.content.upload_rejected.v1"
)

// Kinds of a content.
const (
	ContentVideo    = "video"
	ContentPDF      = "pdf"
	ContentDocument = "document"
	ContentImage    = "image"
	ContentAudio    = "audio"
	ContentPage     = "page"
)

// Statuses of a content.
const (
	ContentDraft           = "draft"
	ContentStatusPublished = "published"
)

// MaxContentText is how much plain text an event carries at most, in bytes of its
// JSON; all of it is asked for at /internal/contents.
const MaxContentText = 192 << 10

// ContentState is the whole snapshot of a content.
type ContentState struct {
	ID        uuid.UUID `json:"id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	// OrgUnitPath runs from the tenant's root to OrgUnitID, both included, as it
	// was when the event was made.
	OrgUnitPath []uuid.UUID `json:"org_unit_path"`
	// CourseID is the course that the content was made for, if any: its staff may
	// change it. Where it is placed is said by the curricula.
	CourseID *uuid.UUID `json:"course_id,omitempty"`

	Kind        string   `json:"kind"` // video, pdf, document, image, audio, page
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Language    string   `json:"language"` // BCP 47
	Tags        []string `json:"tags"`
	// Licence is all_rights_reserved, public_domain, cc_by, cc_by_sa, cc_by_nc,
	// cc_by_nc_sa, cc_by_nd or cc_by_nc_nd.
	Licence     string `json:"licence"`
	Attribution string `json:"attribution,omitempty"`
	Status      string `json:"status"` // draft, published
	Deleted     bool   `json:"deleted,omitempty"`

	// File is the current version; absent while there is none.
	File *ContentFile `json:"file,omitempty"`
	// Captions are the languages of its captions.
	Captions []string `json:"captions"`
	// Text is what a search should find: the plain text of a page, of captions, of
	// a text file. TextTruncated says that there is more than the event can carry.
	Text          string `json:"text,omitempty"`
	TextTruncated bool   `json:"text_truncated,omitempty"`

	CreatedBy   uuid.UUID  `json:"created_by" x-personal:"true"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
	Version     int64      `json:"version"`
}

// ContentFile describes one version of a content. What the bytes do not tell is nil.
type ContentFile struct {
	Number     int    `json:"number"`
	Filename   string `json:"filename,omitempty"`
	MediaType  string `json:"media_type"`
	Size       int64  `json:"size"` // bytes
	Pages      *int   `json:"pages,omitempty"`
	Width      *int   `json:"width,omitempty"`  // pixels
	Height     *int   `json:"height,omitempty"` // pixels
	DurationMS *int64 `json:"duration_ms,omitempty"`
}

// ContentCreated: a content came into being, as a draft.
type ContentCreated struct {
	ContentState
}

// ContentUpdated: a property, the file or the captions of a content changed.
type ContentUpdated struct {
	ContentState
	// Changed names the fields, in the names of this snapshot.
	Changed []string `json:"changed,omitempty"`
}

// ContentPublished: learners may see it where it is placed.
type ContentPublished struct {
	ContentState
}

// ContentUnpublished: learners may not see it any more.
type ContentUnpublished struct {
	ContentState
}

// ContentDeleted: it is gone; the snapshot is the last one, with Deleted set.
type ContentDeleted struct {
	ContentState
}

// WatchedInterval is a part of a recording, in milliseconds from its beginning.
type WatchedInterval struct {
	FromMS int64 `json:"from_ms"`
	ToMS   int64 `json:"to_ms"`
}

// ContentWatched: a person watched parts of a recording in the time From to To.
// It says all parts of that time at once.
type ContentWatched struct {
	ContentID uuid.UUID  `json:"content_id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID uuid.UUID  `json:"org_unit_id"`
	CourseID  *uuid.UUID `json:"course_id,omitempty"`
	UserID    uuid.UUID  `json:"user_id" x-personal:"true"`
	// Intervals were watched in this time; parts watched before may be among them.
	Intervals []WatchedInterval `json:"intervals"`
	// WatchedMS is how long they are together.
	WatchedMS  int64 `json:"watched_ms"`
	PositionMS int64 `json:"position_ms"`
	// Percent is how much of the whole was ever watched; nil where its length is
	// not known.
	Percent    *int      `json:"percent,omitempty"`
	DurationMS *int64    `json:"duration_ms,omitempty"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
}

// UploadRejected: the stored bytes were not what had been announced, or nothing
// that a content of this kind may be. They are deleted.
type UploadRejected struct {
	UploadID  uuid.UUID `json:"upload_id"`
	ContentID uuid.UUID `json:"content_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	// Code is size_mismatch, checksum_mismatch, content_type_mismatch,
	// archive_unsafe or file_unreadable.
	Code      string    `json:"code"`
	Announced string    `json:"announced"` // media type
	Found     string    `json:"found,omitempty"`
	Size      int64     `json:"size"`
	At        time.Time `json:"at"`
}

// AggregateID is the content.
func (s ContentState) AggregateID() uuid.UUID { return s.ID }

// AggregateID is the content.
func (e ContentWatched) AggregateID() uuid.UUID { return e.ContentID }

// AggregateID is the content.
func (e UploadRejected) AggregateID() uuid.UUID { return e.ContentID }

// EventType names the event.
func (ContentCreated) EventType() string { return TypeContentCreated }

// EventType names the event.
func (ContentUpdated) EventType() string { return TypeContentUpdated }

// EventType names the event.
func (ContentPublished) EventType() string { return TypeContentPublished }

// EventType names the event.
func (ContentUnpublished) EventType() string { return TypeContentUnpublished }

// EventType names the event.
func (ContentDeleted) EventType() string { return TypeContentDeleted }

// EventType names the event.
func (ContentWatched) EventType() string { return TypeContentWatched }

// EventType names the event.
func (UploadRejected) EventType() string { return TypeUploadRejected }
