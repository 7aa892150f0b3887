// Package events holds the type of every event that travels on a topic: the
// contract between the service that publishes it and those that consume it.
// A JSON Schema, a golden example and the AsyncAPI document are made from what
// is declared here. Within a version (the v1 of a type) a change only adds.
package events

import (
	"slices"

	"github.com/google/uuid"
)

// Event is the data of a CloudEvent.
type Event interface {
	// EventType is "lms.<domain>.<fact>.v<n>".
	EventType() string
	// AggregateID is the thing that the event is about; events of one aggregate
	// are numbered without gaps by seq.
	AggregateID() uuid.UUID
}

// Definition describes one event type to people and to generators.
type Definition struct {
	Topic   string // "course.events"
	Summary string // one sentence in the past tense
	// State says that the event carries the whole snapshot of its aggregate,
	// so that a consumer may apply only the newest.
	State   bool
	Example Event
}

// Type is the event's type.
func (d Definition) Type() string { return d.Example.EventType() }

// All is every event of every service.
func All() []Definition {
	return slices.Concat(userEvents(), courseEvents(), enrollmentEvents(), contentEvents(), quizEvents(), assignmentEvents(), paymentEvents())
}

// TopicOf is the topic of a type, and whether there is such a type.
func TopicOf(eventType string) (string, bool) {
	for _, d := range All() {
		if d.Type() == eventType {
			return d.Topic, true
		}
	}
	return "", false
}
