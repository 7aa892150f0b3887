//go:build chaos

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/contracts"
	"lms/shared/freeport"
	"lms/shared/localpg"
)

// TestOutages takes away what everything stands on: the broker, the database,
// the cache. Its scenarios share one installation.
func TestOutages(t *testing.T) {
	s := start(t)
	people := s.people(t, 200)
	t.Run("3 broker restart and outage", func(t *testing.T) { s.brokerOutage(t, people) })
	t.Run("4 database killed mid-commit", func(t *testing.T) { s.databaseKilled(t, people) })
	t.Run("10 redrive", s.redriven)
	t.Run("20 reconciliation", s.reconciled)
	t.Run("5 flushed sessions", s.flushed) // the last: it ends all sessions
}

// outage is how long the broker answers nobody.
const outage = 60 * time.Second

// load starts enrollments of all people in new courses and returns a function
// that waits for its end.
func (s *school) load(t testing.TB, people []string, courses int) (*enrollments, func()) {
	t.Helper()
	l := &enrollments{school: s, courses: s.courses(t, courses, nil), people: people}
	l.keys = make([]string, courses*len(people))
	l.history = make([]chaos.Command, len(l.keys))
	for i := range l.keys {
		l.keys[i] = uuid.NewString()
	}
	var wg sync.WaitGroup
	wg.Go(func() { each(len(l.keys), lanes, l.once) })
	return l, wg.Wait
}

// brokerOutage kills the broker under load, and later lets it stand still for a
// minute while commands go on. It fails when one of them is refused or lost, or
// when a consumer's copy does not come right.
func (s *school) brokerOutage(t *testing.T, people []string) {
	renamed := s.courses(t, 30, nil)
	r := s.reader(t, renamed)
	s.quiet(t)
	since := time.Now()
	l, finished := s.load(t, people, 10)
	await(t, time.Minute, "the load goes on", func() bool { return l.answered.Load() > int64(len(l.keys)/4) })
	s.Kill(t, "broker", "broker")
	await(t, time.Minute, "the load goes on", func() bool { return l.answered.Load() > int64(len(l.keys)/2) })
	resume := s.Pause(t, "broker", "broker")
	still := time.Now()
	titles := s.renaming(t, renamed, 3, nil)
	finished()
	during := wrong(s.copies(t, r), titles)
	<-time.After(time.Until(still.Add(outage)))
	stood := time.Since(still)
	resume()
	began := time.Now()
	s.quiet(t)
	published := time.Since(began)
	await(t, 2*time.Minute, "the copies are right", func() bool { return wrong(s.copies(t, r), titles) == 0 })
	s.seen(t)
	drained := time.Since(began)
	v := l.judge(t, since)
	t.Log(v)
	left := wrong(s.copies(t, r), titles)
	measured(t, "3 broker killed, then away for 60 s", "0 lost, 0 refused, all copies right within 60 s", v.Bad() == 0 && v.Unanswered == 0 && left == 0 && during == len(renamed) && drained < time.Minute,
		"%d acknowledged meanwhile, %d without answer: %d lost, %d doubled; %d of %d copies old after %s without broker, %d in the end; published after %s, drained after %s",
		v.Acknowledged, v.Unanswered, len(v.Lost), len(v.Doubled), during, len(renamed), stood.Round(time.Second), left, published.Round(100*time.Millisecond), drained.Round(100*time.Millisecond))
}

// databaseKilled kills the PostgreSQL server three times under load. It fails
// when an acknowledged command is lost, when one is there by half, when the
// broker has an event that no database committed or lacks one that a database
// did, or when the outage put anything among the dead letters.
func (s *school) databaseKilled(t *testing.T, people []string) {
	since := time.Now()
	l, finished := s.load(t, people, 10)
	for i := range 3 {
		due := int64(len(l.keys) * (2*i + 1) / 7)
		await(t, 2*time.Minute, "the load goes on", func() bool { return l.answered.Load() >= due })
		s.Kill(t, "postgres", "database")
	}
	finished()
	s.AwaitReady(t)
	s.quiet(t)
	v := l.judge(t, since)
	t.Log(v)
	committed, published := map[string]bool{}, map[string]bool{}
	b := s.openBooks(t)
	dead := 0
	for service := range b {
		for id := range b.read(t, service, "select id::text, '' from outbox") {
			committed[id] = true
		}
		dead += len(b.read(t, service, "select id::text, reason from dead_letter where redriven_at is null"))
	}
	s.inBroker(t, slices.Collect(maps.Keys(b)), len(committed), published)
	missing, foreign := 0, 0
	for id := range committed {
		if !published[id] {
			missing++
		}
	}
	for id := range published {
		if !committed[id] {
			foreign++
		}
	}
	measured(t, "4 database killed mid-commit, three times", "committed = published, 0 lost, 0 halfway, 0 dead letters", v.Bad() == 0 && missing == 0 && foreign == 0 && dead == 0 && v.Unanswered > 0,
		"%d acknowledged, %d without answer: %d lost, %d halfway, %d refused; %d events committed, %d ids published: %d missing, %d never committed; %d dead letters",
		v.Acknowledged, v.Unanswered, len(v.Lost), len(v.Halfway), len(v.Refusals), len(committed), len(published), missing, foreign, dead)
}

// inBroker reads the ids of what the topics of services hold, until as many
// distinct ones were found as were committed and nothing more comes.
func (s *school) inBroker(t testing.TB, services []string, want int, ids map[string]bool) {
	t.Helper()
	var topics []string
	for _, topic := range contracts.Topics() {
		if slices.Contains(services, topic.Publisher) {
			topics = append(topics, topic.Name)
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(freeport.Address(s.Running(t, "broker", "broker").Ports["kafka"])),
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		idle := 20 * time.Second
		if len(ids) >= want {
			idle = 2 * time.Second
		}
		round, done := context.WithTimeout(ctx, idle)
		fetches := client.PollFetches(round)
		done()
		if fetches.Empty() || fetches.NumRecords() == 0 {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var e struct{ ID string }
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Errorf("%s holds what is no event: %v", r.Topic, err)
			}
			ids[e.ID] = true
		})
	}
}

// redriven lets enrollment's handler fail for good, by a rule that its database
// has for a while, and gives it the dead letters again when the rule is gone. It
// fails when one of them does not lie there, or is not applied in the end.
func (s *school) redriven(t *testing.T) {
	courses := s.courses(t, 20, nil)
	r := s.reader(t, courses)
	s.quiet(t)
	server, err := localpg.Attach(installation.Home{Dir: s.Home}.Postgres())
	require.NoError(t, err)
	owner, err := pgx.Connect(t.Context(), server.OwnerDSN("enrollment"))
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close(t.Context())) }()
	_, err = owner.Exec(t.Context(), "alter table courses add constraint chaos check (title not like 'Round %') not valid")
	require.NoError(t, err)
	before := len(s.deadLetters(t))
	titles := s.renaming(t, courses, 1, nil)
	await(t, time.Minute, "all are dead letters", func() bool { return len(s.deadLetters(t)) >= before+len(courses) })
	buried := len(s.deadLetters(t)) - before
	stale := wrong(s.copies(t, r), titles)
	_, err = owner.Exec(t.Context(), "alter table courses drop constraint chaos")
	require.NoError(t, err)
	s.Lms(t, "dead-letters", "redrive", "enrollment", "--all")
	left := len(s.deadLetters(t)) - before
	now := wrong(s.copies(t, r), titles)
	measured(t, "10 dead letters given again", "100 % recovered", buried == len(courses) && stale == len(courses) && left == 0 && now == 0,
		"%d of %d events became dead letters, %d copies old; after the redrive %d dead letters, %d copies old", buried, len(courses), stale, left, now)
}

// flushed empties sessions and cache under everybody: their files are removed and
// all sidecars killed. It fails when anybody gets in with anything of before, when
// a second factor is no longer asked for, or when a new sign-in does not work.
func (s *school) flushed(t *testing.T) {
	p, q := s.Invite(t, "Flu Shed", s.Unit, "instructor"), s.Invite(t, "Fac Tor", s.Unit)
	live, over := s.login(t, p, e2e.Password), s.login(t, p, e2e.Password)
	s.API().As(over.Access).Do(t, http.MethodPost, "/api/v1/auth/logout", map[string]any{})
	s.refusedAfter(t, over.Access)
	var enrolled struct{ Secret string }
	s.API().As(q.Token).Do(t, http.MethodPost, "/api/v1/auth/mfa/totp", map[string]any{}).JSON(t, &enrolled)
	code, err := totp.GenerateCode(enrolled.Secret, time.Now())
	require.NoError(t, err)
	s.API().As(q.Token).Do(t, http.MethodPost, "/api/v1/auth/mfa/totp/confirm", map[string]any{"code": code})
	require.Equal(t, http.StatusOK, s.API().As(live.Access).Do(t, http.MethodGet, "/api/v1/me", nil).Status)

	for _, file := range []string{"sessions.db", "cache.db"} {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(s.Home, "run", file+suffix)); suffix == "" {
				require.NoError(t, err)
			}
		}
	}
	for _, name := range s.ofKind(t, supervisor.KindSidecar) {
		s.Kill(t, name, string(supervisor.KindSidecar))
	}
	s.AwaitReady(t)

	var found []string
	status := func(what string, got int, want int) {
		if got != want {
			found = append(found, fmt.Sprintf("%s: %d", what, got))
		}
	}
	get := func(token string) int { return answered(t, s, token) }
	status("a live access token of before", get(live.Access), http.StatusUnauthorized)
	status("a token that was logged out", get(over.Access), http.StatusUnauthorized)
	_, ans := s.refresh(t, live.Refresh)
	status("a refresh token of before", ans.Status, http.StatusUnauthorized)
	_, ans = s.refresh(t, over.Refresh)
	status("a refresh token that was logged out", ans.Status, http.StatusUnauthorized)
	again := s.login(t, p, e2e.Password)
	status("a new sign-in", get(again.Access), http.StatusOK)
	status("the old token beside the new one", get(live.Access), http.StatusUnauthorized)
	factor := s.API().DoKeyed(t, http.MethodPost, "/api/v1/auth/login", map[string]any{"email": q.Email, "password": e2e.Password}, http.StatusOK).Map(t)
	if factor["mfa_required"] != true || factor["access_token"] != nil {
		found = append(found, fmt.Sprintf("the second factor is not asked for: %v", factor))
	}
	for _, f := range found {
		t.Error(f)
	}
	measured(t, "5 flushed sessions and cache", "nobody gets in with anything of before, everybody by signing in", len(found) == 0, "8 ways tried, %d wrong", len(found))
}

// answered is the status of a read as whoever holds the token, once somebody
// can answer it.
func answered(t testing.TB, s *school, token string) (status int) {
	t.Helper()
	api := s.API().As(token)
	await(t, time.Minute, "it is answered", func() bool {
		ans, err := api.Try(http.MethodGet, "/api/v1/me", nil)
		status = ans.Status
		return err == nil && ans.Status < http.StatusInternalServerError
	})
	return status
}

// ofKind are the services that have a process of a kind.
func (s *school) ofKind(t testing.TB, kind supervisor.Kind) (names []string) {
	t.Helper()
	for _, p := range s.Status(t).Processes {
		if p.Kind == string(kind) {
			names = append(names, p.Service)
		}
	}
	require.NotEmpty(t, names)
	return names
}
