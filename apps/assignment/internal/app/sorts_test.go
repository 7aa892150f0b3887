package app

import (
	"testing"
	"time"

	"lms/shared/testkit"
)

func TestRubricsAreSorted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	criteria := []body{{"title": "x", "levels": []body{{"title": "x", "points": 1}}}}
	for _, title := range []string{"essay", "Talk", "Code"} {
		w.clock.Advance(time.Minute)
		w.as(w.teacher).POST("/api/v1/rubrics", body{"course_id": w.course, "title": title, "criteria": criteria}).Expect(201)
	}
	testkit.Sorted(t, w.as(w.teacher), "/api/v1/rubrics?course_id="+w.course.String(), "title", map[string][]string{
		"title": {"Code", "essay", "Talk"}, "created_at": {"essay", "Talk", "Code"},
	})
}
