// Package httpapi is the payment service's side of the REST API: routes, bodies and
// their mapping to the domain. Amounts are whole minor units, percentages are written
// as text, and a PDF is chosen by Accept or by the query parameter format.
package httpapi

import (
	"net/http"
	"reflect"
	"strconv"
	"time"

	"lms/apps/payment/internal/billing"
	"lms/shared/authz"
	"lms/shared/web"
)

// Printer makes documents to keep.
type Printer interface {
	Invoice(i billing.Invoice) ([]byte, error)
	CreditNote(n billing.CreditNote) ([]byte, error)
}

// API answers requests with the domain.
type API struct {
	Service *billing.Service
	Printer Printer
	Now     func() time.Time
}

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.catalogRoutes(r)
	a.buyingRoutes(r)
	a.orderRoutes(r)
	a.subscriptionRoutes(r)
	a.seatRoutes(r)
	a.bookRoutes(r)
}

func operation(tag string) func(method, path, id, summary string, access web.Access) web.Op {
	return func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: tag, Access: access}
	}
}

func created(op web.Op) web.Op {
	op.Status = http.StatusCreated
	return op
}

// keyed is an operation that moves money: without a client's own Idempotency-Key it
// is 400.
func keyed(op web.Op) web.Op {
	op.NeedsKey = true
	return op
}

func refuses(op web.Op, statuses ...int) web.Op {
	op.Errors = statuses
	return op
}

// describe gives the schema of its JSON answer to a GET that writes the answer itself.
func describe[T any](r *web.Router, path, name string) {
	doc := r.OpenAPI()
	ok := doc.Paths[path].Get.Responses[strconv.Itoa(http.StatusOK)]
	ok.Content["application/json"].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}

func (a *API) catalogRoutes(r *web.Router) {
	op, manage := operation("Plans"), web.Needs(authz.PlanManage)
	plan := "/api/v1/plans/{id}"
	web.Register(r, op(http.MethodGet, "/api/v1/plans", "list-plans", "List what can be bought", web.SignedIn()), a.listPlans)
	web.Register(r, created(op(http.MethodPost, "/api/v1/plans", "create-plan", "Make a plan with its prices", manage)), a.createPlan)
	web.Register(r, op(http.MethodGet, plan, "get-plan", "Get a plan", web.SignedIn()), a.getPlan)
	web.Register(r, op(http.MethodPatch, plan, "update-plan", "Change a plan; new prices are for new buyers", manage), a.updatePlan)
	web.Register(r, refuses(op(http.MethodDelete, plan, "delete-plan", "Delete a plan that was never bought", manage), http.StatusConflict), a.deletePlan)
	web.Register(r, op(http.MethodGet, "/api/v1/legal-entities", "list-legal-entities", "List who sells", manage), a.listEntities)
	web.Register(r, created(op(http.MethodPost, "/api/v1/legal-entities", "create-legal-entity", "Make a seller with number ranges of its own", manage)), a.createEntity)
	web.Register(r, op(http.MethodGet, "/api/v1/tax-rules", "list-tax-rules", "List tax rules", manage), a.listTaxRules)
	web.Register(r, created(op(http.MethodPost, "/api/v1/tax-rules", "create-tax-rule", "Make a tax rule for a place; it holds until the next one of the place", manage)), a.createTaxRule)

	op = operation("Coupons")
	coupon := "/api/v1/coupons/{id}"
	web.Register(r, op(http.MethodGet, "/api/v1/coupons", "list-coupons", "List coupons", manage), a.listCoupons)
	web.Register(r, created(op(http.MethodPost, "/api/v1/coupons", "create-coupon", "Make a coupon", manage)), a.createCoupon)
	web.Register(r, op(http.MethodGet, coupon, "get-coupon", "Get a coupon", manage), a.getCoupon)
	web.Register(r, op(http.MethodPatch, coupon, "update-coupon", "Change a coupon", manage), a.updateCoupon)
	web.Register(r, refuses(op(http.MethodDelete, coupon, "delete-coupon", "Delete a coupon that was never used", manage), http.StatusConflict), a.deleteCoupon)
}

func (a *API) buyingRoutes(r *web.Router) {
	op := operation("Checkout")
	session := "/api/v1/checkout-sessions/{id}"
	web.Register(r, op(http.MethodPost, "/api/v1/price-quotes", "quote-price", "See what something costs, with coupon and tax; nothing is reserved", web.SignedIn()), a.quote)
	start := keyed(created(op(http.MethodPost, "/api/v1/checkout-sessions", "start-checkout", "Hold the seats and make a payment page", web.SignedIn())))
	start.Description = "409 `course_full` where no seat is free (rule 35); `state` is `preparing` while the seat is not yet known: read it again."
	web.Register(r, refuses(start, http.StatusConflict), a.startCheckout)
	web.Register(r, op(http.MethodGet, session, "get-checkout", "Get a checkout session", web.SignedIn()), a.getCheckout)
	web.Register(r, refuses(op(http.MethodPost, session+"/expire", "expire-checkout", "Give a checkout up", web.SignedIn()), http.StatusConflict), a.expireCheckout)
	hook := op(http.MethodPost, "/api/v1/payments/webhooks/{provider}", "receive-webhook", "Take a signed webhook of a payment provider", web.Public())
	hook.MaxBody, hook.AnyQuery, hook.Accepts = 256<<10, true, []string{"*/*"}
	hook.Description = "The signature covers the bytes as they are sent. 200 also for an event that came before; 400 for a bad or old signature; 404 for what is not known (yet); 422 for another amount or currency."
	web.Raw(r, hook, a.webhook)
	web.Register(r, op(http.MethodGet, "/api/v1/payment-methods", "list-payment-methods", "List my saved ways to pay", web.SignedIn()), a.listMethods)
	web.Register(r, created(op(http.MethodPost, "/api/v1/payment-methods", "add-payment-method", "Make a page where I save a way to pay; it becomes the one that is charged", web.SignedIn())), a.addMethod)
	web.Register(r, op(http.MethodDelete, "/api/v1/payment-methods/{id}", "remove-payment-method", "Forget a saved way to pay", web.SignedIn()), a.removeMethod)
}

func (a *API) orderRoutes(r *web.Router) {
	op := operation("Orders")
	order := "/api/v1/orders/{id}"
	web.Register(r, op(http.MethodGet, "/api/v1/orders", "list-orders", "List my orders, or those of others", web.SignedIn()), a.listOrders)
	web.Register(r, op(http.MethodGet, order, "get-order", "Get an order", web.SignedIn()), a.getOrder)
	web.Register(r, op(http.MethodGet, order+"/schedule", "get-order-schedule", "See what of an order is due when", web.SignedIn()), a.schedule)
	refund := keyed(created(op(http.MethodPost, order+"/refunds", "create-refund", "Get money back: all of it in time by oneself, anything else by staff (rule 33)", web.SignedIn())))
	web.Register(r, refuses(refund, http.StatusConflict), a.createRefund)
	web.Register(r, op(http.MethodGet, order+"/refunds", "list-order-refunds", "List the refunds of an order", web.SignedIn()), a.listRefunds)
	web.Register(r, op(http.MethodGet, "/api/v1/refunds/{id}", "get-refund", "Get a refund", web.SignedIn()), a.getRefund)
	web.Register(r, op(http.MethodGet, "/api/v1/entitlements", "list-entitlements", "List my rights to be in courses, or those of others", web.SignedIn()), a.listEntitlements)
}

func (a *API) subscriptionRoutes(r *web.Router) {
	op := operation("Subscriptions")
	one := "/api/v1/subscriptions/{id}"
	web.Register(r, op(http.MethodGet, "/api/v1/subscriptions", "list-subscriptions", "List my subscriptions, or those of others", web.SignedIn()), a.listSubscriptions)
	web.Register(r, op(http.MethodGet, one, "get-subscription", "Get a subscription", web.SignedIn()), a.getSubscription)
	web.Register(r, refuses(op(http.MethodPost, one+"/cancel", "cancel-subscription", "Let a subscription end with its period", web.SignedIn()), http.StatusConflict), a.cancelSubscription)
	web.Register(r, refuses(op(http.MethodPost, one+"/resume", "resume-subscription", "Take a cancellation back, or end a pause", web.SignedIn()), http.StatusConflict), a.resumeSubscription)
	change := keyed(op(http.MethodPost, one+"/change", "change-subscription", "Go on under another plan; the rest of the period is set off", web.SignedIn()))
	web.Register(r, refuses(change, http.StatusPaymentRequired, http.StatusConflict), a.changeSubscription)
}

func (a *API) seatRoutes(r *web.Router) {
	op, manage := operation("Seats"), web.Needs(authz.SeatManage)
	pools, seat := "/api/v1/org-units/{id}/seat-pools", "/api/v1/seat-pools/{id}/seats/{user_id}"
	web.Register(r, op(http.MethodGet, pools, "list-seat-pools", "List the seats of an org unit", manage), a.listPools)
	buy := keyed(created(op(http.MethodPost, pools, "buy-seats", "Buy seats for an org unit: a checkout session to pay for them", manage)))
	web.Register(r, refuses(buy, http.StatusConflict), a.buySeats)
	web.Register(r, refuses(op(http.MethodPut, seat, "assign-seat", "Give a person a seat", manage), http.StatusConflict), a.assignSeat)
	web.Register(r, op(http.MethodDelete, seat, "release-seat", "Take a seat back", manage), a.releaseSeat)
}

func (a *API) bookRoutes(r *web.Router) {
	op, ledger := operation("Books"), web.Needs(authz.LedgerRead)
	web.Register(r, op(http.MethodGet, "/api/v1/invoices", "list-invoices", "List my invoices, or those of others", web.SignedIn()), a.listInvoices)
	invoice := op(http.MethodGet, "/api/v1/invoices/{id}", "get-invoice", "Get an invoice", web.SignedIn())
	invoice.Produces = []string{"application/json", typePDF}
	web.Stream(r, invoice, a.getInvoice)
	describe[Invoice](r, "/api/v1/invoices/{id}", "Invoice")
	web.Register(r, op(http.MethodGet, "/api/v1/credit-notes", "list-credit-notes", "List my credit notes, or those of others", web.SignedIn()), a.listCreditNotes)
	note := op(http.MethodGet, "/api/v1/credit-notes/{id}", "get-credit-note", "Get a credit note", web.SignedIn())
	note.Produces = []string{"application/json", typePDF}
	web.Stream(r, note, a.getCreditNote)
	describe[CreditNote](r, "/api/v1/credit-notes/{id}", "CreditNote")
	web.Register(r, op(http.MethodGet, "/api/v1/ledger/entries", "list-ledger-entries", "List the ledger, the newest first", ledger), a.listEntries)
	web.Register(r, op(http.MethodGet, "/api/v1/ledger/balance", "get-ledger-balance", "See the balance of each account; together they are zero per currency", ledger), a.balance)
	web.Register(r, op(http.MethodGet, "/api/v1/reconciliations", "list-reconciliations", "List comparisons of provider, orders, ledger and enrollments", ledger), a.listReconciliations)
	reconcile := op(http.MethodPost, "/api/v1/reconciliations", "start-reconciliation", "Compare provider, orders, ledger and enrollments in the background; each difference is a row of the job", ledger)
	reconcile.Status = http.StatusAccepted
	web.Register(r, reconcile, a.reconcile)
}
