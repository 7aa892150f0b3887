package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/pg"
	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "assignment"), ".")
}

const unguardedSQL = `
select c.relname from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
  and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  and c.relname <> all ($1)`

func TestEveryTableHasRowLevelSecurity(t *testing.T) {
	t.Parallel()
	kit := []string{"outbox", "outbox_call"} // read by relays of all tenants
	names, err := pg.Column[string](t.Context(), testkit.DB(t, "assignment"), unguardedSQL, kit)
	require.NoError(t, err)
	require.Empty(t, names)
}
