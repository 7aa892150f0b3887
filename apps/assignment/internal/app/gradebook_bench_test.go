package app

import (
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
)

const largeGradesSQL = `
insert into grades (id, tenant_id, org_unit_id, course_id, assignment_id, user_id, alias, entered_score, graded_at, posted_at, created_at, updated_at)
select gen_random_uuid(), $1, $2, $3, a.id, u.id, gen_random_uuid(), 100 * (1 + (row_number() over ()) % 20), $5, $5, $5, $5
from assignments a cross join unnest($4::uuid[]) as u (id)`

// large is a course of so many people and assignments, all graded.
func large(b *testing.B, people, columns int) *world {
	w := newWorld(b)
	for i := range columns {
		w.published(body{"title": "Assignment " + strconv.Itoa(i), "points": 20})
	}
	users := []uuid.UUID{w.student.UserID}
	for len(users) < people {
		users = append(users, w.learner().UserID)
	}
	_, err := w.pool.Exec(b.Context(), "select set_config('lms.tenant', '*', false)")
	require.NoError(b, err)
	tx, err := w.pool.Begin(b.Context())
	require.NoError(b, err)
	_, err = tx.Exec(b.Context(), "select set_config('lms.tenant', '*', true)")
	require.NoError(b, err)
	_, err = tx.Exec(b.Context(), largeGradesSQL, w.tenant, w.unit, w.course, users, w.clock.Now())
	require.NoError(b, err)
	_, err = tx.Exec(b.Context(), `
insert into course_totals (id, tenant_id, org_unit_id, course_id, user_id, created_at)
select gen_random_uuid(), $1, $2, $3, unnest($4::uuid[]), $5`, w.tenant, w.unit, w.course, users, w.clock.Now())
	require.NoError(b, err)
	require.NoError(b, tx.Commit(b.Context()))
	_, err = w.pool.Exec(b.Context(), "analyze grades")
	require.NoError(b, err)
	w.count()
	return w
}

// BenchmarkGradebook reads the gradebook of 1,000 people and 100 assignments in one
// request, through the router, from a real PostgreSQL.
func BenchmarkGradebook(b *testing.B) {
	for name, query := range map[string]string{"json": "", "csv": "?format=csv"} {
		b.Run(name, func(b *testing.B) {
			w := large(b, 1000, 100)
			at := path("courses", w.course, "gradebook") + query
			client := w.as(w.teacher)
			size := len(client.GET(at).Expect(200).Body)
			if query == "" {
				var book httpapi.Gradebook
				client.GET(at).Expect(200).JSON(&book)
				require.Len(b, book.People, 1000)
				require.Len(b, book.People[7].Grades, 100)
			}
			var took []time.Duration
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				start := time.Now()
				client.GET(at).Expect(200)
				took = append(took, time.Since(start))
			}
			runtime.ReadMemStats(&after)
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
			b.ReportMetric(float64(size)/1e6, "MB")
		})
	}
}
