package app

import (
	"testing"

	"github.com/google/uuid"

	"lms/shared/authz"
)

// The benchmarks go through the router with verified tokens to a real PostgreSQL;
// enrollment answers from memory.

func BenchmarkCheckout(b *testing.B) {
	w := newWorld(b)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	people := make(chan authz.Principal, b.N)
	for range b.N {
		people <- w.learner()
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.keyed(<-people).POST("/api/v1/checkout-sessions", body{"plan_id": plan.ID}).Expect(201)
		}
	})
}

func BenchmarkWebhook(b *testing.B) {
	w := newWorld(b)
	w.seller()
	plan := w.plan([]uuid.UUID{w.course(0)})
	for range b.N {
		w.press(w.checkout(w.learner(), plan).URL, "pay", pays)
	}
	bodies := make(chan string, b.N)
	for _, raw := range w.sent() {
		bodies <- raw
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			raw := <-bodies
			if status := w.post(raw, sign("whsec_new", w.clock.Now(), []byte(raw))); status != 200 {
				b.Errorf("webhook: %d", status)
			}
		}
	})
}
