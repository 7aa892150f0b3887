package analytics

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
)

// erasePage is how many events of a person are rewritten at once.
const erasePage = 1_000

// Erase puts a pseudonym in the place of a person, in every event and in what they
// add up to, and remembers it for events that come later. The numbers of reports
// stay as they were. The transaction is the caller's.
func (s *Service) Erase(ctx context.Context, tx Tx, user, pseudonym uuid.UUID) error {
	if user == uuid.Nil || pseudonym == uuid.Nil || user == pseudonym {
		return nil
	}
	for _, hold := range []func(context.Context) error{tx.HoldTallies, tx.HoldRebuild, tx.StopIntake} {
		if err := hold(ctx); err != nil {
			return err
		}
	}
	if err := tx.Forget(ctx, user, pseudonym, s.Now()); err != nil {
		return err
	}
	names := naming(map[uuid.UUID]uuid.UUID{user: pseudonym})
	for {
		events, err := tx.OfPerson(ctx, user, erasePage)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		if err := s.pseudonymise(events, names); err != nil {
			return err
		}
		if err := tx.Rewrite(ctx, events); err != nil {
			return err
		}
	}
	if err := tx.Rename(ctx, user, pseudonym); err != nil {
		return err
	}
	if err := tx.InRebuild(ctx); err != nil {
		return err
	}
	if err := tx.Rename(ctx, user, pseudonym); err != nil {
		return err
	}
	return tx.InPlace(ctx)
}

func (s *Service) pseudonymise(events []history.Event, names history.Names) error {
	for i := range events {
		var err error
		if events[i], err = s.Archive.Keep(events[i], names); err != nil {
			return err
		}
	}
	return nil
}

// ExportPerson is what is added up of a person. The events behind it are told by
// the services that made them.
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (map[string]json.RawMessage, error) {
	sections, err := tx.PersonSections(ctx, user)
	out := make(map[string]json.RawMessage, len(sections))
	for k, v := range sections {
		out[k] = v
	}
	return out, err
}
