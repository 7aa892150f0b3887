package app

import (
	"net/url"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
)

// TestListsGoBothWays reads every list one item at a time, the newest first and the
// oldest first: both are the same, in opposite order, and nothing is there twice.
func TestListsGoBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seller()
	w.as(w.admin).POST("/api/v1/legal-entities", body{"org_unit_id": w.unit, "name": "Zweite", "address": "Kai 2", "country": "AT", "invoice_prefix": "AT-", "credit_note_prefix": "ATC-"}).Expect(201)
	w.as(w.admin).POST("/api/v1/tax-rules", body{"country": "AT", "components": []body{{"name": "VAT", "percent": "20"}}}).Expect(201)
	var entities struct{ Items []struct{ ID uuid.UUID } }
	w.as(w.admin).GET("/api/v1/legal-entities").Expect(200).JSON(&entities)
	entity := body{"legal_entity_id": entities.Items[1].ID}
	for _, code := range []string{"ONE", "TWO", "THREE"} {
		w.as(w.admin).POST("/api/v1/coupons", body{"org_unit_id": w.tenant, "code": code, "percent": "5"}).Expect(201)
	}
	var orders []uuid.UUID
	for range 2 {
		_, o := w.buy(w.student, w.plan([]uuid.UUID{w.course(0)}, entity))
		orders = append(orders, o.ID)
		w.buy(w.student, w.plan([]uuid.UUID{w.course(0)}, monthly(500, entity)))
		seats := w.plan([]uuid.UUID{w.course(0)}, entity, body{"for_org_units": true, "prices": []body{{"currency": "EUR", "amount": 0}}})
		w.keyed(w.chief).POST("/api/v1/org-units/"+w.unit.String()+"/seat-pools", body{"plan_id": seats.ID, "seats": 2}).Expect(201)
		w.keyed(w.chief).POST("/api/v1/orders/"+orders[0].String()+"/refunds", body{"reason": "a part", "amount": 100}).Expect(201)
		w.keyed(w.admin).POST("/api/v1/reconciliations", nil).Expect(202)
	}
	w.settled()
	for path, as := range map[string]authz.Principal{
		"/api/v1/plans": w.admin, "/api/v1/legal-entities": w.admin, "/api/v1/tax-rules": w.admin, "/api/v1/coupons": w.admin,
		"/api/v1/payment-methods": w.student, "/api/v1/orders": w.student, "/api/v1/orders/" + orders[0].String() + "/refunds": w.student,
		"/api/v1/entitlements": w.student, "/api/v1/subscriptions": w.student, "/api/v1/org-units/" + w.unit.String() + "/seat-pools": w.chief,
		"/api/v1/invoices": w.student, "/api/v1/credit-notes": w.student, "/api/v1/ledger/entries": w.admin, "/api/v1/reconciliations": w.admin,
	} {
		newest, oldest := w.walk(as, path, "-created_at"), w.walk(as, path, "created_at")
		require.GreaterOrEqual(t, len(newest), 2, path)
		slices.Reverse(oldest)
		require.Equal(t, newest, oldest, path)
		require.Equal(t, newest, w.walk(as, path, ""), "%s: the newest first unless asked otherwise", path)
	}
	w.as(w.student).GET("/api/v1/orders?sort=price").Expect(422)
	w.as(w.student).GET("/api/v1/orders/" + orders[0].String() + "/refunds?limit=1000").Expect(422)
}

// walk gives the ids of a list, a page for each.
func (w *world) walk(p authz.Principal, path, sort string) (ids []uuid.UUID) {
	w.t.Helper()
	q := url.Values{"limit": {"1"}}
	if sort != "" {
		q.Set("sort", sort)
	}
	for {
		var page struct {
			Items []struct{ ID uuid.UUID }
			Next  string `json:"next_cursor"`
		}
		w.as(p).GET(path + "?" + q.Encode()).Expect(200).JSON(&page)
		require.LessOrEqual(w.t, len(page.Items), 1, path)
		for _, it := range page.Items {
			require.NotContains(w.t, ids, it.ID, path)
			ids = append(ids, it.ID)
		}
		if page.Next == "" {
			return ids
		}
		q.Set("cursor", page.Next)
	}
}
