package billing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// Statuses of a person as far as they matter here.
const (
	PersonActive      = "active"
	PersonDeactivated = "deactivated"
	PersonDeleted     = "deleted"
	PersonMerged      = "merged"
)

// SetPerson notes that a person may or may not act from now on: subscriptions of who
// is deactivated pause, of who is deleted end, and the things of a merged one go to
// the other.
func (s *Service) SetPerson(ctx context.Context, tx Tx, user uuid.UUID, status string, mergedInto *uuid.UUID) error {
	if status == PersonMerged && mergedInto != nil {
		return tx.MergePerson(ctx, user, *mergedInto)
	}
	subs, err := tx.SubscriptionsOf(ctx, user)
	if err != nil {
		return err
	}
	now := s.Now()
	for i := range subs {
		sub := &subs[i]
		plan, err := tx.Plan(ctx, sub.PlanID)
		if err != nil {
			return err
		}
		switch status {
		case PersonDeactivated:
			err = s.pause(ctx, tx, sub, plan, now)
		case PersonActive:
			if sub.State.Is(SubscriptionPaused) {
				err = s.unpause(ctx, tx, sub, plan, now)
			}
		case PersonDeleted:
			err = s.end(ctx, tx, sub, plan, EndPerson, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// KeepInvoices is how long the law asks for invoices to be kept, counted from an
// erasure: the longest of the usual periods.
const KeepInvoices = 10

// ErasePerson ends what runs, forgets what only names the person, and puts a
// pseudonym into what the law asks to keep. It says until when that is kept.
func (s *Service) ErasePerson(ctx context.Context, tx Tx, user, pseudonym uuid.UUID) (until time.Time, err error) {
	if pseudonym == uuid.Nil || pseudonym == user {
		return until, apperr.Invalid(apperr.Field{Path: "pseudonym", Code: "required", Message: "must be another id"})
	}
	if err := s.SetPerson(ctx, tx, user, PersonDeleted, nil); err != nil {
		return until, err
	}
	return s.Now().AddDate(KeepInvoices, 0, 0), tx.ErasePerson(ctx, user, pseudonym)
}

// ExportPerson is everything that is kept of a person, by section.
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (map[string]json.RawMessage, error) {
	return tx.PersonalData(ctx, user)
}
