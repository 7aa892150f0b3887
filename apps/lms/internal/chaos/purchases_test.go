//go:build chaos

package chaos_test

import (
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// purchases makes a seller with plans and a coupon, and what the organisation's
// learner and administrator have of them: an order that was paid and given back in
// part, a subscription with its saved card, and seats.
func (s *school) purchases(t testing.TB, o *organisation, _ string) ids {
	t.Helper()
	seller, learner, admin := s.World.Admin, o.Learner.API, o.Admin.API // the platform's administrators sell
	entity := made(t, seller, "/api/v1/legal-entities", map[string]any{"org_unit_id": o.Root, "name": "Seller", "address": "Quay 1", "country": "DE"})
	plan := func(kind string, amount int, more map[string]any) string {
		course := s.Publish(t, o.Instructor.API, o.Root, e2e.ThreeModules(), nil) // one's own: another plan of it would be bought already
		body := map[string]any{
			"org_unit_id": o.Root, "name": "P-" + kind, "kind": kind, "course_ids": []string{course.ID}, "legal_entity_id": entity,
			"prices": []any{map[string]any{"currency": "EUR", "amount": amount}},
		}
		for k, v := range more {
			body[k] = v
		}
		return made(t, seller, "/api/v1/plans", body)
	}
	once, seats := plan("one_off", 10000, nil), plan("one_off", 0, nil)
	monthly := plan("subscription", 500, map[string]any{"period": map[string]any{"unit": "month", "count": 1}})

	checkout := checkedOut(t, learner, once)
	page := e2e.Pay(t, learner, checkout)
	order := await1(t, learner, "/api/v1/orders?state=paid")
	refund := made(t, admin, "/api/v1/orders/"+order+"/refunds", map[string]any{"reason": "a part", "amount": 100})
	e2e.Pay(t, learner, checkedOut(t, learner, monthly))
	pools := "/api/v1/org-units/" + o.Unit + "/seat-pools"
	made(t, admin, pools, map[string]any{"plan_id": seats, "seats": 5})
	pool := await1(t, admin, pools)
	must(t, admin, http.MethodPut, "/api/v1/seat-pools/"+pool+"/seats/"+o.Learner.ID, map[string]any{})
	return ids{
		"legal-entities/{id}": entity, "plans/{id}": once, "checkout-sessions/{id}": checkout, "mock-gateway/{session}": path.Base(page),
		"coupons/{id}":         made(t, seller, "/api/v1/coupons", map[string]any{"org_unit_id": o.Root, "code": coupon(), "percent": "10"}),
		"orders/{id}":          order,
		"refunds/{id}":         refund,
		"invoices/{id}":        await1(t, learner, "/api/v1/invoices?order_id="+order),
		"credit-notes/{id}":    await1(t, learner, "/api/v1/credit-notes"),
		"subscriptions/{id}":   await1(t, learner, "/api/v1/subscriptions"),
		"payment-methods/{id}": await1(t, learner, "/api/v1/payment-methods"),
		"seat-pools/{id}":      pool, "seats/{user_id}": o.Learner.ID, "webhooks/{provider}": "mock",
		"body:plan_id": seats, "body:legal_entity_id": entity, "body:order_id": order,
	}
}

// checkedOut is a checkout session of a plan.
func checkedOut(t testing.TB, api *system.API, plan string) (session string) {
	t.Helper()
	return made(t, api, "/api/v1/checkout-sessions", map[string]any{"plan_id": plan})
}

// coupon is a code that nobody has.
func coupon() string { return "C-" + strings.ToUpper(uuid.NewString()[:8]) }

// await1 waits until a list has something, and is the id of its first.
func await1(t testing.TB, api *system.API, path string) (id string) {
	t.Helper()
	await(t, time.Minute, path+" has something", func() bool {
		if all := list[struct{ ID string }](t, api, path); len(all) > 0 {
			id = all[0].ID
		}
		return id != ""
	})
	return id
}
