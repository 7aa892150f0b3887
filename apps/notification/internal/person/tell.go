package person

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of a document that an operator may set.
type Limits struct {
	Messages int // of the list
}

// Draft is a message before it is told.
type Draft struct {
	EventID  uuid.UUID
	Kind     string
	Default  Default
	CourseID uuid.UUID
	Title    string
	Text     string
	Link     string
	At       time.Time
	// Vars are what the mail's text is made from.
	Vars map[string]string
	// ListOnly: no mail, also where one is wanted (an old announcement for somebody
	// who comes later).
	ListOnly bool
}

// MessageID is the id of what an event tells a person through a channel.
func MessageID(event, recipient uuid.UUID, kind string, c Channel) uuid.UUID {
	return uuid.NewSHA1(event, []byte(recipient.String()+"/"+kind+"/"+string(c)))
}

// Told is what Tell did.
type Told struct {
	Changed   bool
	Forgotten int // of the memory, before their time
}

// Tell adds a message to the person's channels, as they want it. What was told
// already is left alone.
func (d *Document) Tell(m Draft, loc *time.Location, limits Limits, now time.Time) (out Told) {
	m.Title, m.Text, m.Link = cut(m.Title, maxTitle), cut(m.Text, maxText), cut(m.Link, maxLink)
	if id := MessageID(m.EventID, d.ID, m.Kind, InApp); !d.knows(id) && d.Preferences.Wanted(m.Kind, InApp, m.Default) != Never {
		d.Last++
		d.Version++
		d.Messages = append(d.Messages, Message{
			ID: id, N: d.Last, Kind: m.Kind, EventID: m.EventID, CourseID: m.CourseID, Title: m.Title, Text: m.Text, Link: m.Link, At: m.At,
		})
		d.trim(limits.Messages)
		out.Changed = true
		out.Forgotten += d.Told.Add(id, now)
	}
	if m.ListOnly {
		return out
	}
	if id := MessageID(m.EventID, d.ID, m.Kind, Email); !d.knows(id) && d.mail(id, m, loc, now) {
		out.Changed = true
		out.Forgotten += d.Told.Add(id, now)
	}
	return out
}

func (d *Document) knows(id uuid.UUID) bool { return d.Told.Has(id) || d.Find(id) != nil }

// mail queues a mail, or an item of a digest. It says whether one is wanted.
func (d *Document) mail(id uuid.UUID, m Draft, loc *time.Location, now time.Time) bool {
	want := d.Preferences.Wanted(m.Kind, Email, m.Default)
	if want == AtOnce && !m.Default.Transactional && d.waiting() >= maxMails {
		want = Daily // so much at once is read as a list
	}
	switch want {
	case AtOnce:
		at := now
		if !m.Default.Transactional {
			at = d.Preferences.NotBefore(now, loc)
		}
		d.Mails = append(d.Mails, Mail{
			ID: id, Kind: m.Kind, EventID: m.EventID, Vars: bounded(m.Vars), Link: m.Link, State: Pending, Due: at, At: m.At, Transactional: m.Default.Transactional,
		})
	case Daily, Weekly:
		d.digest(Item{ID: id, Kind: m.Kind, Title: m.Title, Text: m.Text, Link: m.Link, At: m.At, Period: want}, loc, now)
	case Never:
		return false
	}
	return true
}

func (d *Document) waiting() int {
	n := 0
	for i := range d.Mails {
		if s := d.Mails[i].State; s == Pending || s == Leased {
			n++
		}
	}
	return n
}

func (d *Document) digest(it Item, loc *time.Location, now time.Time) {
	if len(d.Digest) >= maxDigest {
		d.More++
	} else {
		d.Digest = append(d.Digest, it)
	}
	if it.Period == Daily && d.DailyAt.IsZero() {
		d.DailyAt = d.Preferences.NextDigest(Daily, now, loc)
	}
	if it.Period == Weekly && d.WeeklyAt.IsZero() {
		d.WeeklyAt = d.Preferences.NextDigest(Weekly, now, loc)
	}
}

// NextWork is when the document has something to do, zero for nothing.
func (d *Document) NextWork() time.Time {
	var next time.Time
	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for i := range d.Mails {
		switch m := &d.Mails[i]; m.State {
		case Pending:
			soonest(m.Due)
		case Leased:
			soonest(m.LeasedTo)
		case Sent, Failed, Dropped:
		}
	}
	soonest(d.DailyAt)
	soonest(d.WeeklyAt)
	return next
}

// cut shortens a text to n bytes at a character, and says so with an ellipsis.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "")
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimSpace(s[:end]) + "…"
}

// bounded keeps the variables of a mail below maxVars by shortening the longest.
func bounded(vars map[string]string) map[string]string {
	total := 0
	for k, v := range vars {
		total += len(k) + len(v)
	}
	if total <= maxVars {
		return vars
	}
	names := make([]string, 0, len(vars))
	for k := range vars {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int { return len(vars[b]) - len(vars[a]) })
	out := make(map[string]string, len(vars))
	for k, v := range vars {
		out[k] = v
	}
	for _, k := range names {
		over := total - maxVars
		if over <= 0 {
			break
		}
		short := cut(out[k], max(len(out[k])-over, 100))
		total -= len(out[k]) - len(short)
		out[k] = short
	}
	return out
}
