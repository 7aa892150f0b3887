package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/report"
	"lms/shared/pg"
	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "analytics"), ".")
}

func TestEveryReportHasAStatement(t *testing.T) {
	t.Parallel()
	for _, r := range report.Catalogue() {
		_, ok := statementOf(r.Name)
		require.True(t, ok, r.Name)
	}
}

const unguardedSQL = `
select c.relnamespace::regnamespace || '.' || c.relname from pg_class c
where c.relnamespace in ('public'::regnamespace, 'rebuild'::regnamespace) and c.relkind in ('r', 'p') and not c.relrowsecurity
  and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  and c.relname <> all ($1)`

// TestEveryTableHasRowLevelSecurity, partitions and what is made anew included.
func TestEveryTableHasRowLevelSecurity(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, "analytics")
	_, err := db.Exec(t.Context(), makeMonthSQL, []string{"2026-03-05", "2026-04-01", "2026-03-01"})
	require.NoError(t, err)
	kit := []string{"outbox", "outbox_call"} // read by relays of all tenants
	names, err := pg.Column[string](t.Context(), db, unguardedSQL, kit)
	require.NoError(t, err)
	require.Empty(t, names)
}
