package localpg_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
	"lms/shared/localpg"
)

func start(t *testing.T, o localpg.Options) *localpg.Server {
	t.Helper()
	o.Progress = func(s string) { t.Log(s) }
	s, err := localpg.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.WithoutCancel(t.Context()))) })
	return s
}

// tempDir is a folder that the server's user can reach also when the tests run
// as root: t.TempDir makes its parents for the caller alone.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-test-") //nolint:usetesting // PostgreSQL's user may not enter t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func TestServicesReachTheirOwnRowsOnly(t *testing.T) {
	t.Parallel()
	s := start(t, localpg.Options{DataDir: tempDir(t), TimeZone: "Asia/Ho_Chi_Minh"})
	ctx := t.Context()

	var wg sync.WaitGroup
	for _, service := range []string{"user", "course", "user", "course"} { // at once, as starts do
		wg.Go(func() { require.NoError(t, s.EnsureDatabase(ctx, service)) })
	}
	wg.Wait()
	require.ErrorContains(t, s.EnsureDatabase(ctx, `x"; drop`), "no name")

	owner := connect(t, s.OwnerDSN("user"))
	_, err := owner.Exec(ctx, `create table person (id int primary key, tenant int);
		create sequence numbers; insert into person values (1, 1), (2, 2);
		create function twice(n int) returns int language sql as 'select n * 2';
		alter table person enable row level security;
		create policy p on person using (tenant = current_setting('t.t')::int);
		create extension if not exists btree_gist`)
	require.NoError(t, err)

	service := connect(t, s.ServiceDSN("user"))
	var n, doubled int
	var zone string
	_, err = service.Exec(ctx, `set t.t = '1'; select nextval('numbers')`)
	require.NoError(t, err)
	require.NoError(t, service.QueryRow(ctx, `select count(*), twice(4), current_setting('timezone') from person`).Scan(&n, &doubled, &zone))
	require.Equal(t, 1, n, "row-level security holds for the service")
	require.Equal(t, 8, doubled)
	require.Equal(t, "Asia/Ho_Chi_Minh", zone)
	for _, denied := range []string{
		`create table t (i int)`, `drop table person`, `alter table person disable row level security`,
		`truncate person`, `set role lms_user_owner`, `set session authorization postgres`,
	} {
		_, err := service.Exec(ctx, denied)
		require.Error(t, err, denied)
	}

	for _, dsn := range []string{
		s.DSN("lms_course", "lms_user"), s.DSN("lms_course", "lms_user_owner"), s.DSN("postgres", "lms_user"),
		strings.Replace(s.ServiceDSN("user"), "lms_user:", "lms_user:x", 1),
	} {
		_, err := pgx.Connect(ctx, dsn)
		require.Error(t, err, "no way into another database, and none without the password")
	}
}

func TestSecondStartIsRefusedAndDataStay(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	o := localpg.Options{DataDir: dir, Durable: true}
	first, err := localpg.Start(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, first.EnsureDatabase(t.Context(), "user"))
	_, err = connect(t, first.OwnerDSN("user")).Exec(t.Context(), `create table kept (i int)`)
	require.NoError(t, err)

	_, err = localpg.Start(t.Context(), o)
	require.ErrorContains(t, err, "already runs PostgreSQL")
	attached, err := localpg.Attach(dir)
	require.NoError(t, err)
	require.Equal(t, first.OwnerDSN("user"), attached.OwnerDSN("user"))
	require.Equal(t, first.Identity(), attached.Identity())
	require.NoError(t, attached.Stop(t.Context()))
	require.True(t, first.Identity().Alive(), "who attached does not stop it")
	require.NoError(t, first.Stop(t.Context()))
	_, err = localpg.Attach(dir)
	require.ErrorContains(t, err, "no PostgreSQL runs")

	again := start(t, o)
	_, err = connect(t, again.ServiceDSN("user")).Exec(t.Context(), `select i from kept`)
	require.NoError(t, err)
	for _, name := range []string{"passwords.json"} {
		info, err := os.Stat(filepath.Join(again.Home, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// TestKilledRunIsCleanedUp runs this binary once more as the one that is
// killed; ParentDeath SIGCONT leaves its server behind on purpose.
func TestKilledRunIsCleanedUp(t *testing.T) {
	if dir := os.Getenv("LOCALPG_KILLED"); dir != "" {
		s, err := localpg.Start(t.Context(), localpg.Options{DataDir: dir, Durable: true, ParentDeath: syscall.SIGCONT})
		require.NoError(t, err)
		require.NoError(t, s.EnsureDatabase(t.Context(), "user"))
		_, _ = os.Stdout.WriteString("server " + strconv.Itoa(s.PID) + "\n")
		<-s.Done()
		return
	}
	t.Parallel()
	dir := tempDir(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRunIsCleanedUp$")
	cmd.Env = append(os.Environ(), "LOCALPG_KILLED="+dir)
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 4096)
	n, err := pipe.Read(buf)
	require.NoError(t, err)
	_, after, found := strings.Cut(string(buf[:n]), "server ")
	require.True(t, found, string(buf[:n]))
	pid, err := strconv.Atoi(strings.TrimSpace(after))
	require.NoError(t, err)
	left, err := childproc.Identify(pid)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed on purpose
	require.True(t, left.Alive(), "the server was left behind")

	s := start(t, localpg.Options{DataDir: dir, Durable: true})
	require.False(t, left.Alive(), "and stopped by the next start")
	connect(t, s.ServiceDSN("user"))
}

func TestKilledServerStartsAgainOnItsPort(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	first, err := localpg.Start(t.Context(), localpg.Options{DataDir: dir, Durable: true})
	require.NoError(t, err)
	connect(t, first.DSN("postgres", localpg.Superuser)) // its backend outlives the postmaster for a moment
	require.NoError(t, first.Identity().Signal(syscall.SIGKILL))
	<-first.Done()
	require.NoError(t, first.Stop(t.Context()))

	began := time.Now()
	second := start(t, localpg.Options{DataDir: dir, Durable: true, Port: first.Port})
	require.Equal(t, first.Port, second.Port)
	require.Less(t, time.Since(began), 15*time.Second)
}

func TestUnreachableFolderIsReplaced(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root runs the server as another user; an ordinary user reaches its own folders")
		s := start(t, localpg.Options{DataDir: tempDir(t)})
		require.NotZero(t, s.Port)
		return
	}
	dir := t.TempDir() // mode 0700 on the way
	require.NoError(t, os.Chmod(dir, 0o700))
	dir = filepath.Join(dir, "pg")
	var said []string
	s, err := localpg.Start(t.Context(), localpg.Options{DataDir: dir, Progress: func(m string) { said = append(said, m) }})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
		require.NoError(t, os.RemoveAll(s.Home))
	})
	require.NotContains(t, s.Home, dir)
	require.Contains(t, strings.Join(said, "\n"), "may not enter")
	attached, err := localpg.Attach(dir)
	require.NoError(t, err)
	require.Equal(t, s.Port, attached.Port)

	orphan := localpg.Orphan{Dir: s.Home, Origin: dir}
	require.NotContains(t, localpg.Orphans(), orphan)
	require.NoError(t, os.Remove(filepath.Join(dir, "location")))
	require.Contains(t, localpg.Orphans(), orphan)
}

func TestForeignVersionIsExplained(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cluster"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster", "PG_VERSION"), []byte("99\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "passwords.json"), []byte(`{"roles":{}}`), 0o600))
	_, err := localpg.Start(t.Context(), localpg.Options{DataDir: dir})
	require.ErrorContains(t, err, "apt install postgresql-99")
}

func TestBrokenBinariesFolderIsExplained(t *testing.T) {
	t.Setenv(localpg.BinariesVariable, "/nowhere")
	_, err := localpg.Start(t.Context(), localpg.Options{DataDir: tempDir(t)})
	require.ErrorContains(t, err, "LMS_POSTGRES_BIN=/nowhere: there is no postgres in it")
}
