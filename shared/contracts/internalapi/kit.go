package internalapi

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
)

// OperatorApp is the service name of the operator's command.
const OperatorApp = "lms"

// Replayed is how many events a replay brought.
type Replayed struct {
	Events int `json:"events"`
}
