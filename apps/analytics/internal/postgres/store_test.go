package postgres

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/report"
	"lms/apps/analytics/internal/tally"
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

var listed = regexp.MustCompile(`insert into \w+ \(([^)]+)\)\nselect ([^)]+)\nfrom unnest\([^)]+\)\s+as t \(([^)]+)\)`)

// TestRowsAreWrittenFieldByField: values go by their place, so the columns of every
// statement stand as the fields of its row do.
func TestRowsAreWrittenFieldByField(t *testing.T) {
	t.Parallel()
	for sql, row := range map[string]any{
		coursesSaveSQL: tally.Course{}, orgUnitsSaveSQL: tally.OrgUnit{}, peopleSaveSQL: tally.Person{}, cohortsSaveSQL: tally.Cohort{},
		cohortMembersSaveSQL: tally.CohortMember{}, learnersSaveSQL: tally.Learner{}, learnerItemsSaveSQL: tally.LearnerItem{},
		activitiesSaveSQL: tally.Activity{}, quizzesSaveSQL: tally.Quiz{}, questionsSaveSQL: tally.Question{}, attemptsSaveSQL: tally.Attempt{},
		assignmentsSaveSQL: tally.Assignment{}, worksSaveSQL: tally.Work{}, plansSaveSQL: tally.Plan{}, paymentsSaveSQL: tally.Payment{},
		subscriptionChangesSaveSQL: tally.SubscriptionChange{}, searchTermsSaveSQL: tally.SearchTerm{},
	} {
		var fields []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(row)) {
			fields = append(fields, f.Tag.Get("json"))
		}
		lists := listed.FindStringSubmatch(sql)
		require.Len(t, lists, 4, sql)
		for _, list := range lists[1:] {
			require.Equal(t, strings.Join(fields, ", "), strings.Join(strings.Fields(list), " "), sql)
		}
	}
}
