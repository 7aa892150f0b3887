//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
	"lms/shared/config"
	"lms/shared/contracts/events"
	"lms/shared/inbox"
	"lms/shared/pg"
	"lms/shared/service"
	"lms/shared/testkit"
)

const (
	// probeApp is the service that the probe is for its database and for the
	// producers: one that may consume course.events.
	probeApp = "search"
	// probeSidecar is its app id, and so its consumer group: its own, that it
	// shares no deliveries with the service.
	probeSidecar = "probe"
)

// probe is a service of the kit that this test runs beside the installation's
// own, with a sidecar and a database of its own. It writes down each event that
// had an effect, in the transaction of the effect.
type probe struct {
	school *school
	pool   *pgxpool.Pool
	once   sync.Once
	stop   context.CancelFunc
	ended  chan error
	daprd  *exec.Cmd
}

// admitted is a copy of a profile in which one more app may
// read every topic.
func admitted(t testing.TB, profile, app string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(profile, "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		text := strings.Replace(string(raw), "scopes:\n", "scopes:\n  - "+app+"\n", 1)
		if name, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(file), ".yaml"), "events-"); ok {
			text = strings.Replace(text, "name: subscriptionScopes\n      value: \"", "name: subscriptionScopes\n      value: \""+app+"="+name+".events;", 1)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(text), 0o600))
	}
	return dir
}

// effects is a table of a probe: a line per effect, in the order of the commits
// of each aggregate. Nothing keeps it from holding an event twice.
const effectsSQL = `
create table effects (ord bigint generated always as identity, handler text not null, event_id uuid not null, aggregate_id uuid not null, seq bigint not null);
grant select, insert on effects to lms_search`

// probeDB is a database for probes.
func probeDB(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool := testkit.DB(t, probeApp)
	_, err := testkit.OwnerDB(t, pool).Exec(t.Context(), effectsSQL)
	require.NoError(t, err)
	return pool
}

// probe starts one. before is called for each batch before its effect is noted.
func (s *school) probe(t testing.TB, pool *pgxpool.Pool, before func(handler string, batch []inbox.Event), without ...string) *probe {
	t.Helper()
	svc := installation.Service{Name: probeApp, Database: true}
	plan, err := installation.NewPlan(installation.Home{Dir: s.Home}, system.Root(t), []installation.Service{svc}, strings.TrimPrefix(s.URL, "http://"), "info")
	require.NoError(t, err)
	s.join(t, plan)
	plan.Components = admitted(t, plan.Components, probeSidecar)
	p := &probe{school: s, pool: pool, ended: make(chan error, 1)}

	env := config.Env{}
	for _, kv := range plan.ServiceEnv(svc, pool.Config().ConnString()) {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "LMS_") && !strings.HasPrefix(name, "LMS_SEARCH_") || strings.HasPrefix(name, "DAPR_") || name == "APP_API_TOKEN" {
			env[name] = value
		}
	}
	env["LMS_LOG_LEVEL"] = "error" // its log is this test's output
	env["LMS_TEST_WITHOUT"] = strings.Join(without, ",")
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() {
		p.ended <- service.Run(ctx, probeApp, env, func(_ context.Context, k *service.Kit) error {
			k.Inbox.Fact("facts", "course.events", courseTypes(), p.note("facts", before))
			k.Inbox.State("states", "course.events", courseTypes(), p.note("states", before))
			return nil
		})
	}()
	args := plan.SidecarArgs(svc)
	args[slices.Index(args, "--app-id")+1] = probeSidecar
	p.daprd = exec.Command(installation.Home{Dir: s.Home}.Program("daprd"), args...)
	p.daprd.Dir, p.daprd.Env = installation.Home{Dir: s.Home}.Run(), plan.SidecarEnv(svc)
	log, err := os.Create(installation.Home{Dir: s.Home}.Log("probe-sidecar"))
	require.NoError(t, err)
	p.daprd.Stdout, p.daprd.Stderr = log, log
	require.NoError(t, p.daprd.Start())
	t.Cleanup(func() { p.end(t); _ = log.Close() })
	ready := plan.ProbeURL(svc)
	await(t, time.Minute, "the probe is ready", func() bool {
		res, err := http.Get(ready)
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK
	})
	return p
}

// end stops the probe: its service in order, its sidecar at once.
func (p *probe) end(t testing.TB) {
	t.Helper()
	p.once.Do(func() {
		p.stop()
		require.NoError(t, <-p.ended)
		require.NoError(t, p.daprd.Process.Kill())
		_ = p.daprd.Wait() // killed
	})
}

func (p *probe) note(handler string, before func(string, []inbox.Event)) inbox.BatchFunc {
	return func(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
		if before != nil {
			before(handler, batch)
		}
		for _, e := range batch {
			if _, err := pg.Exec(ctx, u, `insert into effects (handler, event_id, aggregate_id, seq) values ($1, $2, $3, $4)`, handler, e.ID, e.AggregateID, e.Seq); err != nil {
				return err
			}
		}
		return nil
	}
}

// tally is what a probe's database holds against what was told.
type tally struct {
	told, missing, twice, foreign int
	// behind are aggregates whose newest event a state handler has not had,
	// disorder the times it had an older one after a newer.
	behind, disorder int
	dead             int
}

func (c tally) bad() int {
	return c.missing + c.twice + c.foreign + c.behind + c.disorder + c.dead
}

func (c tally) String() string {
	return fmt.Sprintf("%d events: %d without effect, %d twice, %d foreign, %d aggregates behind, %d out of order, %d dead letters", c.told, c.missing, c.twice, c.foreign, c.behind, c.disorder, c.dead)
}

// tally compares the effects with the events that the producer keeps.
func (s *school) tally(t testing.TB, pool *pgxpool.Pool) (c tally) {
	t.Helper()
	type effect struct {
		Handler              string
		EventID, AggregateID uuid.UUID
		Seq                  int64
	}
	all, err := pg.Many[effect](t.Context(), pool, `select handler, event_id, aggregate_id, seq from effects order by ord`)
	require.NoError(t, err)
	facts := map[string]int{}
	states := map[string]int64{}
	for _, e := range all {
		if e.Handler == "facts" {
			facts[e.EventID.String()]++
			continue
		}
		if e.Seq <= states[e.AggregateID.String()] {
			c.disorder++
		}
		states[e.AggregateID.String()] = e.Seq
	}
	newest := map[string]int64{}
	for _, e := range s.events(t, "course.events") {
		c.told++
		switch n := facts[e.ID]; {
		case n == 0:
			c.missing++
		case n > 1:
			c.twice++
		}
		delete(facts, e.ID)
		newest[e.Subject] = max(newest[e.Subject], int64(seqOf(e)))
	}
	c.foreign = len(facts)
	for aggregate, seq := range newest {
		if states[aggregate] != seq {
			c.behind++
		}
	}
	dead, err := pg.Scalar[int64](t.Context(), pool, "count", `select count(*) from dead_letter`)
	require.NoError(t, err)
	c.dead = int(dead)
	return c
}

func courseTypes() (types []string) {
	for _, d := range events.All() {
		if d.Topic == "course.events" {
			types = append(types, d.Type())
		}
	}
	return types
}

// panics runs a consumer whose handlers panic the first two times that they see
// an event, in a batch and alone. It fails when an event had no effect in the
// end, had one twice, or lies among the dead letters, or when nothing panicked.
func (s *school) panics(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	panicked := 0
	pool := probeDB(t)
	s.probe(t, pool, func(handler string, batch []inbox.Event) {
		mu.Lock()
		defer mu.Unlock()
		fresh := false
		for _, e := range batch {
			seen[handler+e.ID.String()]++
			fresh = fresh || seen[handler+e.ID.String()] <= 2
		}
		if fresh {
			panicked++
			panic("a planted panic")
		}
	})
	courses := s.courses(t, 10, nil)
	s.renaming(t, courses, 3, nil)
	s.quiet(t)
	var c tally
	took := await(t, 3*time.Minute, "every event has had its effect", func() bool { c = s.tally(t, pool); return c.missing+c.behind == 0 })
	measured(t, "11 handlers that panic twice at each event", "all delivered again, one effect each, 0 dead letters", c.bad() == 0 && panicked > 30,
		"%d panics; %s; caught up in %s", panicked, c, took.Round(time.Second))
}

// lateConsumer runs a consumer that nobody has heard of before, after all that
// has happened so far, then adds a second replica and takes both away in turn
// while the load goes on. It fails when an event had no effect or two, or when a
// state went back.
func (s *school) lateConsumer(t *testing.T) {
	s.renaming(t, s.courses(t, 20, nil), 5, nil)
	s.quiet(t)
	before := len(s.events(t, "course.events"))
	pool := probeDB(t)
	first := s.probe(t, pool, nil)
	var c tally
	took := await(t, 2*time.Minute, "it has all history", func() bool { c = s.tally(t, pool); return c.missing+c.behind == 0 })
	measured(t, "13 a consumer that joins late", "all history, one effect each", c.bad() == 0 && c.told >= before && before > 150,
		"%s; in %s", c, took.Round(100*time.Millisecond))

	courses := s.courses(t, 20, nil)
	var second *probe
	s.renaming(t, courses, 9, func(round int) {
		switch round {
		case 2:
			second = s.probe(t, pool, nil)
		case 4:
			first.end(t)
		case 6:
			first = s.probe(t, pool, nil)
		case 7:
			second.end(t)
		}
	})
	s.quiet(t)
	took = await(t, 2*time.Minute, "both together had all", func() bool { c = s.tally(t, pool); return c.missing+c.behind == 0 })
	measured(t, "8 order across four rebalances", "0 out of order, one effect each", c.bad() == 0, "%s; caught up in %s", c, took.Round(100*time.Millisecond))
}
