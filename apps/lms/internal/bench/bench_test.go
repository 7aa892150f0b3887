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
	r := &report{t: t}
	defer r.print()
	memory(t, r)
	s := system.Start(t)
	t.Run("start", func(t *testing.T) { start(t, s, r) })
	b := prepare(t, e2e.NewWorld(t, s))
	// One that fails leaves the others their rows.
	t.Run("invocation", func(t *testing.T) { b.invocation(t, r) })
	t.Run("reads", func(t *testing.T) { b.reads(t, r) })
	t.Run("gradebook", func(t *testing.T) { b.gradebook(t, r) }) // before there are mails to send
	t.Run("writes", func(t *testing.T) { b.writes(t, r) })
	t.Run("events", func(t *testing.T) { b.events(t, r) })
	t.Run("analytics", func(t *testing.T) { b.analytics(t, r) })
	t.Run("rest", func(t *testing.T) { r.idle(t, s, "memory idle again after all that", "") })
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
	courseCount  = 160
	readCourses  = 24
	studentCount = 64
	readers      = 16 // the students that read and learn; the others enroll
)

func prepare(t *testing.T, w *e2e.World) *bed {
	t.Helper()
	b := &bed{w: w, teacher: w.Invite(t, "Bench Teacher", w.Org, "instructor"), courses: make([]e2e.Course, courseCount)}
	for i := range b.courses {
		b.courses[i] = w.Publish(t, b.teacher.API, w.Org, curriculum(), map[string]any{"visibility": "public"})
	}
	b.open = b.courses[0].ID
	b.students = make([]e2e.Person, studentCount)
	fourAtATime(len(b.students), func(i int) {
		email := fmt.Sprintf("bench.%s@example.test", uuid.NewString()[:12])
		w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/users", map[string]any{
			"email": email, "name": "Bench Student", "org_unit_id": w.Org, "password": e2e.Password, "email_verified": true,
		}, http.StatusCreated)
		b.students[i] = e2e.Person{Email: email}
	})
	b.signIn(t)
	b.service = fmt.Sprintf("http://127.0.0.1:%d", w.Process(t, "course", "service").Ports["http"])
	b.direct = b.startDirectGateway(t)
	return b
}

func fourAtATime(n int, fn func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			fn(i)
		})
	}
	wg.Wait()
}

// signIn renews the tokens, which live for five minutes.
func (b *bed) signIn(t *testing.T) {
	t.Helper()
	b.teacher.API = b.w.SignIn(t, b.teacher.Email, e2e.Password)
	fourAtATime(len(b.students), func(i int) { b.students[i].API = b.w.SignIn(t, b.students[i].Email, e2e.Password) })
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
		"PATH=" + os.Getenv("PATH"), "LMS_LISTEN=" + addr, "LMS_PUBLIC_URL=" + b.w.URL,
		"LMS_DAPR_HTTP_ADDRESS=" + b.service[len("http://"):],
		fmt.Sprintf("DAPR_GRPC_PORT=%d", b.w.Process(t, "gateway", "sidecar").Ports["grpc"]),
		"DAPR_API_TOKEN=" + record.Control.SidecarToken, "LMS_OBJECTS_URL=file://" + filepath.Join(b.w.Home, "objects"),
		"LMS_GATEWAY_ADDRESS_RATE=1000000", "LMS_GATEWAY_USER_RATE=1000000", "GOMEMLIMIT=160MiB", "GODEBUG=memprofilerate=0",
	}
	// It logs what the other one logs.
	log, err := os.Create(filepath.Join(b.w.Home, "logs", "direct-gateway.log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	cmd.Stdout, cmd.Stderr = log, os.Stderr
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

func (b *bed) invocation(t *testing.T, r *report) {
	targets := []string{b.service, b.direct, b.w.URL}
	b.signIn(t)
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
	b.signIn(t)
	fourAtATime(readers, func(i int) {
		for _, c := range b.courses[:8] {
			b.students[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{})
		}
	})
	for _, c := range []struct {
		name string
		path func(i int) string
		aim  string
	}{
		{"single courses", func(i int) string { return "/api/v1/courses/" + b.courses[i%readCourses].ID }, "≥ 2,700"},
		{"my enrollments", func(int) string { return "/api/v1/enrollments" }, "≥ 1,000"},
		{"curricula", func(i int) string { return "/api/v1/courses/" + b.courses[i%readCourses].ID + "/curriculum" }, "≥ 1,200"},
	} {
		res := run(t, readers, []string{b.w.URL}, func(base string, conn, i int) *http.Request {
			return get(base+c.path(i), b.students[conn].Token)
		}, nil)[0]
		r.add(c.name+", 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), c.aim)
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
