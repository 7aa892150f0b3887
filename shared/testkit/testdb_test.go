package testkit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/migrations"
	"lms/shared/testkit"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	service := "user"
	began := time.Now()
	testkit.DB(t, service)
	t.Logf("first database after %s", time.Since(began))

	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			pool := testkit.DB(t, service)
			owner := testkit.OwnerDB(t, pool)
			t.Logf("a clone after %s", time.Since(began))

			var zone, role, database string
			var bypass bool
			require.NoError(t, pool.QueryRow(t.Context(), `select current_setting('timezone'), current_user, current_database(), rolbypassrls or rolsuper
				from pg_roles where rolname = current_user`).Scan(&zone, &role, &database, &bypass))
			require.Equal(t, "lms_user", role)
			require.NotEqual(t, "UTC", zone)
			require.False(t, bypass)
			require.NoError(t, migrations.Check(t.Context(), pool, service))
			version, err := migrations.Version(t.Context(), pool.Config().ConnString(), service)
			require.NoError(t, err)
			require.Equal(t, migrations.Latest(service), version)

			_, err = pool.Exec(t.Context(), `create table mine (i int)`)
			require.ErrorContains(t, err, "permission denied")
			_, err = pool.Exec(t.Context(), `delete from goose_service`)
			require.ErrorContains(t, err, "permission denied")
			_, err = owner.Exec(t.Context(), `create table mine (i int); insert into mine values (1)`)
			require.NoError(t, err, "nobody else has a table of this name here")
			_, err = pool.Exec(t.Context(), `update mine set i = 2`)
			require.NoError(t, err, "the service may change the owner's rows")
		})
	}
}
