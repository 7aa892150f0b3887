//go:build chaos && matrix

package chaos_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/inbox"
)

// history is a generated load of commands through the gateway with those who
// watch its effects: enrollments, which notification tells the learners of (a
// fact each), and new titles of courses, which enrollment copies (a state each).
type history struct {
	*enrollments
	renamed   []string          // courses that get new titles
	titles    map[string]string // the last acknowledged one of each
	titlesMu  sync.Mutex
	witnesses []e2e.Person // learners who can be asked what they were told
	reader    e2e.Person   // who sees enrollment's copies
	renames   int
	done      atomic.Int64 // commands answered, of either kind
	door      sync.RWMutex // held by who signs everybody in anew
	since     time.Time

	effects *pgxpool.Pool // of the probe
	probes  []*probe
	lagMu   sync.Mutex
	lag     []time.Duration
	timed   atomic.Int64 // since when lag is measured, Unix nanoseconds; 0: it is not
	slow    atomic.Int64 // nanoseconds that the probe takes for each batch
}

const (
	historyCourses   = 10
	historyWitnesses = 5
	renameShare      = 5 // one command in so many is a new title
)

// history prepares n commands. Nothing of it is counted.
func (s *school) history(t testing.TB, n int) *history {
	t.Helper()
	h := &history{titles: map[string]string{}, renames: n / renameShare, since: time.Now()}
	people := s.people(t, (n-h.renames)/historyCourses-historyWitnesses)
	for i := range historyWitnesses {
		w := s.Invite(t, fmt.Sprintf("Wit Ness%d", i), s.Unit)
		h.witnesses = append(h.witnesses, w)
		people = append(people, w.ID)
	}
	h.enrollments = &enrollments{school: s, courses: s.courses(t, historyCourses, nil), people: people}
	h.keys = make([]string, historyCourses*len(people))
	h.enrollments.history = make([]chaos.Command, len(h.keys))
	for i := range h.keys {
		h.keys[i] = uuid.NewString()
	}
	// In an order of chance: witnesses are not the last ones.
	rand.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	h.renamed = s.courses(t, 20, nil)
	h.reader = s.reader(t, h.renamed)
	h.effects = probeDB(t)
	h.join(t)
	s.quiet(t)
	return h
}

// join adds a replica of the probe.
func (h *history) join(t testing.TB) {
	t.Helper()
	h.probes = append(h.probes, h.school.probe(t, h.effects, h.watch))
}

func (h *history) watch(handler string, batch []inbox.Event) {
	if d := time.Duration(h.slow.Load()); d > 0 {
		<-time.After(d)
	}
	since := h.timed.Load()
	if handler != "facts" || since == 0 {
		return
	}
	now := time.Now()
	h.lagMu.Lock()
	defer h.lagMu.Unlock()
	for _, e := range batch {
		// Where a queue begins with its consumer, what was before it is fetched by its
		// number, meanwhile: it is of no command of this history.
		if e.Time.UnixNano() >= since {
			h.lag = append(h.lag, now.Sub(e.Time))
		}
	}
}

// run sends the commands from to to, as shares of the whole, and returns when all
// are answered. Each course gets its titles from one lane, so that the last one
// acknowledged is known.
func (h *history) run(t testing.TB, from, to float64) {
	t.Helper()
	part := func(n int) (int, int) { return int(from * float64(n)), int(to * float64(n)) }
	var wg sync.WaitGroup
	wg.Go(func() {
		first, last := part(len(h.keys))
		each(last-first, lanes-4, func(i int) {
			h.ask(first + i)
			h.done.Add(1)
		})
	})
	wg.Go(func() {
		first, last := part(h.renames)
		each(len(h.renamed), 4, func(c int) {
			for i := first; i < last; i++ {
				if i%len(h.renamed) != c {
					continue
				}
				h.retitle(t, h.renamed[c], fmt.Sprintf("Title %d", i))
				h.done.Add(1)
			}
		})
	})
	wg.Wait()
}

// ask sends one enrollment. Whose session went with a killed cache has no answer
// yet: the same is asked again when everybody has signed in anew.
func (h *history) ask(i int) {
	h.door.RLock()
	defer h.door.RUnlock()
	h.once(i)
	if c := &h.enrollments.history[i]; c.Outcome == chaos.Refused && strings.HasPrefix(c.Detail, "401 ") {
		c.Outcome = chaos.Unanswered
	}
}

// retitle gives a course a title that is remembered once it is acknowledged.
func (h *history) retitle(t testing.TB, course, title string) {
	path := "/api/v1/courses/" + course
	done := func() bool {
		h.door.RLock()
		defer h.door.RUnlock()
		cur, err := h.Teacher.Try(http.MethodGet, path, nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		ans, err := h.Teacher.Try(http.MethodPatch, path, map[string]any{"title": title}, "If-Match", cur.Header.Get("ETag"))
		return err == nil && ans.Status == http.StatusOK
	}
	for end := time.Now().Add(2 * time.Minute); !done(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("course %s could not be renamed", course)
			return
		}
	}
	h.titlesMu.Lock()
	defer h.titlesMu.Unlock()
	h.titles[course] = title
}

// fault is one thing that is broken while commands are sent.
type fault struct {
	name string
	do   func(t testing.TB)
}

// faults are all that the matrix breaks, each once; with or without second replicas.
func (h *history) faults(t testing.TB, b *bystander, pause time.Duration, replicas bool) (all []fault) {
	t.Helper()
	s := h.school
	kill := func(service, kind string) {
		all = append(all, fault{"kill " + service + " " + kind, func(t testing.TB) { s.Kill(t, service, kind) }})
	}
	for _, name := range serviceNames(t) {
		kill(name, string(supervisor.KindService))
		kill(name, string(supervisor.KindSidecar))
	}
	kill(s.Broker(t).Service, string(supervisor.KindBroker))
	for _, p := range s.Status(t).Processes {
		switch {
		case p.Service == "redis-cache":
			// It keeps nothing, so that everybody has to sign in anew.
			all = append(all, fault{"kill " + p.Service, func(t testing.TB) { s.Kill(t, p.Service, p.Kind); h.signOn(t) }})
		case p.Kind == string(supervisor.KindStore) || p.Kind == string(supervisor.KindDatabase):
			kill(p.Service, p.Kind)
		}
	}
	still := func(service, kind string) {
		all = append(all, fault{"pause " + service + " " + kind, func(t testing.TB) {
			resume := s.Pause(t, service, kind)
			<-time.After(pause)
			resume()
		}})
	}
	still("enrollment", "service")
	still("notification", "service")
	still("enrollment", "sidecar")
	all = append(all,
		fault{"kill the bystander's sidecar", b.restart},
		fault{"a slow consumer", func(testing.TB) {
			h.slow.Store(int64(200 * time.Millisecond))
			b.slowly(200 * time.Millisecond)
			<-time.After(pause)
			h.slow.Store(0)
			b.slowly(0)
		}},
	)
	if replicas {
		all = append(all,
			fault{"a second probe joins", h.join},
			fault{"a second enrollment joins and dies", func(t testing.TB) { s.replica(t, "enrollment").die(t) }},
			fault{"a second notification joins and dies", func(t testing.TB) { s.replica(t, "notification").die(t) }},
			fault{"the first probe leaves", func(t testing.TB) { h.probes[0].end(t) }},
		)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	// The first probe may only leave when there is a second one.
	joins := slices.IndexFunc(all, func(f fault) bool { return f.name == "a second probe joins" })
	leaves := slices.IndexFunc(all, func(f fault) bool { return f.name == "the first probe leaves" })
	if leaves >= 0 && leaves < joins {
		all[leaves], all[joins] = all[joins], all[leaves]
	}
	return all
}

// die takes a replica away like a machine that fails, once it had its share.
func (r *replica) die(t testing.TB) {
	t.Helper()
	<-time.After(2 * time.Second)
	require.NoError(t, r.sidecar.Process.Signal(syscall.SIGKILL))
	require.NoError(t, r.service.Process.Signal(syscall.SIGKILL))
	_, _ = r.service.Wait(), r.sidecar.Wait() // both were killed
}

// underFaults sends the rest of the commands and breaks one thing after another.
func (h *history) underFaults(t testing.TB, all []fault, from float64) {
	t.Helper()
	finished := make(chan struct{})
	before := h.done.Load()
	left := int64(float64(len(h.keys)+h.renames) * (1 - from))
	go func() {
		defer close(finished)
		h.run(t, from, 1)
	}()
	for i, f := range all {
		due := before + left*int64(2*i+1)/int64(2*len(all)+1)
		await(t, 3*time.Minute, "the load goes on to "+f.name, func() bool { return h.done.Load() >= due })
		f.do(t)
	}
	<-finished
	h.AwaitReady(t)
	h.settle(t)
	// Who got no answer asks again with the same key, until there is one.
	await(t, 2*time.Minute, "all are answered", func() bool {
		var open atomic.Int64
		each(len(h.enrollments.history), lanes, func(i int) {
			if h.enrollments.history[i].Outcome != chaos.Unanswered {
				return
			}
			if h.ask(i); h.enrollments.history[i].Outcome == chaos.Unanswered {
				open.Add(1)
			}
		})
		return open.Load() == 0
	})
	h.settle(t)
}

// settle waits until nothing waits to be published or called.
func (h *history) settle(t testing.TB) { h.quiet(t) }

// wrongs are the effects that are not as they should be.
type wrongs struct {
	lost, doubled, stale int
	what                 []string
}

func (w wrongs) sum() int { return w.lost + w.doubled + w.stale }

func (w *wrongs) note(lost, doubled, stale int, format string, args ...any) {
	w.lost, w.doubled, w.stale = w.lost+lost, w.doubled+doubled, w.stale+stale
	if lost+doubled+stale > 0 {
		w.what = append(w.what, fmt.Sprintf(format, args...))
	}
}

// check compares every effect with what the acknowledged commands alone say.
func (h *history) check(t testing.TB) (w wrongs, v chaos.Verdict) {
	t.Helper()
	v = h.judge(t, h.since)
	w.note(len(v.Lost)+len(v.Halfway)+len(v.Refusals), len(v.Doubled)+len(v.Foreign), 0, "enrollments: %s", v)
	stale := wrong(h.copies(t, h.reader), h.titles)
	w.note(0, 0, stale, "%d copies of courses have not their last title", stale)
	lost, doubled := h.told(t)
	w.note(lost, doubled, 0, "in-app messages: %d missing, %d twice", lost, doubled)
	c := h.tally(t, h.effects)
	w.note(c.missing, c.twice+c.foreign, c.behind+c.disorder, "probe: %s", c)
	return w, v
}

// told asks the witnesses: one message for each course that they were enrolled in.
func (h *history) told(t testing.TB) (missing, twice int) {
	t.Helper()
	type line struct {
		Kind string `json:"kind"`
		Data json.RawMessage
	}
	for _, p := range h.witnesses {
		want := 0
		for _, c := range h.enrollments.history {
			if c.Outcome == chaos.Acknowledged && c.Key[len(c.Key)-len(p.ID):] == p.ID {
				want++
			}
		}
		have := 0
		for _, l := range list[line](t, p.API, "/api/v1/notifications") {
			if l.Kind == "enrollment.activated" {
				have++
			}
		}
		missing += max(want-have, 0)
		twice += max(have-want, 0)
	}
	return missing, twice
}

// committed are the ids of all events of all producers since the history began.
func (h *history) committed(t testing.TB, since time.Time) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	b := h.openBooks(t)
	for service := range b {
		maps.Copy(ids, keysOf(b.read(t, service, fmt.Sprintf("select id::text, '' from outbox where created_at >= '%s'", since.UTC().Format(time.RFC3339Nano)))))
	}
	return ids
}

func keysOf(m map[string]string) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

// outage takes the broker away for a while, during which every course gets a new
// title, and returns how long everything took afterwards.
func (h *history) outage(t testing.TB, length time.Duration) (drain time.Duration) {
	t.Helper()
	p := h.Broker(t)
	resume := h.Pause(t, p.Service, p.Kind)
	still := time.Now()
	each(len(h.renamed), 4, func(c int) {
		h.retitle(t, h.renamed[c], fmt.Sprintf("During the outage %d", c))
	})
	<-time.After(time.Until(still.Add(length)))
	resume()
	began := time.Now()
	h.settle(t)
	await(t, 3*time.Minute, "the copies are right", func() bool { return wrong(h.copies(t, h.reader), h.titles) == 0 })
	return time.Since(began)
}

// signOn signs everybody in anew, while no command is under way.
func (h *history) signOn(t testing.TB) {
	t.Helper()
	h.AwaitReady(t)
	h.door.Lock()
	defer h.door.Unlock()
	h.again(t)
	h.reader.API = h.SignIn(t, h.reader.Email, e2e.Password)
	for i, w := range h.witnesses {
		h.witnesses[i].API = h.SignIn(t, w.Email, e2e.Password)
	}
	require.Equal(t, http.StatusOK, h.reader.Do(t, http.MethodGet, "/api/v1/me", nil).Status)
}
