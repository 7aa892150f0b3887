package edge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/page"
)

type job struct {
	ID        uuid.UUID `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Service   string    `json:"service,omitempty"`
}

// keeper serves a list of jobs per service as the kit does: newest first, by a
// cursor of time and id.
func keeper(jobs map[string][]job) func(string, http.ResponseWriter, *http.Request) {
	return func(app string, w http.ResponseWriter, r *http.Request) {
		if app == "auth" {
			problem(w, 404, "not_found")
			return
		}
		var before time.Time
		var id uuid.UUID
		seen, err := page.Decode(r.URL.Query().Get("cursor"), &before, &id)
		if err != nil {
			problem(w, 400, "bad_cursor")
			return
		}
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		if limit == 0 {
			limit = 50
		}
		var rows []job
		for _, j := range jobs[app] {
			if !seen || j.CreatedAt.Before(before) || j.CreatedAt.Equal(before) && j.ID.String() < id.String() {
				rows = append(rows, j)
			}
		}
		p := page.Cut(rows, limit, func(j job) string { return page.Encode(j.CreatedAt, j.ID) })
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"items": p.Items, "next_cursor": p.NextCursor})
	}
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:lms:problem:%s","status":%d,"code":%q,"title":"x","request_id":"y"}`, code, status, code)
}

func TestJobsOfAllServicesAreOneList(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, p := w.user(t)
	jobs := map[string][]job{}
	var all []job
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 23 {
		s := []string{"user", "course", "enrollment"}[i*7%3]
		if i%4 != 0 { // some at the same moment
			at = at.Add(time.Duration(i) * 123457 * time.Microsecond)
		}
		j := job{ID: uuid.New(), CreatedAt: at}
		jobs[s] = append(jobs[s], j)
		j.Service = s
		all = append(all, j)
	}
	newest := func(js []job) {
		sort.Slice(js, func(a, b int) bool {
			return js[a].CreatedAt.After(js[b].CreatedAt) || js[a].CreatedAt.Equal(js[b].CreatedAt) && js[a].ID.String() > js[b].ID.String()
		})
	}
	newest(all)
	for _, js := range jobs {
		newest(js)
	}
	w.sidecar.answers(keeper(jobs))
	for _, limit := range []int{1, 2, 5, 22, 23, 50} {
		var got []job
		cursor := ""
		for {
			var body struct {
				Items      []job  `json:"items"`
				NextCursor string `json:"next_cursor"`
			}
			c.GET(fmt.Sprintf("/api/v1/jobs?limit=%d&cursor=%s", limit, cursor)).Expect(200).JSON(&body)
			require.LessOrEqual(t, len(body.Items), limit)
			got = append(got, body.Items...)
			if cursor = body.NextCursor; cursor == "" {
				break
			}
			require.Less(t, len(got), 40, "the pages come to an end")
		}
		require.Equal(t, all, got, "limit %d: every job once, in order", limit)
	}
	require.Equal(t, "Bearer "+w.tokens.For(p)[:10], w.sidecar.last(t).header.Get("Authorization")[:17], "asked as the caller")
	c.GET("/api/v1/jobs?cursor=nonsense").Expect(400).Code("bad_cursor")
	c.GET("/api/v1/jobs?limit=0").Expect(422)
	w.GET("/api/v1/jobs").Expect(401)
	c.POST("/api/v1/jobs", `{}`).Expect(405)
}

// The audit trails of all services can be read from either end.
func TestAMergedListFromTheOldestOn(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sort") != "at" {
			problem(rw, 422, "validation_failed")
			return
		}
		hours := map[string][]int{"user": {1, 4}, "course": {2, 3}}[app]
		items := []map[string]any{}
		for _, h := range hours {
			items = append(items, map[string]any{"id": uuid.New(), "at": at.Add(time.Duration(h) * time.Hour)})
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"items": items})
	})
	var body struct {
		Items []struct {
			At time.Time
		}
		NextCursor string `json:"next_cursor"`
	}
	c.GET("/api/v1/audit?limit=3&sort=at").Expect(200).JSON(&body)
	require.Len(t, body.Items, 3)
	for i, item := range body.Items {
		require.Equal(t, i+1, item.At.Hour())
	}
	var last time.Time
	var id uuid.UUID
	seen, err := page.Decode(body.NextCursor, &last, &id)
	require.NoError(t, err)
	require.True(t, seen)
	require.Equal(t, 3, last.Hour())
}

func TestAMergedListNamesWhoIsMissing(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		if app == "course" {
			problem(rw, 503, "database_unavailable")
			return
		}
		keeper(map[string][]job{"user": {{ID: uuid.New(), CreatedAt: time.Now()}}})(app, rw, r)
	})
	var body struct {
		Items       []job    `json:"items"`
		Unavailable []string `json:"unavailable"`
	}
	c.GET("/api/v1/jobs").Expect(200).JSON(&body)
	require.Len(t, body.Items, 1)
	require.Equal(t, []string{"course"}, body.Unavailable)
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) { problem(rw, 503, "x") })
	c.GET("/api/v1/jobs").Expect(503)
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) { problem(rw, 403, "forbidden") })
	c.GET("/api/v1/audit").Expect(403)
}

func TestJobsAndAuditOfOneService(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	id := uuid.NewString()
	for path, want := range map[string]string{
		"/api/v1/jobs/course/" + id:             "course",
		"/api/v1/jobs/course/" + id + "/result": "course",
		"/api/v1/jobs/user/" + id + "/rows":     "user",
		"/api/v1/jobs/enrollment":               "enrollment",
		"/api/v1/audit/user":                    "user",
	} {
		c.GET(path + "?a=b").Expect(200)
		got := w.sidecar.last(t)
		require.Equal(t, want, got.app)
		require.Equal(t, path, got.path)
		require.Equal(t, "a=b", got.query)
	}
	c.POST("/api/v1/jobs/course/"+id+"/cancel", nil).Expect(200)
	require.Equal(t, "/api/v1/jobs/course/"+id+"/cancel", w.sidecar.last(t).path)
	c.GET("/api/v1/jobs/nobody/" + id).Expect(404)
	c.GET("/api/v1/jobs/gateway/" + id).Expect(404)
	c.GET("/api/v1/jobs/payment/" + id).Expect(503)
}

func TestReadyNamesWhatIsDown(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	var mu sync.Mutex
	down := map[string]bool{}
	set := func(apps ...string) {
		mu.Lock()
		defer mu.Unlock()
		down = map[string]bool{}
		for _, a := range apps {
			down[a] = true
		}
	}
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/readyz" || down[app] {
			problem(rw, 503, "database_unavailable")
			return
		}
		_, _ = io.WriteString(rw, "ok")
	})
	var got edge.Readiness
	w.GET("/readyz").Expect(200).JSON(&got)
	require.Equal(t, map[string]string{"user": "ok", "auth": "ok", "course": "ok", "enrollment": "ok", "sessions": "ok"}, got.Checks)
	set("course", "auth")
	w.GET("/readyz").Expect(200)
	now.Advance(time.Second)
	for range 5 {
		res := w.Do("GET", "/readyz", nil)
		require.Equal(t, 503, res.Status)
		res.JSON(&got)
		require.Equal(t, []string{"auth", "course"}, got.Down)
		require.Equal(t, "database_unavailable", got.Checks["course"])
		require.Equal(t, "ok", got.Checks["user"])
	}
	require.LessOrEqual(t, w.sidecar.calls(), 4+4*3, "asked once a second, whoever asks us")
	set()
	w.sidecar.setBroken(errors.New("secret address"))
	now.Advance(time.Second)
	res := w.Do("GET", "/readyz", nil).JSON(&got)
	require.Equal(t, []string{"sessions"}, got.Down)
	require.NotContains(t, string(res.Body), "secret")
}

func TestTheDocumentIsOneOfAll(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	schema := func(extra string) string {
		return `{"Shared":{"type":"object"},"Item":{"type":"object","properties":{"` + extra + `":{"type":"string"}}},"Holder":{"$ref":"#/components/schemas/Item"}}`
	}
	var mu sync.Mutex
	missing := "course"
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/internal/openapi.json" || app == missing {
			problem(rw, 503, "x")
			return
		}
		_, _ = fmt.Fprintf(rw, `{"openapi":"3.1.0","paths":{
			"/api/v1/%[1]s":{"get":{"operationId":"list","responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Holder"}}}}}}},
			"/api/v1/jobs/%[1]s":{"get":{"operationId":"list-jobs-%[1]s"}},"/api/v1/jobs/%[1]s/{id}":{"get":{"operationId":"get-job-%[1]s"}},"/api/v1/audit/%[1]s":{"get":{"operationId":"list-audit-%[1]s"}}},
			"components":{"schemas":%[2]s,"responses":{"Problem":{"description":"An error"}}}}`, app, schema(app))
	})
	res := w.GET("/openapi.json").Expect(503).Code("openapi_incomplete")
	require.Equal(t, []any{"course"}, res.Problem().All["services"])
	mu.Lock()
	missing = ""
	mu.Unlock()
	now.Advance(2 * time.Second)
	var doc map[string]any
	res = w.GET("/openapi.json").Expect(200).JSON(&doc)
	raw := string(res.Body)
	paths, ok := doc["paths"].(map[string]any)
	require.True(t, ok)
	for _, p := range []string{"/api/v1/user", "/api/v1/auth", "/api/v1/course", "/api/v1/enrollment", "/api/v1/jobs", "/api/v1/jobs/{service}", "/api/v1/jobs/{service}/{id}", "/api/v1/audit", "/api/v1/audit/{service}"} {
		require.Contains(t, paths, p)
	}
	require.NotContains(t, paths, "/api/v1/jobs/course/{id}")
	for _, s := range []string{"AuthItem", "CourseHolder", "EnrollmentItem", `"Shared"`, "#/components/schemas/CourseHolder", "#/components/schemas/CourseItem"} {
		require.Contains(t, raw, s)
	}
	require.NotContains(t, raw, "CourseShared", "what is the same is there once")
	for _, id := range []string{`"list"`, `"auth-list"`, `"course-list"`, `"get-job"`, `"list-jobs"`, `"list-jobs-of-all-services"`, `"list-audit"`} {
		require.Equal(t, 1, strings.Count(raw, `"operationId":`+id), id)
	}
	calls := w.sidecar.calls()
	w.With("If-None-Match", res.ETag()).GET("/openapi.json").Expect(304)
	require.Equal(t, calls, w.sidecar.calls())
	mu.Lock()
	missing = "user"
	mu.Unlock()
	now.Advance(time.Minute)
	require.Equal(t, raw, string(w.GET("/openapi.json").Expect(200).Body), "who is away keeps what it told before")
}

func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	w := start(t)
	res := w.GET("/docs").Expect(200)
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "script-src 'self';")
	require.NotContains(t, string(res.Body), "http:")
	require.NotContains(t, string(res.Body), "https:")
	for file, kind := range map[string]string{"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "start.js": "text/javascript", "LICENSE": "text/plain"} {
		require.Contains(t, string(res.Body)+" LICENSE", file)
		plain := w.GET("/docs/" + file).Expect(200)
		require.True(t, strings.HasPrefix(plain.Header.Get("Content-Type"), kind))
		require.NotEmpty(t, plain.Body)
		zip := w.With("Accept-Encoding", "gzip").GET("/docs/" + file).Expect(200)
		require.Equal(t, strconv.Itoa(len(zip.Body)), zip.Header.Get("Content-Length"))
	}
	require.Equal(t, 404, w.GET("/docs/nothing.js").Status)
	require.Equal(t, "/docs", w.GET("/").Expect(302).Header.Get("Location"))
}
