//go:build chaos

package chaos_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
)

// upgrade is an installation of an older version that becomes one of this
// version, service by service, while people use it.
type upgrade struct {
	*school
	from  version
	own   string // address of the installation's own gateway
	front *balancer
	load  *traffic

	components string // of the profile, in this version
	variables  map[string]string
	old        map[[2]string]system.Process // by service and kind
	schemas    int                          // databases that were migrated
	unfound    int                          // searches that failed while the index changed hands
}

// TestUpgrade takes a running installation of the version before to this one. Its
// services are replaced in an order of chance: the database is migrated, the new
// program starts beside the old one, both serve, and the old one leaves. It fails
// when a request is answered by a 5xx or not at all, when an acknowledged effect is
// lost or doubled, when an event has not reached one of its consumers, or when a
// program runs on a schema that is not its own.
func TestUpgrade(t *testing.T) {
	from := older(t)
	t.Logf("upgrading from %s, %s", from.commit, from.why)
	from.build(t)
	require.NotEqual(t, sum(t, from.root), sum(t, system.Root(t)), "the programs are of another version")
	u := &upgrade{from: from}
	s := system.NewOf(t, from.root)
	begin(t, s)
	u.own = s.URL
	u.front = newBalancer(t, u.own)
	s.URL = u.front.URL
	u.school = newSchool(t, s)
	u.prepare(t)

	since := time.Now()
	u.load = u.traffic(t)
	t.Cleanup(func() { t.Log(u.load.answers) })
	u.load.start(t)
	u.load.more(t, 300)
	began := time.Now()
	chance := seeded(t)
	all := services(t)
	second := map[string]*replica{}
	var order []string
	for _, i := range chance.Perm(len(all)) {
		at := time.Now()
		second[all[i].Name] = u.replace(t, all[i])
		order = append(order, fmt.Sprintf("%s (%s)", all[i].Name, time.Since(at).Round(100*time.Millisecond)))
	}
	u.load.more(t, 300)
	took := time.Since(began)
	u.load.end()
	t.Logf("replaced: %s", strings.Join(order, ", "))

	// What belongs to no service changes with everything else at rest.
	u.settle(t, second)
	u.judge(t, since, took)
	t.Run("20 reconciliation", u.reconciled)
}

// sum tells the programs of two versions apart.
func sum(t testing.TB, root string) [32]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, ".lms", "bin", "lms"))
	require.NoError(t, err)
	return sha256.Sum256(raw)
}

// prepare notes what the old version runs with. From here on commands are this
// version's, and no old program is started again.
func (u *upgrade) prepare(t *testing.T) {
	t.Helper()
	var dir string
	dir, u.variables = u.Profile(t)
	u.components = filepath.Join(system.Root(t), "components", filepath.Base(dir))
	u.Use(t, system.Root(t))
	u.Programs(t, t.TempDir())
	u.old = map[[2]string]system.Process{}
	for _, p := range u.Status(t).Processes {
		u.old[[2]string{p.Service, p.Kind}] = p
	}
	_, err := installation.Home{Dir: u.Home}.EnsureSecrets() // those that are new in this version
	require.NoError(t, err)
	out, err := git(t, "diff", "--name-status", "--diff-filter=a", u.from.commit, "--", migrationFiles)
	require.NoError(t, err)
	require.Empty(t, out, "a migration that was released is never changed")
}

// plan is how this version's program of a service is started beside the old one.
func (u *upgrade) plan(t testing.TB, svc installation.Service) *installation.Plan {
	t.Helper()
	listen := strings.TrimPrefix(u.own, "http://")
	if svc.Edge {
		listen = fmt.Sprintf("127.0.0.1:%d", system.FreePort(t))
	}
	home := installation.Home{Dir: u.Home, Programs: filepath.Join(system.Root(t), ".lms", "bin")}
	plan, err := installation.NewPlan(home, system.Root(t), services(t), listen, "info")
	require.NoError(t, err)
	plan.Components, plan.Variables = u.components, u.variables
	u.stand(t, plan)
	return plan
}

// replace puts this version's program in the place of the old one: it starts
// beside it, both serve, and the old one leaves.
func (u *upgrade) replace(t *testing.T, svc installation.Service) *replica {
	t.Helper()
	if svc.Database {
		u.migrate(t, svc)
	}
	old := u.address(svc.Name)
	if svc.Index { // its files are one process's: there can be no second one beside it
		before := u.load.answers.failed(searching)
		u.leave(t, svc.Name)
		r := u.beside(t, u.plan(t, svc), svc, "LMS_PUBLIC_URL="+u.own)
		r.awaitReady(t)
		u.load.more(t, 100) // those that were under way have their answers
		u.unfound = u.load.answers.failed(searching) - before
		return r
	}
	r := u.beside(t, u.plan(t, svc), svc, "LMS_PUBLIC_URL="+u.own)
	r.awaitReady(t)
	if svc.Edge {
		u.front.add(t, r.address)
	}
	before := u.served(t, svc, old)
	await(t, 30*time.Second, "old and new "+svc.Name+" serve side by side", func() bool {
		return u.served(t, svc, r.address) >= 20 && u.served(t, svc, old) >= before+20
	})
	if svc.Edge {
		u.front.without(old)
	}
	u.leave(t, svc.Name)
	before = u.served(t, svc, r.address)
	await(t, 30*time.Second, "the new "+svc.Name+" serves alone", func() bool { return u.served(t, svc, r.address) >= before+20 })
	return r
}

// address of an old service.
func (u *upgrade) address(name string) string {
	return fmt.Sprintf("http://127.0.0.1:%d", u.old[[2]string{name, "service"}].Ports["http"])
}

// served is how many requests a service has answered.
func (u *upgrade) served(t testing.TB, svc installation.Service, address string) int {
	t.Helper()
	if svc.Edge {
		return int(u.front.of(address).served.Load())
	}
	return served(t, address)
}

// leave tells an old sidecar to end, and then its service: in this order nobody
// calls a service that is not there.
func (u *upgrade) leave(t testing.TB, name string) {
	t.Helper()
	for _, kind := range []string{"sidecar", "service"} {
		p := u.old[[2]string{name, kind}]
		require.NoError(t, syscall.Kill(p.PID, syscall.SIGTERM))
		await(t, 20*time.Second, "the old "+name+" "+kind+" ends", func() bool { return syscall.Kill(p.PID, 0) != nil })
	}
	log, err := os.ReadFile(installation.Home{Dir: u.Home}.Log(name))
	require.NoError(t, err)
	require.Contains(t, string(log), `"clean":true`, "the old %s ended in order", name)
}

// migrate brings a service's database to this version, while the old program
// serves from it. Before, the new program refuses it; afterwards the old command
// does, and the old program, which serves on, may be started again.
func (u *upgrade) migrate(t *testing.T, svc installation.Service) {
	t.Helper()
	was, is := u.schema(t, svc), latest(t, svc)
	if was == is {
		return
	}
	plan := u.plan(t, svc)
	out, err := ended(plan.Home.Program(svc.Name), plan.Home.Run(), plan.ServiceEnv(svc, u.setting(t, svc.Name, "LMS_DATABASE_URL")))
	require.Error(t, err, "the new %s does not run on the old schema", svc.Name)
	require.Contains(t, out, "run lms migrate")
	require.Equal(t, was, u.schema(t, svc))

	u.Lms(t, "migrate", svc.Name)
	require.Equal(t, is, u.schema(t, svc))
	u.schemas++
	t.Logf("%s: %s, now %s", svc.Name, was, is)
	out, err = ended(filepath.Join(u.from.root, ".lms", "bin", "lms"), u.from.root, append(os.Environ(), "LMS_HOME="+u.Home), "migrate", svc.Name)
	require.Error(t, err, "the old version does not touch the new schema")
	require.Contains(t, out, "the database is newer than this program")
	require.Equal(t, is, u.schema(t, svc))
	if u.schemas == 1 {
		u.startsAgain(t, svc)
	}
}

// startsAgain starts an old program once more, on the schema that is newer than it.
func (u *upgrade) startsAgain(t *testing.T, svc installation.Service) {
	t.Helper()
	listen := fmt.Sprintf("127.0.0.1:%d", system.FreePort(t))
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", u.old[[2]string{svc.Name, "service"}].PID))
	require.NoError(t, err)
	cmd := exec.Command(filepath.Join(u.from.root, ".lms", "bin", svc.Name))
	cmd.Dir = filepath.Join(u.Home, "run")
	cmd.Env = append(strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00"), "LMS_LISTEN="+listen)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	await(t, 30*time.Second, "an old "+svc.Name+" serves on the newer schema", func() bool { return answers("http://" + listen + "/healthz") })
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), "%s", &said)
}

// schema says where a service's database stands.
func (u *upgrade) schema(t testing.TB, svc installation.Service) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), u.setting(t, svc.Name, "LMS_DATABASE_URL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var shared, own int
	require.NoError(t, conn.QueryRow(t.Context(), "select (select max(version_id) from goose_shared), (select max(version_id) from goose_service)").Scan(&shared, &own))
	return standing(shared, own)
}

// latest is where this version wants it.
func latest(t testing.TB, svc installation.Service) string {
	t.Helper()
	newest := func(set string) (n int) {
		files, err := filepath.Glob(filepath.Join(system.Root(t), "migrations", set, "*.sql"))
		require.NoError(t, err)
		for _, file := range files {
			number, _, _ := strings.Cut(filepath.Base(file), "_")
			v, err := strconv.Atoi(number)
			require.NoError(t, err)
			n = max(n, v)
		}
		return n
	}
	return standing(newest("shared"), newest(svc.Name))
}

func standing(shared, own int) string { return fmt.Sprintf("shared %d, own %d", shared, own) }

// ended runs a program to its end, and gives what it said.
func ended(program, dir string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// settle stops what belongs to no service (supervisor, broker, database), and
// starts all of it as this version.
func (u *upgrade) settle(t *testing.T, second map[string]*replica) {
	t.Helper()
	for _, r := range second {
		require.NoError(t, r.sidecar.Process.Signal(syscall.SIGTERM))
		require.NoError(t, r.service.Process.Signal(syscall.SIGTERM))
	}
	for name, r := range second {
		require.NoError(t, r.service.Wait(), "the new %s ends in order", name)
		_ = r.sidecar.Wait() // its exit code is its own affair
	}
	u.Lms(t, "down")
	u.Use(t, system.Root(t))
	u.System.URL = u.own
	u.Up(t)
	u.System.URL = u.front.URL
	u.front.add(t, u.own)
	u.front.without(second[installation.Gateway].address)
	u.again(t)
}

// judge compares what was acknowledged with what is there and what was told.
func (u *upgrade) judge(t *testing.T, since time.Time, took time.Duration) {
	t.Helper()
	u.AwaitReady(t)
	u.quiet(t)
	u.seen(t)
	state, told := u.load.enrollments.read(t, since)
	enrolled := chaos.Judge(u.load.enrolled(), state, told)
	state, told = u.announcements(t, u.load.board)
	announced := chaos.Judge(u.load.notices, state, told)
	gone := u.load.missing()
	t.Log(enrolled)
	t.Log(announced)
	await(t, time.Minute, "every stored number is what it is computed to be", func() bool { _, err := u.TryLms("recompute", "--check"); return err == nil })
	sent, failed := u.load.answers.sums()
	failed -= u.unfound // of the one that cannot run twice
	measured(t, "42 upgrade under load, service by service", "0 failed requests, searches for some seconds apart; 0 lost or doubled, 0 differences",
		failed == 0 && u.unfound < 50 && enrolled.Bad()+announced.Bad()+gone == 0 && enrolled.Acknowledged > 500 && announced.Acknowledged > 100,
		"from %.12s (%s): %d services in %s, %d databases migrated; %d requests, %d failed, and %d searches while the index changed hands; %d enrollments, %d announcements and %d accounts acknowledged: %d lost, %d doubled",
		u.from.commit, u.from.why, len(services(t)), took.Round(time.Second), u.schemas, sent, failed, u.unfound,
		enrolled.Acknowledged, announced.Acknowledged, len(u.load.accounts), len(enrolled.Lost)+len(announced.Lost)+gone, len(enrolled.Doubled)+len(announced.Doubled))
}
