// Package person is what notification keeps of one person, as one document: the
// list of messages, the mails that wait, what waits for a digest, preferences, and
// the memory of what was told. Since all of it is one document, an effect and the
// memory of it are one write; the same event has its effect once however often and
// wherever it comes.
package person

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/journal/acts"
)

// Limits of a document: together below 2 MiB at the worst, typically 5 to 50 KiB.
const (
	MaxMessages = 1000 // default of Limits.Messages
	maxMails    = 200  // that wait
	maxSent     = 20   // that were sent, kept until the next visit
	maxDigest   = 200  // items that wait for a digest
	maxTitle    = 200  // bytes of a title
	maxText     = 500  // bytes of a message in the list
	maxLink     = 300
	maxVars     = 6 << 10 // bytes of a mail's variables
)

// Channel is a way to a person.
type Channel string

// The channels.
const (
	InApp Channel = "in_app"
	Email Channel = "email"
)

// Frequency is how soon a channel tells.
type Frequency string

// The frequencies. The list in the application knows only at once and never.
const (
	AtOnce Frequency = "at_once"
	Daily  Frequency = "daily"
	Weekly Frequency = "weekly"
	Never  Frequency = "never"
)

// Message is one line of the list.
type Message struct {
	ID       uuid.UUID  `json:"id"`
	N        int64      `json:"n"` // counts the person's messages
	Kind     string     `json:"k"`
	EventID  uuid.UUID  `json:"e"`
	CourseID uuid.UUID  `json:"c,omitzero"`
	Title    string     `json:"t"`
	Text     string     `json:"x,omitempty"`
	Link     string     `json:"l,omitempty"`
	At       time.Time  `json:"at"`
	ReadAt   *time.Time `json:"r,omitempty"`
}

// MailState is where a mail stands: pending → sent, failed or dropped. While it is sent
// the claim of the queue keeps others away.
type MailState string

// The states of a mail.
const (
	Pending MailState = "pending"
	Leased  MailState = "leased" // as an earlier version wrote it while it sent
	Sent    MailState = "sent"
	Failed  MailState = "failed"
	Dropped MailState = "dropped" // nobody to send it to, or no longer wanted
)

// Mail is a mail on its way. Its text is written when it is sent.
type Mail struct {
	ID       uuid.UUID         `json:"id"`
	Kind     string            `json:"k"`
	EventID  uuid.UUID         `json:"e,omitzero"`
	Vars     map[string]string `json:"v,omitempty"`
	Link     string            `json:"l,omitempty"`
	Items    []Item            `json:"i,omitempty"` // of a digest
	More     int               `json:"m,omitempty"` // that the digest has no place for
	State    MailState         `json:"s"`
	Due      time.Time         `json:"d"`
	LeasedTo time.Time         `json:"u,omitzero"`
	Attempts int               `json:"a,omitempty"`
	// Uncertain counts attempts whose end nobody knows: each may have been sent.
	Uncertain int       `json:"q,omitempty"`
	Error     string    `json:"err,omitempty"`
	At        time.Time `json:"at"`
	// Transactional: it is sent whatever the person wants.
	Transactional bool `json:"tx,omitempty"`
	// LoggedAt is the time under which it stands in the delivery log.
	LoggedAt time.Time `json:"g,omitzero"`
}

// Item is one message in a digest.
type Item struct {
	ID     uuid.UUID `json:"id"`
	Kind   string    `json:"k"`
	Title  string    `json:"t"`
	Text   string    `json:"x,omitempty"`
	Link   string    `json:"l,omitempty"`
	At     time.Time `json:"at"`
	Period Frequency `json:"p"`
}

// Document is all of a person.
type Document struct {
	ID       uuid.UUID `json:"id"`
	TenantID uuid.UUID `json:"tenant"`
	// Version grows with each change that the person can see.
	Version     int64       `json:"version"`
	Last        int64       `json:"last"` // N of the newest message
	Messages    []Message   `json:"messages,omitempty"`
	Mails       []Mail      `json:"mails,omitempty"`
	Digest      []Item      `json:"digest,omitempty"`
	More        int         `json:"more,omitempty"` // items that had no place in Digest
	Preferences Preferences `json:"preferences"`
	Told        Memory      `json:"told"`
	// Wake is when the queue is known to name this person next; zero: it does not.
	Wake time.Time `json:"wake,omitzero"`
	// DailyAt and WeeklyAt are when the next digests are due.
	DailyAt  time.Time `json:"daily_at,omitzero"`
	WeeklyAt time.Time `json:"weekly_at,omitzero"`
	// Watched is until when some replica follows the document for a stream.
	Watched time.Time `json:"watched,omitzero"`
	// Acts are lines of the audit trail on their way there.
	Acts acts.Lines `json:"acts,omitempty"`
	// Erased: the person is forgotten, and is told nothing any more.
	Erased bool `json:"erased,omitempty"`
}

// Gone says that nothing may be kept for the person.
func (d *Document) Gone() bool { return d == nil || d.Erased }

// Unread counts messages that were not read.
func (d *Document) Unread() int {
	if d == nil {
		return 0
	}
	n := 0
	for i := range d.Messages {
		if d.Messages[i].ReadAt == nil {
			n++
		}
	}
	return n
}

// Find is a message of the list, nil if it is not there.
func (d *Document) Find(id uuid.UUID) *Message {
	if d == nil {
		return nil
	}
	for i := range d.Messages {
		if d.Messages[i].ID == id {
			return &d.Messages[i]
		}
	}
	return nil
}

// Read marks a message as read, and says whether that changed something.
func (d *Document) Read(id uuid.UUID, now time.Time) bool {
	m := d.Find(id)
	if m == nil || m.ReadAt != nil {
		return false
	}
	m.ReadAt = &now
	d.Version++
	return true
}

// ReadAll marks every message up to the N of the newest that the person has seen
// (0: all) and says how many that were.
func (d *Document) ReadAll(upTo int64, now time.Time) int {
	n := 0
	for i := range d.Messages {
		if m := &d.Messages[i]; m.ReadAt == nil && (upTo == 0 || m.N <= upTo) {
			m.ReadAt = &now
			n++
		}
	}
	if n > 0 {
		d.Version++
	}
	return n
}

// Delete takes a message out of the list. That it was told stays known.
func (d *Document) Delete(id uuid.UUID) bool {
	i := slices.IndexFunc(d.Messages, func(m Message) bool { return m.ID == id })
	if i < 0 {
		return false
	}
	d.Messages = slices.Delete(d.Messages, i, i+1)
	d.Version++
	return true
}

// trim makes room: the oldest read ones go first, then the oldest.
func (d *Document) trim(limit int) {
	for over := len(d.Messages) - limit; over > 0; over-- {
		i := slices.IndexFunc(d.Messages, func(m Message) bool { return m.ReadAt != nil })
		d.Messages = slices.Delete(d.Messages, max(i, 0), max(i, 0)+1)
	}
}

// Erase forgets everything but that the person is forgotten.
func Erase(id, tenant uuid.UUID, version int64) *Document {
	return &Document{ID: id, TenantID: tenant, Version: version + 1, Erased: true}
}

// Take adds the list of a document that is merged into this one, in the order of
// time, and says whether there was anything new.
func (d *Document) Take(old *Document, limit int, now time.Time) bool {
	added := false
	for _, m := range old.Messages {
		if d.knows(m.ID) {
			continue
		}
		d.Last++
		m.N = d.Last
		d.Messages, added = append(d.Messages, m), true
		d.Told.Add(m.ID, now)
	}
	if added {
		d.trim(limit)
		d.Version++
	}
	return added
}
