//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/system"
)

// traffic is what people do all the while: enroll, announce, make accounts, and
// read something of every service.
type traffic struct {
	*school
	enrollments *enrollments
	next        atomic.Int64 // enrollment
	board       string       // the course that is announced in
	notices     []chaos.Command
	accounts    []string // acknowledged
	reads       []string
	answers     *tallied

	stop  chan struct{}
	lanes sync.WaitGroup
}

// think is how long a person waits from one answer to the next request.
const think = 40 * time.Millisecond

// searching is what traffic asks of search.
const searching = "read search?q=Before"

// traffic prepares it: enrollments for some minutes.
func (s *school) traffic(t *testing.T) *traffic {
	t.Helper()
	courses := s.courses(t, 41, nil)
	l := &traffic{school: s, board: courses[40], answers: &tallied{of: map[string]*kept{}}, stop: make(chan struct{})}
	l.enrollments = &enrollments{school: s, courses: courses[:40], people: s.people(t, 400)}
	l.enrollments.keys = make([]string, len(courses[:40])*len(l.enrollments.people))
	l.enrollments.history = make([]chaos.Command, len(l.enrollments.keys))
	for i := range l.enrollments.keys {
		l.enrollments.keys[i] = uuid.NewString()
	}
	l.reads = []string{
		"/api/v1/me", "/api/v1/auth/sessions", "/api/v1/courses/" + l.board, "/api/v1/courses/" + courses[0] + "/enrollments?limit=5",
		"/api/v1/contents?limit=5", "/api/v1/courses/" + l.board + "/assignments", "/api/v1/notifications?limit=5",
		"/api/v1/plans?limit=5", "/api/v1/" + strings.TrimPrefix(searching, "read "), "/api/v1/reports",
	}
	s.quiet(t)
	for _, path := range l.reads {
		s.Admin.Do(t, http.MethodGet, path, nil, http.StatusOK)
	}
	return l
}

// start begins. Commands carry no key unless a person's would.
func (l *traffic) start(t *testing.T) {
	t.Helper()
	for range 4 {
		l.lane(func(int) {
			i := int(l.next.Add(1)) - 1
			if i >= len(l.enrollments.keys) {
				return // judge sees that there were enough
			}
			l.enrollments.once(i)
			c := l.enrollments.history[i]
			l.answers.note("enroll", c.Outcome == chaos.Acknowledged, c.Detail)
		})
	}
	l.lane(func(i int) {
		title := fmt.Sprintf("Notice %d", i)
		ans, err := l.Teacher.Try(http.MethodPost, "/api/v1/courses/"+l.board+"/announcements", map[string]any{"title": title, "body": "<p>x</p>"})
		c := chaos.Command{Key: title}
		if made, id := created(ans, err); made {
			c.Outcome, c.ID = chaos.Acknowledged, id
		}
		l.answers.told("announce", ans, err, http.StatusCreated)
		l.notices = append(l.notices, c) // by this lane alone
	})
	l.lane(func(i int) {
		ans, err := l.Admin.Try(http.MethodPost, "/api/v1/users", map[string]any{
			"email": fmt.Sprintf("u%d.%s@example.test", i, l.board[:8]), "name": "Up Grade", "org_unit_id": l.Unit,
		})
		if made, id := created(ans, err); made {
			l.accounts = append(l.accounts, id) // by this lane alone
		}
		l.answers.told("make an account", ans, err, http.StatusCreated)
	})
	for lane := range 4 {
		l.lane(func(i int) {
			path := l.reads[(i+lane*3)%len(l.reads)]
			ans, err := l.Admin.Try(http.MethodGet, path, nil)
			l.answers.told("read "+strings.TrimPrefix(path, "/api/v1/"), ans, err, http.StatusOK)
		})
	}
}

// lane repeats something until the end.
func (l *traffic) lane(do func(i int)) {
	l.lanes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-time.After(think):
				do(i)
			}
		}
	})
}

// more waits for n more answers.
func (l *traffic) more(t testing.TB, n int) {
	t.Helper()
	before, _ := l.answers.sums()
	await(t, time.Minute, "the load goes on", func() bool { now, _ := l.answers.sums(); return now >= before+n })
}

func (l *traffic) end() {
	close(l.stop)
	l.lanes.Wait()
}

// enrolled are the enrollments that were asked for.
func (l *traffic) enrolled() []chaos.Command {
	return l.enrollments.history[:min(int(l.next.Load()), len(l.enrollments.history))]
}

// missing counts the acknowledged accounts that are not there.
func (l *traffic) missing() int {
	var n atomic.Int64
	each(len(l.accounts), lanes, func(i int) {
		if ans, err := l.Admin.Try(http.MethodGet, "/api/v1/users/"+l.accounts[i], nil); err != nil || ans.Status != http.StatusOK {
			n.Add(1)
		}
	})
	return int(n.Load())
}

func created(ans system.Answer, err error) (bool, string) {
	var made struct{ ID string }
	ok := err == nil && ans.Status == http.StatusCreated && json.Unmarshal(ans.Body, &made) == nil
	return ok, made.ID
}

// tallied counts answers by what was asked.
type tallied struct {
	mu sync.Mutex
	of map[string]*kept
}

type kept struct {
	sent, failed int
	first        []string // failures, with their moments
}

func (a *tallied) told(what string, ans system.Answer, err error, want int) {
	a.note(what, err == nil && ans.Status == want, fmt.Sprintf("%v %d %.300s", err, ans.Status, ans.Body))
}

func (a *tallied) note(what string, ok bool, said string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.of[what]
	if k == nil {
		k = &kept{}
		a.of[what] = k
	}
	k.sent++
	if ok {
		return
	}
	if k.failed++; len(k.first) < 3 {
		k.first = append(k.first, time.Now().Format("15:04:05.000")+" "+said)
	}
}

// failed is how often something was not answered as it should be.
func (a *tallied) failed(what string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.of[what]; k != nil {
		return k.failed
	}
	return 0
}

func (a *tallied) sums() (sent, failed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.of {
		sent, failed = sent+k.sent, failed+k.failed
	}
	return sent, failed
}

func (a *tallied) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(a.of)) {
		k := a.of[what]
		fmt.Fprintf(&b, "\n%6d sent, %d failed: %s", k.sent, k.failed, what)
		for _, f := range k.first {
			fmt.Fprintf(&b, "\n         %s", f)
		}
	}
	return b.String()
}
