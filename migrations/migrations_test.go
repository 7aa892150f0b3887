package migrations_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

// TestTenantsAreGuarded: every table is guarded by row-level security, except
// those that the README names with the reason.
func TestTenantsAreGuarded(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(readme), "### Without row-level security\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n#")
	reasons := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`.*`) \\| .+ \\|$").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(m[1], -1) {
			reasons[name[1]] = true
		}
	}
	require.NotEmpty(t, reasons)
	open := map[string]bool{}
	for _, service := range migrations.Services() {
		pool := testkit.DB(t, service)
		rows, err := pool.Query(t.Context(), `
			select c.relname::text, exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')
			from pg_class c
			where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and not c.relrowsecurity and c.relname not like 'goose%'`)
		require.NoError(t, err)
		var table string
		var tenant bool
		_, err = pgx.ForEachRow(rows, []any{&table, &tenant}, func() error {
			require.False(t, tenant, "%s: %s carries a tenant and is not guarded", service, table)
			require.True(t, reasons[table], "%s: %s is not guarded, and the README gives no reason", service, table)
			open[table] = true
			return nil
		})
		require.NoError(t, err)
	}
	require.Equal(t, reasons, open, "the README names only what is there")
}

// TestWhatIsToldBelongsToATenant: a transaction for one tenant neither reads
// nor writes what another one publishes, calls or has reported.
func TestWhatIsToldBelongsToATenant(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "course")
	mine, theirs := uuid.New(), uuid.New()
	job := uuid.New()
	in := func(tenant, sql string, args ...any) error {
		return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "select set_config('lms.tenant', $1, true)", tenant); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), sql, args...)
			return err
		})
	}
	statements := map[string]func(tenant uuid.UUID) (string, []any){
		"outbox": func(tenant uuid.UUID) (string, []any) {
			return `insert into outbox (id, shard, type, aggregate_id, seq, tenant_id, event, created_at) values ($1, 0, 'x', $1, 1, $2, '{}', now())`, []any{uuid.New(), tenant}
		},
		"outbox_call": func(tenant uuid.UUID) (string, []any) {
			return `insert into outbox_call (id, destination, name, key, seq, tenant_id, created_at, next_attempt_at) values ($1, 'x', 'x', 'x', 1, $2, now(), now())`, []any{uuid.New(), tenant}
		},
		"job_row": func(uuid.UUID) (string, []any) {
			return `insert into job_row (job_id, n, status) values ($1, (random() * 1e9)::bigint, 'ok')`, []any{job}
		},
	}
	require.NoError(t, in(theirs.String(), `insert into job (id, kind, tenant_id, state, input, created_at, run_at) values ($1, 'x', $2, 'queued', '{}', now(), now())`, job, theirs))
	for table, insert := range statements {
		sql, args := insert(theirs)
		require.ErrorContains(t, in(mine.String(), sql, args...), "row-level security", table)
		require.NoError(t, in(theirs.String(), sql, args...), table)
		sql, args = insert(theirs)
		require.NoError(t, in("*", sql, args...), table)
		sql, args = insert(theirs)
		require.ErrorContains(t, in("", sql, args...), "row-level security", "who writes says for whom: %s", table)
		unscoped := 2 // the relay
		if table == "job_row" {
			unscoped = 0
		}
		for scope, want := range map[string]int{mine.String(): 0, "": unscoped, theirs.String(): 2, "*": 2} {
			var n int
			require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), "select set_config('lms.tenant', $1, true)", scope); err != nil {
					return err
				}
				return tx.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n)
			}))
			require.Equal(t, want, n, "%s as %q", table, scope)
		}
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

// TestAProgramIsRefusedWhoseTimeIsOver: what a newer program added is no matter to an
// older one, but what it took away ends its service.
func TestAProgramIsRefusedWhoseTimeIsOver(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"goose_service", "goose_shared"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			pool := testkit.DB(t, "course")
			owner := testkit.OwnerDB(t, pool)
			later := func(sql string, args ...any) {
				t.Helper()
				_, err := owner.Exec(t.Context(), sql, args...)
				require.NoError(t, err)
			}
			var known int64
			require.NoError(t, owner.QueryRow(t.Context(), "select max(version_id) from "+table).Scan(&known))
			later("insert into "+table+" (version_id, is_applied) values ($1, true)", known+2)
			require.NoError(t, migrations.Check(t.Context(), pool, "course"), "it was added to")

			later("select programs_from($1, $2)", table, known)
			require.NoError(t, migrations.Check(t.Context(), pool, "course"), "programs of today may go on")
			later("select programs_from($1, $2)", table, known+1)
			err := migrations.Check(t.Context(), pool, "course")
			require.ErrorIs(t, err, migrations.ErrNewer)
			require.ErrorContains(t, err, "the database of course wants a program that knows version")
			later("select programs_from($1, 1)", table)
			require.ErrorIs(t, migrations.Check(t.Context(), pool, "course"), migrations.ErrNewer, "nothing brings it back")

			_, err = pool.Exec(t.Context(), "update schema_floor set version = 0")
			require.ErrorContains(t, err, "permission denied", "the service cannot let itself in")
			_, err = pool.Exec(t.Context(), "select programs_from($1, 1)", table)
			require.ErrorContains(t, err, "permission denied")
		})
	}
}

// TestWhatTakesAwaySaysSo: a migration after which programs of before would fail
// names the version that a program must know.
func TestWhatTakesAwaySaysSo(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		sql := comment.ReplaceAllString(string(raw), "")
		if what := takenAway(sql); what != "" {
			require.Contains(t, sql, "select programs_from(", "%s: %q takes away what older programs use", file, what)
		}
	}
	for _, sql := range []string{
		"alter table x drop column y;", "alter table x drop y", "drop table x", "drop function f()", "ALTER TABLE x RENAME TO y", "alter table x rename column y to z",
		"alter table x alter column y set not null", "alter table x alter y type bigint", "alter table x alter y drop default", "alter table x add column y text not null",
		"alter table x add y text not null check (y <> '')", "alter table x add constraint c check (y > 0)", "create unique index i on x (y)", "revoke insert on x from y",
	} {
		require.NotEmpty(t, takenAway(sql), sql)
	}
	for _, sql := range []string{
		"create table x (y text not null); create unique index i on x (y); alter table x add constraint c check (y > 0)", "alter table x add column y text not null default ''",
		"alter table x add y bigint", "create index i on x (y)", "alter table x alter y set default 1", "alter table x drop constraint c", "alter table x alter y drop not null", "drop index i",
	} {
		require.Empty(t, takenAway(sql), sql)
	}
}

var ( //nolint:gochecknoglobals // patterns
	comment = regexp.MustCompile(`--[^\n]*`)
	created = regexp.MustCompile(`(?i)\bcreate\s+(?:or\s+replace\s+|unlogged\s+)?(?:table|view|type|function)\s+(?:if\s+not\s+exists\s+)?(\w+)`)
	dropped = regexp.MustCompile(`(?i)\bdrop\s+(?:table|view|type|function)\s+(?:if\s+exists\s+)?(\w+)`)
	takes   = regexp.MustCompile(`(?i)\b(drop\s+(column|trigger|default)|rename\s+(to|column)|alter\s+(column\s+)?\w+\s+(set\s+not\s+null|type|set\s+data\s+type)|revoke)\b`)
	alters  = regexp.MustCompile(`(?is)\balter\s+table\s+(?:only\s+)?(\w+)\s+([^;]*)`)
	drops   = regexp.MustCompile(`(?i)\bdrop\s+(\w+)`)
	adds    = regexp.MustCompile(`(?is)\badd\s+(?:column\s+)?(\w+)[^,;]*`)
	unique  = regexp.MustCompile(`(?i)\bcreate\s+unique\s+index\s+\w+\s+on\s+(\w+)`)
)

// takenAway is what a migration does to tables of before that a program of before
// may not survive: less is there, or less is allowed.
func takenAway(sql string) string {
	if what := takes.FindString(sql); what != "" {
		return what
	}
	var own []string
	for _, m := range created.FindAllStringSubmatch(sql, -1) {
		own = append(own, m[1])
	}
	for _, m := range slices.Concat(dropped.FindAllStringSubmatch(sql, -1), unique.FindAllStringSubmatch(sql, -1)) {
		if !slices.Contains(own, m[1]) {
			return m[0]
		}
	}
	for _, m := range alters.FindAllStringSubmatch(sql, -1) {
		if slices.Contains(own, m[1]) {
			continue
		}
		for _, d := range drops.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains([]string{"constraint", "not", "expression", "identity"}, strings.ToLower(d[1])) {
				return d[0]
			}
		}
		for _, a := range adds.FindAllStringSubmatch(m[2], -1) {
			kind, text := strings.ToLower(a[1]), strings.ToLower(a[0])
			narrower := slices.Contains([]string{"constraint", "check", "unique", "primary", "foreign", "exclude"}, kind)
			if narrower || strings.Contains(text, "not null") && !strings.Contains(text, "default") && !strings.Contains(text, "generated") {
				return a[0]
			}
		}
	}
	return ""
}
