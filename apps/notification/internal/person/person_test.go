package person_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/notification/internal/person"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return v
}

func hour(h int) *int                      { return &h }
func weekday(d time.Weekday) *time.Weekday { return &d }
func minutes(h, m int) int                 { return h*60 + m }
func quiet(from, to int) person.Preferences {
	return person.Preferences{Quiet: &person.Quiet{From: from, To: to}}
}

func TestDigestsKeepTheirLocalHourOverClockChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p           person.Preferences
		period      person.Frequency
		zone        string
		now, expect string
	}{
		"a usual day":                              {person.Preferences{}, person.Daily, "Europe/Berlin", "2026-03-10T06:59:00Z", "2026-03-10T07:00:00Z"},
		"exactly at the hour, the next day":        {person.Preferences{}, person.Daily, "Europe/Berlin", "2026-03-10T07:00:00Z", "2026-03-11T07:00:00Z"},
		"into summer time":                         {person.Preferences{}, person.Daily, "Europe/Berlin", "2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z"},
		"into winter time":                         {person.Preferences{}, person.Daily, "Europe/Berlin", "2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z"},
		"an hour that is left out":                 {person.Preferences{DigestHour: hour(2)}, person.Daily, "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29T01:00:00Z"},
		"an hour that comes twice, the first":      {person.Preferences{DigestHour: hour(2)}, person.Daily, "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T00:00:00Z"},
		"and not again in its second coming":       {person.Preferences{DigestHour: hour(2)}, person.Daily, "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z"},
		"midnight that is left out":                {person.Preferences{DigestHour: hour(0)}, person.Daily, "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"},
		"half an hour of Lord Howe":                {person.Preferences{}, person.Daily, "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T21:00:00Z"},
		"weekly, on Monday":                        {person.Preferences{}, person.Weekly, "Europe/Berlin", "2026-03-10T12:00:00Z", "2026-03-16T07:00:00Z"},
		"weekly, on a chosen day over a change":    {person.Preferences{DigestDay: weekday(time.Sunday)}, person.Weekly, "Europe/Berlin", "2026-03-23T12:00:00Z", "2026-03-29T06:00:00Z"},
		"weekly, today but later":                  {person.Preferences{DigestDay: weekday(time.Tuesday), DigestHour: hour(20)}, person.Weekly, "Asia/Ho_Chi_Minh", "2026-03-10T12:59:00Z", "2026-03-10T13:00:00Z"},
		"where the day is another one than in UTC": {person.Preferences{}, person.Daily, "Pacific/Auckland", "2026-01-10T18:59:00Z", "2026-01-10T19:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.p.NextDigest(c.period, at(t, c.now), zone(t, c.zone))
			require.Equal(t, c.expect, got.Format(time.RFC3339))
		})
	}
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	night := quiet(minutes(22, 0), minutes(7, 0))
	for name, c := range map[string]struct {
		p           person.Preferences
		zone        string
		now, expect string
	}{
		"none":                           {person.Preferences{}, "Europe/Berlin", "2026-03-10T02:00:00Z", "2026-03-10T02:00:00Z"},
		"before they begin":              {night, "Europe/Berlin", "2026-03-10T20:59:59Z", "2026-03-10T20:59:59Z"},
		"as they begin":                  {night, "Europe/Berlin", "2026-03-10T21:00:00Z", "2026-03-11T06:00:00Z"},
		"after midnight":                 {night, "Europe/Berlin", "2026-03-11T05:59:59Z", "2026-03-11T06:00:00Z"},
		"as they end":                    {night, "Europe/Berlin", "2026-03-11T06:00:00Z", "2026-03-11T06:00:00Z"},
		"a night that is an hour short":  {night, "Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"},
		"a night that is an hour longer": {night, "Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z"},
		"within a day":                   {quiet(minutes(12, 0), minutes(14, 0)), "UTC", "2026-03-10T13:00:00Z", "2026-03-10T14:00:00Z"},
		"an end that is left out":        {quiet(minutes(22, 0), minutes(2, 30)), "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		"an end that comes twice":        {quiet(minutes(22, 0), minutes(2, 30)), "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.expect, c.p.NotBefore(at(t, c.now), zone(t, c.zone)).Format(time.RFC3339))
		})
	}
}

// A digest is in the future, at the chosen local hour (or at the first moment behind
// a gap), and at most a day (a week) and some hours away, in any zone at any time.
func TestDigestsInAnyZone(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/Santiago", "Pacific/Apia"}
	rapid.Check(t, func(rt *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		now := time.Unix(rapid.Int64Range(1_735_689_600, 1_900_000_000).Draw(rt, "now"), 0).UTC()
		h := rapid.IntRange(0, 23).Draw(rt, "hour")
		p := person.Preferences{DigestHour: &h}
		next := p.NextDigest(person.Daily, now, loc)
		require.True(rt, next.After(now))
		require.LessOrEqual(rt, next.Sub(now), 26*time.Hour)
		local := next.In(loc)
		require.True(rt, local.Hour() == h && local.Minute() == 0 || local.Hour() == h+1 || local.Hour() == h && local.Minute() == 30, "%s", local)
		week := p.NextDigest(person.Weekly, now, loc)
		require.Equal(rt, time.Monday, week.In(loc).Weekday())
		require.LessOrEqual(rt, week.Sub(now), 7*24*time.Hour+2*time.Hour)
	})
}

func draft(event uuid.UUID, d person.Default) person.Draft {
	return person.Draft{EventID: event, Kind: "k", Default: d, Title: "T", Text: "x", At: time.Unix(0, 0), Vars: map[string]string{"a": "b"}}
}

var telling = person.Default{InApp: person.AtOnce, Email: person.AtOnce} //nolint:gochecknoglobals // immutable

func TestTheOldestReadOnesGoFirst(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := &person.Document{ID: uuid.New()}
	for range 5 {
		d.Tell(draft(uuid.New(), person.Default{InApp: person.AtOnce, Email: person.Never}), time.UTC, person.Limits{Messages: 5}, now)
	}
	require.True(t, d.Read(d.Messages[2].ID, now))
	require.True(t, d.Read(d.Messages[3].ID, now))
	kept := func() (ns []int64) {
		for _, m := range d.Messages {
			ns = append(ns, m.N)
		}
		return ns
	}
	for _, want := range [][]int64{{1, 2, 4, 5, 6}, {1, 2, 5, 6, 7}, {2, 5, 6, 7, 8}} {
		d.Tell(draft(uuid.New(), person.Default{InApp: person.AtOnce, Email: person.Never}), time.UTC, person.Limits{Messages: 5}, now)
		require.Equal(t, want, kept())
	}
}

// Against a plain model: whatever is told, read and deleted in whatever order, every
// event counts once, and the list holds what the model holds.
func TestTheDocumentAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		d := &person.Document{ID: uuid.New()}
		told := map[int]bool{}
		var list []uuid.UUID
		read := map[uuid.UUID]bool{}
		event := func(i int) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i)) }
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 48).Draw(rt, "pause")) * time.Minute)
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				i := rapid.IntRange(0, 20).Draw(rt, "event")
				out := d.Tell(draft(event(i), telling), time.UTC, person.Limits{Messages: 1000}, now)
				require.Equal(rt, !told[i], out.Changed)
				if !told[i] {
					told[i] = true
					list = append(list, person.MessageID(event(i), d.ID, "k", person.InApp))
				}
			case 2:
				if len(list) > 0 {
					id := rapid.SampledFrom(list).Draw(rt, "read")
					require.Equal(rt, !read[id], d.Read(id, now))
					read[id] = true
				}
			case 3:
				if len(list) > 0 {
					i := rapid.IntRange(0, len(list)-1).Draw(rt, "delete")
					require.True(rt, d.Delete(list[i]))
					list = append(list[:i:i], list[i+1:]...)
				}
			}
			// What is stored and read again is the same document.
			raw, err := json.Marshal(d)
			require.NoError(rt, err)
			d = new(person.Document)
			require.NoError(rt, json.Unmarshal(raw, d))
		}
		unread := 0
		require.Len(rt, d.Messages, len(list))
		for i, id := range list {
			require.Equal(rt, id, d.Messages[i].ID)
			if !read[id] {
				unread++
			}
		}
		require.Equal(rt, unread, d.Unread())
		require.Len(rt, d.Mails, len(told))
	})
}

func TestMailsGoOneAfterTheOther(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := &person.Document{ID: uuid.New()}
	d.Tell(draft(uuid.New(), telling), time.UTC, person.Limits{Messages: 10}, now)
	require.Equal(t, now, d.NextWork())
	require.Nil(t, d.Next(now.Add(-1), time.Time{}), "it is not due yet")
	m := d.Next(now, time.Time{})
	require.Equal(t, []int{1, 0}, []int{m.Attempts, m.Uncertain})
	require.Zero(t, d.Next(now, now.Add(person.SendWithin)).Uncertain, "it was not due yet when who had the person died")
	again := d.Next(now.Add(time.Hour), now.Add(person.SendWithin+1))
	require.Equal(t, 1, again.Uncertain, "who had the person died, and may have sent it")
	done := d.Settle(*again, person.Outcome{State: person.Sent}, now)
	require.Equal(t, person.Sent, done.State)
	require.Equal(t, 1, done.Uncertain)
	require.Nil(t, d.Settle(*m, person.Outcome{State: person.Pending}, now), "the first one comes too late to say how it ended")
	require.True(t, d.NextWork().IsZero())
	require.Nil(t, d.Next(now, time.Time{}))
	require.Len(t, d.Ended(), 1)
	d.Logged([]uuid.UUID{done.ID})
	require.Empty(t, d.Mails)
}

// An earlier version wrote a lease into the document before it sent.
func TestALeaseOfAnEarlierVersionRunsOut(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := &person.Document{ID: uuid.New()}
	d.Tell(draft(uuid.New(), telling), time.UTC, person.Limits{Messages: 10}, now)
	d.Mails[0].State, d.Mails[0].LeasedTo, d.Mails[0].Attempts = person.Leased, now.Add(time.Minute), 1
	require.Nil(t, d.Next(now, time.Time{}), "somebody has it")
	m := d.Next(now.Add(time.Minute), time.Time{})
	require.Equal(t, []int{2, 1}, []int{m.Attempts, m.Uncertain})
	require.Equal(t, person.Sent, d.Settle(*m, person.Outcome{State: person.Sent}, now).State)
}

func TestRetriesGrowAndEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := &person.Document{ID: uuid.New()}
	d.Tell(draft(uuid.New(), telling), time.UTC, person.Limits{Messages: 10}, now)
	var pauses []time.Duration
	for range 20 {
		m := d.Next(now, time.Time{})
		require.NotNil(t, m)
		out := d.Settle(*m, person.Outcome{State: person.Pending, Error: "451"}, now)
		if out.State == person.Failed {
			break
		}
		pauses = append(pauses, d.NextWork().Sub(now))
		now = d.NextWork()
	}
	require.Len(t, pauses, 9)
	require.Equal(t, 30*time.Second, pauses[0])
	require.IsIncreasing(t, pauses)
	require.Equal(t, "451", d.Mails[0].Error)
}

func TestWhatComesInMassesBecomesADigest(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := &person.Document{ID: uuid.New()}
	for range 450 {
		d.Tell(draft(uuid.New(), telling), time.UTC, person.Limits{Messages: 1000}, now)
	}
	require.Len(t, d.Mails, 200)
	require.Len(t, d.Digest, 200)
	require.Equal(t, 50, d.More)
	must := telling
	must.Transactional = true
	d.Tell(draft(uuid.New(), must), time.UTC, person.Limits{Messages: 1000}, now)
	require.Len(t, d.Mails, 201, "what is transactional is a mail of its own")
}

func TestMemoryForgetsInTimeAndIsBounded(t *testing.T) {
	t.Parallel()
	var m person.Memory
	day := 24 * time.Hour
	now := time.Unix(1_800_000_000, 0)
	first := uuid.New()
	require.Zero(t, m.Add(first, now))
	require.True(t, m.Has(first))
	m.Add(uuid.New(), now.Add(32*day))
	require.True(t, m.Has(first), "a producer keeps events for 30 days")
	m.Add(uuid.New(), now.Add(33*day))
	require.False(t, m.Has(first))
	forgotten := 0
	for range 9000 {
		forgotten += m.Add(uuid.New(), now.Add(34*day))
	}
	require.Equal(t, 9000+2-8192, forgotten)
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	require.Less(t, len(raw), 100<<10)
}

func TestTextsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	d := &person.Document{ID: uuid.New()}
	m := draft(uuid.New(), telling)
	m.Title, m.Vars = strings.Repeat("ü", 300), map[string]string{"text": strings.Repeat("ü", 9000), "title": "short"}
	d.Tell(m, time.UTC, person.Limits{Messages: 10}, time.Unix(0, 0))
	require.LessOrEqual(t, len(d.Messages[0].Title), 200)
	require.True(t, strings.HasSuffix(d.Messages[0].Title, "ü…"))
	require.LessOrEqual(t, len(d.Mails[0].Vars["text"]), 6<<10)
	require.Equal(t, "short", d.Mails[0].Vars["title"])
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	p := person.Preferences{Kinds: map[string]map[person.Channel]person.Frequency{"k": {person.Email: person.Weekly}}}
	require.Equal(t, person.Weekly, p.Wanted("k", person.Email, telling))
	require.Equal(t, person.AtOnce, p.Wanted("k", person.InApp, telling))
	require.True(t, p.Unsubscribe("k"))
	require.False(t, p.Unsubscribe("k"))
	require.Equal(t, person.Never, p.Wanted("k", person.Email, telling))
	require.True(t, p.Unsubscribe(""))
	must := person.Default{Transactional: true, InApp: person.AtOnce, Email: person.AtOnce}
	require.Equal(t, person.AtOnce, p.Wanted("k", person.Email, must), "what is transactional always goes")
}
