package provider

import (
	"context"
	"time"

	"lms/shared/apperr"
)

// None is the provider of an installation that takes no money: what costs nothing
// can be taken, nothing can be paid. Whatever an earlier provider still owes an
// answer for waits until that one is back.
type None struct{}

// NoneName is its name.
const NoneName = "none"

var _ Provider = None{}

func noPayments() error {
	return apperr.Unavailable("payments_unavailable", "This installation takes no payments.")
}

// Name implements Provider.
func (None) Name() string { return NoneName }

// CreateSession implements Provider.
func (None) CreateSession(context.Context, NewSession) (Session, error) {
	return Session{}, noPayments()
}

// Session implements Provider.
func (None) Session(context.Context, string) (Session, error) { return Session{}, noPayments() }

// ExpireSession implements Provider.
func (None) ExpireSession(context.Context, string) (Session, error) {
	return Session{}, noPayments()
}

// Charge implements Provider.
func (None) Charge(context.Context, NewCharge) (Payment, error) { return Payment{}, noPayments() }

// Refund implements Provider.
func (None) Refund(context.Context, NewRefund) (Refund, error) { return Refund{}, noPayments() }

// DetachMethod implements Provider: a person may forget what nobody can charge.
func (None) DetachMethod(context.Context, string) error { return nil }

// Payments implements Provider: nothing was moved.
func (None) Payments(context.Context, time.Time, string) ([]Payment, string, error) {
	return nil, "", nil
}

// Refunds implements Provider: nothing was moved.
func (None) Refunds(context.Context, time.Time, string) ([]Refund, string, error) {
	return nil, "", nil
}

// Webhook implements Provider: nobody sends any.
func (None) Webhook(context.Context, func(string) string, []byte) (Event, error) {
	return Event{}, noPayments()
}
