package app

import (
	"net/http"
	"testing"
)

// BenchmarkDownload is a learner's signed address: the content, the question to
// enrollment (answered in this process here), the version, the signature.
func BenchmarkDownload(b *testing.B) {
	w := newWorld(b)
	c, course := w.shownTo(w.student)
	client, path := w.as(w.student), c.path("/download?course_id="+course.String())
	client.GET(path).Expect(http.StatusOK)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			client.GET(path).Expect(http.StatusOK)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "presigns/s")
}

// BenchmarkWatch is a player's report.
func BenchmarkWatch(b *testing.B) {
	w := newWorld(b)
	c, course := w.shownTo(w.student)
	client := w.as(w.student)
	report := body{"course_id": course, "intervals": []body{{"from_ms": 0, "to_ms": 10_000}}, "position_ms": 10_000}
	b.ReportAllocs()
	for b.Loop() {
		client.POST(c.path("/watch"), report).Expect(http.StatusOK)
	}
}
