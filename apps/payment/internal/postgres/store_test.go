package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/billing"
	"lms/shared/pg"
	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "payment"), ".")
}

const unguardedSQL = `
select c.relname from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
  and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  and c.relname <> all ($1)`

func TestEveryTableHasRowLevelSecurity(t *testing.T) {
	t.Parallel()
	kit := []string{"outbox", "outbox_call"} // read by relays of all tenants
	names, err := pg.Column[string](t.Context(), testkit.DB(t, "payment"), unguardedSQL, kit)
	require.NoError(t, err)
	require.Empty(t, names)
}

const movesSQL = `select machine || ' ' || from_state || ' → ' || to_state from state_moves()`

// TestCodeAndDatabaseKnowTheSameMoves: a step that one of them forbids is possible
// in neither.
func TestCodeAndDatabaseKnowTheSameMoves(t *testing.T) {
	t.Parallel()
	there, err := pg.Column[string](t.Context(), testkit.DB(t, "payment"), movesSQL)
	require.NoError(t, err)
	var here []string
	for _, m := range billing.Moves() {
		here = append(here, strings.Join([]string{m.Machine, m.From, "→", m.To}, " "))
	}
	slices.Sort(here)
	slices.Sort(there)
	require.Equal(t, here, there)
}
