package person

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// SendWithin is longer than a session with a mail server may take.
const SendWithin = 90 * time.Second

// retries are the pauses before the next attempts; after the last a mail has
// failed, some two days after the first attempt.
func retries() []time.Duration {
	return []time.Duration{
		30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	}
}

// DigestKind is the kind of a digest mail.
const DigestKind = "digest"

// Next is the mail that is due for the longest, as its next attempt, nil for none; no
// other worker may look at the same time. lost is until when a worker had the person
// that never said how it ended: what was due to it may have been sent, is sent again,
// and counted.
func (d *Document) Next(now, lost time.Time) *Mail {
	var next *Mail
	for i := range d.Mails {
		m := &d.Mails[i]
		if m.ended() || m.Due.After(now) || m.State == Leased && m.LeasedTo.After(now) {
			continue
		}
		if next == nil || m.Due.Before(next.Due) {
			next = m
		}
	}
	if next == nil {
		return nil
	}
	out := *next
	out.Attempts++
	if out.State == Leased || !lost.IsZero() && out.Due.Before(lost.Add(-SendWithin)) {
		out.Uncertain++
	}
	return &out
}

// Ended are mails that need nothing but their line in the log.
func (d *Document) Ended() (ended []Mail) {
	for i := range d.Mails {
		if d.Mails[i].ended() {
			ended = append(ended, d.Mails[i])
		}
	}
	return ended
}

// DigestDue says that Assemble has something to do.
func (d *Document) DigestDue(now time.Time) bool {
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	return due(d.DailyAt) || due(d.WeeklyAt)
}

// Assemble makes mails of the digests that are due. It is written before one is sent:
// what comes afterwards is of the next digest.
func (d *Document) Assemble(now time.Time) {
	d.assemble(Daily, &d.DailyAt, now)
	d.assemble(Weekly, &d.WeeklyAt, now)
}

// assemble makes a digest of what waits for its period.
func (d *Document) assemble(period Frequency, at *time.Time, now time.Time) {
	if at.IsZero() || at.After(now) {
		return
	}
	due := *at
	*at = time.Time{}
	var items, rest []Item
	for _, it := range d.Digest {
		if it.Period == period {
			items = append(items, it)
		} else {
			rest = append(rest, it)
		}
	}
	d.Digest = rest
	if len(items) == 0 {
		return
	}
	id := uuid.NewSHA1(d.ID, []byte(string(period)+"/"+due.UTC().Format(time.RFC3339)))
	d.Mails = append(d.Mails, Mail{ID: id, Kind: DigestKind, Items: items, More: d.More, State: Pending, Due: now, At: now})
	d.More = 0
}

// Outcome is how an attempt to send ended.
type Outcome struct {
	State MailState // Sent, Failed (for good), Dropped, or Pending to try again
	Error string
}

// Settle notes how an attempt, which Next gave, ended, and returns the mail as it is
// now. An attempt that another one has overtaken is left alone: nil.
func (d *Document) Settle(attempt Mail, o Outcome, now time.Time) *Mail {
	i := slices.IndexFunc(d.Mails, func(m Mail) bool { return m.ID == attempt.ID })
	if i < 0 || d.Mails[i].ended() || d.Mails[i].Attempts != attempt.Attempts-1 {
		return nil
	}
	m := &d.Mails[i]
	m.Attempts, m.Uncertain = attempt.Attempts, attempt.Uncertain
	m.LeasedTo, m.Error = time.Time{}, cut(o.Error, maxTitle)
	if m.LoggedAt.IsZero() {
		m.LoggedAt = now
	}
	m.State = o.State
	if o.State == Pending {
		pauses := retries()
		if m.Attempts > len(pauses) {
			m.State = Failed
		} else {
			m.Due = now.Add(pauses[m.Attempts-1])
		}
	}
	if m.State != Pending {
		m.Vars, m.Items = nil, nil
	}
	out := *m
	return &out
}

// Logged removes mails that have ended and stand in the log, and bounds those that
// wait for it.
func (d *Document) Logged(ids []uuid.UUID) {
	d.Mails = slices.DeleteFunc(d.Mails, func(m Mail) bool { return m.ended() && slices.Contains(ids, m.ID) })
	ended := 0
	for i := range d.Mails {
		if d.Mails[i].ended() {
			ended++
		}
	}
	d.Mails = slices.DeleteFunc(d.Mails, func(m Mail) bool {
		if ended > maxSent && m.ended() {
			ended--
			return true
		}
		return false
	})
}

func (m Mail) ended() bool { return m.State == Sent || m.State == Failed || m.State == Dropped }

// Unsubscribe stops mails of a kind, or of all that is not transactional ("").
func (p *Preferences) Unsubscribe(kind string) bool {
	if kind == "" {
		if p.NoMail {
			return false
		}
		p.NoMail = true
		p.Version++
		return true
	}
	if p.Kinds[kind][Email] == Never {
		return false
	}
	if p.Kinds == nil {
		p.Kinds = map[string]map[Channel]Frequency{}
	}
	if p.Kinds[kind] == nil {
		p.Kinds[kind] = map[Channel]Frequency{}
	}
	p.Kinds[kind][Email] = Never
	p.Version++
	return true
}
