package app

import (
	"strconv"
	"sync/atomic"
	"testing"

	"lms/shared/authz"
)

// The benchmarks go through the router with verified tokens and idempotency keys,
// as the gateway sends them, to a real PostgreSQL.

// BenchmarkSubmit hands in texts: each by another learner, and again and again by
// the same ones.
func BenchmarkSubmit(b *testing.B) {
	for name, people := range map[string]int{"everybody-once": 0, "hundred-learners": 100} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			a := w.published(nil)
			if people == 0 {
				people = b.N
			}
			who := make([]authz.Principal, min(people, b.N))
			for i := range who {
				who[i] = w.learner()
			}
			var n atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(n.Add(1)) - 1
					w.as(who[i%len(who)]).With("Idempotency-Key", "gateway:"+strconv.Itoa(i)).
						POST(path("assignments", a.ID, "submissions"), body{"text": "<p>My work.</p>"})
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
		})
	}
}

// BenchmarkBulkGrade enters a hundred grades at a time.
func BenchmarkBulkGrade(b *testing.B) {
	w := newWorld(b)
	a := w.published(nil)
	rows := make([]body, 100)
	for i := range rows {
		p := w.learner()
		w.submit(p, a)
		rows[i] = body{"user_id": p.UserID}
	}
	b.ResetTimer()
	for i := range b.N {
		for j := range rows {
			rows[j]["score"] = (i + j) % 20
		}
		w.as(w.teacher).POST(path("assignments", a.ID, "grades", "bulk"), body{"grades": rows}).Expect(200)
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "grades/s")
}
