//go:build chaos

package chaos_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// lanes is how many requests are under way at a time, unless a scenario says
// otherwise.
const lanes = 16

// school is an installation with a faculty and an instructor.
type school struct {
	*e2e.World
	Unit    string
	Teacher e2e.Person
}

// start starts an installation whose access tokens outlive every scenario.
func start(t *testing.T, args ...string) *school {
	t.Helper()
	s := system.New(t)
	begin(t, s, args...)
	return newSchool(t, s)
}

// begin starts an installation with what the scenarios set.
func begin(t *testing.T, s *system.System, args ...string) {
	t.Helper()
	t.Setenv("LMS_AUTH_ACCESS_TTL", "15m")
	t.Setenv("LMS_AUTH_OIDC_ISSUERS", issuer)
	t.Setenv("LMS_NOTIFICATION_WEBHOOK_NETWORKS", "127.0.0.0/8")
	began := time.Now()
	s.Up(t, args...)
	t.Logf("the installation is ready after %s", time.Since(began).Round(100*time.Millisecond))
}

// newSchool makes the faculty and its instructor.
func newSchool(t testing.TB, s *system.System) *school {
	t.Helper()
	w := e2e.NewWorld(t, s)
	unit := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Faults", "parent_id": w.Org}, http.StatusCreated).ID(t)
	return &school{World: w, Unit: unit, Teacher: w.Invite(t, "Ines Structor", unit, "instructor")}
}

// each runs fn for 0 to n-1 in lanes and waits for all.
func each(n, width int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, width) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// tryKeyed repeats a request under one key until it is answered for good.
func tryKeyed(api *system.API, method, path string, body any, header ...string) (ans system.Answer, err error) {
	header = append(header, "Idempotency-Key", uuid.NewString())
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		ans, err = api.Try(method, path, body, header...)
		if err == nil && ans.Status < 500 && ans.Status != http.StatusTooManyRequests && !strings.Contains(string(ans.Body), "idempotency_in_progress") {
			return ans, nil
		}
	}
	return ans, err
}

// must is tryKeyed for preparations: one of several goroutines may call it, so
// that it notes a failure and goes on.
func must(t testing.TB, api *system.API, method, path string, body any, header ...string) map[string]any {
	ans, err := tryKeyed(api, method, path, body, header...)
	if err != nil || ans.Status >= 300 {
		t.Errorf("%s %s: %v %d %s", method, path, err, ans.Status, ans.Body)
		return map[string]any{}
	}
	out := map[string]any{}
	if len(ans.Body) > 0 {
		if err := json.Unmarshal(ans.Body, &out); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return out
}

// people makes accounts that nobody signs in to.
func (s *school) people(t testing.TB, n int) []string {
	t.Helper()
	ids := make([]string, n)
	run := uuid.NewString()[:8]
	each(n, lanes, func(i int) {
		out := must(t, s.Admin, http.MethodPost, "/api/v1/users", map[string]any{
			"email": fmt.Sprintf("p%d.%s@example.test", i, run), "name": fmt.Sprintf("Person %d", i), "org_unit_id": s.Unit,
		})
		ids[i], _ = out["id"].(string)
	})
	require.False(t, t.Failed(), "people are made")
	return ids
}

// courses makes published courses with one page each.
func (s *school) courses(t testing.TB, n int, settings map[string]any) []string {
	t.Helper()
	ids := make([]string, n)
	curriculum := map[string]any{"modules": []any{map[string]any{"title": "One", "items": []any{
		map[string]any{"kind": "page", "title": "Page", "body": "<p>x</p>", "requirement": map[string]any{"kind": "view"}},
	}}}}
	each(n, lanes, func(i int) {
		body := map[string]any{"org_unit_id": s.Unit, "code": "K-" + uuid.NewString()[:12], "title": "Before", "visibility": "organisation", "enrollment_mode": "self"}
		for k, v := range settings {
			body[k] = v
		}
		id, _ := must(t, s.Teacher.API, http.MethodPost, "/api/v1/courses", body)["id"].(string)
		path := "/api/v1/courses/" + id
		cur, err := tryKeyed(s.Teacher.API, http.MethodGet, path+"/curriculum", nil)
		if err != nil || cur.Status != http.StatusOK {
			t.Errorf("GET %s/curriculum: %v %d %s", path, err, cur.Status, cur.Body)
			return
		}
		must(t, s.Teacher.API, http.MethodPut, path+"/curriculum", curriculum, "If-Match", cur.Header.Get("ETag"))
		must(t, s.Teacher.API, http.MethodPost, path+"/publish", map[string]any{})
		ids[i] = id
	})
	require.False(t, t.Failed(), "courses are made")
	return ids
}

// rename gives a course a title with its present version; it repeats until that
// is answered.
func (s *school) rename(t testing.TB, course, title string) {
	path := "/api/v1/courses/" + course
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		cur, err := s.Teacher.Try(http.MethodGet, path, nil)
		if err != nil || cur.Status != http.StatusOK {
			continue
		}
		ans, err := s.Teacher.Try(http.MethodPatch, path, map[string]any{"title": title}, "If-Match", cur.Header.Get("ETag"))
		if err == nil && ans.Status == http.StatusOK {
			return
		}
	}
	t.Errorf("course %s could not be renamed", course)
}

// enrollInAll puts a person into courses, as staff.
func (s *school) enrollInAll(t testing.TB, person string, courses []string) {
	t.Helper()
	each(len(courses), lanes, func(i int) {
		must(t, s.Teacher.API, http.MethodPost, "/api/v1/courses/"+courses[i]+"/enrollments", map[string]any{"user_id": person})
	})
	require.False(t, t.Failed(), "enrolled")
}

// list reads all pages of a list.
func list[T any](t testing.TB, api *system.API, path string) (all []T) {
	t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	cursor := ""
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next_cursor"`
		}
		api.Read(t, path+sep+"limit=200"+cursor).JSON(t, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

// copies are the titles of courses as enrollment knows them, by course: its own
// copy, made from course's events.
func (s *school) copies(t testing.TB, person e2e.Person) map[string]string {
	t.Helper()
	type line struct {
		Course struct {
			ID    string `json:"id"`
			Title string `json:"title"`
		} `json:"course"`
	}
	out := map[string]string{}
	for _, l := range list[line](t, person.API, "/api/v1/enrollments?include=course") {
		out[l.Course.ID] = l.Course.Title
	}
	return out
}

// wrong counts the courses whose copy does not have the title it should.
func wrong(copies, titles map[string]string) (n int) {
	for id, title := range titles {
		if copies[id] != title {
			n++
		}
	}
	return n
}

// event is one line of `lms events --json`.
type event struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Seq     string          `json:"seq"`
	Stream  string          `json:"stream"`
	StreamN string          `json:"streamn"`
	Data    json.RawMessage `json:"data"`

	raw json.RawMessage
}

// events reads a topic from the producer's kept outbox.
func (s *school) events(t testing.TB, topic string, args ...string) (all []event) {
	t.Helper()
	out := s.Lms(t, append([]string{"events", topic, "--json"}, args...)...)
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		e.raw = json.RawMessage(strings.Clone(lines.Text()))
		all = append(all, e)
	}
	require.NoError(t, lines.Err())
	return all
}

// await waits for a condition about the system and returns how long it took. The
// condition runs in the test's own goroutine: it may require.
func await(t testing.TB, limit time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			require.Fail(t, "waited in vain", "%s: not within %s", what, limit)
		}
		<-time.After(50 * time.Millisecond)
	}
	return time.Since(began)
}

// again signs administrator and instructor in anew: a long run outlives their
// tokens.
func (s *school) again(t testing.TB) {
	t.Helper()
	s.World = e2e.NewWorld(t, s.System)
	s.Teacher.API = s.SignIn(t, s.Teacher.Email, e2e.Password)
}

// quiet waits until no service has anything left to publish or to call.
func (s *school) quiet(t testing.TB) time.Duration {
	t.Helper()
	return await(t, 90*time.Second, "outboxes run empty", func() bool {
		var all map[string]struct {
			Unpublished  int `json:"unpublished"`
			PendingCalls int `json:"pending_calls"`
			Parked       []struct {
				Name string `json:"name"`
				Last string `json:"last_error"`
			} `json:"parked"`
		}
		out, err := s.TryLms("outbox", "--json")
		if err != nil || json.Unmarshal([]byte(out), &all) != nil {
			return false
		}
		for service, o := range all {
			if len(o.Parked) > 0 {
				t.Errorf("%s has parked calls: %v", service, o.Parked)
			}
			if o.Unpublished > 0 || o.PendingCalls > 0 {
				return false
			}
		}
		return true
	})
}
