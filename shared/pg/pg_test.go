package pg_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

func open(t *testing.T) *pg.DB {
	t.Helper()
	return pg.From(testkit.DB(t, "kit"), pg.Options{Service: "course"})
}

func TestRowLevelSecurityHidesOtherTenants(t *testing.T) {
	t.Parallel()
	db, ctx := open(t), t.Context()
	a, b := uuid.New(), uuid.New()
	for _, tenant := range []uuid.UUID{a, b} {
		require.NoError(t, db.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, u *pg.Unit) error {
			return u.Audit(ctx, work.AuditEntry{Action: "x.y", ResourceType: "x", ResourceID: uuid.New()})
		}))
	}
	count := func(s work.Scope) (n int64) {
		require.NoError(t, db.Read(ctx, s, func(ctx context.Context, u *pg.Unit) (err error) {
			n, err = pg.Scalar[int64](ctx, u, "count", `select count(*) from audit`)
			return err
		}))
		return n
	}
	require.EqualValues(t, 1, count(work.Tenant(a)))
	require.EqualValues(t, 2, count(work.AllTenants()))
	require.EqualValues(t, 0, count(work.Tenant(uuid.New())))
	require.EqualValues(t, 0, count(work.Tenant(uuid.Nil)), "an id that was forgotten opens nothing")

	// A row of another tenant cannot be written either.
	err := db.InTx(ctx, work.Tenant(a), func(ctx context.Context, u *pg.Unit) error {
		return u.Audit(ctx, work.AuditEntry{Action: "x.y", ResourceType: "x", ResourceID: uuid.New(), TenantID: b})
	})
	require.ErrorContains(t, err, "row-level security")

	// Without a tenant nothing is visible: the policy fails closed.
	var n int
	require.NoError(t, db.Pool.QueryRow(ctx, `select count(*) from audit`).Scan(&n))
	require.Zero(t, n)
}

func withKey(ctx context.Context, key, body string) context.Context {
	return work.WithIdempotency(ctx, work.Idempotency{Caller: "u", Route: "POST /x", Key: key, BodyHash: sha256.Sum256([]byte(body))})
}

type answer struct{ ID uuid.UUID }

func TestOneKeyOneEffectUnderFiftyConcurrentRequests(t *testing.T) {
	t.Parallel()
	db := open(t)
	var ran atomic.Int64
	answers := make([]answer, 50)
	errs := make([]error, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			ctx := withKey(context.WithoutCancel(t.Context()), "k", "body")
			errs[i] = db.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
				return u.Once(ctx, &answers[i], func() error {
					answers[i] = answer{ID: uuid.New()}
					u.AfterCommit(func() { ran.Add(1) })
					return nil
				})
			})
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, ran.Load())
	for i := range answers {
		require.NoError(t, errs[i])
		require.Equal(t, answers[0], answers[i])
	}
}

func TestAKeyKnowsItsBodyItsRefusalsAndItsRollbacks(t *testing.T) {
	t.Parallel()
	db := open(t)
	run := func(key, body string, fail error) (answer, error) {
		var out answer
		err := db.InTx(withKey(t.Context(), key, body), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
			return u.Once(ctx, &out, func() error {
				out = answer{ID: uuid.New()}
				return fail
			})
		})
		return out, err
	}
	t.Run("another body is refused", func(t *testing.T) {
		_, err := run("a", "1", nil)
		require.NoError(t, err)
		_, err = run("a", "2", nil)
		require.Equal(t, "idempotency_key_reused", apperr.Code(err))
	})
	t.Run("a deterministic refusal is kept", func(t *testing.T) {
		refusal := apperr.Invalid(apperr.Field{Path: "title", Code: "required", Message: "Title is missing."})
		_, err := run("b", "1", refusal)
		require.Equal(t, "validation_failed", apperr.Code(err))
		_, err = run("b", "1", nil)
		require.Equal(t, "validation_failed", apperr.Code(err))
		require.Equal(t, refusal.Fields, apperr.From(err).Fields)
	})
	t.Run("a conflict and a fault are not", func(t *testing.T) {
		_, err := run("c", "1", apperr.Conflict("course_full", "Full."))
		require.Equal(t, "course_full", apperr.Code(err))
		_, err = run("c", "1", errors.New("disk on fire"))
		require.ErrorContains(t, err, "disk on fire")
		out, err := run("c", "1", nil)
		require.NoError(t, err)
		require.NotEqual(t, uuid.Nil, out.ID)
	})
}

func TestARequestStillAtWorkIsSaidSo(t *testing.T) {
	t.Parallel()
	db := open(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var out answer
		_ = db.InTx(withKey(context.WithoutCancel(t.Context()), "slow", "b"), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
			return u.Once(ctx, &out, func() error { close(inside); <-leave; return nil })
		})
	})
	<-inside
	var out answer
	err := db.InTx(withKey(t.Context(), "slow", "b"), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Once(ctx, &out, func() error { return nil })
	})
	require.Equal(t, "idempotency_in_progress", apperr.Code(err))
	close(leave)
	wg.Wait()
}

func TestSeqIsGapFreePerAggregateUnderConcurrency(t *testing.T) {
	t.Parallel()
	db := open(t)
	e := events.CourseViewed{CourseID: uuid.New()}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 10 {
				err := db.InTx(context.WithoutCancel(t.Context()), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
					if err := u.Emit(ctx, e, work.Meta{}); err != nil {
						return err
					}
					if i%3 == 0 {
						return fmt.Errorf("rolled back")
					}
					return nil
				})
				_ = err
			}
		})
	}
	wg.Wait()
	seqs, err := pg.Column[int64](t.Context(), db.Pool, `select seq from outbox where aggregate_id = $1 order by ord`, e.AggregateID())
	require.NoError(t, err)
	require.Len(t, seqs, 8*6)
	for i, s := range seqs {
		require.EqualValues(t, i+1, s, "seq follows the order of the commits")
	}
}

func TestEventsOfAnotherTopicAndTooLargeOnesAreRefused(t *testing.T) {
	t.Parallel()
	db := open(t)
	emit := func(e events.Event) error {
		return db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error { return u.Emit(ctx, e, work.Meta{}) })
	}
	for _, d := range events.All() {
		if d.Topic == "user.events" {
			require.ErrorContains(t, emit(d.Example), "does not belong to topic")
			break
		}
	}
	big := events.AnnouncementPublished{Text: string(make([]byte, pg.MaxEventBytes))}
	require.Equal(t, "event_too_large", apperr.Code(emit(big)))
}

func TestScopeOfAPrincipal(t *testing.T) {
	t.Parallel()
	tenant := uuid.New()
	platform := []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}
	for name, c := range map[string]struct {
		who  authz.Principal
		want work.Scope
	}{
		"a user sees the own tenant":        {authz.Principal{UserID: uuid.New(), TenantID: tenant}, work.Tenant(tenant)},
		"a platform administrator sees all": {authz.Principal{UserID: uuid.New(), TenantID: tenant, Grants: platform}, work.AllTenants()},
		"a service sees all":                {authz.Principal{Service: "course"}, work.AllTenants()},
		"a visitor sees what is public":     {authz.Principal{}, work.AllTenants()},
		"a user without a tenant sees none": {authz.Principal{UserID: uuid.New()}, work.Scope{}},
	} {
		require.Equal(t, c.want, work.ScopeOf(c.who), name)
	}
}

func TestAPanicGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	db := open(t)
	for range 2 * db.Pool.Config().MaxConns {
		require.Panics(t, func() {
			_ = db.InTx(t.Context(), work.AllTenants(), func(context.Context, *pg.Unit) error { panic("defect") })
		})
	}
	require.EqualValues(t, 0, db.Pool.Stat().AcquiredConns())
}

// The second request of a key must never run fn once the first has committed,
// or fn fails on the first one's rows and the refusal goes out as the answer.
func TestARepeatedRequestNeverMeetsTheRowsOfTheFirst(t *testing.T) {
	t.Parallel()
	db := open(t)
	for i := range 40 {
		key := fmt.Sprint("unique-", i)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				var out answer
				err := db.InTx(withKey(context.WithoutCancel(t.Context()), key, "b"), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
					return u.Once(ctx, &out, func() error {
						n, err := pg.Exec(ctx, u, `insert into aggregate_seq (aggregate_id, seq) values ($1, 1) on conflict do nothing`, uuid.NewSHA1(uuid.Nil, []byte(key)))
						if err == nil && n == 0 {
							return apperr.Conflict("exists", "It exists.")
						}
						out.ID = uuid.New()
						return err
					})
				})
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	}
}
