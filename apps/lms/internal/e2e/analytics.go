package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// Reported is what reports say of a course whose history is known: who looked,
// enrolled, began and completed it; for its instructor and the administrator, not
// for a stranger; and the same after all of it was added up anew.
func Reported(t testing.TB, w *World) {
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Numbers", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Ines Counter", faculty, "instructor")
	stranger := w.Invite(t, "Stra Nger", faculty)
	c := w.Publish(t, teacher.API, faculty, ThreeModules(), nil)
	one, two := w.Register(t, "One Learner"), w.Register(t, "Two Learner")
	for _, p := range []Person{one, two} {
		p.Read(t, "/api/v1/courses/"+c.ID)
		p.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)
	}
	first := c.Modules[0].Items[0].ID
	two.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/items/"+first+"/view", map[string]any{})
	for _, m := range c.Modules {
		for i, item := range m.Items {
			verb := "/view"
			if m.ID == c.Modules[2].ID || i == 1 {
				verb = "/done"
			}
			one.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/items/"+item.ID+verb, map[string]any{})
		}
	}

	want := []any{2.0, 2.0, 2.0, 1.0}
	funnel := func(as *system.API) []any {
		rows := reportRows(t, as, "/api/v1/reports/course-funnel?course_id="+c.ID)
		if len(rows) != 1 {
			return nil
		}
		return []any{rows[0]["viewed"], rows[0]["enrolled"], rows[0]["started"], rows[0]["completed"]}
	}
	require.Eventually(t, func() bool {
		ans, err := teacher.Try(http.MethodGet, "/api/v1/reports/course-funnel?course_id="+c.ID, nil)
		return err == nil && ans.Status == http.StatusOK && slices.Equal(want, funnel(teacher.API))
	}, time.Minute, 100*time.Millisecond, "looks, enrollments and the completion are reported to the instructor")
	require.Equal(t, want, funnel(w.Admin), "to the administrator")
	ans, err := stranger.Try(http.MethodGet, "/api/v1/reports/course-funnel?course_id="+c.ID, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, ans.Status)

	active := reportRows(t, teacher.API, "/api/v1/reports/active-learners?interval=year&time_zone=Asia/Kathmandu&course_id="+c.ID)
	total := 0.0
	for _, r := range active {
		total += r["learners"].(float64) //nolint:forcetypeassert // a count
	}
	require.InDelta(t, 2, total, 0)

	export := teacher.DoKeyed(t, http.MethodPost, "/api/v1/reports/item-difficulty/export", map[string]any{"format": "csv", "course_id": c.ID}, http.StatusAccepted)
	location := export.Header.Get("Location")
	require.Eventually(t, func() bool {
		ans, err := teacher.Try(http.MethodGet, location, nil)
		return err == nil && ans.Map(t)["state"] == "succeeded"
	}, 30*time.Second, 100*time.Millisecond, "the export is written")
	require.InDelta(t, 4, teacher.Read(t, location+"/result").Map(t)["rows"], 0, "an item each")

	rebuild := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/analytics/rebuild", map[string]any{}, http.StatusAccepted)
	require.Eventually(t, func() bool {
		ans, err := w.Admin.Try(http.MethodGet, rebuild.Header.Get("Location"), nil)
		return err == nil && ans.Map(t)["state"] == "succeeded"
	}, time.Minute, 100*time.Millisecond, "all is added up anew")
	require.InDelta(t, 0, w.Admin.Read(t, rebuild.Header.Get("Location")+"/result").Map(t)["differences"], 0)
	require.Equal(t, want, funnel(teacher.API))
}

// reportRows are the rows of a report.
func reportRows(t testing.TB, as *system.API, path string) []map[string]any {
	t.Helper()
	var out struct {
		Rows []map[string]any `json:"rows"`
	}
	as.Read(t, path).JSON(t, &out)
	return out.Rows
}
