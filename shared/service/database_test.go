package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/migrations"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/service"
	"lms/shared/testkit"
	"lms/shared/work"
)

func dsn(pool *pgxpool.Pool) string { return pool.Config().ConnString() }

func TestADatabaseThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, "course")
	_, err := testkit.OwnerDB(t, db).Exec(t.Context(), "delete from goose_service where version_id > 0")
	require.NoError(t, err)
	err = service.RunTo(context.Background(), "course", newNeighbours(t).env("LMS_DATABASE_URL", dsn(db)), nothing, &logs{})
	require.ErrorContains(t, err, "run lms migrate")

	gone := testkit.DB(t, "course")
	_, err = testkit.OwnerDB(t, gone).Exec(t.Context(), "insert into goose_service (version_id, is_applied) values (9999, true); select programs_from('goose_service', 9999)")
	require.NoError(t, err)
	err = service.RunTo(context.Background(), "course", newNeighbours(t).env("LMS_DATABASE_URL", dsn(gone)), nothing, &logs{})
	require.ErrorIs(t, err, migrations.ErrNewer)
}

func courseEvent(t *testing.T) events.Event {
	t.Helper()
	for _, d := range events.All() {
		if d.Topic == "course.events" {
			return d.Example
		}
	}
	require.Fail(t, "course publishes nothing")
	return nil
}

func TestWhatIsCommittedGoesOut(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	event, tenant := courseEvent(t), uuid.New()
	var kit *service.Kit
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course"))), func(_ context.Context, k *service.Kit) error {
		kit = k
		return k.NeedsDatabase()
	})
	s.waitReady()
	require.NoError(t, kit.DB.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		if err := u.Emit(ctx, event, work.Meta{TenantID: tenant, OrgUnitID: tenant}); err != nil {
			return err
		}
		return u.Mail(ctx, work.Mail{Kind: "welcome", TenantID: tenant, To: "an@example.org", Subject: "Xin chào", Text: "text", HTML: "<p>html</p>"})
	}))
	require.Eventually(t, func() bool { return len(n.events()) == 1 && len(n.sent()) == 1 }, 10*time.Second, 20*time.Millisecond)
	var ce struct{ Type, Subject string }
	require.NoError(t, json.Unmarshal(n.events()[0], &ce))
	require.Equal(t, event.EventType(), ce.Type)
	mail := n.sent()[0]
	for _, part := range []string{"To: <an@example.org>", "From: \"LMS\" <no-reply@lms.localhost>", "Subject: =?UTF-8?q?Xin_ch=C3=A0o?=", "@lms.localhost>", "text/plain", "text/html"} {
		require.True(t, bytes.Contains(mail, []byte(part)), "%s in\n%s", part, mail)
	}

	// Only who may consume the topic may read what it kept, and the operator.
	for caller, want := range map[string]int{"search": 200, "analytics": 200, "lms": 200, "payment": 403, "content": 403, "gateway": 403, "auth": 403} {
		for _, path := range []string{"/internal/events/heads", "/internal/events?stream=course.events/0"} {
			status, body := s.do(http.MethodGet, path, n.tokens.For(testkit.Service(caller)), "")
			require.Equal(t, want, status, "%s: %s", caller, body)
		}
	}
	service := n.tokens.For(testkit.Service("enrollment"))
	status, body := s.do(http.MethodGet, "/internal/events/heads", service, "")
	require.Equal(t, http.StatusOK, status, body)
	var heads struct{ Items []outbox.Head }
	require.NoError(t, json.Unmarshal([]byte(body), &heads))
	found := 0
	for _, h := range heads.Items {
		if h.Head > 0 {
			status, body = s.do(http.MethodGet, "/internal/events?from=1&stream="+url.QueryEscape(h.Stream)+"&to="+itoa(int(h.Head)), service, "")
			require.Equal(t, http.StatusOK, status, body)
			require.Contains(t, body, event.EventType())
			found++
		}
	}
	require.Equal(t, 1, found)
	require.NoError(t, s.stop())
}

func TestABrokerThatTakesNothingIsNamed(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	var kit *service.Kit
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course"))), func(_ context.Context, k *service.Kit) error { kit = k; return nil })
	s.waitReady()
	n.breakBroker("kafka: client has run out of available brokers")
	event, tenant := courseEvent(t), uuid.New()
	require.NoError(t, kit.DB.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Emit(ctx, event, work.Meta{TenantID: tenant, OrgUnitID: tenant})
	}))
	says := func(what string, yes bool) func() bool {
		return func() bool {
			code, body := s.get("/readyz")
			return code == http.StatusOK && strings.Contains(body, what) == yes
		}
	}
	const sentence = "the broker behind events-course takes no events: 1 events wait to be published"
	require.Eventually(t, says(sentence, true), 10*time.Second, 50*time.Millisecond, "it says so, and goes on")
	require.Eventually(t, says("run out of available brokers", true), 10*time.Second, 50*time.Millisecond)
	n.breakBroker("")
	require.Eventually(t, says(sentence, false), 10*time.Second, 50*time.Millisecond)
}

func TestEventsAndCallsAreReceivedOnce(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	var applied, called atomic.Int64
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course"))), func(_ context.Context, k *service.Kit) error {
		k.Inbox.Fact("count", "course.events", []string{courseEvent(t).EventType()}, func(_ context.Context, _ *pg.Unit, batch []inbox.Event) error {
			applied.Add(int64(len(batch)))
			return nil
		})
		inbox.Receive(k.Inbox, "seats-state", []string{"enrollment"}, func(_ context.Context, _ *pg.Unit, _ inbox.CallMeta, in map[string]int) (map[string]int, error) {
			called.Add(1)
			return map[string]int{"twice": 2 * in["n"]}, nil
		})
		return nil
	})
	s.waitReady()
	status, body := s.do(http.MethodGet, "/dapr/subscribe", "", "", "dapr-api-token", "from-sidecar")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"route":"/events/course.events"`)
	event := `{"specversion":"1.0","id":"` + uuid.NewString() + `","source":"course","type":"` + courseEvent(t).EventType() + `","time":"2026-01-01T00:00:00Z","subject":"` +
		uuid.NewString() + `","seq":"1","stream":"course.events/0","streamn":"1","tenantid":"` + uuid.NewString() + `","data":{}}`
	status, _ = s.do(http.MethodPost, "/events/course.events", "", event)
	require.Equal(t, http.StatusUnauthorized, status, "without the sidecar's token")
	for range 2 {
		status, body = s.do(http.MethodPost, "/events/course.events", "", event, "dapr-api-token", "from-sidecar")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, "SUCCESS")
	}
	require.EqualValues(t, 1, applied.Load())

	call := `{"call_id":"` + uuid.NewString() + `","source":"enrollment","key":"k","seq":1,"tenant_id":"` + uuid.NewString() + `","time":"2026-01-01T00:00:00Z","data":{"n":4},"new_field":1}`
	for range 2 {
		status, body = s.do(http.MethodPost, "/internal/calls/seats-state", n.tokens.For(testkit.Service("enrollment")), call)
		require.Equal(t, http.StatusOK, status, body)
		require.JSONEq(t, `{"twice":8}`, body)
	}
	require.EqualValues(t, 1, called.Load())
	status, _ = s.do(http.MethodPost, "/internal/calls/seats-state", n.tokens.For(testkit.Service("payment")), call)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = s.do(http.MethodPost, "/internal/calls/seats-state", n.tokens.For(testkit.PlatformAdmin()), call)
	require.Equal(t, http.StatusNotFound, status)

	status, body = s.do(http.MethodGet, "/internal/outbox", n.tokens.For(testkit.Service("lms")), "")
	require.Equal(t, http.StatusOK, status, body)
	status, _ = s.do(http.MethodGet, "/internal/outbox", n.tokens.For(testkit.Service("enrollment")), "")
	require.Equal(t, http.StatusForbidden, status)
	status, body = s.do(http.MethodGet, "/internal/dead-letters", n.tokens.For(testkit.Service("lms")), "")
	require.Equal(t, http.StatusOK, status, body)
}

func TestTheOperatorLetsAServiceCompute(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	var kit *service.Kit
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course"))), func(_ context.Context, k *service.Kit) error {
		kit = k
		return k.NeedsDatabase()
	})
	s.waitReady()
	operator := n.tokens.For(testkit.Service("lms"))
	status, body := s.do(http.MethodPost, "/internal/recompute", operator, `{"repair":false}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"checked":0,"differences":[]}`, body, "who derives nothing has nothing to compare")
	kit.Recompute(func(_ context.Context, in internalapi.RecomputeRequest) (internalapi.RecomputeReply, error) {
		require.True(t, in.Repair)
		return internalapi.RecomputeReply{Checked: 7, NextCursor: "more" + in.Cursor}, nil
	})
	status, body = s.do(http.MethodPost, "/internal/recompute", operator, `{"repair":true,"cursor":"1"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"checked":7,"differences":[],"next_cursor":"more1"}`, body)
	status, _ = s.do(http.MethodPost, "/internal/recompute", n.tokens.For(testkit.Service("course")), `{"repair":true}`)
	require.Equal(t, http.StatusForbidden, status, "nobody but the operator")
}

func TestJobsAndAuditAreServed(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	dir := t.TempDir()
	root := uuid.New()
	var kit *service.Kit
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course")), "LMS_OBJECTS_URL", "file://"+dir), func(_ context.Context, k *service.Kit) error {
		kit = k
		k.UseAuthz(testkit.Policy(root))
		jobs.Handle(k.Jobs, "export", func(ctx context.Context, r *jobs.Run, in map[string]string) (any, error) {
			file := service.JobFile{ObjectKey: "exports/" + r.ID.String(), Filename: "an.csv", MediaType: "text/csv"}
			return struct {
				service.JobFile
				Hello string `json:"hello"`
			}{file, in["name"]}, r.Row(ctx, 1, "created", "", "fine", nil)
		})
		return nil
	})
	admin := testkit.PlatformAdmin()
	var job work.Job
	ctx := work.WithActor(t.Context(), work.Actor{Principal: admin, RequestID: "r1"})
	require.NoError(t, kit.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		if err := u.Audit(ctx, work.AuditEntry{Action: "course.publish", ResourceType: "course", ResourceID: uuid.New(), TenantID: root, Changes: map[string]work.Change{"status": {From: "draft", To: "published"}}}); err != nil {
			return err
		}
		job, err = u.Enqueue(ctx, "export", map[string]string{"name": "an"}, work.JobOptions{TenantID: root})
		return err
	}))
	token := n.tokens.For(admin)
	path := "/api/v1/jobs/course/" + job.ID.String()
	require.Eventually(t, func() bool {
		_, body := s.do(http.MethodGet, path, token, "")
		var j work.Job
		return json.Unmarshal([]byte(body), &j) == nil && j.State == work.JobSucceeded
	}, 10*time.Second, 50*time.Millisecond)
	status, body := s.do(http.MethodGet, path+"/result", token, "")
	require.Equal(t, http.StatusOK, status, body)
	var result struct {
		Hello    string
		Download objects.Signed
	}
	require.NoError(t, json.Unmarshal([]byte(body), &result))
	require.Equal(t, "an", result.Hello)
	require.Contains(t, result.Download.URL, "/objects/exports/"+job.ID.String()+"?")
	require.NotContains(t, body, "object_key")
	_, body = s.do(http.MethodGet, path+"/rows", token, "")
	require.Contains(t, body, `"status":"created"`)
	_, body = s.do(http.MethodGet, "/api/v1/jobs/course", token, "")
	require.Contains(t, body, job.ID.String())
	status, _ = s.do(http.MethodPost, path+"/cancel", token, "")
	require.Equal(t, http.StatusOK, status)
	status, _ = s.do(http.MethodGet, path, n.tokens.For(testkit.User(root)), "")
	require.Equal(t, http.StatusNotFound, status, "somebody else's")

	status, body = s.do(http.MethodGet, "/api/v1/audit/course?resource_type=course&action=course.publish", token, "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"changes":{"status":{"from":"draft","to":"published"}}`)
	_, body = s.do(http.MethodGet, "/api/v1/audit/course?action=course.archive", token, "")
	require.NotContains(t, body, "course.publish")
	status, body = s.do(http.MethodGet, "/api/v1/audit/course", n.tokens.For(orgAdmin(root)), "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, "course.publish")
	status, body = s.do(http.MethodGet, "/api/v1/audit/course", n.tokens.For(orgAdmin(uuid.New())), "")
	require.NotContains(t, body, "course.publish", status)

	require.NoError(t, kit.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		for _, action := range []string{"course.archive", "course.restore", "course.copy"} {
			if err := u.Audit(ctx, work.AuditEntry{Action: action, ResourceType: "course", ResourceID: uuid.New(), TenantID: root, OrgUnitID: root}); err != nil {
				return err
			}
		}
		return nil
	}))
	trail := func(sort string) (actions []string) {
		cursor := ""
		for {
			var p struct {
				Items      []struct{ Action string }
				NextCursor string `json:"next_cursor"`
			}
			_, body := s.do(http.MethodGet, "/api/v1/audit/course?limit=2&sort="+sort+"&cursor="+cursor, token, "")
			require.NoError(t, json.Unmarshal([]byte(body), &p), body)
			for _, i := range p.Items {
				actions = append(actions, i.Action)
			}
			if cursor = p.NextCursor; cursor == "" {
				return actions
			}
		}
	}
	newest, oldest := trail("-at"), trail("at")
	require.Len(t, newest, 4)
	require.Equal(t, "course.publish", oldest[0])
	slices.Reverse(oldest)
	require.Equal(t, newest, oldest)
}

func orgAdmin(unit uuid.UUID) authz.Principal {
	p := testkit.User(unit)
	p.Grants = []authz.Grant{{Role: "org_admin", Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}
	return p
}

func TestOneReplicaAtATimeRunsALoop(t *testing.T) {
	t.Parallel()
	address := dsn(testkit.DB(t, "course"))
	var busy, most, rounds atomic.Int64
	build := func(_ context.Context, k *service.Kit) error {
		k.Every("sweep", time.Millisecond, func(ctx context.Context) error {
			if now := busy.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer busy.Add(-1)
			rounds.Add(1)
			_, err := k.DB.Pool.Exec(ctx, "select pg_sleep(0.01)")
			return err
		})
		return nil
	}
	for range 3 {
		run(t, newNeighbours(t).env("LMS_DATABASE_URL", address), build)
	}
	require.Eventually(t, func() bool { return rounds.Load() > 50 }, 20*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, most.Load())
}

func TestMoreLoopsThanConnectionsDoNotStandStill(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	const many = 6
	var begun, done atomic.Int64
	all := make(chan struct{})
	s := run(t, n.env("LMS_DATABASE_URL", dsn(testkit.DB(t, "course")), "LMS_DATABASE_MAX_CONNS", "3"), func(_ context.Context, k *service.Kit) error {
		for i := range many {
			k.Every("loop "+itoa(i), time.Hour, func(ctx context.Context) error {
				if begun.Add(1) == many {
					close(all)
				}
				<-all // every round has its lock
				done.Add(1)
				return k.DB.Pool.Ping(ctx)
			})
		}
		return nil
	})
	require.Eventually(t, func() bool { return done.Load() == many }, 15*time.Second, 20*time.Millisecond)
	s.waitReady()
	require.NoError(t, s.stop())
}
