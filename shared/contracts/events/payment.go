package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of the topic payment.events. The aggregate is the plan, the checkout
// session, the order (with its payments, refunds and documents), the
// subscription, the entitlement or the pool of seats.
const (
	TypePlanCreated           = "lms.payment.plan_created.v1"
	TypePlanUpdated           = "lms.payment.plan_updated.v1"
	TypeCheckoutStarted       = "lms.payment.checkout_started.v1"
	TypeCheckoutExpired       = "lms.payment.checkout_expired.v1"
	TypeOrderCreated          = "lms.payment.order_created.v1"
	TypePaymentSucceeded      = "lms.payment.payment_succeeded.v1"
	TypePaymentFailed         = "lms.payment.payment_failed.v1"
	TypePaymentRefunded       = "lms.payment.refunded.v1"
	TypeCreditNoteIssued      = "lms.payment.credit_note_issued.v1"
	TypeInvoiceIssued         = "lms.payment.invoice_issued.v1"
	TypeSubscriptionStarted   = "lms.payment.subscription_started.v1"
	TypeSubscriptionTrialEnds = "lms.payment.subscription_trial_ending.v1"
	TypeSubscriptionRenewed   = "lms.payment.subscription_renewed.v1"
	TypeSubscriptionChanged   = "lms.payment.subscription_changed.v1"
	TypeSubscriptionPastDue   = "lms.payment.subscription_past_due.v1"
	TypeSubscriptionPaused    = "lms.payment.subscription_paused.v1"
	TypeSubscriptionResumed   = "lms.payment.subscription_resumed.v1"
	TypeSubscriptionCancelled = "lms.payment.subscription_cancelled.v1"
	TypeSubscriptionEnded     = "lms.payment.subscription_ended.v1"
	TypeEntitlementGranted    = "lms.payment.entitlement_granted.v1"
	TypeEntitlementChanged    = "lms.payment.entitlement_changed.v1"
	TypeEntitlementRevoked    = "lms.payment.entitlement_revoked.v1"
	TypeSeatsBought           = "lms.payment.seats_bought.v1"
	TypeSeatAssigned          = "lms.payment.seat_assigned.v1"
	TypeSeatReleased          = "lms.payment.seat_released.v1"
)

// Kinds of a plan.
const (
	PlanOneOff       = "one_off"
	PlanSubscription = "subscription"
	PlanInstalments  = "instalments"
)

// Kinds of an order.
const (
	OrderPurchase = "purchase"
	OrderSeats    = "seats"
	OrderRenewal  = "renewal"
	OrderChange   = "change"
)

// PlanPrice is a price of a plan in one currency, in minor units (rule 34).
type PlanPrice struct {
	PriceID  uuid.UUID `json:"price_id"`
	Currency string    `json:"currency"`
	Amount   int64     `json:"amount"`
}

// PlanState is a plan as it stands after the event.
type PlanState struct {
	PlanID        uuid.UUID   `json:"plan_id"`
	TenantID      uuid.UUID   `json:"tenant_id"`
	OrgUnitID     uuid.UUID   `json:"org_unit_id"`
	LegalEntityID uuid.UUID   `json:"legal_entity_id"`
	Name          string      `json:"name"`
	Kind          string      `json:"kind"`  // one_off, subscription, instalments
	State         string      `json:"state"` // active, archived
	CourseIDs     []uuid.UUID `json:"course_ids"`
	Prices        []PlanPrice `json:"prices"` // the first one is the plan's own currency
	// PeriodUnit and PeriodCount are the period of a subscription or between
	// instalments: day, week, month, year.
	PeriodUnit  string    `json:"period_unit,omitempty"`
	PeriodCount int       `json:"period_count,omitempty"`
	TrialDays   int       `json:"trial_days,omitempty"`
	Instalments int       `json:"instalments,omitempty"`
	At          time.Time `json:"at"`
	Version     int64     `json:"version"`
}

// AggregateID is the plan.
func (s PlanState) AggregateID() uuid.UUID { return s.PlanID }

// PlanCreated: a plan can be bought.
type PlanCreated struct{ PlanState }

// PlanUpdated: a plan, its prices or its state changed.
type PlanUpdated struct{ PlanState }

// Commerce is what every event about money carries: how much, for what, where.
// Amounts are in minor units of Currency (rule 34).
type Commerce struct {
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	PlanID    uuid.UUID `json:"plan_id"`
	PlanName  string    `json:"plan_name"`
	PlanKind  string    `json:"plan_kind"`
	// CourseID is the first, and most often the only, course of the plan.
	CourseID    uuid.UUID   `json:"course_id"`
	CourseTitle string      `json:"course_title"`
	CourseIDs   []uuid.UUID `json:"course_ids"`
	Quantity    int         `json:"quantity"`
	Currency    string      `json:"currency"`
	// Amount is what the event is about, tax included; Tax is the part of it that
	// is tax, Discount what a coupon took off before.
	Amount   int64 `json:"amount"`
	Tax      int64 `json:"tax"`
	Discount int64 `json:"discount,omitempty"`
	// The period that is paid for, where there is one.
	PeriodStart *time.Time `json:"period_start,omitempty"`
	PeriodEnd   *time.Time `json:"period_end,omitempty"`
	At          time.Time  `json:"at"`
}

// CheckoutState is a checkout session.
type CheckoutState struct {
	Commerce
	SessionID uuid.UUID `json:"session_id"`
	ExpiresAt time.Time `json:"expires_at"`
	// ForOrgUnitID is set where seats are bought for an organisation.
	ForOrgUnitID *uuid.UUID `json:"for_org_unit_id,omitempty"`
}

// AggregateID is the session.
func (s CheckoutState) AggregateID() uuid.UUID { return s.SessionID }

// CheckoutStarted: somebody was sent to the payment page.
type CheckoutStarted struct{ CheckoutState }

// CheckoutExpired: nothing was paid in time, or the buyer gave up. Reason is
// expired, abandoned or canceled.
type CheckoutExpired struct {
	CheckoutState
	Reason string `json:"reason"`
}

// OrderState is an order as it stands after the event.
type OrderState struct {
	Commerce
	OrderID        uuid.UUID  `json:"order_id"`
	OrderKind      string     `json:"order_kind"` // purchase, seats, renewal, change
	State          string     `json:"state"`
	SubscriptionID *uuid.UUID `json:"subscription_id,omitempty"`
	ForOrgUnitID   *uuid.UUID `json:"for_org_unit_id,omitempty"`
	// Total, Paid and Refunded are of the whole order.
	Total    int64 `json:"total"`
	Paid     int64 `json:"paid"`
	Refunded int64 `json:"refunded"`
}

// AggregateID is the order.
func (s OrderState) AggregateID() uuid.UUID { return s.OrderID }

// OrderCreated: something is to be paid for.
type OrderCreated struct{ OrderState }

// PaymentSucceeded: money was taken. Amount is this payment's.
type PaymentSucceeded struct {
	OrderState
	PaymentID  uuid.UUID `json:"payment_id"`
	Instalment int       `json:"instalment,omitempty"`
}

// PaymentFailed: money could not be taken. Failure is the provider's code; NextTry
// is when it will be tried again by itself.
type PaymentFailed struct {
	OrderState
	Failure    string     `json:"failure"`
	Instalment int        `json:"instalment,omitempty"`
	NextTryAt  *time.Time `json:"next_try_at,omitempty"`
}

// PaymentRefunded: money went back. AccessEnds says that the access ends with it
// (rule 33).
type PaymentRefunded struct {
	OrderState
	RefundID   uuid.UUID `json:"refund_id"`
	RefundKind string    `json:"refund_kind"` // self_service, staff, automatic
	Reason     string    `json:"reason"`
	AccessEnds bool      `json:"access_ends"`
}

// InvoiceIssued: an invoice was written, never to be altered.
type InvoiceIssued struct {
	OrderState
	InvoiceID     uuid.UUID `json:"invoice_id"`
	InvoiceNumber string    `json:"invoice_number"`
	LegalEntityID uuid.UUID `json:"legal_entity_id"`
}

// CreditNoteIssued: a refund was written down against an invoice (rule 34).
type CreditNoteIssued struct {
	OrderState
	CreditNoteID     uuid.UUID `json:"credit_note_id"`
	CreditNoteNumber string    `json:"credit_note_number"`
	InvoiceID        uuid.UUID `json:"invoice_id"`
	LegalEntityID    uuid.UUID `json:"legal_entity_id"`
}

// SubscriptionState is a subscription as it stands after the event. Amount is that
// of a period.
type SubscriptionState struct {
	Commerce
	SubscriptionID    uuid.UUID  `json:"subscription_id"`
	State             string     `json:"state"` // trialing, active, past_due, paused, ended
	PeriodUnit        string     `json:"period_unit"`
	PeriodCount       int        `json:"period_count"`
	CancelAtPeriodEnd bool       `json:"cancel_at_period_end"`
	NextActionAt      *time.Time `json:"next_action_at,omitempty"`
}

// AggregateID is the subscription.
func (s SubscriptionState) AggregateID() uuid.UUID { return s.SubscriptionID }

// SubscriptionStarted: the first period, or the trial, began.
type SubscriptionStarted struct{ SubscriptionState }

// SubscriptionTrialEnding: the trial ends in some days and will then be charged.
type SubscriptionTrialEnding struct{ SubscriptionState }

// SubscriptionRenewed: a further period was paid.
type SubscriptionRenewed struct{ SubscriptionState }

// SubscriptionChanged: it goes on under another plan.
type SubscriptionChanged struct {
	SubscriptionState
	OldPlanID uuid.UUID `json:"old_plan_id"`
	OldAmount int64     `json:"old_amount"`
}

// SubscriptionPastDue: a period could not be charged; Attempts tries failed.
type SubscriptionPastDue struct {
	SubscriptionState
	Attempts int    `json:"attempts"`
	Failure  string `json:"failure"`
}

// SubscriptionPaused: nothing is charged and there is no access until it resumes.
type SubscriptionPaused struct{ SubscriptionState }

// SubscriptionResumed: it goes on, after a pause or a cancellation taken back.
type SubscriptionResumed struct{ SubscriptionState }

// SubscriptionCancelled: it ends with the present period.
type SubscriptionCancelled struct{ SubscriptionState }

// SubscriptionEnded: it is over. Reason is cancelled, unpaid, refunded or person.
type SubscriptionEnded struct {
	SubscriptionState
	Reason string `json:"reason"`
}

// EntitlementState is a right to be in a course, CourseID.
type EntitlementState struct {
	Commerce
	EntitlementID  uuid.UUID  `json:"entitlement_id"`
	State          string     `json:"state"` // granted, revoked
	OrderID        *uuid.UUID `json:"order_id,omitempty"`
	SubscriptionID *uuid.UUID `json:"subscription_id,omitempty"`
	PoolID         *uuid.UUID `json:"pool_id,omitempty"`
	ValidFrom      time.Time  `json:"valid_from"`
	ValidUntil     *time.Time `json:"valid_until,omitempty"`
}

// AggregateID is the entitlement.
func (s EntitlementState) AggregateID() uuid.UUID { return s.EntitlementID }

// EntitlementGranted: a person may be in a course.
type EntitlementGranted struct{ EntitlementState }

// EntitlementChanged: the end of the right moved.
type EntitlementChanged struct{ EntitlementState }

// EntitlementRevoked: the right is over. Reason is refund, subscription_ended,
// payment_default, seat_taken_back or course_full.
type EntitlementRevoked struct {
	EntitlementState
	Reason string `json:"reason"`
}

// SeatsState is a pool of seats that an org unit has bought.
type SeatsState struct {
	Commerce
	PoolID       uuid.UUID `json:"pool_id"`
	OrderID      uuid.UUID `json:"order_id"`
	ForOrgUnitID uuid.UUID `json:"for_org_unit_id"`
	Seats        int       `json:"seats"`
	Used         int       `json:"used"`
}

// AggregateID is the pool.
func (s SeatsState) AggregateID() uuid.UUID { return s.PoolID }

// SeatsBought: an org unit has seats to give to its people.
type SeatsBought struct{ SeatsState }

// SeatAssigned: UserID got one of them.
type SeatAssigned struct{ SeatsState }

// SeatReleased: UserID no longer has it, and it can be given to another. Reason is
// taken_back, refund or the code by which enrollment refused.
type SeatReleased struct {
	SeatsState
	Reason string `json:"reason"`
}

// EventType implements Event.
func (PlanCreated) EventType() string { return TypePlanCreated }

// EventType implements Event.
func (PlanUpdated) EventType() string { return TypePlanUpdated }

// EventType implements Event.
func (CheckoutStarted) EventType() string { return TypeCheckoutStarted }

// EventType implements Event.
func (CheckoutExpired) EventType() string { return TypeCheckoutExpired }

// EventType implements Event.
func (OrderCreated) EventType() string { return TypeOrderCreated }

// EventType implements Event.
func (PaymentSucceeded) EventType() string { return TypePaymentSucceeded }

// EventType implements Event.
func (PaymentFailed) EventType() string { return TypePaymentFailed }

// EventType implements Event.
func (PaymentRefunded) EventType() string { return TypePaymentRefunded }

// EventType implements Event.
func (InvoiceIssued) EventType() string { return TypeInvoiceIssued }

// EventType implements Event.
func (CreditNoteIssued) EventType() string { return TypeCreditNoteIssued }

// EventType implements Event.
func (SubscriptionStarted) EventType() string { return TypeSubscriptionStarted }

// EventType implements Event.
func (SubscriptionTrialEnding) EventType() string { return TypeSubscriptionTrialEnds }

// EventType implements Event.
func (SubscriptionRenewed) EventType() string { return TypeSubscriptionRenewed }

// EventType implements Event.
func (SubscriptionChanged) EventType() string { return TypeSubscriptionChanged }

// EventType implements Event.
func (SubscriptionPastDue) EventType() string { return TypeSubscriptionPastDue }

// EventType implements Event.
func (SubscriptionPaused) EventType() string { return TypeSubscriptionPaused }

// EventType implements Event.
func (SubscriptionResumed) EventType() string { return TypeSubscriptionResumed }

// EventType implements Event.
func (SubscriptionCancelled) EventType() string { return TypeSubscriptionCancelled }

// EventType implements Event.
func (SubscriptionEnded) EventType() string { return TypeSubscriptionEnded }

// EventType implements Event.
func (EntitlementGranted) EventType() string { return TypeEntitlementGranted }

// EventType implements Event.
func (EntitlementChanged) EventType() string { return TypeEntitlementChanged }

// EventType implements Event.
func (EntitlementRevoked) EventType() string { return TypeEntitlementRevoked }

// EventType implements Event.
func (SeatsBought) EventType() string { return TypeSeatsBought }

// EventType implements Event.
func (SeatAssigned) EventType() string { return TypeSeatAssigned }

// EventType implements Event.
func (SeatReleased) EventType() string { return TypeSeatReleased }
