package person

import (
	"fmt"
	"time"
)

// Preferences are a person's own choices; what is not in them is as the catalogue
// has it.
type Preferences struct {
	Version int64 `json:"version,omitempty"`
	// Kinds are the choices by kind of message and channel.
	Kinds map[string]map[Channel]Frequency `json:"kinds,omitempty"`
	// DigestHour is the local hour of digests, DigestDay the day of weekly ones.
	DigestHour *int          `json:"digest_hour,omitempty"`
	DigestDay  *time.Weekday `json:"digest_day,omitempty"`
	Quiet      *Quiet        `json:"quiet,omitempty"`
	// NoMail: nothing by mail but what is transactional.
	NoMail bool `json:"no_mail,omitempty"`
}

// Quiet is a time of each local day in which mails wait, except transactional
// ones. It may run over midnight. Both are minutes since midnight.
type Quiet struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Defaults of digests.
const (
	defaultHour = 8
	defaultDay  = time.Monday
)

// Default is how a kind tells where the person has not chosen.
type Default struct {
	Transactional bool
	InApp, Email  Frequency
}

// Wanted is how soon a channel tells of a kind.
func (p Preferences) Wanted(kind string, c Channel, d Default) Frequency {
	f := d.InApp
	if c == Email {
		f = d.Email
	}
	if d.Transactional {
		return f
	}
	if c == Email && p.NoMail {
		return Never
	}
	if own, ok := p.Kinds[kind][c]; ok {
		return own
	}
	return f
}

// Hour is the local hour of digests.
func (p Preferences) Hour() int {
	if p.DigestHour == nil {
		return defaultHour
	}
	return *p.DigestHour
}

// Day is the day of weekly digests.
func (p Preferences) Day() time.Weekday {
	if p.DigestDay == nil {
		return defaultDay
	}
	return *p.DigestDay
}

// Location is a person's time zone, UTC where it is not known.
func Location(zone string) *time.Location {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// localTime is a time of day on the day that is days after t's. A time that a
// clock change leaves out becomes the first moment after the gap, one that comes
// twice is the first of the two.
func localTime(t time.Time, days, hour, minute int) time.Time {
	y, m, d := t.Date()
	at := time.Date(y, m, d+days, hour, minute, 0, 0, t.Location())
	if at.Hour() == hour && at.Minute() == minute {
		if earlier := at.Add(-time.Hour); earlier.Hour() == hour && earlier.Minute() == minute {
			return earlier
		}
		return at
	}
	// Go answers from one side of the gap or the other: go to its end.
	before := at.Add(-2 * time.Hour)
	for at = before; at.Before(before.Add(4 * time.Hour)); at = at.Add(time.Minute) {
		if at.Day() == time.Date(y, m, d+days, 12, 0, 0, 0, t.Location()).Day() && at.Hour()*60+at.Minute() >= hour*60+minute {
			return at
		}
	}
	return at
}

// NextDigest is when the next digest of a period is due after now.
func (p Preferences) NextDigest(period Frequency, now time.Time, loc *time.Location) time.Time {
	local := now.In(loc)
	for days := 0; ; days++ {
		at := localTime(local, days, p.Hour(), 0)
		if at.After(now) && (period == Daily || at.Weekday() == p.Day()) {
			return at.UTC()
		}
	}
}

// NotBefore is when a mail that is due now may go: at once, or at the end of the
// quiet hours.
func (p Preferences) NotBefore(now time.Time, loc *time.Location) time.Time {
	q := p.Quiet
	if q == nil || q.From == q.To {
		return now
	}
	local := now.In(loc)
	minute := local.Hour()*60 + local.Minute()
	end := func(days int) time.Time { return localTime(local, days, q.To/60, q.To%60).UTC() }
	switch {
	case q.From < q.To && minute >= q.From && minute < q.To:
		return end(0)
	case q.From > q.To && minute >= q.From:
		return end(1)
	case q.From > q.To && minute < q.To:
		return end(0)
	}
	return now
}

// ParseClock reads a time of day, "22:30", as minutes.
func ParseClock(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day such as 22:30", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Clock writes minutes as a time of day.
func Clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// Reschedule lets what waits follow changed preferences: mails and digest items
// that are not wanted any more are dropped, the others get their new times.
func (d *Document) Reschedule(now time.Time, loc *time.Location) {
	unwanted := func(kind string) bool {
		if d.Preferences.NoMail {
			return true
		}
		return d.Preferences.Kinds[kind][Email] == Never
	}
	kept := d.Digest[:0]
	for _, it := range d.Digest {
		if !unwanted(it.Kind) { // what is transactional is never in a digest
			kept = append(kept, it)
		}
	}
	d.Digest = kept
	for i := range d.Mails {
		m := &d.Mails[i]
		if m.State == Pending && m.Attempts == 0 && !m.Transactional && (m.Kind == DigestKind && d.Preferences.NoMail || unwanted(m.Kind)) {
			m.State, m.Error, m.LoggedAt, m.Vars, m.Items = Dropped, "it is not wanted any more", now, nil, nil
		}
	}
	d.DailyAt, d.WeeklyAt = time.Time{}, time.Time{}
	for _, it := range d.Digest {
		if it.Period == Daily {
			d.DailyAt = d.Preferences.NextDigest(Daily, now, loc)
		} else {
			d.WeeklyAt = d.Preferences.NextDigest(Weekly, now, loc)
		}
	}
	if next := d.NextWork(); !next.IsZero() && (d.Wake.IsZero() || next.Before(d.Wake)) {
		d.Wake = next
	}
}
