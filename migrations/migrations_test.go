package migrations_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/migrations"
	"lms/shared/testkit"
)

func TestEveryServiceMigratesFromNothing(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, migrations.Services())
	for _, service := range migrations.Services() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			pool := testkit.DB(t, service)
			require.NoError(t, migrations.Check(t.Context(), pool, service))
			require.Positive(t, migrations.Latest(service))

			from, to, err := migrations.Up(t.Context(), testkit.OwnerDB(t, pool).Config().ConnString(), service)
			require.NoError(t, err)
			require.Equal(t, migrations.Latest(service), from)
			require.Equal(t, from, to, "a second time there is nothing to do")
		})
	}
}

// TestTenantsAreGuarded: whatever carries a tenant is also guarded by
// row-level security.
func TestTenantsAreGuarded(t *testing.T) {
	t.Parallel()
	for _, service := range migrations.Services() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			pool := testkit.DB(t, service)
			var open []string
			require.NoError(t, pool.QueryRow(t.Context(), `
				select coalesce(array_agg(c.relname::text order by c.relname), '{}')
				from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
				where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and not c.relrowsecurity`).Scan(&open))
			// The relay reads these two for all tenants; no request does.
			require.Equal(t, []string{"outbox", "outbox_call"}, open)
		})
	}
}

func TestConcurrentUpsWorkOnce(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "user")
	owner := testkit.OwnerDB(t, pool)
	_, err := owner.Exec(t.Context(), `drop owned by lms_user_owner cascade; create schema if not exists public`)
	require.NoError(t, err)
	dsn := owner.Config().ConnString()
	version, err := migrations.Version(t.Context(), dsn, "user")
	require.NoError(t, err)
	require.Zero(t, version)
	require.ErrorContains(t, migrations.Check(t.Context(), owner, "user"), "run lms migrate")

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, to, err := migrations.Up(t.Context(), dsn, "user")
			require.NoError(t, err)
			require.Equal(t, migrations.Latest("user"), to)
		})
	}
	wg.Wait()
	require.NoError(t, migrations.Check(t.Context(), owner, "user"))

	_, err = owner.Exec(t.Context(), `insert into goose_service (version_id, is_applied) values (9999, true)`)
	require.NoError(t, err)
	_, _, err = migrations.Up(t.Context(), dsn, "user")
	require.ErrorIs(t, err, migrations.ErrNewer)
	require.NoError(t, migrations.Check(t.Context(), owner, "user"), "a service runs on a newer schema: changes are additive")
}
