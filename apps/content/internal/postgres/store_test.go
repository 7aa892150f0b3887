package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/pg"
	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "content"), ".")
}

const unguardedSQL = `
select c.relname from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
  and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  and c.relname not in ('outbox', 'outbox_call')`

func TestEveryTableOfATenantHasRowLevelSecurity(t *testing.T) {
	t.Parallel()
	names, err := pg.Column[string](t.Context(), testkit.DB(t, "content"), unguardedSQL)
	require.NoError(t, err)
	require.Empty(t, names)
}
