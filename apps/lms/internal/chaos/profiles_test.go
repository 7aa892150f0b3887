//go:build chaos && matrix

package chaos_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/supervisor"
	"lms/apps/lms/internal/system"
)

// extent is how much is done per profile.
type extent struct {
	commands int
	pause    time.Duration // of a consumer
	outage   time.Duration // of the broker
	short    bool
}

// ground is a profile that the matrix runs on.
type ground struct {
	name string
	// folder is the --profile where it is none of components/.
	folder string
	// without says why no second replica of a service joins; "" where one does.
	without string
	// small: it is sent as much as in the short matrix, always.
	small bool
}

// grounds are the profiles of components/, and one that nobody has prepared: what an
// operator makes who copies a folder and follows components/README.md. It is shipped
// to nobody, since a broker on which two replicas throw each other out is no broker
// to recommend.
func grounds() []ground {
	return []ground{
		{name: "embedded"},
		{name: "kafka"},
		{name: "redis"},
		{name: "rabbitmq"},
		{name: "nats"},
		{
			name: "mqtt", folder: "./apps/lms/internal/chaos/testdata/mqtt", small: true,
			without: "without second replicas, whose client ids would be the same",
		},
	}
}

// calm is the share of a history that is sent before anything is broken.
const calm = 0.3

// TestMatrix runs the same programs on every profile: the functional suite, and a
// generated history of commands during which everything is broken once. It fails
// when an effect is lost, doubled or stale anywhere. LMS_TEST_MATRIX=short sends
// a tenth; LMS_TEST_PROFILES names profiles by commas.
func TestMatrix(t *testing.T) {
	m := extent{commands: 10_000, pause: 10 * time.Second, outage: time.Minute}
	little := extent{commands: 1_000, pause: 3 * time.Second, outage: 10 * time.Second, short: true}
	if os.Getenv("LMS_TEST_MATRIX") == "short" {
		m = little
	}
	profiles := grounds()
	if named := os.Getenv("LMS_TEST_PROFILES"); named != "" {
		profiles = slices.DeleteFunc(profiles, func(g ground) bool { return !slices.Contains(strings.Split(named, ","), g.name) })
		require.Len(t, profiles, len(strings.Split(named, ",")), "LMS_TEST_PROFILES names profiles of the matrix")
	}
	began := time.Now()
	programs := sums(t)
	var runs []chaos.Run
	for _, profile := range profiles {
		t.Run(profile.name, func(t *testing.T) {
			much := m
			if profile.small {
				much = little
			}
			run := much.run(t, profile)
			runs = append(runs, run)
			require.Equal(t, programs, sums(t), "the same programs")
			measured(t, profile.name, "0 effects lost, 0 doubled, 0 stale, the whole suite", run.Holds(), "%d, %d, %d, %d of %d", run.Lost, run.Doubled, run.Stale, run.Suite, run.Suites)
		})
	}
	table := chaos.Table(runs)
	fmt.Printf("\n%s\nprograms: lms %.12s, daprd %.12s; %s\n", table, programs["lms"], programs["daprd"], time.Since(began).Round(time.Second))
	if !m.short && len(runs) == len(grounds()) && !t.Failed() {
		write(t, table, programs, m, time.Since(began))
	}
}

// sums are the checksums of the programs that every profile runs.
func sums(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"lms", "daprd"} {
		f, err := os.Open(filepath.Join(system.Root(t), ".lms", "bin", name))
		require.NoError(t, err)
		h := sha256.New()
		_, err = io.Copy(h, f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		out[name] = hex.EncodeToString(h.Sum(nil))
	}
	for _, name := range serviceNames(t) {
		a, err := os.Stat(filepath.Join(system.Root(t), ".lms", "bin", name))
		require.NoError(t, err)
		b, err := os.Stat(filepath.Join(system.Root(t), ".lms", "bin", "lms"))
		require.NoError(t, err)
		require.True(t, os.SameFile(a, b), "%s is the program lms: make build", name)
	}
	return out
}

func (m extent) run(t *testing.T, g ground) (run chaos.Run) {
	s := start(t, "--profile", cmp.Or(g.folder, g.name), "--timeout", "5m")
	run = chaos.Run{Profile: g.name, Outage: m.outage, Products: products(s.Status(t)), Without: g.without}
	b := s.bystander(t)
	h := s.history(t, m.commands)

	began, since := time.Now(), time.Now()
	h.timed.Store(since.UnixNano())
	h.run(t, 0, calm)
	run.PerSecond = calm * float64(m.commands) / time.Since(began).Seconds()
	h.settle(t)
	<-time.After(time.Second)
	h.timed.Store(0)
	h.lagMu.Lock()
	slices.Sort(h.lag)
	run.P50, run.P99 = chaos.Percentile(h.lag, 0.5), chaos.Percentile(h.lag, 0.99)
	h.lagMu.Unlock()
	run.Memory = memoryOf(t, s)

	faults := h.faults(t, b, m.pause, g.without == "")
	run.Faults = len(faults)
	h.underFaults(t, faults, calm)
	h.signOn(t)
	run.Drain = h.outage(t, m.outage)

	var w wrongs
	var v chaos.Verdict
	await(t, 3*healing, "every effect is there, or will never be", func() bool { w, v = h.check(t); return w.sum() == 0 || time.Since(began) > time.Hour })
	for _, what := range w.what {
		t.Error(what)
	}
	run.Commands, run.Acknowledged = len(h.keys)+h.renames, v.Acknowledged+h.renames
	run.Lost, run.Doubled, run.Stale = w.lost, w.doubled, w.stale

	committed := h.committed(t, since)
	// What comes once more after a lost acknowledgement has its time too.
	deadline := time.Now().Add(70 * time.Second)
	for b.missing(committed) > 0 && time.Now().Before(deadline) {
		<-time.After(time.Second)
	}
	run.Deliveries(committed, b.all())
	run.Fetched = s.fetchedBy(t, "enrollment") + s.fetchedBy(t, "notification")

	run.Suite, run.Suites = s.functional(t, m.short)
	if g.name == "kafka" {
		s.usesTheReference(t)
	}
	return run
}

// usesTheReference fails when files, index or mails of the suite are not where the
// reference profile puts them.
func (s *school) usesTheReference(t testing.TB) {
	t.Helper()
	require.Equal(t, "opensearch", s.setting(t, "search", "LMS_SEARCH_ENGINE"))
	require.NoDirExists(t, filepath.Join(s.Home, "data", "search"), "no index of Bleve's")
	stored, err := os.ReadDir(filepath.Join(s.Home, "data", "minio", "objects", "lms"))
	require.NoError(t, err)
	require.NotEmpty(t, stored, "objects are in the bucket")
	local, err := os.ReadDir(filepath.Join(s.Home, "objects"))
	require.True(t, err != nil || len(local) == 0, "no object is in the folder")
	variables := environment(t, s.System, "notification", "sidecar")
	require.NotEmpty(t, variables["LMS_SMTP_HOST"], "mail goes by SMTP")
}

// products are what a profile stands on, for the table.
func products(st system.Status) string {
	var names []string
	for _, p := range st.Processes {
		if p.Kind == string(supervisor.KindBroker) || p.Kind == string(supervisor.KindStore) {
			names = append(names, p.Service)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// memoryOf is what all processes take together.
func memoryOf(t testing.TB, s *school) (total int64) {
	t.Helper()
	for _, p := range s.Status(t).Processes {
		total += p.PSS
	}
	return total
}

var fetchedAnywhere = regexp.MustCompile(`"msg":"events that the broker did not bring were fetched".*?"events":(\d+)`)

// fetchedBy counts what a consumer says it has fetched from the outboxes.
func (s *school) fetchedBy(t testing.TB, service string) (n int) {
	t.Helper()
	for _, m := range fetchedAnywhere.FindAllStringSubmatch(s.log(t, service), -1) {
		k, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		n += k
	}
	return n
}

// functional runs the end-to-end suite in the installation, after everything that
// was broken in it, and counts the parts that pass. The short matrix leaves out
// what moves the clock or waits for it.
func (s *school) functional(t *testing.T, short bool) (passed, all int) {
	nothing := func(testing.TB, string) {}
	parts := []struct {
		name string
		long bool
		run  func(t *testing.T, w *e2e.World)
	}{
		{"golden path", false, func(t *testing.T, w *e2e.World) { e2e.Golden(t, w, nothing) }},
		{"media", false, func(t *testing.T, w *e2e.World) { e2e.MediaUsed(t, w) }},
		{"coursework", false, func(t *testing.T, w *e2e.World) { e2e.Coursework(t, w) }},
		{"gradebook", false, func(t *testing.T, w *e2e.World) { e2e.Graded(t, w, nothing) }},
		{"notifications", false, func(t *testing.T, w *e2e.World) { e2e.Notified(t, w) }},
		{"purchase", false, func(t *testing.T, w *e2e.World) { e2e.Purchase(t, w, nothing) }},
		{"quizzes", true, func(t *testing.T, w *e2e.World) { e2e.Quizzed(t, w) }},
		{"renewal", true, func(t *testing.T, w *e2e.World) { e2e.Renewal(t, w) }},
		// After all others: with its second organisation nobody can register any more.
		{"search", false, func(t *testing.T, w *e2e.World) { e2e.Search(t, w) }},
		// By now the half minute is over after which watching is told.
		{"events of media", false, func(t *testing.T, w *e2e.World) { e2e.MediaTold(t, w) }},
	}
	for _, p := range parts {
		if p.long && short {
			continue
		}
		all++
		if t.Run(p.name, func(t *testing.T) { p.run(t, e2e.NewWorld(t, s.System)) }) {
			passed++
		}
	}
	return passed, all
}

// write keeps the table of a whole run.
func write(t testing.TB, table string, programs map[string]string, m extent, took time.Duration) {
	t.Helper()
	cpu := runtime.NumCPU()
	text := fmt.Sprintf(`# The matrix

The same programs (lms %.12s…, daprd %.12s…, checked before and after each) on every profile, with real processes on one machine of %d processors. Made by `+"`make matrix`"+` on %s in %s.

%s
Per profile: %d commands through the gateway, %d %% of them before anything is broken; then, at moments of chance, every service, sidecar, broker, store and the database is killed, consumers and a sidecar stand still for %s, a consumer is slow, second replicas of consumers join, leave and die. In the end the broker is away for %s while commands go on. The suite runs last, in the same installation. `+"`mqtt`"+` is a folder that nobody has prepared (`+"`apps/lms/internal/chaos/testdata/mqtt`"+`), made as components/README.md says, and gets 1,000 commands.

- *delivered* to *lost by the broker* are what a bystander saw that subscribes to every topic as the services do and keeps nothing: out of order is an event after a newer one of its aggregate.
- *fetched* is what enrollment and notification found missing by its number and took from the producers' outboxes, be it lost, or only late by more than 10 s.
- *lost*, *doubled*, *stale* are effects in the application (rosters, in-app messages, copies of courses, and each event at a consumer of the kit), against what the acknowledged commands alone say should be there.
- that the matrix would see a loss is shown by `+"`TestMatrixSeesALoss`"+`, which switches inbox, sequence check, repair and outbox off one at a time.
`, programs["lms"], programs["daprd"], cpu, time.Now().UTC().Format(time.DateOnly), took.Round(time.Minute), table, m.commands, int(calm*100), m.pause, m.outage)
	require.NoError(t, os.WriteFile(filepath.Join(system.Root(t), "components", "MATRIX.md"), []byte(text), 0o600))
}

// missing counts the events that were committed and never came.
func (b *bystander) missing(committed map[string]bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	for _, d := range b.brought {
		seen[d.ID] = true
	}
	for id := range committed {
		if !seen[id] {
			n++
		}
	}
	return n
}

func (b *bystander) all() []chaos.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.brought)
}

// TestMatrixSeesALoss switches each guarantee off, one at a time, and shows that
// the matrix then counts what is missing.
func TestMatrixSeesALoss(t *testing.T) {
	t.Run("inbox and sequence", func(t *testing.T) {
		s := start(t)
		pools := map[string]tally{}
		courses := s.courses(t, 5, nil)
		for _, without := range []string{"", "inbox", "sequence"} {
			pool := probeDB(t)
			p := s.probe(t, pool, nil, strings.Fields(without)...)
			s.renaming(t, courses, 4, nil)
			s.quiet(t)
			await(t, time.Minute, "every event has had its effect", func() bool { c := s.tally(t, pool); return c.missing == 0 })
			// What a broker may do: everything once more, the newest first.
			told := s.events(t, "course.events")
			publisher := s.publisher(t, "course")
			slices.Reverse(told)
			for _, e := range told {
				publisher.event(t, e)
			}
			marker := s.courses(t, 1, nil)[0]
			s.quiet(t)
			await(t, time.Minute, "the marker behind them is there", func() bool { return s.has(t, pool, marker) })
			pools[without] = s.tally(t, pool)
			p.end(t)
		}
		measured(t, "with both", "0 wrong", pools[""].bad() == 0, "%s", pools[""])
		measured(t, "without the inbox", "effects are doubled", pools["inbox"].twice > 0, "%s", pools["inbox"])
		measured(t, "without the sequence check", "effects are stale", pools["sequence"].disorder > 0, "%s", pools["sequence"])
	})
	t.Run("repair", func(t *testing.T) {
		s := start(t, "--broker-drop-share", "0.05")
		with, without := probeDB(t), probeDB(t)
		first := s.probe(t, without, nil, "repair")
		s.renaming(t, s.courses(t, 30, nil), 6, nil)
		s.quiet(t)
		<-time.After(healing)
		c := s.tally(t, without)
		measured(t, "without the repair of holes", "effects are lost", c.missing > 0, "%s", c)
		first.end(t)
		s.probe(t, with, nil)
		await(t, 3*healing, "all is fetched", func() bool { c = s.tally(t, with); return c.bad() == 0 })
		measured(t, "with it", "0 wrong", c.bad() == 0, "%s", c)
	})
	t.Run("outbox", func(t *testing.T) {
		t.Setenv("LMS_TEST_WITHOUT", "outbox")
		s := start(t)
		courses := s.courses(t, 10, nil)
		r := s.reader(t, courses)
		resume := s.Pause(t, "broker", "broker")
		titles := s.renaming(t, courses, 2, nil)
		// Longer than a publication is tried, so that the last titles are under way.
		// With both who published and what they gave it to, these are gone.
		<-time.After(20 * time.Second)
		s.Kill(t, "course", "sidecar")
		s.Kill(t, "course", "service")
		resume()
		s.AwaitReady(t)
		<-time.After(healing)
		left := wrong(s.copies(t, r), titles)
		measured(t, "without the outbox", "effects are lost", left > 0, "%d of %d copies have not their last title", left, len(courses))
	})
}

// has says whether a probe has had an event of an aggregate.
func (s *school) has(t testing.TB, pool *pgxpool.Pool, aggregate string) bool {
	t.Helper()
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from effects where aggregate_id = $1`, aggregate).Scan(&n))
	return n > 0
}
