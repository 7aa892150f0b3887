package billing

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
)

// Outcomes of a webhook.
const (
	OutcomeApplied   = "applied"
	OutcomeDuplicate = "duplicate"
	OutcomeIgnored   = "ignored"
)

// Webhook takes a delivery of the provider: verified, then applied once, whatever the
// order and the number of deliveries. What does not fit is refused with a code of its
// own and changes nothing; a session or an order that is not known is 404, so that
// the provider, which may be faster than our commit, tries again.
func (s *Service) Webhook(ctx context.Context, name string, header func(string) string, body []byte) (string, error) {
	if name != s.Provider.Name() {
		return "", apperr.NotFound("payment provider")
	}
	e, err := s.Provider.Webhook(ctx, header, body)
	if err != nil {
		s.Telemetry.webhook(apperr.Code(err))
		return "", err
	}
	outcome := OutcomeApplied
	err = s.system(ctx, func(ctx context.Context, tx Tx) error {
		outcome = OutcomeApplied
		tenant := tenantOf(e)
		fresh, err := tx.NoteWebhook(ctx, name, e.ID, e.Type, OutcomeApplied, tenant, s.Now())
		if err != nil {
			return err
		}
		if !fresh {
			outcome = OutcomeDuplicate
			return nil
		}
		known, err := s.applyEvent(ctx, tx, e)
		if err == nil && !known {
			outcome = OutcomeIgnored
		}
		return err
	})
	if errors.Is(err, errSurplus) {
		err = nil
	}
	if err != nil {
		outcome = apperr.Code(err)
	}
	s.Telemetry.webhook(outcome)
	return outcome, err
}

func tenantOf(e provider.Event) *uuid.UUID {
	m := provider.Metadata{}
	switch {
	case e.Payment != nil:
		m = e.Payment.Metadata
	case e.Refund != nil:
		m = e.Refund.Metadata
	}
	id, err := uuid.Parse(m.TenantID)
	if err != nil {
		return nil
	}
	return &id
}

// applyEvent is false for an event that means nothing to us.
func (s *Service) applyEvent(ctx context.Context, tx Tx, e provider.Event) (bool, error) {
	switch e.Type {
	case provider.EventSessionCompleted, provider.EventSessionFailed:
		if e.Session == nil {
			return false, nil
		}
		page := *e.Session
		if page.Payment == nil {
			page.Payment = e.Payment
		}
		return true, s.completed(ctx, tx, page)
	case provider.EventSessionAbandoned:
		if e.Session == nil {
			return false, nil
		}
		return true, s.abandoned(ctx, tx, *e.Session)
	case provider.EventPaymentSucceeded, provider.EventPaymentFailed:
		if e.Payment == nil || e.Payment.Metadata.OrderID == "" {
			return false, nil
		}
		order, err := uuid.Parse(e.Payment.Metadata.OrderID)
		if err != nil {
			return true, errOrderUnknown
		}
		return true, s.charged(ctx, tx, order, *e.Payment)
	}
	return false, nil
}

func (s *Service) abandoned(ctx context.Context, tx Tx, page provider.Session) error {
	known, err := tx.CheckoutOfProvider(ctx, s.Provider.Name(), page.ID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return errNotOurs
	}
	if err != nil {
		return err
	}
	c, err := tx.LockCheckout(ctx, known.ID)
	if err != nil {
		return err
	}
	plan, err := tx.Plan(ctx, c.PlanID)
	if err != nil {
		return err
	}
	return s.giveUp(ctx, tx, &c, plan, "abandoned")
}
