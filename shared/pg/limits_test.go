package pg_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/pg"
	"lms/shared/work"
)

func TestOppositeOrdersOfEmittingDoNotDeadlock(t *testing.T) {
	t.Parallel()
	db := open(t)
	pair := []uuid.UUID{uuid.New(), uuid.New()}
	var ran atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 25 {
				assert.NoError(t, db.InTx(context.WithoutCancel(t.Context()), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
					ran.Add(1)
					for i := range pair {
						if err := u.Emit(ctx, events.CourseViewed{CourseID: pair[(i+w)%2]}, work.Meta{}); err != nil {
							return err
						}
						if _, err := u.Call(ctx, work.Call{To: "enrollment", Name: "x", Key: pair[(i+w)%2].String()}); err != nil {
							return err
						}
					}
					return nil
				}))
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 8*25, ran.Load(), "no transaction had to be run again")
}

func TestAConnectionThatIsGoneIsAnOutage(t *testing.T) {
	t.Parallel()
	db := open(t)
	err := db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		pid, err := pg.Scalar[int32](ctx, u, "pid", `select pg_backend_pid()`)
		require.NoError(t, err)
		_, err = db.Pool.Exec(ctx, `select pg_terminate_backend($1, 5000)`, pid)
		require.NoError(t, err)
		_, err = u.Exec(ctx, `select 1`)
		require.Error(t, err)
		_, err = u.Exec(ctx, `select 1`) // by now the connection is known to be closed
		return err
	})
	require.Equal(t, pg.CodeAway, apperr.Code(err))
}

func TestATextThatCannotBeKeptIsTheCallersFault(t *testing.T) {
	t.Parallel()
	db := open(t)
	err := db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Audit(ctx, work.AuditEntry{Action: "a\x00b", ResourceType: "x"})
	})
	require.True(t, apperr.IsKind(err, apperr.KindMalformed), "%v", err)
}

func TestTextIsCutToWhatCanBeKept(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"abc": "abc", "abcdef": "abcd", "abcé": "abc", "a\x00b": "ab", "a\xffb": "ab"} {
		got := pg.Text(in, 4)
		require.Equal(t, want, got)
		require.True(t, utf8.ValidString(got))
	}
}

func TestMailLeavesNoKeyBehind(t *testing.T) {
	t.Parallel()
	db := open(t)
	require.NoError(t, db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return u.Mail(ctx, work.Mail{Kind: "k", To: "a@example.org"})
	}))
	n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select (select count(*) from outbox_call) - (select count(*) from call_seq)`)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestAPurgeDeletesHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	db := open(t)
	_, err := db.Pool.Exec(t.Context(), `insert into idempotency_key (id, body_hash, result, created_at)
select sha256(convert_to(i::text, 'UTF8')), sha256('b'), '1', $1 from generate_series(1, 12001) i`, time.Now().Add(-pg.KeepKeys-time.Hour))
	require.NoError(t, err)
	require.NoError(t, db.PurgeIdempotency(t.Context()))
	n, err := pg.Scalar[int64](t.Context(), db.Pool, "count", `select count(*) from idempotency_key`)
	require.NoError(t, err)
	require.Zero(t, n)
}
