//go:build chaos

package chaos_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// TestSwitchedProfile stops an installation whose broker has taken nothing for a
// while, and starts it on other products. It fails when anything that was committed
// is lost, when who was mailed hours before is mailed again, or when it is not said
// what does not travel.
func TestSwitchedProfile(t *testing.T) {
	s := start(t)
	people, renamed := s.people(t, 100), s.courses(t, 30, nil)
	told := s.newcomers(t, 3, renamed[0])
	await(t, time.Minute, "who enrolled is mailed", func() bool { return s.mailed(t, told) == len(told) })
	s.Lms(t, "clock", "advance", "2h")
	s.again(t)
	r := s.reader(t, renamed)
	s.quiet(t)
	since := time.Now()
	s.Pause(t, "broker", "broker") // to its end
	untold := s.newcomers(t, 3, renamed[0])
	l, finished := s.load(t, people, 10)
	titles := s.renaming(t, renamed, 3, nil)
	finished()
	behind := wrong(s.copies(t, r), titles)
	require.Equal(t, len(renamed), behind, "no copy is new: what made them so has not been delivered")
	require.Zero(t, s.mailed(t, untold), "nor has what mails them")

	s.Lms(t, "down")
	s.Up(t, "--profile", "redis", "--timeout", "3m")
	said, err := os.ReadFile(filepath.Join(s.Home, "logs", "lms.log"))
	require.NoError(t, err)
	for _, line := range []string{"profile redis over the data of embedded", "undelivered messages do not travel", "lms outbox drain", "sessions do not travel", "of which the last hour is mailed"} {
		require.Contains(t, string(said), line)
	}
	s.again(t)
	r.API = s.SignIn(t, r.Email, e2e.Password)
	began := time.Now()
	s.quiet(t)
	await(t, 2*time.Minute, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	s.seen(t)
	await(t, 2*time.Minute, "who had not been told is mailed", func() bool { return s.mailed(t, untold) >= len(untold) })
	caught := time.Since(began)
	v := l.judge(t, since)
	t.Log(v)
	measured(t, "profile switched over undelivered data", "0 lost, all copies right", v.Bad() == 0 && v.Acknowledged == len(l.keys),
		"%d acknowledged while the old broker took nothing: %d lost, %d doubled; %d of %d copies old at the switch, 0 after %s",
		v.Acknowledged, len(v.Lost), len(v.Doubled), behind, len(renamed), caught.Round(100*time.Millisecond))
	again, fresh := s.mailed(t, told)-len(told), s.mailed(t, untold)
	measured(t, "profile switched: mail", "0 lost, 0 sent again", again == 0 && fresh == len(untold),
		"of %d that were mailed two hours before the switch %d are mailed again; of %d that were not yet told %d are mailed", len(told), again, len(untold), fresh)
	t.Run("reconciliation", s.reconciled)
}

// newcomers are people with a proved address who enroll in a course.
func (s *school) newcomers(t testing.TB, n int, course string) []e2e.Person {
	t.Helper()
	out := make([]e2e.Person, n)
	for i := range out {
		out[i] = s.Register(t, "Stu Dent")
		out[i].DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{}, http.StatusCreated)
	}
	return out
}

// mailed counts the mails to people that are not about their accounts.
func (s *school) mailed(t testing.TB, people []e2e.Person) (n int) {
	t.Helper()
	for _, p := range people {
		n += len(s.MailsTo(t, p.Email))
	}
	return n
}

// TestReloadedComponents rewrites components of running sidecars, which load them
// anew, while commands go on. It fails when an acknowledged one is lost, or a copy
// does not come right.
func TestReloadedComponents(t *testing.T) {
	root := ownComponents(t)
	s := start(t, "--root", root)
	people, renamed := s.people(t, 200), s.courses(t, 30, nil)
	r := s.reader(t, renamed)
	s.quiet(t)
	since := time.Now()
	l, finished := s.load(t, people, 10)
	before := s.brokerConnections(t, "course")
	require.NotEmpty(t, before)
	reloads := 0
	titles := s.renaming(t, renamed, 6, func(round int) {
		for name, setting := range map[string]string{
			"events-course.yaml": "backOffDuration", "events-enrollment.yaml": "backOffDuration", "cache.yaml": "busyTimeout", "state.yaml": "busyTimeout",
		} {
			change(t, filepath.Join(root, "components", "embedded", name), setting, round)
			reloads++
		}
	})
	finished()
	s.AwaitReady(t)
	s.quiet(t)
	took := await(t, 2*time.Minute, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	s.seen(t)
	after := s.brokerConnections(t, "course")
	maps.DeleteFunc(after, func(socket string, _ bool) bool { return before[socket] })
	require.NotEmpty(t, after, "who loads a component anew connects anew")
	v := l.judge(t, since)
	t.Log(v)
	measured(t, "18 components reloaded under load", "0 lost, all copies right", v.Bad() == 0,
		"%d reloads of 4 components in all that load them during %d enrollments and %d new titles: %d acknowledged, %d without answer, %d refused: %d lost, %d doubled; the copies right after %s",
		reloads, len(l.keys), 6*len(renamed), v.Acknowledged, v.Unanswered, len(l.keys)-v.Acknowledged-v.Unanswered, len(v.Lost), len(v.Doubled), took.Round(100*time.Millisecond))
}

// brokerConnections are the sockets by which a service's sidecar speaks to the broker.
func (s *school) brokerConnections(t testing.TB, service string) map[string]bool {
	t.Helper()
	port := fmt.Sprintf(":%04X", s.Broker(t).Ports["kafka"])
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	to := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[2], port) {
			to["socket:["+f[9]+"]"] = true
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", s.Running(t, service, "sidecar").PID)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	open := map[string]bool{}
	for _, f := range files {
		if target, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && to[target] {
			open[target] = true
		}
	}
	return open
}

// ownComponents is a source tree whose components may be changed: all else is the
// repository's own.
func ownComponents(t testing.TB) string {
	t.Helper()
	from, to := system.Root(t), t.TempDir()
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		if name := e.Name(); name != "components" && !strings.HasPrefix(name, ".") {
			require.NoError(t, os.Symlink(filepath.Join(from, name), filepath.Join(to, name)))
		}
	}
	require.NoError(t, os.CopyFS(filepath.Join(to, "components"), os.DirFS(filepath.Join(from, "components"))))
	return to
}

// change gives a setting of a component another value, and its old one the next time.
func change(t testing.TB, file, setting string, round int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	head, tail, found := strings.Cut(string(raw), "- name: "+setting+"\n      value: ")
	require.True(t, found, file)
	value, rest, found := strings.Cut(tail, "\n")
	require.True(t, found, file)
	value = strings.TrimSuffix(value, "s")
	if round%2 == 0 {
		value += "001m"
	} else {
		value = strings.TrimSuffix(value, "001m")
	}
	require.NoError(t, os.WriteFile(file, []byte(head+"- name: "+setting+"\n      value: "+value+"s\n"+rest), 0o600))
}
