package app

import (
	"net/http"
	"testing"
	"time"

	"lms/shared/testkit"
)

func TestTermsAndTemplatesAreSorted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.admin)
	autumn := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	for _, term := range []body{
		{"code": "T3", "name": "autumn", "starts_at": autumn},
		{"code": "t1", "name": "Spring", "starts_at": autumn.AddDate(0, -6, 0)},
		{"code": "T2", "name": "Open"}, // without a start it is the latest
		{"code": "T4", "name": "also in autumn", "starts_at": autumn},
	} {
		term["org_unit_id"] = w.tenant
		admin.POST("/api/v1/terms", term).Expect(http.StatusCreated)
	}
	c, _ := w.published(nil)
	for _, name := range []string{"b", "C", "a"} {
		w.clock.Advance(time.Minute)
		admin.POST("/api/v1/course-templates", body{"course_id": c.ID, "name": name}).Expect(http.StatusCreated)
	}
	for path, want := range map[string]map[string][]string{
		"/api/v1/terms": {
			"starts_at": {"Spring", "autumn", "also in autumn", "Open"},
			"name":      {"also in autumn", "autumn", "Open", "Spring"},
			"code":      {"Spring", "Open", "autumn", "also in autumn"},
		},
		"/api/v1/course-templates": {"name": {"a", "b", "C"}, "created_at": {"b", "C", "a"}},
	} {
		testkit.Sorted(t, admin, path, "name", want)
	}
}
