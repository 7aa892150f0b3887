package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// shop is where somebody buys courses, with a browser in front of the payment pages.
type shop struct {
	*World
	t       *testing.T
	browser *tab
	faculty string
	teacher Person
}

// TestShopping is what a person does who buys: the pages are looked at and operated in
// a real browser, every webhook comes twice, and time is moved for the subscription.
func TestShopping(t *testing.T) {
	t.Parallel()
	s := system.New(t)
	// Enrollment's own sweep ends access by date, too: here payment ends it.
	s.Env = []string{"LMS_PAYMENT_MOCK_WEBHOOK_TWICE=1", "LMS_PAYMENT_SWEEP_EVERY=1s", "LMS_ENROLLMENT_SWEEP_EVERY=1h"}
	s.Up(t)
	w := &shop{World: NewWorld(t, s), t: t, browser: openBrowser(t)}
	w.opens()
	left := w.leavesOpen()
	w.buys()
	w.subscribes()
	w.browser.open(left)
	require.Contains(t, w.browser.main(), "This page has expired. Nothing was charged.")
	w.browser.inspect("expired")
}

// opens makes the seller.
func (w *shop) opens() {
	w.faculty = w.Admin.DoKeyed(w.t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Trade", "parent_id": w.Org}, http.StatusCreated).ID(w.t)
	w.teacher = w.Invite(w.t, "Ines Seller", w.faculty, "instructor")
	w.Admin.DoKeyed(w.t, http.MethodPost, "/api/v1/legal-entities", map[string]any{
		"org_unit_id": w.Org, "name": "Academy of Tests", "address": "Quay 1", "country": "DE",
	}, http.StatusCreated)
	w.Admin.DoKeyed(w.t, http.MethodPost, "/api/v1/tax-rules", map[string]any{
		"country": "DE", "components": []any{map[string]any{"name": "VAT", "percent": "19"}},
	}, http.StatusCreated)
}

// sells makes a course and a plan for it.
func (w *shop) sells(title string, plan map[string]any) (course, id string) {
	w.t.Helper()
	c := w.Publish(w.t, w.teacher.API, w.faculty, ThreeModules(), map[string]any{"title": title})
	body := map[string]any{"org_unit_id": w.faculty, "name": title, "kind": "one_off", "course_ids": []string{c.ID}}
	for k, v := range plan {
		body[k] = v
	}
	return c.ID, w.onSale(w.t, body)
}

// german registers somebody who reads German.
func (w *shop) german(name string) Person {
	w.t.Helper()
	p := w.Register(w.t, name)
	tag := p.Read(w.t, "/api/v1/me").Header.Get("ETag")
	ans, err := p.Try(http.MethodPatch, "/api/v1/me/profile", map[string]any{"locale": "de-AT", "time_zone": "Europe/Vienna"}, "If-Match", tag)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, ans.Status, "%s", ans.Body)
	return p
}

// checkout begins a purchase and gives the address of its page.
func (w *shop) checkout(p Person, plan string) string {
	w.t.Helper()
	return awaitPage(w.t, p.API, p.DoKeyed(w.t, http.MethodPost, "/api/v1/checkout-sessions", map[string]any{
		"plan_id": plan, "billing": map[string]any{"country": "DE"}, "success_url": w.URL + "/docs", "cancel_url": w.URL + "/docs",
	}, http.StatusCreated).ID(w.t))
}

// leavesOpen begins a purchase that is never ended, after one that is given up.
func (w *shop) leavesOpen() (page string) {
	_, plan := w.sells("Left alone", map[string]any{"prices": []any{map[string]any{"currency": "EUR", "amount": 4900}}})
	p, b := w.german("Ab Andon"), w.browser
	b.open(w.checkout(p, plan))
	b.press("Cancel and go back")
	require.Contains(w.t, b.main(), "You have cancelled. Nothing was charged.")
	b.inspect("abandoned")
	b.press("Go back")
	return w.checkout(p, plan)
}

// buys is a purchase with a card that is declined, a proof that fails and one that
// does not, on a page that is open twice; then the money is asked back.
func (w *shop) buys() {
	course, plan := w.sells("Algebra", map[string]any{"prices": []any{map[string]any{"currency": "EUR", "amount": 10000}}})
	student, b := w.german("Stu Buyer"), w.browser
	page := w.checkout(student, plan)
	b.open(page)
	require.Contains(w.t, b.main(), "119.00 EUR")
	b.inspect("open")
	second := b.another()
	second.open(page)

	b.choose("ending in 0002")
	b.press("Pay 119.00 EUR")
	require.Contains(w.t, b.alert(), "The card was declined.")
	b.inspect("declined")

	// By keyboard alone: the card before the declined one asks for 3-D Secure.
	b.tabTo("ending in 0002")
	b.keys(kb.ArrowUp)
	b.tabTo("Pay 119.00 EUR")
	b.enter()
	require.Contains(w.t, b.main(), "3-D Secure: confirm the payment of 119.00 EUR.")
	b.inspect("challenged")
	b.press("No, this is not me")
	require.Contains(w.t, b.alert(), "You could not be authenticated.")
	b.choose("ending in 3184")
	b.press("Pay 119.00 EUR")
	b.tabTo("Yes, confirm")
	b.enter()
	w.isPaid(b)
	b.inspect("completed")
	b.reload()
	w.isPaid(b)
	require.EqualValues(w.t, http.StatusForbidden, second.pressed("Pay 119.00 EUR"), "what the other tab shows is of the past")
	w.isPaid(second)
	b.press("Continue")

	awaitItems(w.t, student.API, "/api/v1/enrollments", "the payment enrolls", func(items []map[string]any) bool { return items[0]["state"] == "active" })
	w.told(student, map[string]int{"enrollment.activated": 1})
	mail := w.received(student)[0]
	require.Contains(w.t, mail, "Subject: Sie sind in Algebra eingeschrieben")
	require.Contains(w.t, mail, "Guten Tag Stu Buyer")
	require.Contains(w.t, string(student.Read(w.t, "/api/v1/notifications").Body), "Sie sind in Algebra eingeschrieben")

	order := w.only(student, "/api/v1/orders")
	require.Equal(w.t, []any{"paid", 11900.0}, []any{order["state"], order["total"]})
	invoice := w.only(student, "/api/v1/invoices")
	pdf := answered(w.t, student.API, "/api/v1/invoices/"+invoice["id"].(string), http.StatusOK, "Accept", "application/pdf")
	require.Equal(w.t, `attachment; filename="`+invoice["number"].(string)+`.pdf"`, pdf.Header.Get("Content-Disposition"))
	require.True(w.t, strings.HasPrefix(string(pdf.Body), "%PDF"))

	student.DoKeyed(w.t, http.MethodPost, "/api/v1/orders/"+order["id"].(string)+"/refunds", map[string]any{"reason": "changed_mind"}, http.StatusCreated)
	awaitItems(w.t, student.API, "/api/v1/enrollments", "the refund takes the access back", func(items []map[string]any) bool { return items[0]["state"] == "withdrawn" })
	require.Equal(w.t, http.StatusPaymentRequired, student.DoKeyed(w.t, http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{}, http.StatusPaymentRequired).Status)
	w.told(student, map[string]int{"enrollment.activated": 1, "payment.refunded": 1, "enrollment.withdrawn": 1})
	w.balances()
}

// subscribes is a subscription whose second month is paid. Then a card is saved that
// fails when it is charged: the third month is tried five times, and it is over.
func (w *shop) subscribes() {
	_, plan := w.sells("Biology, monthly", map[string]any{
		"kind": "subscription", "period": map[string]any{"unit": "month", "count": 1}, "prices": []any{map[string]any{"currency": "EUR", "amount": 1000}},
	})
	student, b := w.german("Su Scriber"), w.browser
	b.open(w.checkout(student, plan))
	require.Contains(w.t, b.main(), "The card is saved, and charged whenever an amount is due later.")
	b.inspect("subscription")
	b.choose("ending in 4242")
	b.press("Pay 11.90 EUR")
	w.isPaid(b)
	invoiced := func(n int, why string) {
		w.t.Helper()
		awaitItems(w.t, student.API, "/api/v1/invoices", why, func(items []map[string]any) bool { return len(items) == n })
	}
	stands := func(why string, as func(s map[string]any) bool) {
		w.t.Helper()
		awaitItems(w.t, student.API, "/api/v1/subscriptions", why, func(items []map[string]any) bool { return as(items[0]) })
	}
	invoiced(1, "the first month is paid")
	awaitItems(w.t, student.API, "/api/v1/enrollments", "and enrolls", func(items []map[string]any) bool { return items[0]["state"] == "active" })
	w.told(student, map[string]int{"enrollment.activated": 1})
	w.Lms(w.t, "clock", "advance", "32d")
	invoiced(2, "the second month is charged to the saved card")
	stands("it goes on", func(s map[string]any) bool { return s["state"] == "active" })

	ans := student.DoKeyed(w.t, http.MethodPost, "/api/v1/payment-methods", map[string]any{"success_url": w.URL + "/docs"}, http.StatusCreated)
	b.open(ans.Map(w.t)["url"].(string))
	require.Contains(w.t, b.main(), "Save a card")
	b.inspect("setup")
	b.choose("ending in 0341")
	b.press("Save card")
	require.Contains(w.t, b.main(), "The card is saved.")
	awaitItems(w.t, student.API, "/api/v1/payment-methods", "the card is kept", func(items []map[string]any) bool { return len(items) == 2 })

	for i, span := range []string{"31d", "25h", "73h", "121h"} {
		w.Lms(w.t, "clock", "advance", span)
		stands("the third month fails", func(s map[string]any) bool { return s["state"] == "past_due" && s["attempts"] == float64(i+1) })
	}
	w.Lms(w.t, "clock", "advance", "169h")
	stands("it is over", func(s map[string]any) bool { return s["state"] == "ended" && s["end_reason"] == "unpaid" })
	awaitItems(w.t, student.API, "/api/v1/enrollments", "and so is the access", func(items []map[string]any) bool { return items[0]["state"] == "withdrawn" })
	invoiced(2, "what was not paid is not invoiced")
	w.told(student, map[string]int{
		"enrollment.activated": 1, "payment.succeeded": 1, "subscription.past_due": 4, "subscription.ended": 1, "enrollment.withdrawn": 1,
		listed: 1,
	})
	w.balances()
}

func (w *shop) isPaid(b *tab) {
	w.t.Helper()
	require.Contains(w.t, b.main(), "Thank you, the payment is done.")
}

// listed is the kind of message that makes no mail: here that access lasts a month more.
const listed = "enrollment.dates_changed"

// told waits until a person's list has so many messages of each kind, and as many
// mails went out; none more once everything was delivered.
func (w *shop) told(p Person, want map[string]int) {
	w.t.Helper()
	total := -want[listed]
	for _, n := range want {
		total += n
	}
	kinds := func() map[string]int {
		var list struct {
			Items []struct {
				Kind string `json:"kind"`
			} `json:"items"`
		}
		p.Read(w.t, "/api/v1/notifications?limit=100").JSON(w.t, &list)
		got := map[string]int{}
		for _, m := range list.Items {
			got[m.Kind]++
		}
		return got
	}
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		assert.Equal(c, want, kinds())
		assert.Len(c, w.received(p), total)
	}, time.Minute, 200*time.Millisecond)
	w.Lms(w.t, "outbox", "drain")
	require.Equal(w.t, want, kinds())
	require.Len(w.t, w.received(p), total)
}

// received are the mails to a person, but for the one by which the person registered.
func (w *shop) received(p Person) (mails []string) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.Home, "mail", "*.eml"))
	require.NoError(w.t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(w.t, err)
		// Soft breaks of quoted-printable, and "=" as =3D.
		text := strings.ReplaceAll(strings.ReplaceAll(string(raw), "=\r\n", ""), "=3D", "=")
		if strings.Contains(text, "To: <"+p.Email+">") && !strings.Contains(text, "#token=") {
			mails = append(mails, text)
		}
	}
	return mails
}

// only is the one item of a list.
func (w *shop) only(p Person, path string) map[string]any {
	w.t.Helper()
	var list struct {
		Items []map[string]any `json:"items"`
	}
	p.Read(w.t, path).JSON(w.t, &list)
	require.Len(w.t, list.Items, 1, path)
	return list.Items[0]
}

// balances: what was booked sums to nothing.
func (w *shop) balances() {
	w.t.Helper()
	var balance struct {
		Sums map[string]int64 `json:"sums"`
	}
	w.Admin.Read(w.t, "/api/v1/ledger/balance").JSON(w.t, &balance)
	require.Equal(w.t, map[string]int64{"EUR": 0}, balance.Sums)
}
