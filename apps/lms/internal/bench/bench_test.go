//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
)

const (
	rounds  = 3
	measure = 2 * time.Second
	warmup  = 500 * time.Millisecond
)

// report is the table that `make bench` prints.
type report struct {
	t    *testing.T
	rows [][]string
}

func (r *report) add(what, figure, bound string) {
	r.rows = append(r.rows, []string{what, figure, bound})
	r.t.Logf("%s: %s (%s)", what, figure, bound)
}

func (r *report) print() {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%d cores, %s/%s, %s\n\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tFIGURE\tAIM")
	for _, row := range r.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	fmt.Println(b.String())
}

func TestBench(t *testing.T) {
	s := system.Start(t)
	w := e2e.NewWorld(t, s)
	r := &report{t: t}
	defer r.print()
	memoryAndStart(t, s, r)
	b := prepare(t, w)
	b.invocation(t, r)
	b.reads(t, r)
	b.writes(t, r)
	b.events(t, r)
}

func memoryAndStart(t *testing.T, s *system.System, r *report) {
	out := s.Lms(t, "status", "--json")
	var st struct {
		ReadyMS int64 `json:"ready_ms"`
		Totals  map[string]struct {
			PSS int64 `json:"pss"`
			RSS int64 `json:"rss"`
		} `json:"totals"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &st))
	r.add("memory idle, proportional set size", fmt.Sprintf("%d MB", st.Totals["all"].PSS>>20), "≤ 300 MB")
	s.Lms(t, "down")
	s.Up(t)
	require.NoError(t, json.Unmarshal([]byte(s.Lms(t, "status", "--json")), &st))
	r.add("warm start to a green /readyz", fmt.Sprintf("%.1f s", float64(st.ReadyMS)/1000), "≤ 6 s")
}

// bed is what the measurements act on.
type bed struct {
	w        *e2e.World
	teacher  e2e.Person
	courses  []e2e.Course
	students []e2e.Person
	open     string // a public course
	direct   string // a gateway that calls the course service without sidecars
	service  string // the course service itself
}

const (
	courseCount  = 24
	studentCount = 64
)

func prepare(t *testing.T, w *e2e.World) *bed {
	t.Helper()
	b := &bed{w: w, teacher: w.Invite(t, "Bench Teacher", w.Org, "instructor")}
	for range courseCount {
		b.courses = append(b.courses, w.Publish(t, b.teacher.API, w.Org, curriculum(), map[string]any{"visibility": "public"}))
	}
	b.open = b.courses[0].ID
	b.students = make([]e2e.Person, studentCount)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range b.students {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			email := fmt.Sprintf("bench.%s@example.test", uuid.NewString()[:12])
			w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/users", map[string]any{
				"email": email, "name": "Bench Student", "org_unit_id": w.Org, "password": e2e.Password, "email_verified": true,
			}, http.StatusCreated)
			b.students[i] = e2e.Person{Email: email, API: w.SignIn(t, email, e2e.Password)}
		})
	}
	wg.Wait()
	b.service = fmt.Sprintf("http://127.0.0.1:%d", w.Process(t, "course", "service").Ports["http"])
	b.direct = b.startDirectGateway(t)
	return b
}

// curriculum is of the size that a real course has: five modules of six items.
func curriculum() map[string]any {
	var modules []any
	for m := range 5 {
		var items []any
		for i := range 6 {
			items = append(items, map[string]any{
				"kind": "page", "title": fmt.Sprintf("Lesson %d.%d", m+1, i+1), "body": "<p>Read it.</p>", "requirement": map[string]any{"kind": "view"},
			})
		}
		modules = append(modules, map[string]any{"title": fmt.Sprintf("Module %d", m+1), "items": items})
	}
	return map[string]any{"modules": modules}
}

// startDirectGateway runs the same gateway binary once more, told that the
// course service is its sidecar: requests go there without any hop between.
func (b *bed) startDirectGateway(t *testing.T) string {
	t.Helper()
	var record struct {
		Control struct {
			SidecarToken string `json:"sidecar_token"`
		} `json:"control"`
	}
	raw, err := os.ReadFile(filepath.Join(b.w.Home, "run", "state.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &record))
	addr := fmt.Sprintf("127.0.0.1:%d", system.FreePort(t))
	cmd := exec.Command(filepath.Join(system.Root(t), ".lms", "bin", "gateway"))
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LMS_LISTEN=" + addr, "LMS_PUBLIC_URL=" + b.w.URL, "LMS_LOG_LEVEL=error",
		"LMS_DAPR_HTTP_ADDRESS=" + b.service[len("http://"):],
		fmt.Sprintf("DAPR_GRPC_PORT=%d", b.w.Process(t, "gateway", "sidecar").Ports["grpc"]),
		"DAPR_API_TOKEN=" + record.Control.SidecarToken, "LMS_OBJECTS_URL=file://" + filepath.Join(b.w.Home, "objects"),
		"LMS_GATEWAY_ADDRESS_RATE=1000000", "LMS_GATEWAY_USER_RATE=1000000",
	}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	url := "http://" + addr
	require.Eventually(t, func() bool {
		ans, err := system.NewAPI(url).As(b.students[0].Token).Try(http.MethodGet, "/api/v1/courses/"+b.open, nil)
		return err == nil && ans.Status == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, "the direct gateway serves")
	return url
}

// run is the median of rounds runs against each target in turn, so that a
// machine that drifts drifts for all.
func run(t *testing.T, connections int, targets []string, request func(base string, c, i int) *http.Request, accept func(int) bool) []load.Result {
	t.Helper()
	all := make([][]load.Result, len(targets))
	for range rounds {
		for k, base := range targets {
			res, err := load.Run(t.Context(), load.Options{
				Connections: connections, Duration: measure, Warmup: warmup, Accept: accept,
				Next: func(c, i int) (*http.Request, error) { return request(base, c, i), nil },
			})
			require.NoError(t, err)
			require.LessOrEqual(t, res.Errors, res.Requests/100, "answers of %s: %v", base, res.Statuses)
			all[k] = append(all[k], res)
		}
	}
	out := make([]load.Result, len(targets))
	for k := range all {
		slices.SortFunc(all[k], func(a, b load.Result) int { return int(a.PerSecond() - b.PerSecond()) })
		out[k] = all[k][rounds/2]
	}
	return out
}

func get(url, token string) *http.Request {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err) // the addresses are our own
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

func post(url, token, body string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		panic(err) // the addresses are our own
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// signIn renews the students' tokens, which live for five minutes.
func (b *bed) signIn(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range b.students {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			b.students[i].API = b.w.SignIn(t, b.students[i].Email, e2e.Password)
		})
	}
	wg.Wait()
}

func (b *bed) invocation(t *testing.T, r *report) {
	targets := []string{b.service, b.direct, b.w.URL}
	for _, conns := range []int{1, 32} {
		for _, c := range []struct {
			name, path, aim string
			status          int
		}{
			{"answer without a database", "/api/v1/courses/x", "≥ 0.25", http.StatusNotFound},
			{"real read (a course)", "/api/v1/courses/" + b.courses[1].ID, "≥ 0.60", http.StatusOK},
		} {
			res := run(t, conns, targets, func(base string, conn, _ int) *http.Request {
				return get(base+c.path, b.students[conn%len(b.students)].Token)
			}, func(status int) bool { return status == c.status })
			aim := ""
			if conns == 32 {
				aim = c.aim + " of the direct gateway"
			}
			r.add(fmt.Sprintf("%s, %d connections: service / direct gateway / sidecars", c.name, conns),
				fmt.Sprintf("%.0f / %.0f / %.0f per s = %.2f of direct; added p50 %s, p99 %s", res[0].PerSecond(), res[1].PerSecond(), res[2].PerSecond(),
					res[2].PerSecond()/res[1].PerSecond(), round(res[2].P50-res[1].P50), round(res[2].P99-res[1].P99)), aim)
		}
	}
	res := run(t, 32, []string{b.direct, b.w.URL}, func(base string, _, _ int) *http.Request { return get(base+"/api/v1/courses/"+b.open, "") }, nil)
	r.add("cached public read, 32 connections", fmt.Sprintf("%.0f per s = %.2f of direct", res[1].PerSecond(), res[1].PerSecond()/res[0].PerSecond()), "≥ 0.90")
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func (b *bed) reads(t *testing.T, r *report) {
	for i := range b.students[:16] {
		for _, c := range b.courses[:8] {
			b.students[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{})
		}
	}
	for _, c := range []struct {
		name string
		path func(conn, i int) string
		aim  string
	}{
		{"single courses", func(_, i int) string { return "/api/v1/courses/" + b.courses[i%courseCount].ID }, "≥ 2,700"},
		{"my enrollments", func(int, int) string { return "/api/v1/enrollments" }, "≥ 1,000"},
		{"curricula", func(_, i int) string { return "/api/v1/courses/" + b.courses[i%courseCount].ID + "/curriculum" }, "≥ 1,200"},
	} {
		res := run(t, 16, []string{b.w.URL}, func(base string, conn, i int) *http.Request {
			return get(base+c.path(conn, i), b.students[conn].Token)
		}, nil)[0]
		r.add(c.name+", 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), c.aim)
	}
}

func (b *bed) writes(t *testing.T, r *report) {
	b.signIn(t)
	const conns = 16
	fresh := b.students[16:]
	per := len(fresh) / conns
	// Each connection owns some students and enrolls each in each course once.
	enroll := func(base string, conn, i int) *http.Request {
		s := fresh[conn*per+i%per]
		c := b.courses[(i/per)%courseCount]
		return post(base+"/api/v1/courses/"+c.ID+"/enrollments", s.Token, "{}")
	}
	res, err := load.Run(t.Context(), load.Options{
		Connections: conns, Duration: measure, Accept: func(s int) bool { return s == http.StatusCreated },
		Next: func(c, i int) (*http.Request, error) { return enroll(b.w.URL, c, i), nil },
	})
	require.NoError(t, err)
	r.add("enrolls, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s (other answers %d)", res.PerSecond(), round(res.P50), round(res.P99), res.Errors), "≥ 600")

	for i := range b.students[:16] {
		for _, c := range b.courses {
			// The first courses were taken for the reads.
			b.students[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated, http.StatusConflict)
		}
	}
	view := func(base string, conn, i int) *http.Request {
		c := b.courses[(i/30)%courseCount]
		it := c.Modules[(i/6)%5].Items[i%6]
		return post(base+"/api/v1/courses/"+c.ID+"/items/"+it.ID+"/view", b.students[conn].Token, "{}")
	}
	res, err = load.Run(t.Context(), load.Options{
		Connections: conns, Duration: measure,
		Next: func(c, i int) (*http.Request, error) { return view(b.w.URL, c, i), nil },
	})
	require.NoError(t, err)
	r.add("progress writes, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s (other answers %d)", res.PerSecond(), round(res.P50), round(res.P99), res.Errors), "≥ 600")
}

// events measures the way from the commit of a course's change to its effect
// in enrollment: steadily, and from a backlog.
func (b *bed) events(t *testing.T, r *report) {
	before := lagHistogram(t, b)
	teacher := b.w.SignIn(t, b.teacher.Email, e2e.Password)
	change := func(n int) {
		var wg sync.WaitGroup
		for k := range 8 {
			wg.Go(func() {
				for i := range n / 8 {
					c := b.courses[(k+8*i)%courseCount]
					if k != (k+8*i)%8 { // one writer per course: no lost versions
						continue
					}
					etag := teacher.Do(t, http.MethodGet, "/api/v1/courses/"+c.ID, nil).Header.Get("ETag")
					_, err := teacher.Try(http.MethodPatch, "/api/v1/courses/"+c.ID, map[string]any{"description": uuid.NewString()}, "If-Match", etag)
					require.NoError(t, err)
				}
			})
		}
		wg.Wait()
	}
	change(1600)
	require.Eventually(t, func() bool { return quietSince(t, b, before) }, time.Minute, 500*time.Millisecond)
	after := lagHistogram(t, b)
	p50, p99 := quantile(before, after, 0.5), quantile(before, after, 0.99)
	r.add("commit to effect (course → enrollment)", fmt.Sprintf("p50 ≤ %s, p99 ≤ %s", p50, p99), "p99 ≤ 100 ms")

	resume := b.w.Pause(t, "enrollment", "service")
	change(3200)
	began := time.Now()
	resume()
	require.Eventually(t, func() bool { return quietSince(t, b, after) }, time.Minute, 50*time.Millisecond)
	n := float64(lagHistogram(t, b).count - after.count)
	r.add("effects from a backlog, in bulk", fmt.Sprintf("%.0f events in %s", n, time.Since(began).Round(10*time.Millisecond)), "≥ 6,000 per s")
}
