// Package provider is the contract with whoever takes the money: hosted payment
// pages, charges without the buyer, refunds, signed webhooks, and lists to compare
// with. README.md says what an adapter must implement; package mockgateway is one.
package provider

import (
	"context"
	"time"
)

// Provider takes and gives back money. Every call that moves money bears a key: the
// same key again has no second effect and gives the first answer. Errors are
// *apperr.Error; Unavailable ones are tried again. A card that is declined is no
// error but a payment that failed.
type Provider interface {
	// Name is the provider in routes and rows: "mock", "stripe".
	Name() string
	// CreateSession makes a hosted page, one per Reference.
	CreateSession(ctx context.Context, in NewSession) (Session, error)
	// Session reads a page's state.
	Session(ctx context.Context, id string) (Session, error)
	// ExpireSession ends a page that nobody paid at. The answer may say Completed:
	// the buyer was faster.
	ExpireSession(ctx context.Context, id string) (Session, error)
	// Charge takes money with a saved method, the buyer being away.
	Charge(ctx context.Context, in NewCharge) (Payment, error)
	// Refund gives back a part of a payment, or all.
	Refund(ctx context.Context, in NewRefund) (Refund, error)
	// DetachMethod forgets a saved method.
	DetachMethod(ctx context.Context, id string) error
	// Payments and Refunds list what was moved since a time, oldest first, page by
	// page: "" is the first page, and the cursor given with the last.
	Payments(ctx context.Context, since time.Time, cursor string) ([]Payment, string, error)
	Refunds(ctx context.Context, since time.Time, cursor string) ([]Refund, string, error)
	// Webhook verifies and reads a delivery. header gives a header of the request;
	// body are its bytes as they came. Errors are those of Verify, or
	// `webhook_unreadable`.
	Webhook(ctx context.Context, header func(name string) string, body []byte) (Event, error)
}

// Modes of a session.
const (
	ModePayment = "payment" // takes money now
	ModeSetup   = "setup"   // only saves a method, for later charges
)

// Metadata is ours, kept by the provider and given back with everything.
type Metadata struct {
	TenantID  string `json:"tenant_id"`
	SessionID string `json:"session_id,omitempty"`
	OrderID   string `json:"order_id,omitempty"`
}

// NewSession asks for a hosted page.
type NewSession struct {
	Reference   string // ours, unique; the idempotency key
	Mode        string
	Customer    string // ours, of the buyer
	Description string
	Amount      int64 // minor units; 0 in setup mode
	Currency    string
	SaveMethod  bool
	SuccessURL  string
	CancelURL   string
	ExpiresAt   time.Time
	Metadata    Metadata
}

// States of a session.
const (
	SessionOpen      = "open"
	SessionCompleted = "completed"
	SessionAbandoned = "abandoned"
	SessionExpired   = "expired"
)

// Session is a hosted page.
type Session struct {
	ID        string
	Reference string
	URL       string
	State     string
	Customer  string
	Payment   *Payment // of a completed one in payment mode
	Method    *Method  // of a completed one that saves a method
	Metadata  Metadata
}

// Method is a saved way to pay: never the number itself.
type Method struct {
	ID    string `json:"id"`
	Brand string `json:"brand"`
	Last4 string `json:"last4"`
}

// States of a payment.
const (
	PaymentSucceeded = "succeeded"
	PaymentFailed    = "failed"
)

// NewCharge asks for money.
type NewCharge struct {
	Key         string // idempotency key
	Reference   string // the order's id
	Method      string
	Customer    string
	Description string
	Amount      int64
	Currency    string
	Metadata    Metadata
}

// Payment is an attempt to take money.
type Payment struct {
	ID        string    `json:"id"`
	Key       string    `json:"key,omitempty"`
	Reference string    `json:"reference"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	Refunded  int64     `json:"refunded"`
	State     string    `json:"state"`
	Failure   string    `json:"failure,omitempty"` // card_declined, insufficient_funds, authentication_failed
	Metadata  Metadata  `json:"metadata"`
	CreatedAt time.Time `json:"created_at"`
}

// NewRefund asks to give money back.
type NewRefund struct {
	Key      string // idempotency key
	Payment  string
	Amount   int64
	Currency string
	Metadata Metadata
}

// Refund is money given back.
type Refund struct {
	ID        string    `json:"id"`
	Key       string    `json:"key,omitempty"`
	PaymentID string    `json:"payment_id"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	Metadata  Metadata  `json:"metadata"`
	CreatedAt time.Time `json:"created_at"`
}

// Types of a webhook event.
const (
	EventSessionCompleted = "checkout.completed"
	EventSessionFailed    = "checkout.payment_failed"
	EventSessionAbandoned = "checkout.abandoned"
	EventPaymentSucceeded = "payment.succeeded"
	EventPaymentFailed    = "payment.failed"
	EventRefundSucceeded  = "refund.succeeded"
)

// Event is what a webhook says. What it is about is given whole, so that the order
// of arrival does not matter.
type Event struct {
	ID        string
	Type      string
	CreatedAt time.Time
	Session   *Session
	Payment   *Payment
	Refund    *Refund
}
