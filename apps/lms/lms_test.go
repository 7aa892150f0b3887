package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
	"lms/shared/freeport"
)

// The tests run the real program with PostgreSQL, the broker and two small
// services in a source tree of their own. Sidecars have their own tests.
const toyService = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Addr: os.Getenv("LMS_LISTEN")}
	http.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	http.HandleFunc("/die", func(w http.ResponseWriter, r *http.Request) { os.Exit(7) })
	go srv.ListenAndServe()
	fmt.Println("serving")
	<-ctx.Done()
	srv.Shutdown(context.Background())
	fmt.Println("drained")
}
`

// program is the built command, once for all tests.
var program string //nolint:gochecknoglobals // set by TestMain alone

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lms-program-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "lms")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

type toy struct {
	t         *testing.T
	dir, home string
	listen    string
}

func newToy(t *testing.T) *toy {
	t.Helper()
	dir, err := os.MkdirTemp("", "lms-toy-") //nolint:usetesting // PostgreSQL's user may not enter t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711)) // PostgreSQL's user passes through
	port, err := freeport.One()
	require.NoError(t, err)
	y := &toy{t: t, dir: dir, home: filepath.Join(dir, ".lms"), listen: freeport.Address(port)}
	y.write("go.mod", "module lms\n\ngo 1.26\n")
	y.write("apps/user/main.go", toyService)
	y.write("apps/gateway/main.go", toyService)
	t.Cleanup(func() {
		y.run("down")
		require.NoError(t, os.RemoveAll(dir))
	})
	return y
}

func (y *toy) write(name, text string) {
	y.t.Helper()
	file := filepath.Join(y.dir, name)
	require.NoError(y.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(y.t, os.WriteFile(file, []byte(text), 0o600))
}

type result struct {
	code        int
	out, errOut string
}

func (y *toy) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = y.dir
	cmd.Env = append(os.Environ(), "LMS_HOME=", "SECRET_OF_THE_CALLER=1", "LMS_USER_COLOUR=red")
	return cmd
}

func (y *toy) run(args ...string) result {
	y.t.Helper()
	var out, errOut bytes.Buffer
	cmd := y.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(y.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func (y *toy) up() {
	y.t.Helper()
	r := y.run("up", "--detach", "--no-sidecars", "--listen", y.listen)
	require.Equal(y.t, 0, r.code, r.errOut)
	require.Regexp(y.t, `^LMS is ready at http://`+y.listen+` after [0-9.]+ s \(process [0-9]+; lms down stops it\)\n$`, r.out)
}

type status struct {
	Phase      string
	Supervisor struct{ PID int }
	Processes  []struct {
		Name, Service, Kind, State string
		PID, Restarts, Crashes     int
		Ready                      *bool
		Ports                      map[string]int
		RSS, PSS                   int64
	}
	Totals map[string]struct {
		Processes int
		RSS       int64
	}
}

func (y *toy) status() status {
	y.t.Helper()
	r := y.run("status", "--json")
	require.Equal(y.t, 0, r.code, r.errOut)
	var s status
	require.NoError(y.t, json.Unmarshal([]byte(r.out), &s))
	return s
}

// identities of all processes of a status, the supervisor last.
func (y *toy) identities(s status) []childproc.Identity {
	y.t.Helper()
	var ids []childproc.Identity
	for _, p := range s.Processes {
		id, err := childproc.Identify(p.PID)
		require.NoError(y.t, err, p.Name)
		ids = append(ids, id)
	}
	id, err := childproc.Identify(s.Supervisor.PID)
	require.NoError(y.t, err)
	return append(ids, id)
}

func (y *toy) get(path string) string {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(y.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+y.listen+path, nil)
	require.NoError(y.t, err)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(y.t, err)
	return string(body)
}

func TestUpStatusRestartDown(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	require.Equal(t, 3, y.run("status").code, "nothing runs yet")
	y.up()
	s := y.status()
	require.Equal(t, "ready", s.Phase)
	require.Len(t, s.Processes, 4)
	require.Equal(t, 5, s.Totals["all"].Processes)
	pids := map[string]int{}
	for _, p := range s.Processes {
		pids[p.Name] = p.PID
		require.Equal(t, "running", p.State)
		require.Positive(t, p.RSS, p.Name)
		if p.Kind == "service" {
			require.True(t, *p.Ready)
		}
	}
	ids := y.identities(s)

	env := y.get("/env")
	require.Contains(t, env, "LMS_OBJECTS_URL=file://"+y.home+"/objects")
	require.NotContains(t, env, "SECRET_OF_THE_CALLER", "nothing is inherited")
	require.NotContains(t, env, "LMS_USER_COLOUR", "settings of another service neither")
	require.NotContains(t, env, "LMS_DATABASE_URL", "the gateway has no database")

	for _, args := range [][]string{{"up", "--no-sidecars"}, {"up", "--detach", "--no-sidecars"}} {
		r := y.run(args...)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.errOut, "runs already as process "+strconv.Itoa(s.Supervisor.PID))
		require.Empty(t, r.out)
	}

	for _, name := range []string{"user", "postgres", "broker"} {
		r := y.run("restart", name)
		require.Equal(t, 0, r.code, r.errOut)
		require.Contains(t, r.out, name+" serves again as process ")
	}
	require.Equal(t, 1, y.run("restart", "nobody").code)
	after := y.status()
	for _, p := range after.Processes {
		if p.Name == "gateway" {
			require.Equal(t, pids[p.Name], p.PID)
			continue
		}
		require.NotEqual(t, pids[p.Name], p.PID, p.Name)
		require.Equal(t, 1, p.Restarts)
		require.Zero(t, p.Crashes)
	}

	require.Equal(t, 0, y.run("migrate", "--json").code)
	require.Contains(t, y.run("logs", "user").out, "serving")
	require.Equal(t, 2, y.run("logs", "nobody").code)
	ids = append(ids, y.identities(after)...)
	r := y.run("down")
	require.Equal(t, 0, r.code, r.errOut)
	for _, id := range ids {
		require.False(t, id.Alive(), "nothing is left behind")
	}
	require.Contains(t, y.run("logs", "gateway").out, "drained")
	require.Equal(t, 0, y.run("down").code, "a second time is no failure")
}

func TestCrashedProcessesComeBack(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	y.up()
	before := y.status()
	for _, p := range before.Processes {
		require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
	}
	require.Eventually(t, func() bool {
		now := y.status()
		for i, p := range now.Processes {
			if p.PID == 0 || p.PID == before.Processes[i].PID || p.State != "running" || (p.Ready != nil && !*p.Ready) || p.Crashes != 1 {
				return false
			}
		}
		return true
	}, 30*time.Second, 100*time.Millisecond)
	for i, p := range y.status().Processes {
		require.Equal(t, before.Processes[i].Ports, p.Ports, "with the same ports")
	}
	log, err := os.ReadFile(filepath.Join(y.home, "logs", "lms.log"))
	require.NoError(t, err)
	require.Equal(t, 4, strings.Count(string(log), "ended by itself"), "a crash is one line: %s", log)
}

func TestKilledSupervisorLeavesNothingToTheNextStart(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	y.up()
	s := y.status()
	ids := y.identities(s)
	require.NoError(t, syscall.Kill(s.Supervisor.PID, syscall.SIGKILL))
	y.up()
	for _, id := range ids {
		require.False(t, id.Alive())
	}
	now := y.status()
	require.Len(t, now.Processes, 4)

	// The kernel ends what a killed supervisor leaves; down forgets the rest.
	ids = y.identities(now)
	require.NoError(t, syscall.Kill(now.Supervisor.PID, syscall.SIGKILL))
	require.Equal(t, 0, y.run("down").code)
	for _, id := range ids {
		require.False(t, id.Alive())
	}
	require.Equal(t, 3, y.run("status").code)
}

func TestForegroundFollowsLogsAndStopsOnSignal(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	cmd := y.command("up", "--no-sidecars", "--listen", y.listen, "--only", "gateway")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 1024)
	n, err := out.Read(line)
	require.NoError(t, err)
	require.Contains(t, string(line[:n]), "LMS is ready at http://"+y.listen)
	ids := y.identities(y.status())

	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), errOut.String())
	require.Empty(t, rest, "one line of result")
	require.Regexp(t, `(?m)^gateway +\| serving$`, errOut.String())
	require.Regexp(t, `(?m)^gateway +\| drained$`, errOut.String())
	require.NotRegexp(t, `(?m)^user +\|`, errOut.String())
	for _, id := range ids {
		require.False(t, id.Alive())
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"command": {[]string{"nonsense"}, 2, `there is no command "nonsense"`},
		"flag":    {[]string{"status", "--nonsense"}, 2, "unknown flag"},
		"listen":  {[]string{"up", "--no-sidecars", "--listen", "here"}, 1, "is not host:port"},
		"root":    {[]string{"--root", "/", "up"}, 1, "is not in the source tree"},
		"unbuilt": {[]string{"up", "--no-sidecars", "--no-build", "--listen", y.listen}, 1, "was not built"},
		"migrate": {[]string{"migrate", "gateway"}, 2, `"gateway" has no database`},
		"follow":  {[]string{"up", "--only", "nobody"}, 2, `no process "nobody"`},
	} {
		r := y.run(c.args...)
		require.Equal(t, c.code, r.code, name)
		require.Contains(t, r.errOut, c.says, name)
		require.Empty(t, r.out, name)
	}

	y.write("apps/user/main.go", "package main\n\nfunc main() { undefined() }\n")
	r := y.run("up", "--no-sidecars", "--listen", y.listen)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errOut, "undefined: undefined")

	y.write("apps/user/main.go", "package main\n\nfunc main() { println(\"no such thing\") }\n")
	r = y.run("up", "--no-sidecars", "--listen", y.listen)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errOut, "user does not stay up")
	require.Contains(t, r.errOut, "no such thing", "its last words are shown")

	doctor := y.run("doctor", "--json", "--listen", y.listen)
	require.Equal(t, 1, doctor.code, "this tree has no sidecar")
	require.Contains(t, doctor.out, `"check": "PostgreSQL"`)
}

func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	y := newToy(t)
	help := y.run("--help")
	require.Equal(t, 0, help.code)
	for _, name := range []string{"up", "down", "status", "logs", "restart", "doctor", "migrate", "version", "broker"} {
		r := y.run(name, "--help")
		require.Equal(t, 0, r.code)
		require.Contains(t, r.out, "Examples:\n  lms "+name)
		require.Equal(t, name != "broker", strings.Contains(help.out, "\n  "+name+" "), "broker is hidden")
	}
	require.Contains(t, y.run("version", "--json").out, `"schemas"`)
}
