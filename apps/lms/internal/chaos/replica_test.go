//go:build chaos

package chaos_test

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
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

// replica is a second one of a service that runs already: the same program on
// the same database, with a sidecar of its own under the same app id.
type replica struct{ service, sidecar *exec.Cmd }

func (s *school) replica(t testing.TB, name string) *replica {
	t.Helper()
	home := installation.Home{Dir: s.Home}
	all := services(t)
	svc := all[slices.IndexFunc(all, func(s installation.Service) bool { return s.Name == name })]
	database := ""
	if svc.Database {
		database = s.setting(t, name, "LMS_DATABASE_URL")
	}
	plan, err := installation.NewPlan(home, system.Root(t), []installation.Service{svc}, strings.TrimPrefix(s.URL, "http://"), "info")
	require.NoError(t, err)
	s.join(t, plan)
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
	r := &replica{
		service: run(name+"-second", name, plan.ServiceEnv(svc, database)),
		sidecar: run(name+"-second-sidecar", "daprd", plan.SidecarEnv(svc), plan.SidecarArgs(svc)...),
	}
	ready := plan.ProbeURL(svc)
	await(t, time.Minute, "the second replica is ready", func() bool {
		res, err := http.Get(ready)
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK
	})
	return r
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
	await(t, time.Minute, "both replicas are under load", func() bool { return sent.Load() > 2000 })
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
		"%d requests, %d of them after the signal: %d failed; %d announcements made, %d listed, %d twice", sent.Load(), sent.Load()-before.Load(), failed.Load(), made.Load(), len(listed), twice)
}
