package app

import (
	"net/http"
	"testing"

	"lms/shared/testkit"
)

// The two reads that clients make most, through the service's own router.

func BenchmarkGetCourse(b *testing.B) {
	benchmarkGet(b, func(c made) string { return c.path("") })
}

func BenchmarkGetCurriculum(b *testing.B) {
	benchmarkGet(b, func(c made) string { return c.path("/curriculum") })
}

func benchmarkGet(b *testing.B, path func(made) string) {
	w := newWorld(b)
	c, _ := w.published(body{"description": "A course with a description of some length, as courses have."})
	modules := make([]body, 10)
	for m := range modules {
		items := make([]body, 10)
		for i := range items {
			items[i] = body{"kind": "page", "title": "A page of the course", "requirement": body{"kind": "view"}}
		}
		modules[m] = body{"title": "A module of the course", "items": items}
	}
	w.put(c, `"v2"`, body{"modules": modules})
	student := w.as(w.student)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			get(b, student, path(c))
		}
	})
}

func get(b *testing.B, c *testkit.Client, path string) {
	if r := c.GET(path); r.Status != http.StatusOK {
		b.Errorf("%d: %s", r.Status, r.Body)
	}
}
