//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
)

// healing is how long a hole may live: its age before it is fetched (10 s), the
// heads of the producer (10 s), and the look itself.
const healing = 40 * time.Second

// reader is somebody who learns in courses; through them one sees the copies of
// courses that enrollment makes from events.
func (s *school) reader(t testing.TB, courses []string) e2e.Person {
	t.Helper()
	p := s.Invite(t, "Rea Der", s.Unit)
	s.enrollInAll(t, p.ID, courses)
	return p
}

// told are the events of a course, in their order.
func (s *school) told(t testing.TB, course string) []event {
	t.Helper()
	s.quiet(t)
	mine := slices.DeleteFunc(s.events(t, "course.events"), func(e event) bool { return e.Subject != course })
	slices.SortFunc(mine, func(a, b event) int { return seqOf(a) - seqOf(b) })
	return mine
}

func seqOf(e event) int {
	n, _ := strconv.Atoi(e.Seq)
	return n
}

// sameEvent publishes one event 100 times, 20 in parallel, by the publisher's
// own sidecar: a capacity that grows from 1 to 3 while ten wait. It fails when
// others than two are promoted, or when the copy is not what the event says.
func (s *school) sameEvent(t *testing.T) {
	course := s.courses(t, 1, map[string]any{"capacity": 1, "waitlist_enabled": true})[0]
	people := s.people(t, 11)
	for _, p := range people {
		must(t, s.Teacher.API, http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{"user_id": p})
	}
	require.Equal(t, map[string]int{"active": 1, "waitlisted": 10}, s.states(t, course))
	history := s.told(t, course)
	last := history[len(history)-1]
	for _, e := range history {
		if e.Type == "lms.course.published.v1" {
			last = e
		}
	}
	var data map[string]any
	require.NoError(t, json.Unmarshal(last.Data, &data))
	data["capacity"] = 3
	e := last.with(t, map[string]any{
		"id": uuid.NewString(), "type": "lms.course.updated.v1", "seq": strconv.Itoa(seqOf(history[len(history)-1]) + 1), "stream": "", "streamn": "0", "data": data,
	})
	p := s.publisher(t, "course")
	each(100, 20, func(int) { p.event(t, e) })
	await(t, 30*time.Second, "two are promoted", func() bool { return s.states(t, course)["active"] >= 3 })
	// A marker behind the hundred in the same partition: once it is seen, so were they.
	data["title"] = "Marker"
	p.event(t, e.with(t, map[string]any{"id": uuid.NewString(), "seq": strconv.Itoa(seqOf(e) + 1), "data": data}))
	seen := s.enrolled(t, people[0])
	await(t, 30*time.Second, "the marker arrives", func() bool { return seen(course) == "Marker" })
	s.quiet(t)
	promoted := 0
	for _, ev := range s.events(t, "enrollment.events", "--since", "5m") {
		var d struct {
			CourseID string `json:"course_id"`
		}
		require.NoError(t, json.Unmarshal(ev.Data, &d))
		if ev.Type == "lms.enrollment.promoted.v1" && d.CourseID == course {
			promoted++
		}
	}
	states := s.states(t, course)
	measured(t, "6 the same event x100, 20 in parallel", "one effect: 2 promoted", promoted == 2 && states["active"] == 3 && states["waitlisted"] == 8,
		"%d promoted, %d active, %d waiting", promoted, states["active"], states["waitlisted"])
}

// states counts a course's roster by state.
func (s *school) states(t testing.TB, course string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, e := range list[struct{ State string }](t, s.Teacher.API, "/api/v1/courses/"+course+"/enrollments") {
		out[e.State]++
	}
	return out
}

// enrolled reads a course's title in enrollment's copy, as an administrator who
// looks at a person's enrollments.
func (s *school) enrolled(t testing.TB, person string) func(course string) string {
	t.Helper()
	return func(course string) string {
		type line struct {
			Course struct{ ID, Title string } `json:"course"`
		}
		for _, l := range list[line](t, s.Admin, "/api/v1/enrollments?include=course&user_id="+person) {
			if l.Course.ID == course {
				return l.Course.Title
			}
		}
		return ""
	}
}

// shuffled publishes all that was ever told of a course five times over in a
// random order. It fails when the copy then has any title but the last. That
// what is published here arrives at all is shown first, with a newer event.
func (s *school) shuffled(t *testing.T) {
	course := s.courses(t, 1, nil)[0]
	person := s.people(t, 1)[0]
	s.enrollInAll(t, person, []string{course})
	for i := range 20 {
		s.rename(t, course, fmt.Sprintf("Title %d", i+1))
	}
	history := s.told(t, course)
	title := s.enrolled(t, person)
	await(t, 30*time.Second, "the copy is up to date", func() bool { return title(course) == "Title 20" })
	p := s.publisher(t, "course")
	newest := history[len(history)-1]
	var data map[string]any
	require.NoError(t, json.Unmarshal(newest.Data, &data))
	final := func(name string, ahead int) event {
		data["title"] = name
		return newest.with(t, map[string]any{"id": uuid.NewString(), "seq": strconv.Itoa(seqOf(newest) + ahead), "stream": "", "streamn": "0", "data": data})
	}
	p.event(t, final("Planted", 1))
	await(t, 30*time.Second, "what is published here is heard", func() bool { return title(course) == "Planted" })

	var bag []event
	for range 5 {
		bag = append(bag, history...)
	}
	last := final("Last", 3)
	bag = append(bag, last, last, final("Last but one", 2))
	rand.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
	each(len(bag), 20, func(i int) { p.event(t, bag[i]) })
	await(t, 30*time.Second, "the last one is heard", func() bool { return title(course) == "Last" })
	// Behind everything: an old one once more. When a marker of another course in
	// the same topic is heard after it, it had its chance.
	p.event(t, history[0])
	other := s.courses(t, 1, nil)[0]
	s.enrollInAll(t, person, []string{other})
	s.rename(t, other, "Marker")
	await(t, 30*time.Second, "the marker is heard", func() bool { return title(other) == "Marker" })
	got := title(course)
	measured(t, "7 shuffled events", "the final state is right", got == "Last", "%d events in random order, final title %q", len(bag)+1, got)
}

// poison publishes what no handler can ever apply, and a good event of the same
// aggregate right behind it. It fails when a poison is not among the dead
// letters of enrollment with handler and reason, or when the good event waits
// longer than the bound.
func (s *school) poison(t *testing.T) {
	course := s.courses(t, 1, nil)[0]
	person := s.people(t, 1)[0]
	s.enrollInAll(t, person, []string{course})
	s.rename(t, course, "Before")
	history := s.told(t, course)
	good := history[len(history)-1]
	title := s.enrolled(t, person)
	p := s.publisher(t, "course")
	before := len(s.deadLetters(t))

	poisons := map[string]event{
		"data of another form": good.with(t, map[string]any{"id": uuid.NewString(), "seq": "1000000", "stream": "", "streamn": "0", "data": "not an object"}),
		"a broken invariant":   good.with(t, map[string]any{"id": uuid.NewString(), "seq": "1000001", "stream": "", "streamn": "0", "data": map[string]any{"id": course, "status": "no such status"}}),
		"no sequence":          good.with(t, map[string]any{"id": uuid.NewString(), "seq": ""}),
	}
	for _, e := range poisons {
		p.event(t, e)
	}
	require.NoError(t, p.publish(course, "application/octet-stream", []byte("no event at all"), "&metadata.rawPayload=true"))
	began := time.Now()
	s.rename(t, course, "After")
	await(t, 60*time.Second, "the event behind the poison is applied", func() bool { return title(course) == "After" })
	delay := time.Since(began)
	dead := map[string]deadLetter{}
	await(t, 30*time.Second, "the poison is among the dead letters", func() bool {
		all := s.deadLetters(t)
		for _, d := range all {
			if d.EventID != "" {
				dead[d.EventID] = d
			}
		}
		return len(all) >= before+len(poisons)+1
	})
	found := len(s.deadLetters(t)) - before
	for name, e := range poisons {
		if d, ok := dead[e.ID]; name != "no sequence" {
			require.True(t, ok, "%s is a dead letter", name)
			require.Equal(t, "course-copy", d.Handler)
			require.NotEmpty(t, d.Reason)
		}
	}
	const bound = 5 * time.Second
	measured(t, "9 a poison message", "4 of 4 in the dead letters, others wait 5 s at most", found == len(poisons)+1 && delay < bound,
		"%d of %d in the dead letters of enrollment, the event behind waited %s", found, len(poisons)+1, delay.Round(10*time.Millisecond))
}

type deadLetter struct {
	ID      string `json:"id"`
	Handler string `json:"handler"`
	EventID string `json:"event_id"`
	Code    string `json:"code"`
	Reason  string `json:"reason"`
}

// deadLetters are those of enrollment, the one service that consumes.
func (s *school) deadLetters(t testing.TB) []deadLetter {
	t.Helper()
	var all map[string][]deadLetter
	require.NoError(t, json.Unmarshal([]byte(s.Lms(t, "dead-letters", "list", "--json")), &all))
	return all["enrollment"]
}

// renaming gives courses new titles in rounds and returns what they are in the
// end.
func (s *school) renaming(t testing.TB, courses []string, rounds int, between func(round int)) map[string]string {
	t.Helper()
	titles := map[string]string{}
	for r := range rounds {
		each(len(courses), lanes, func(i int) { s.rename(t, courses[i], fmt.Sprintf("Round %d of course %d", r, i)) })
		if between != nil {
			between(r)
		}
	}
	for i, c := range courses {
		titles[c] = fmt.Sprintf("Round %d of course %d", rounds-1, i)
	}
	return titles
}

// pausedConsumer stops enrollment while its events come, and lets it go on. It
// fails when a copy is not right after the catching up. That the load went past
// the stopped consumer is shown: before it goes on, every copy is old.
func (s *school) pausedConsumer(t *testing.T) {
	courses := s.courses(t, 30, nil)
	r := s.reader(t, courses)
	s.quiet(t)
	old := s.copies(t, r)
	resume := s.Pause(t, "enrollment", "service")
	began := time.Now()
	titles := s.renaming(t, courses, 10, nil)
	stale := wrong(old, titles)
	paused := time.Since(began)
	resume()
	took := await(t, 90*time.Second, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	left := wrong(s.copies(t, r), titles)
	measured(t, "12 a consumer stopped for the whole load", "0 of 30 copies wrong", left == 0 && stale == len(courses),
		"300 events while it stood %s: %d copies wrong, caught up in %s", paused.Round(time.Second), left, took.Round(100*time.Millisecond))
}

// dyingConsumer kills enrollment, and its sidecar, while it handles events. It
// fails when one of them is not delivered again: a copy that stays old.
func (s *school) dyingConsumer(t *testing.T) {
	courses := s.courses(t, 30, nil)
	r := s.reader(t, courses)
	kills := 0
	titles := s.renaming(t, courses, 6, func(round int) {
		s.Kill(t, "enrollment", []string{"service", "sidecar"}[round%2])
		kills++
	})
	s.AwaitReady(t)
	took := await(t, 90*time.Second, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	measured(t, "11 a consumer that dies while it handles", "0 of 30 copies wrong", wrong(s.copies(t, r), titles) == 0,
		"%d kills in 180 events: delivered again, right after %s", kills, took.Round(100*time.Millisecond))
}

const forgetSQL = `
update courses set title = 'Forgotten', seq = 1;
delete from inbox_position;
delete from stream_position`

// newConsumer makes enrollment one that has never heard of any event, while the
// broker believes that it has had them all: what it learns then comes from the
// outbox that course keeps. It fails when a copy stays as it was made.
func (s *school) newConsumer(t *testing.T) {
	courses := s.courses(t, 30, nil)
	r := s.reader(t, courses)
	titles := s.renaming(t, courses, 3, nil)
	await(t, 30*time.Second, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	conn, err := pgx.Connect(t.Context(), s.setting(t, "enrollment", "LMS_DATABASE_URL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "begin; set local lms.tenant = '*'; "+forgetSQL+"; commit")
	require.NoError(t, err)
	require.Equal(t, len(courses), wrong(s.copies(t, r), titles), "it has forgotten all")
	began := time.Now()
	await(t, 2*healing, "history is fetched", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	took := time.Since(began)
	replayed := s.Lms(t, "replay", "enrollment", "course-copy")
	var n int
	_, err = fmt.Sscanf(replayed, "%d events", &n)
	require.NoError(t, err, "%s", replayed)
	kept := len(s.events(t, "course.events"))
	measured(t, "13 a new consumer gets all history", "0 of 30 copies wrong; a replay reads every kept event", wrong(s.copies(t, r), titles) == 0 && n == kept,
		"from the producer's outbox in %s; replay of %d of %d kept events", took.Round(time.Second), n, kept)
}
