//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// analytics measures the way from an act to a report, and how fast events that wait
// in the broker are kept and added up. What needs a million events is measured where
// it lives (TestFigures of apps/analytics/internal/app).
func (b *bed) analytics(t *testing.T, r *report) {
	b.signIn(t)
	b.actToReport(t, r)
	b.backlog(t, r)
}

// actToReport: a course is published, and is in the instructor's report once its
// first learner is.
func (b *bed) actToReport(t *testing.T, r *report) {
	const n = 40
	var took []time.Duration
	for i := range n {
		course := b.courses[len(b.courses)-1-i].ID
		student := b.students[readers+i%(studentCount-readers)]
		student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{}, http.StatusCreated, http.StatusOK, http.StatusConflict)
		began := time.Now()
		require.Eventually(t, func() bool {
			ans, err := b.teacher.Try(http.MethodGet, "/api/v1/reports/course-funnel?course_id="+course, nil)
			return err == nil && ans.Status == http.StatusOK && strings.Contains(string(ans.Body), `"enrolled":`) && !strings.Contains(string(ans.Body), `"enrolled":0`)
		}, 30*time.Second, 20*time.Millisecond, "the enrollment is reported")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	r.add("enrollment to report, through the gateway", fmt.Sprintf("p50 %d ms, p99 %d ms", took[n/2].Milliseconds(), took[n-1].Milliseconds()), "p99 ≤ 5 s")
}

// backlog: events of course that analytics was away for.
func (b *bed) backlog(t *testing.T, r *report) {
	const n = 20_000
	db, err := pgx.Connect(t.Context(), b.setting(t, "analytics", "LMS_DATABASE_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	_, err = db.Exec(t.Context(), "set lms.tenant = '*'")
	require.NoError(t, err)
	count := func(sql string, args ...any) (have int64) {
		require.NoError(t, db.QueryRow(t.Context(), sql, args...).Scan(&have))
		return have
	}
	e := b.emitter(t)
	before := count("select count(*) from raw_events")
	resume := b.w.Pause(t, "analytics", "service")
	lag := lagHistogram(t, b)
	e.emit(t, n/200, 200, 4)
	e.applied(t, lag, n) // enrollment has them: the broker has all
	began := time.Now()
	resume()
	require.Eventually(t, func() bool { return count("select count(*) from raw_events") >= before+n }, 2*time.Minute, 50*time.Millisecond, "all are kept")
	kept := time.Since(began)
	require.Eventually(t, func() bool {
		return count("select count(*) from tally_place p where p.ord >= (select max(ord) from raw_events)") == 1
	}, time.Minute, 50*time.Millisecond, "all are added up")
	r.add(fmt.Sprintf("events into analytics, %d that wait in the broker", n), fmt.Sprintf("%.0f per s kept, %.0f per s added up",
		n/kept.Seconds(), n/time.Since(began).Seconds()), "≥ 6,000 per s")
}
