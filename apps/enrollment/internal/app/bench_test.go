package app

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	contract "lms/shared/contracts/events"
)

// The benchmarks go through the router with verified tokens and idempotency keys,
// as the gateway sends them, to a real PostgreSQL.

func BenchmarkEnroll(b *testing.B) {
	for name, change := range map[string]func(*contract.CourseState){
		"unlimited": func(*contract.CourseState) {}, "limited": seats(1 << 20),
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			c := w.course(change)
			w.curriculum(c, part("M", needs(contract.RequireView), needs(contract.RequireDone)))
			people := make(chan authz.Principal, b.N)
			for range b.N {
				people <- w.learner()
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p := <-people
					w.as(p).With("Idempotency-Key", "gateway:"+p.UserID.String()).POST(enrollments(c), map[string]any{}).Expect(201)
				}
			})
		})
	}
}

func BenchmarkView(b *testing.B) {
	w := newWorld(b)
	c := w.course()
	var parts []contract.CurriculumPart
	var items []contract.CurriculumItem
	for range 10 {
		var some []contract.CurriculumItem
		for range 10 {
			some = append(some, needs(contract.RequireView))
		}
		items = append(items, some...)
		parts = append(parts, part("M", some...))
	}
	w.curriculum(c, parts...)
	people := make([]authz.Principal, b.N/len(items)+1)
	for i := range people {
		people[i] = w.learner()
		w.enroll(people[i], c)
	}
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1)) - 1
			p := people[i%len(people)]
			w.as(p).With("Idempotency-Key", "gateway:"+strconv.Itoa(i)).POST(path("courses", c.ID, "items", items[i/len(people)].ID, "view"), nil).Expect(200)
		}
	})
}

func BenchmarkMine(b *testing.B) {
	w := newWorld(b)
	for range 8 {
		c := w.course()
		w.curriculum(c, part("M", needs(contract.RequireView)))
		w.enroll(w.student, c)
	}
	client := w.as(w.student)
	require.Len(b, w.list(w.student, "/api/v1/enrollments").Items, 8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			client.GET("/api/v1/enrollments?include=course,progress,next_item").Expect(200)
		}
	})
}
