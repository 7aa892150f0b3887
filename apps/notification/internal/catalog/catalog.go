// Package catalog is the table of what is told: which event makes which message
// for whom, or why it makes none; what a kind of message is called in preferences,
// how soon it tells where nobody has chosen, and which variables its texts have.
// A test walks every event type of the contracts and fails by name on one that is
// not in the table.
package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
)

// VarType says how a variable is written in a text.
type VarType string

// The types of variables.
const (
	Text   VarType = "text"   // as it is, on one line
	Long   VarType = "long"   // as it is, in paragraphs
	Name   VarType = "name"   // of a person: a link in it is not clickable
	Moment VarType = "moment" // in the reader's language and time zone
	Money  VarType = "money"  // minor units and currency (rule 34)
	Number VarType = "number"
)

// Variable is something that the texts of a kind may use.
type Variable struct {
	Name   string
	Type   VarType
	Sample string
	// Optional: it may be empty.
	Optional bool
}

// Kind is a kind of message.
type Kind struct {
	Key string
	// Group orders kinds in preferences.
	Group     string
	Default   person.Default
	Variables []Variable
}

// Audience is whom a notice is for besides those that it names.
type Audience string

// The audiences.
const (
	Named    Audience = ""         // those in To
	Staff    Audience = "staff"    // the active staff of the course
	Learners Audience = "learners" // everyone enrolled in the course, also who comes later where the kind says so
)

// Notice is a message that an event makes.
type Notice struct {
	Kind     string
	Audience Audience
	To       []uuid.UUID
	Except   uuid.UUID // who caused it knows already
	CourseID uuid.UUID
	Vars     map[string]string
	// Path leads to what it is about, below the address of the web client.
	Path string
	// LaterToo keeps it for those who enroll later: it is then in their list.
	LaterToo bool
}

// Event is an event as it came.
type Event struct {
	ID        uuid.UUID
	Type      string
	Time      time.Time
	Seq       int64
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	ActorID   uuid.UUID
	Data      json.RawMessage
	// Raw is the whole CloudEvent.
	Raw json.RawMessage
	// Past says that it happened so long before the store came into use that it was
	// mailed already, on the memory of another one: it is listed only.
	Past bool
}

// Rule is what one type of event makes.
type Rule struct {
	Type string
	// None says why it makes no message; empty where Notices does.
	None    string
	Notices func(Event) ([]Notice, error)
}

// Catalog is the whole table.
type Catalog struct {
	kinds map[string]Kind
	order []string
	rules map[string]Rule
}

// New makes the table. It panics on a kind or type that is in it twice, which is a
// mistake in the program.
func New() *Catalog {
	c := &Catalog{kinds: map[string]Kind{}, rules: map[string]Rule{}}
	for _, k := range slices.Concat(userKinds(), courseKinds(), enrollmentKinds(), contentKinds(), quizKinds(), assignmentKinds(), paymentKinds(), ownKinds()) {
		if _, twice := c.kinds[k.Key]; twice {
			panic("catalog: kind twice: " + k.Key)
		}
		c.kinds[k.Key] = k
		c.order = append(c.order, k.Key)
	}
	for _, r := range slices.Concat(userRules(), courseRules(), enrollmentRules(), contentRules(), quizRules(), assignmentRules(), paymentRules()) {
		if _, twice := c.rules[r.Type]; twice {
			panic("catalog: type twice: " + r.Type)
		}
		c.rules[r.Type] = r
	}
	return c
}

// Kinds are all kinds in the order of the table.
func (c *Catalog) Kinds() []Kind {
	out := make([]Kind, len(c.order))
	for i, key := range c.order {
		out[i] = c.kinds[key]
	}
	return out
}

// Kind is a kind by its key.
func (c *Catalog) Kind(key string) (Kind, bool) {
	k, ok := c.kinds[key]
	return k, ok
}

// Rule is what a type of event makes. One that is newer than this program makes
// nothing.
func (c *Catalog) Rule(eventType string) (Rule, bool) {
	r, ok := c.rules[eventType]
	return r, ok
}

// Types are all types of the table.
func (c *Catalog) Types() []string {
	out := make([]string, 0, len(c.rules))
	for t := range c.rules {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Notices are what an event makes. Data that does not parse is an error that no
// repetition heals.
func (c *Catalog) Notices(e Event) ([]Notice, error) {
	r, ok := c.rules[e.Type]
	if !ok || r.Notices == nil {
		return nil, nil
	}
	return r.Notices(e)
}

// none is a type that makes no message.
func none(eventType, why string) Rule { return Rule{Type: eventType, None: why} }

// on is a type that makes messages.
func on[T any](eventType string, notices func(Event, T) []Notice) Rule {
	return Rule{Type: eventType, Notices: func(e Event) ([]Notice, error) {
		var data T
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return nil, apperr.New(apperr.KindInvalid, "event_unreadable", "The event's data cannot be read.").With(fmt.Errorf("%s %s: %w", e.Type, e.ID, err))
		}
		return notices(e, data), nil
	}}
}

// one is a notice to one person.
func one(kind string, to, course uuid.UUID, path string, vars map[string]string) []Notice {
	return []Notice{{Kind: kind, To: []uuid.UUID{to}, CourseID: course, Path: path, Vars: vars}}
}

func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func hundredths(h *contract.Hundredths) string {
	if h == nil {
		return ""
	}
	return h.String()
}

func coursePath(course uuid.UUID) string { return "/courses/" + course.String() }

// title and code are variables of every kind about a course.
func courseVars(more ...Variable) []Variable {
	return append([]Variable{
		{Name: "course_title", Type: Text, Sample: "Introduction to biology"},
		{Name: "course_code", Type: Text, Sample: "BIO-101"},
	}, more...)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

type personDefault = person.Default

// Frequencies of kinds, by how pressing they are.
func pressing() person.Default {
	return person.Default{Transactional: true, InApp: person.AtOnce, Email: person.AtOnce}
}

func telling() person.Default { return person.Default{InApp: person.AtOnce, Email: person.AtOnce} }

func daily() person.Default { return person.Default{InApp: person.AtOnce, Email: person.Daily} }

func listed() person.Default { return person.Default{InApp: person.AtOnce, Email: person.Never} }

// Kinds that no event of a topic makes, but this service itself.
const (
	KindWebhookDisabled = "webhook.disabled"
	KindDigest          = person.DigestKind
)

func ownKinds() []Kind {
	return []Kind{
		{Key: KindWebhookDisabled, Group: groupAccount, Default: pressing(), Variables: []Variable{
			{Name: "url", Type: Text, Sample: "https://integrator.example/hooks"},
			{Name: "since", Type: Moment, Sample: "2026-03-01T08:00:00Z"},
		}},
	}
}
