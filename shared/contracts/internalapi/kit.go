package internalapi

import "github.com/google/uuid"

// Paths that every service with a database serves to other services and to the
// operator's command.
const (
	// PathEvents: GET ?stream=&from=&to=&limit= answers {"items": […]}: what a
	// consumer missed. Any service.
	PathEvents = "/internal/events"
	// PathEventHeads: GET answers {"items": [outbox.Head]}: where each stream stands.
	PathEventHeads = "/internal/events/heads"
	// PathCalls: POST receives the reliable call of a name.
	PathCalls = "/internal/calls/{name}"

	// PathOutbox: GET answers outbox.Status. Caller: lms.
	PathOutbox = "/internal/outbox"
	// PathUnpark: POST makes a parked call due again. Caller: lms.
	PathUnpark = "/internal/outbox/calls/{id}/unpark"
	// PathDeadLetters: GET ?limit= answers {"items": [inbox.DeadLetter]}. Caller: lms.
	PathDeadLetters = "/internal/dead-letters"
	// PathRedrive: POST gives a dead letter to its handler again. Caller: lms.
	PathRedrive = "/internal/dead-letters/{id}/redrive"
	// PathReplay: POST ?since=<RFC 3339> gives a handler its history again from
	// the producers' outboxes. Answers Replayed. Caller: lms.
	PathReplay = "/internal/handlers/{name}/replay"
	// PathRecompute: POST takes RecomputeRequest and answers RecomputeReply, page
	// by page. Caller: lms.
	PathRecompute = "/internal/recompute"
)

// OperatorApp is the service name of the operator's command.
const OperatorApp = "lms"

// Replayed is how many events a replay brought.
type Replayed struct {
	Events int `json:"events"`
}

// RecomputeRequest asks a service to compute again, from what it knows first hand,
// the numbers that it derived and stored.
type RecomputeRequest struct {
	// Repair stores what differs, and tells whom it concerns; without it nothing is
	// written.
	Repair bool `json:"repair"`
	// Cursor is where to go on; "" is the beginning.
	Cursor string `json:"cursor,omitempty"`
}

// RecomputeReply is one page of the answer. A service that derives nothing has
// checked nothing.
type RecomputeReply struct {
	Checked     int64        `json:"checked"`
	Differences []Difference `json:"differences"`
	// NextCursor is "" at the end.
	NextCursor string `json:"next_cursor,omitempty"`
}

// Difference is a stored number that is not what it is computed to be.
type Difference struct {
	// Kind is what was checked: progress, grade, course_total, quiz_score, …
	Kind string `json:"kind"`
	// ID is whose it is: the enrollment, the grade, …
	ID       uuid.UUID `json:"id"`
	Field    string    `json:"field"`
	Stored   string    `json:"stored"`
	Computed string    `json:"computed"`
}
