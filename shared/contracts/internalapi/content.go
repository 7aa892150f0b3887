package internalapi

import "lms/shared/contracts/events"

// Paths that the content service serves for its library.
const (
	// PathContent answers ContentDocument; 404 for a content that never was. A
	// deleted one is answered with Content.Deleted set.
	PathContent = "/internal/contents/{id}"
	// PathContents answers ContentPage; query: cursor, limit (≤ 200), updated_since.
	// A page ends early where texts are large.
	PathContents = "/internal/contents"
)

// ContentDocument is all that is known of a content. Text is all that a search
// should find, however long; the snapshot is without it. Seq is the sequence number
// of the newest event of the content that the answer includes.
type ContentDocument struct {
	Content events.ContentState `json:"content"`
	Text    string              `json:"text,omitempty"`
	Seq     int64               `json:"seq"`
}

// ContentPage is a page of all contents in the order of their ids.
type ContentPage struct {
	Items      []ContentDocument `json:"items"`
	NextCursor string            `json:"next_cursor,omitempty"`
}
