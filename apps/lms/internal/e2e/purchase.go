package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// Purchase is the path of somebody who buys a course: the price is in the catalogue,
// enrolling asks for it, the hosted page takes the payment, the signed webhook
// enrolls, the invoice can be kept, and a refund takes the access back.
func Purchase(t testing.TB, w *World, at Step) {
	at(t, "begin")
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Trade", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Ines Seller", faculty, "instructor")
	c := w.Publish(t, teacher.API, faculty, ThreeModules(), map[string]any{"capacity": 1})
	w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/legal-entities", map[string]any{
		"org_unit_id": w.Org, "name": "Academy of Tests", "address": "Quay 1", "country": "DE",
	}, http.StatusCreated, http.StatusConflict)
	w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/tax-rules", map[string]any{
		"country": "DE", "components": []any{map[string]any{"name": "VAT", "percent": "19"}},
	}, http.StatusCreated)
	plan := w.onSale(t, map[string]any{
		"org_unit_id": faculty, "name": "A course", "kind": "one_off", "course_ids": []string{c.ID},
		"prices": []any{map[string]any{"currency": "EUR", "amount": 10000}},
	})
	at(t, "plan made")

	student := w.Register(t, "Stu Buyer")
	student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusPaymentRequired)
	at(t, "price known")
	session := student.DoKeyed(t, http.MethodPost, "/api/v1/checkout-sessions", map[string]any{"plan_id": plan, "billing": map[string]any{"country": "DE"}}, http.StatusCreated).ID(t)
	page := awaitPage(t, student.API, session)
	at(t, "page made")
	press(t, page, "pay", "4000002760003184")
	press(t, page, "confirm", "")
	at(t, "paid")
	require.Eventually(t, func() bool {
		ans, err := student.Try(http.MethodGet, "/api/v1/courses/"+c.ID+"/progress", nil)
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "the payment enrolls")
	at(t, "enrolled")

	var orders struct {
		Items []struct {
			ID    string `json:"id"`
			State string `json:"state"`
			Total int64  `json:"total"`
		} `json:"items"`
	}
	student.Read(t, "/api/v1/orders").JSON(t, &orders)
	require.Len(t, orders.Items, 1)
	require.Equal(t, "paid", orders.Items[0].State)
	require.EqualValues(t, 11900, orders.Items[0].Total)
	var invoices struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	student.Read(t, "/api/v1/invoices").JSON(t, &invoices)
	require.Len(t, invoices.Items, 1)
	pdf := answered(t, student.API, "/api/v1/invoices/"+invoices.Items[0].ID, http.StatusOK, "Accept", "application/pdf")
	require.True(t, strings.HasPrefix(string(pdf.Body), "%PDF"))
	other := w.Register(t, "Late Comer")
	full := other.DoKeyed(t, http.MethodPost, "/api/v1/checkout-sessions", map[string]any{"plan_id": plan}, http.StatusConflict)
	require.Equal(t, "course_full", full.Code(t))

	student.DoKeyed(t, http.MethodPost, "/api/v1/orders/"+orders.Items[0].ID+"/refunds", map[string]any{"reason": "changed_mind"}, http.StatusCreated)
	at(t, "refunded")
	require.Eventually(t, func() bool {
		ans, err := student.Try(http.MethodGet, "/api/v1/enrollments", nil)
		return err == nil && ans.Status == http.StatusOK && strings.Contains(string(ans.Body), `"withdrawn"`)
	}, time.Minute, 100*time.Millisecond, "the refund takes the access back")
	var balance struct {
		Sums map[string]int64 `json:"sums"`
	}
	w.Admin.Read(t, "/api/v1/ledger/balance").JSON(t, &balance)
	require.Equal(t, map[string]int64{"EUR": 0}, balance.Sums)
}

// Renewal is the path of a subscription after Purchase has made the seller: a month is
// paid on the hosted page, the services' clock is moved, and the next month is charged
// to the saved card and invoiced. After it was cancelled, time ends the access.
func Renewal(t testing.TB, w *World) {
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Months", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Mona Thly", faculty, "instructor")
	c := w.Publish(t, teacher.API, faculty, ThreeModules(), nil)
	plan := w.onSale(t, map[string]any{
		"org_unit_id": faculty, "name": "A month", "kind": "subscription", "course_ids": []string{c.ID},
		"period": map[string]any{"unit": "month", "count": 1}, "prices": []any{map[string]any{"currency": "EUR", "amount": 1000}},
	})
	student := w.Register(t, "Su Scriber")
	session := student.DoKeyed(t, http.MethodPost, "/api/v1/checkout-sessions", map[string]any{"plan_id": plan}, http.StatusCreated).ID(t)
	press(t, awaitPage(t, student.API, session), "pay", "4242424242424242")
	invoiced := func(n int, why string) {
		t.Helper()
		awaitItems(t, student.API, "/api/v1/invoices", why, func(items []map[string]any) bool { return len(items) == n })
	}
	invoiced(1, "the first month is invoiced")
	awaitItems(t, student.API, "/api/v1/enrollments", "and enrolls", func(items []map[string]any) bool {
		return len(items) == 1 && items[0]["state"] == "active"
	})

	w.Lms(t, "clock", "advance", "32d")
	invoiced(2, "a month later the next one is")
	var subscription string
	awaitItems(t, student.API, "/api/v1/subscriptions", "it goes on", func(items []map[string]any) bool {
		subscription, _ = items[0]["id"].(string)
		return len(items) == 1 && items[0]["state"] == "active"
	})
	student.DoKeyed(t, http.MethodPost, "/api/v1/subscriptions/"+subscription+"/cancel", nil, http.StatusOK)
	w.Lms(t, "clock", "advance", "32d")
	awaitItems(t, student.API, "/api/v1/subscriptions", "it is over", func(items []map[string]any) bool { return items[0]["state"] == "ended" })
	// Payment ends it, or it ends by its own date: after a leap of a month both are due.
	awaitItems(t, student.API, "/api/v1/enrollments", "and so is the access", func(items []map[string]any) bool {
		return items[0]["state"] == "withdrawn" || items[0]["state"] == "expired"
	})
	invoiced(2, "and no third month was charged")
}

// onSale makes a plan and waits until it can be bought. From then on nobody enters its
// courses without paying.
func (w *World) onSale(t testing.TB, plan map[string]any) (id string) {
	t.Helper()
	id = w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/plans", plan, http.StatusCreated).ID(t)
	require.Eventually(t, func() bool {
		ans, err := w.Admin.Try(http.MethodGet, "/api/v1/plans/"+id, nil)
		return err == nil && ans.Status == http.StatusOK && ans.Map(t)["on_sale"] == true
	}, time.Minute, 100*time.Millisecond, "the plan is on sale")
	return id
}

// awaitItems waits until a list is as it should be.
func awaitItems(t testing.TB, s *system.API, path, why string, as func([]map[string]any) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodGet, path, nil)
		if err != nil || ans.Status != http.StatusOK {
			return false
		}
		var list struct {
			Items []map[string]any `json:"items"`
		}
		return json.Unmarshal(ans.Body, &list) == nil && len(list.Items) > 0 && as(list.Items)
	}, time.Minute, 100*time.Millisecond, why)
}

// awaitPage waits until the seat is held and gives the page's address.
func awaitPage(t testing.TB, s *system.API, session string) (page string) {
	t.Helper()
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodGet, "/api/v1/checkout-sessions/"+session, nil)
		if err != nil || ans.Status != http.StatusOK {
			return false
		}
		page, _ = ans.Map(t)["url"].(string)
		return page != ""
	}, time.Minute, 100*time.Millisecond, "the payment page is made")
	return page
}

// press does what a person does on the hosted page: reads it, and sends its form as a
// browser without scripts would.
func press(t testing.TB, page, action, card string) {
	t.Helper()
	require.Eventually(t, func() bool { return TryPress(t, page, action, card) }, time.Minute, 200*time.Millisecond, "%s is pressed", action)
}

// TryPress is one try of it, for a moment at which parts of the installation may be
// down. A page that is done has nothing left to press: that is true too.
func TryPress(t testing.TB, page, action, card string) bool {
	client := &http.Client{Timeout: 20 * time.Second}
	html, status := fetched(t, client, http.MethodGet, page, "")
	if status == http.StatusOK && strings.Contains(html, pageDone) {
		return true
	}
	m := formToken.FindStringSubmatch(html)
	if status != http.StatusOK || m == nil {
		return false
	}
	_, status = fetched(t, client, http.MethodPost, page, url.Values{"token": {m[1]}, "action": {action}, "card": {card}}.Encode())
	return status == http.StatusOK // after the redirect back to the page
}

// pageDone is what the page says after a payment.
const pageDone = "the payment is done"

// fetched is a page, and 0 for one that does not answer.
func fetched(t testing.TB, client *http.Client, method, page, form string) (string, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, page, strings.NewReader(form))
	if err != nil {
		t.Errorf("page %s: %v", page, err)
		return "", 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		return "", 0
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return "", 0
	}
	return string(raw), res.StatusCode
}
