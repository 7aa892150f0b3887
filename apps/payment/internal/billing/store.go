package billing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/page"
	"lms/shared/work"
)

// Store opens transactions.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is what a transaction can do: the kit's verbs and this service's rows. Methods
// whose names begin with Lock lock the row they read until the end.
type Tx interface {
	work.Unit
	CatalogTx
	CheckoutTx
	OrderTx
	RightsTx
	BooksTx
	PeopleTx
}

// CatalogTx is what can be bought.
type CatalogTx interface {
	InsertLegalEntity(ctx context.Context, e LegalEntity) error
	LegalEntity(ctx context.Context, id uuid.UUID) (LegalEntity, error)
	LegalEntities(ctx context.Context, p page.Request) (page.Page[LegalEntity], error)

	InsertPlan(ctx context.Context, p Plan) error
	// UpdatePlan writes all but identity where the version is still v: 412 otherwise.
	UpdatePlan(ctx context.Context, p *Plan) error
	SetPlanCourses(ctx context.Context, p Plan) error
	// SetPrices replaces what differs: a price that is gone or changed is kept, but
	// replaced, for those who subscribed to it.
	SetPrices(ctx context.Context, p *Plan, now time.Time) error
	// Plan with its courses and current prices.
	Plan(ctx context.Context, id uuid.UUID) (Plan, error)
	Plans(ctx context.Context, f PlanFilter, p page.Request) (page.Page[Plan], error)
	// PlansOfCourse are the active ones, the oldest first.
	PlansOfCourse(ctx context.Context, course uuid.UUID) ([]Plan, error)
	// DeletePlan is 409 `in_use` for a plan that was ever bought.
	DeletePlan(ctx context.Context, id uuid.UUID, version int64) error
	// Price reads a price, also a replaced one.
	Price(ctx context.Context, id uuid.UUID) (Price, error)
	// LockCoursePrice orders what is told of a course's price. known: enrollment knows
	// that it has one.
	LockCoursePrice(ctx context.Context, course, tenant uuid.UUID) (known bool, err error)
	// CoursePriceTold notes the newest call to enrollment about a course, CoursePriceKnown
	// that enrollment has it, if it is still the newest.
	CoursePriceTold(ctx context.Context, course, call uuid.UUID) error
	CoursePriceKnown(ctx context.Context, course, call uuid.UUID) error

	InsertTaxRule(ctx context.Context, r TaxRule) error
	TaxRules(ctx context.Context, p page.Request) (page.Page[TaxRule], error)
	// TaxRulesOf a country that began by now.
	TaxRulesOf(ctx context.Context, tenant uuid.UUID, country string, now time.Time) ([]TaxRule, error)

	InsertCoupon(ctx context.Context, c Coupon) error
	UpdateCoupon(ctx context.Context, c *Coupon) error
	DeleteCoupon(ctx context.Context, id uuid.UUID, version int64) error
	Coupon(ctx context.Context, id uuid.UUID) (Coupon, error)
	CouponByCode(ctx context.Context, tenant uuid.UUID, code string) (Coupon, error)
	Coupons(ctx context.Context, f CouponFilter, p page.Request) (page.Page[Coupon], error)
	// ReserveCoupon takes a use for a session, or is 409 `coupon_used_up` or
	// `coupon_used`. A use that the session had and lost is taken again.
	ReserveCoupon(ctx context.Context, c Coupon, session, user uuid.UUID, now time.Time) error
	// CouponUse of a session, locked; nil for none.
	CouponUse(ctx context.Context, session uuid.UUID) (*CouponUse, error)
	UpdateCouponUse(ctx context.Context, u CouponUse) error
}

// PlanFilter narrows a list of plans.
type PlanFilter struct {
	CourseID *uuid.UUID
	Kind     string
	State    string
	// Archived ones are shown where the caller may manage plans.
	Archived bool
}

// CouponFilter narrows a list of coupons.
type CouponFilter struct {
	Code  string
	State string
}

// CheckoutTx is checkout sessions.
type CheckoutTx interface {
	InsertCheckout(ctx context.Context, c Checkout) error
	UpdateCheckout(ctx context.Context, c *Checkout) error
	Checkout(ctx context.Context, id uuid.UUID) (Checkout, error)
	LockCheckout(ctx context.Context, id uuid.UUID) (Checkout, error)
	// CheckoutOfProvider finds a session by the provider's id; NotFound for none.
	CheckoutOfProvider(ctx context.Context, provider, session string) (Checkout, error)
	// RunningCheckouts of a person and plan, locked.
	RunningCheckouts(ctx context.Context, user, plan uuid.UUID) ([]Checkout, error)
	// DueCheckouts are running sessions that expire by now, or were not touched since
	// a time.
	DueCheckouts(ctx context.Context, now, untouched time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	InsertHold(ctx context.Context, h Hold) error
	UpdateHold(ctx context.Context, h Hold) error
	// Hold is read under the lock of its session where it is changed.
	Hold(ctx context.Context, id uuid.UUID) (Hold, error)
	Holds(ctx context.Context, session uuid.UUID) ([]Hold, error)

	InsertMethod(ctx context.Context, m PaymentMethod) error
	// PreferMethod makes a method the one that is charged.
	PreferMethod(ctx context.Context, user, id uuid.UUID) error
	Method(ctx context.Context, id uuid.UUID) (PaymentMethod, error)
	MethodOfProvider(ctx context.Context, provider, method string) (*PaymentMethod, error)
	// MethodToCharge is the preferred one, else the newest; nil for none.
	MethodToCharge(ctx context.Context, user uuid.UUID) (*PaymentMethod, error)
	Methods(ctx context.Context, user uuid.UUID, p page.Request) (page.Page[PaymentMethod], error)
	RemoveMethod(ctx context.Context, id uuid.UUID, now time.Time) error

	// NoteWebhook keeps an event of a provider; false when it was there already.
	NoteWebhook(ctx context.Context, provider, event, eventType, outcome string, tenant *uuid.UUID, now time.Time) (bool, error)
	PurgeWebhooks(ctx context.Context, before time.Time, limit int) error
}

// OrderTx is orders with what was paid and refunded of them.
type OrderTx interface {
	InsertOrder(ctx context.Context, o Order) error
	// UpdateOrder writes state, times and period. What is paid and refunded is added
	// up by the database.
	UpdateOrder(ctx context.Context, o *Order) error
	Order(ctx context.Context, id uuid.UUID) (Order, error)
	LockOrder(ctx context.Context, id uuid.UUID) (Order, error)
	// OrderOfSession, locked; nil for none.
	OrderOfSession(ctx context.Context, session uuid.UUID) (*Order, error)
	// RenewalOrder of a period of a subscription, locked; nil for none.
	RenewalOrder(ctx context.Context, subscription uuid.UUID, start time.Time) (*Order, error)
	// LastPaidOrder of a subscription; nil for none.
	LastPaidOrder(ctx context.Context, subscription uuid.UUID) (*Order, error)
	// StuckChanges are pending orders of kind change that nobody works on.
	StuckChanges(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	Orders(ctx context.Context, f OrderFilter, p page.Request) (page.Page[Order], error)

	InsertInstalments(ctx context.Context, list []Instalment) error
	UpdateInstalment(ctx context.Context, i Instalment) error
	// Instalments of an order in their order, locked with it.
	Instalments(ctx context.Context, order uuid.UUID) ([]Instalment, error)
	// DueInstalments are the orders of what is to be charged by now.
	DueInstalments(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)

	// InsertPayment is false where the provider's payment is known already.
	InsertPayment(ctx context.Context, p Payment) (bool, error)
	// MarkReturned notes that a surplus payment went back; false when it had before.
	MarkReturned(ctx context.Context, id uuid.UUID) (bool, error)
	Payment(ctx context.Context, id uuid.UUID) (Payment, error)
	Payments(ctx context.Context, order uuid.UUID) ([]Payment, error)

	// InsertRefund is 409 `refund_exceeds_paid` where Σ refunds would be above what
	// was paid.
	InsertRefund(ctx context.Context, r Refund) error
	UpdateRefund(ctx context.Context, r *Refund) error
	Refund(ctx context.Context, id uuid.UUID) (Refund, error)
	LockRefund(ctx context.Context, id uuid.UUID) (Refund, error)
	// RefundsOf an order, the oldest first.
	RefundsOf(ctx context.Context, order uuid.UUID) ([]Refund, error)
	// Refunds of an order, a page of them.
	Refunds(ctx context.Context, order uuid.UUID, p page.Request) (page.Page[Refund], error)
	PendingRefunds(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	InsertRefundPart(ctx context.Context, p RefundPart) error
	SetProviderRefund(ctx context.Context, part uuid.UUID, id string) error
	RefundParts(ctx context.Context, refund uuid.UUID) ([]RefundPart, error)
}

// Reach narrows a list to whose rows the caller may see.
type Reach struct {
	UserID   *uuid.UUID // only this person's
	All      bool
	OrgUnits []uuid.UUID
}

// OrderFilter narrows a list of orders.
type OrderFilter struct {
	Reach
	State          string
	Kind           string
	PlanID         *uuid.UUID
	SubscriptionID *uuid.UUID
}

// RightsTx is entitlements, subscriptions and seats.
type RightsTx interface {
	InsertEntitlement(ctx context.Context, e Entitlement) error
	UpdateEntitlement(ctx context.Context, e *Entitlement) error
	Entitlement(ctx context.Context, id uuid.UUID) (Entitlement, error)
	LockEntitlement(ctx context.Context, id uuid.UUID) (Entitlement, error)
	// EntitlementsOf an order (not of a subscription's), a subscription or a seat;
	// locked.
	EntitlementsOfOrder(ctx context.Context, order uuid.UUID) ([]Entitlement, error)
	EntitlementsOfSubscription(ctx context.Context, subscription uuid.UUID) ([]Entitlement, error)
	EntitlementsOfSeat(ctx context.Context, seat uuid.UUID) ([]Entitlement, error)
	// Entitled says in which of the courses a person has a right that holds.
	Entitled(ctx context.Context, user uuid.UUID, courses []uuid.UUID, now time.Time) ([]uuid.UUID, error)
	Entitlements(ctx context.Context, f EntitlementFilter, p page.Request) (page.Page[Entitlement], error)

	InsertSubscription(ctx context.Context, s Subscription) error
	UpdateSubscription(ctx context.Context, s *Subscription) error
	Subscription(ctx context.Context, id uuid.UUID) (Subscription, error)
	LockSubscription(ctx context.Context, id uuid.UUID) (Subscription, error)
	// RunningSubscription of a person and plan; nil for none.
	RunningSubscription(ctx context.Context, user, plan uuid.UUID) (*Subscription, error)
	// SubscriptionsOf a person that have not ended, locked.
	SubscriptionsOf(ctx context.Context, user uuid.UUID) ([]Subscription, error)
	DueSubscriptions(ctx context.Context, now time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error)
	Subscriptions(ctx context.Context, f SubscriptionFilter, p page.Request) (page.Page[Subscription], error)

	InsertPool(ctx context.Context, p Pool) error
	UpdatePool(ctx context.Context, p *Pool) error
	LockPool(ctx context.Context, id uuid.UUID) (Pool, error)
	PoolOfOrder(ctx context.Context, order uuid.UUID) (*Pool, error)
	Pools(ctx context.Context, orgUnit uuid.UUID, p page.Request) (page.Page[Pool], error)
	// InsertSeat is 409 `no_seats_left` when the pool has none.
	InsertSeat(ctx context.Context, s Seat) error
	UpdateSeat(ctx context.Context, s Seat) error
	Seat(ctx context.Context, id uuid.UUID) (Seat, error)
	// SeatOf a person in a pool; nil for none.
	SeatOf(ctx context.Context, pool, user uuid.UUID) (*Seat, error)
	Seats(ctx context.Context, pool uuid.UUID) ([]Seat, error)
}

// EntitlementFilter narrows a list of entitlements.
type EntitlementFilter struct {
	Reach
	CourseID *uuid.UUID
	State    string
}

// SubscriptionFilter narrows a list of subscriptions.
type SubscriptionFilter struct {
	Reach
	State string
}

// BooksTx is documents and the ledger.
type BooksTx interface {
	// DrawNumber is the next number of a range; its row stays locked.
	DrawNumber(ctx context.Context, entity uuid.UUID, kind string) (int64, error)
	InsertInvoice(ctx context.Context, i Invoice) error
	Invoice(ctx context.Context, id uuid.UUID) (Invoice, error)
	InvoiceOfOrder(ctx context.Context, order uuid.UUID) (*Invoice, error)
	Invoices(ctx context.Context, f DocumentFilter, p page.Request) (page.Page[Invoice], error)
	InsertCreditNote(ctx context.Context, n CreditNote) error
	CreditNote(ctx context.Context, id uuid.UUID) (CreditNote, error)
	CreditNotes(ctx context.Context, f DocumentFilter, p page.Request) (page.Page[CreditNote], error)

	InsertLedger(ctx context.Context, t LedgerTransaction, entries []LedgerEntry) error
	LedgerEntries(ctx context.Context, f LedgerFilter, p page.Request) (page.Page[LedgerLine], error)
	LedgerBalance(ctx context.Context, f LedgerFilter) ([]Balance, error)

	InsertReconciliation(ctx context.Context, r Reconciliation) error
	UpdateReconciliation(ctx context.Context, r Reconciliation) error
	Reconciliations(ctx context.Context, p page.Request) (page.Page[Reconciliation], error)
	// PaymentsByProvider finds payments and refund parts by the provider's ids.
	PaymentsByProvider(ctx context.Context, provider string, ids []string) ([]Payment, error)
	RefundPartsByProvider(ctx context.Context, ids []string) ([]RefundPart, error)
	// PaymentsSince pages through succeeded payments by id.
	PaymentsSince(ctx context.Context, provider string, after uuid.UUID, limit int) ([]Payment, error)
	// OrderSums pages through orders with what documents and ledger say of them.
	OrderSums(ctx context.Context, after uuid.UUID, limit int) ([]OrderSum, error)
	// CounterSums are coupons and pools whose counter is not the number of their uses.
	CounterSums(ctx context.Context) ([]CounterSum, error)
	// EntitlementsAfter pages through all entitlements by id.
	EntitlementsAfter(ctx context.Context, after uuid.UUID, limit int) ([]Entitlement, error)
	// NumberGaps are missing numbers of documents.
	NumberGaps(ctx context.Context) ([]CounterSum, error)
}

// DocumentFilter narrows a list of invoices or credit notes.
type DocumentFilter struct {
	Reach
	OrderID *uuid.UUID
	Number  string
}

// LedgerFilter narrows entries and balances.
type LedgerFilter struct {
	LegalEntityID *uuid.UUID
	OrderID       *uuid.UUID
	Account       string
	Currency      string
	From, Until   *time.Time
}

// LedgerLine is an entry with its booking.
type LedgerLine struct {
	LedgerEntry
	Kind          string
	ReferenceID   uuid.UUID
	OrderID       uuid.UUID
	LegalEntityID uuid.UUID
}

// Balance is the sum of an account in a currency.
type Balance struct {
	Account  string
	Currency string
	Debit    int64
	Credit   int64
	Balance  int64
}

// OrderSum is an order, and what is written of it elsewhere.
type OrderSum struct {
	ID               uuid.UUID
	State            string
	Total            int64
	Paid             int64
	Refunded         int64
	RefundsSucceeded int64
	PaymentsTotal    int64
	Clearing         int64
	Receivable       int64
	WrittenOff       int64
	Invoiced         int64
	CreditNotes      int64
}

// CounterSum is a counter and what it should be.
type CounterSum struct {
	Kind     string
	ID       uuid.UUID
	Expected int64
	Actual   int64
}

// PeopleTx is what concerns persons as such.
type PeopleTx interface {
	// ErasePerson puts a pseudonym in the person's place.
	ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) error
	// MergePerson gives a person's things to another.
	MergePerson(ctx context.Context, from, to uuid.UUID) error
	// PersonalData is every section of a person's data as JSON arrays.
	PersonalData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error)
}
