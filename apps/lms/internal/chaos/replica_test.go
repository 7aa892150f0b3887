//go:build chaos

package chaos_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
)

// replica is a second one of a service that runs already: on the same database,
// with a sidecar of its own under the same app id.
type replica struct {
	service, sidecar *exec.Cmd
	address          string // of the service
	sidecarReady     string
}

// replica starts one of the same programs, while everything serves: nobody starts
// its sidecar again if that meets a database that has just been killed.
func (s *school) replica(t testing.TB, name string) *replica {
	t.Helper()
	s.AwaitReady(t)
	all := services(t)
	svc := all[slices.IndexFunc(all, func(s installation.Service) bool { return s.Name == name })]
	plan, err := installation.NewPlan(installation.Home{Dir: s.Home}, system.Root(t), []installation.Service{svc}, strings.TrimPrefix(s.URL, "http://"), "info")
	require.NoError(t, err)
	s.join(t, plan)
	r := s.beside(t, plan, svc, "LMS_DRAIN_DELAY=5s") // as the chart has it
	r.awaitReady(t)
	return r
}

// beside starts a service and its sidecar by a plan of its own, with further
// settings for the service.
func (s *school) beside(t testing.TB, plan *installation.Plan, svc installation.Service, settings ...string) *replica {
	t.Helper()
	home, database := plan.Home, ""
	if svc.Database {
		database = s.setting(t, svc.Name, "LMS_DATABASE_URL")
	}
	run := func(log, program string, env []string, args ...string) *exec.Cmd {
		cmd := exec.Command(home.Program(program), args...)
		cmd.Dir, cmd.Env = home.Run(), env
		out, err := os.Create(home.Log(log))
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = out, out
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait(); _ = out.Close() }) // it has mostly ended before
		return cmd
	}
	return &replica{
		service: run(svc.Name+"-second", svc.Name, append(plan.ServiceEnv(svc, database), settings...)),
		sidecar: run(svc.Name+"-second-sidecar", "daprd", plan.SidecarEnv(svc), plan.SidecarArgs(svc)...),
		address: "http://" + plan.AppAddress(svc), sidecarReady: plan.SidecarProbeURL(svc),
	}
}

// awaitReady waits until a replica serves, and others find it.
func (r *replica) awaitReady(t testing.TB) {
	t.Helper()
	for _, url := range []string{r.sidecarReady, r.address + "/readyz"} {
		await(t, time.Minute, "the second replica is ready", func() bool { return answers(url) })
	}
}

// answers says whether a probe is answered by a success.
func answers(url string) bool {
	res, err := http.Get(url)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode < 300
}

// served is how many requests of the public API a service has answered since it
// started, as it counts itself.
func served(t testing.TB, address string) (n int) {
	t.Helper()
	res, err := http.Get(address + "/metrics")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "lms_http_request_seconds_count{")
		if !ok || !strings.Contains(rest, `route="/api/`) {
			continue
		}
		count, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
		require.NoError(t, err)
		n += int(count)
	}
	require.NoError(t, lines.Err())
	return n
}

// leavingReplica ends one of two replicas of course by SIGTERM, first the
// sidecar and the service at once, as a cluster does, while courses are read
// and announcements made. It fails when a request is answered by a 5xx or not at
// all, or when an announcement is there twice.
func (s *school) leavingReplica(t *testing.T) {
	course := s.courses(t, 1, nil)[0]
	path := "/api/v1/courses/" + course
	r := s.replica(t, "course")
	var sent, failed, before, made atomic.Int64
	stop := make(chan struct{})
	var first sync.Once
	var lanesDone sync.WaitGroup
	for lane := range 8 {
		lanesDone.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var ans system.Answer
				var err error
				if lane%4 == 0 {
					ans, err = s.Teacher.Try(http.MethodPost, path+"/announcements", map[string]any{"title": uuid.NewString(), "body": "<p>x</p>"})
					if err == nil && ans.Status == http.StatusCreated {
						made.Add(1)
					}
				} else {
					ans, err = s.Teacher.Try(http.MethodGet, path, nil)
				}
				sent.Add(1)
				if err != nil || ans.Status >= 500 {
					failed.Add(1)
					first.Do(func() { t.Logf("the first failure: %v %d %s", err, ans.Status, ans.Body) })
				}
			}
		})
	}
	await(t, time.Minute, "both replicas are under load", func() bool { return sent.Load() > 2000 && served(t, r.address) > 500 })
	its := served(t, r.address)
	before.Store(sent.Load())
	require.NoError(t, r.sidecar.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.service.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.service.Wait(), "it stops in order")
	_ = r.sidecar.Wait() // its exit code is its own affair
	gone := sent.Load()
	await(t, time.Minute, "the load goes on without it", func() bool { return sent.Load() > gone+2000 })
	close(stop)
	lanesDone.Wait()
	listed := map[string]int{}
	for _, a := range list[struct{ Title string }](t, s.Teacher.API, path+"/announcements") {
		listed[a.Title]++
	}
	twice := 0
	for _, n := range listed {
		if n > 1 {
			twice++
		}
	}
	measured(t, "17 SIGTERM of one of two replicas under load", "0 failed requests, 0 double effects", failed.Load() == 0 && twice == 0 && int64(len(listed)) == made.Load(),
		"%d requests, %d of them after the signal and %d before it by the replica that left: %d failed; %d announcements made, %d listed, %d twice",
		sent.Load(), sent.Load()-before.Load(), its, failed.Load(), made.Load(), len(listed), twice)
}
