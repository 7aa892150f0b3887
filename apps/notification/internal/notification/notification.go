// Package notification tells people what happened. It turns events into messages,
// keeps the list of each person, sends mail, and remembers what was told, all in
// documents of a state store that knows nothing but single keys.
package notification

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/audited"
	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/due"
	"lms/apps/notification/internal/person"
	"lms/apps/notification/internal/texts"
	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/journal/acts"
	"lms/shared/record"
)

// How long things are kept.
const (
	DeliveriesKept = 30 * 24 * time.Hour
	fanoutKept     = 32 * 24 * time.Hour // longer than an event can come again
)

// Shards of the queues. They are part of where things lie: see package due.
const (
	mailShards   = 8
	fanoutShards = 2
)

// Card is what is known of a person at user.
type Card struct {
	ID            uuid.UUID
	TenantID      uuid.UUID
	Name          string
	Email         string
	EmailVerified bool
	Locale        string
	TimeZone      string
	Status        string
}

// Statuses of a card that may be told something.
const (
	statusActive  = "active"
	statusInvited = "invited"
)

func (c Card) reachable() bool { return c.Status == statusActive || c.Status == statusInvited }

func (c Card) reader() texts.Reader {
	return texts.Reader{Name: c.Name, Locale: c.Locale, Zone: person.Location(c.TimeZone)}
}

// Directory is user, which owns names, addresses, languages and time zones. They
// are asked for when something is told or sent, never copied: there is nothing to
// erase here, and a changed address counts at once. While user is away, events wait
// at the broker and mails in their documents.
type Directory interface {
	// Cards of people; who is unknown or erased is missing.
	Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Card, error)
	Forget(id uuid.UUID)
}

// Roster is enrollment.
type Roster interface {
	// Learners is a page of those enrolled in a course, in the order of their ids;
	// next is empty on the last.
	Learners(ctx context.Context, course uuid.UUID, cursor string, limit int) (ids []uuid.UUID, next string, err error)
}

// CourseSource is course, for a course whose events have not come yet.
type CourseSource interface {
	Course(ctx context.Context, id uuid.UUID) (*CourseSnapshot, error)
}

// Letter is a mail as it goes out.
type Letter struct {
	ID      uuid.UUID // its Message-ID is made from it
	To      string
	Name    string
	At      time.Time
	Written texts.Written
	// Unsubscribe is the address of one-click unsubscription (RFC 8058), "" for none.
	Unsubscribe string
}

// Post sends mail.
type Post interface {
	Send(ctx context.Context, l Letter) error
}

// Hooks tells integrators.
type Hooks interface {
	Offer(ctx context.Context, events []catalog.Event) []error
}

// Metrics is what the service reports; all fields may be nil.
type Metrics struct {
	Told      func(kind string, channel person.Channel)
	Delivered func(state person.MailState)
	// Uncertain counts mails that may have been sent twice, since a process died while
	// it sent.
	Uncertain func()
	// Forgotten counts messages that had to be forgotten before their time.
	Forgotten func(n int)
}

// Options of the service.
type Options struct {
	Store    record.Store
	Catalog  *catalog.Catalog
	Texts    *texts.Texts
	People   Directory
	Roster   Roster
	Courses  CourseSource
	Post     Post
	Hooks    Hooks
	Policy   authz.Source
	Now      func() time.Time
	NewID    func() uuid.UUID
	Log      *slog.Logger
	Metrics  Metrics
	LinkBase string // address of the web client, without a slash at its end
	// Unsubscribe makes the address of one-click unsubscription.
	Unsubscribe func(to uuid.UUID, kind string) (string, error)
	ListSize    int // messages of a list, at most
	Trail       *audited.Trail
}

// Service is the service layer.
type Service struct {
	Options
	people     *record.Book[person.Document]
	courses    *record.Book[course]
	fanouts    *record.Book[fanout]
	overrides  *record.Book[overrides]
	pulses     *record.Book[pulse]
	mail       *due.Queue
	spread     *due.Queue
	deliveries *journal.Journal[Delivery]
	audited    struct { // what is changed with a line in the audit trail
		people    *audited.Documents[person.Document]
		overrides *audited.Documents[overrides]
	}
	hub      *hub
	yielding *yielding

	mu     sync.Mutex
	logged map[uuid.UUID]bool // ended mails whose line is in the log
	seen   int64              // version of the overrides in use
}

// New makes the service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ListSize <= 0 {
		o.ListSize = person.MaxMessages
	}
	s := &Service{
		Options:    o,
		people:     record.Durable[person.Document](o.Store, o.Now, nil),
		courses:    record.Durable[course](o.Store, o.Now, nil),
		fanouts:    record.Durable(o.Store, o.Now, func(f *fanout) time.Time { return f.Ends }),
		overrides:  record.Durable[overrides](o.Store, o.Now, nil),
		pulses:     record.NewBook(o.Store, o.Now, func(p *pulse) time.Time { return p.Ends }),
		mail:       due.New(o.Store, "mail", mailShards, o.Now, o.NewID),
		spread:     due.New(o.Store, "fanout", fanoutShards, o.Now, o.NewID),
		deliveries: journal.New[Delivery](o.Store, "deliveries", 50, DeliveriesKept, o.Now),
		hub:        newHub(),
		yielding:   newYielding(),
		logged:     map[uuid.UUID]bool{},
	}
	s.audited.people = audited.Of(o.Trail, s.people, personKey, func(d *person.Document) *acts.Lines { return &d.Acts })
	s.audited.overrides = audited.Of(o.Trail, s.overrides, overridesKeyOf, func(o *overrides) *acts.Lines { return &o.Acts })
	return s
}

func personKey(id uuid.UUID) string { return "person." + id.String() }

// each runs fn for every item, at most width at a time, and waits.
func each[T any](items []T, width int, fn func(T)) {
	gate := make(chan struct{}, width)
	var wg sync.WaitGroup
	for _, it := range items {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			fn(it)
		})
	}
	wg.Wait()
}
