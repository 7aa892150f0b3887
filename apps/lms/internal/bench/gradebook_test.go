//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
	"lms/shared/localpg"
)

const (
	gradebookPeople  = 1000
	gradebookColumns = 100
)

// fillGradebookSQL gives everybody a grade in every assignment of a course, without
// the hours that grading a hundred thousand times by request would take.
const fillGradebookSQL = `
insert into grades (id, tenant_id, org_unit_id, course_id, assignment_id, user_id, alias, entered_score, graded_at, posted_at, created_at, updated_at)
select gen_random_uuid(), a.tenant_id, a.org_unit_id, a.course_id, a.id, u.id, gen_random_uuid(), 100 * (1 + (row_number() over ()) % 20), $3, $3, $3, $3
from assignments a cross join unnest($2::uuid[]) as u (id) where a.course_id = $1`

const fillTotalsSQL = `
insert into course_totals (id, tenant_id, org_unit_id, course_id, user_id, created_at)
select gen_random_uuid(), g.tenant_id, g.org_unit_id, g.course_id, unnest($2::uuid[]), $3 from course_grading g where g.course_id = $1`

// class are the people of a large course, with names and enrollments.
func (b *bed) class(t *testing.T, teacher *system.API, course string) []uuid.UUID {
	t.Helper()
	people := make([]uuid.UUID, gradebookPeople)
	fourAtATime(len(people), func(i int) {
		people[i] = uuid.MustParse(b.w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/users", map[string]any{
			"email": fmt.Sprintf("class.%s@example.test", uuid.NewString()[:12]), "name": fmt.Sprintf("Student %d of the Class", i), "org_unit_id": b.w.Org,
		}, http.StatusCreated).ID(t))
	})
	job := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/enrollments/bulk", map[string]any{"user_ids": people}, http.StatusAccepted).ID(t)
	require.Eventually(t, func() bool {
		return teacher.Read(t, "/api/v1/jobs/enrollment/"+job).Map(t)["state"] == "succeeded"
	}, 2*time.Minute, 100*time.Millisecond, "everybody is enrolled")
	return people
}

// gradebook reads the gradebook of a large course as one document, through
// the gateway and both sidecars.
func (b *bed) gradebook(t *testing.T, r *report) {
	b.signIn(t)
	teacher := b.w.SignIn(t, b.teacher.Email, e2e.Password)
	course := b.courses[2].ID
	for i := range gradebookColumns {
		id := teacher.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/assignments", map[string]any{
			"title": fmt.Sprintf("Assignment %d", i+1), "points": 20,
		}, http.StatusCreated).ID(t)
		teacher.DoKeyed(t, http.MethodPost, "/api/v1/assignments/"+id+"/publish", map[string]any{})
	}
	server, err := localpg.Attach(installation.Home{Dir: b.w.Home}.Postgres())
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), server.OwnerDSN("assignment"))
	require.NoError(t, err)
	defer func() { _ = db.Close(t.Context()) }()
	people := b.class(t, teacher, course)
	now := time.Now().UTC()
	for _, sql := range []string{fillGradebookSQL, fillTotalsSQL} {
		_, err = db.Exec(t.Context(), sql, course, people, now)
		require.NoError(t, err)
	}
	_, err = db.Exec(t.Context(), "update course_grading set revision = revision + 1 where course_id = $1", course)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "analyze grades")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var behind int
		err := db.QueryRow(t.Context(), "select count(*) from course_grading where counted < revision").Scan(&behind)
		return err == nil && behind == 0
	}, 2*time.Minute, 100*time.Millisecond, "totals are stored")
	b.drained(t)
	for _, format := range []string{"json", "csv"} {
		path := "/api/v1/courses/" + course + "/gradebook?format=" + format
		size := len(teacher.Read(t, path).Body)
		res, err := load.Run(t.Context(), load.Options{
			Connections: 1, Duration: 20 * time.Second, Warmup: time.Second,
			Next: func(int, int) (*http.Request, error) { return get(b.w.URL+path, teacher.Token), nil },
		})
		require.NoError(t, err)
		require.Zero(t, res.Errors, "%v", res.Statuses)
		r.add(fmt.Sprintf("gradebook as %s, %d people × %d assignments, %.1f MB", strings.ToUpper(format), gradebookPeople, gradebookColumns, float64(size)/1e6),
			fmt.Sprintf("%d reads, p50 %s, p99 %s", res.Requests, round(res.P50), round(res.P99)), "p99 ≤ 300 ms")
	}
}
