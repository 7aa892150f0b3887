package notification

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/person"
	"lms/shared/journal"
	"lms/shared/record"
)

// What user tells of a person may come twice and in any order, and means the same
// each time: there is no inbox, and none is needed.

// SetStatus forgets what is remembered of a person's card. The list of one who was
// merged into another moves there.
func (s *Service) SetStatus(ctx context.Context, id uuid.UUID, mergedInto *uuid.UUID) error {
	s.People.Forget(id)
	if mergedInto == nil || *mergedInto == id {
		return nil
	}
	return s.merge(ctx, id, *mergedInto)
}

// merge copies the list into the other document, then empties this one: a crash in
// between copies again, which changes nothing.
func (s *Service) merge(ctx context.Context, from, into uuid.UUID) error {
	old, err := s.people.Get(ctx, personKey(from))
	if err != nil || old.Gone() {
		return err
	}
	_, err = s.change(ctx, into, old.TenantID, func(d *person.Document) (bool, error) {
		return d.Take(old, s.ListSize, s.Now()), nil
	})
	if err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	_, err = s.people.Update(ctx, personKey(from), func(d *person.Document) (*person.Document, error) {
		if d.Gone() || len(d.Messages) == 0 && len(d.Mails) == 0 && len(d.Digest) == 0 {
			return d, record.ErrKeep
		}
		d.Messages, d.Mails, d.Digest = nil, nil, nil
		d.Version++
		return d, nil
	})
	return err
}

// Erase forgets a person: what is left says that nothing may be kept any more, so
// that a late event brings nothing back.
func (s *Service) Erase(ctx context.Context, id, tenant uuid.UUID) error {
	s.People.Forget(id)
	d, err := s.people.Update(ctx, personKey(id), func(d *person.Document) (*person.Document, error) {
		if d != nil && d.Erased {
			return d, record.ErrKeep
		}
		version := int64(0)
		if d != nil {
			version = d.Version
		}
		return person.Erase(id, tenant, version), nil
	})
	if err != nil {
		return err
	}
	s.hub.wake(d.ID)
	return nil
}

// DeliveriesUntil is until when lines of the delivery log name a person's id.
func (s *Service) DeliveriesUntil() time.Time { return s.Now().Add(DeliveriesKept) }

// maxExported bounds what is exported of the delivery log.
const maxExported = 1000

// Export is all that is kept of a person, by section.
func (s *Service) Export(ctx context.Context, id, tenant uuid.UUID) (map[string]json.RawMessage, error) {
	d, err := s.people.Get(ctx, personKey(id))
	if err != nil {
		return nil, err
	}
	if d == nil {
		d = &person.Document{}
	}
	deliveries := []journal.Entry[Delivery]{}
	var after *journal.Place
	for len(deliveries) < maxExported {
		listed, next, err := s.deliveries.List(ctx, tenant.String(), after, 200, func(e journal.Entry[Delivery]) bool { return e.Body.UserID == id })
		if err != nil {
			return nil, err
		}
		for _, l := range listed {
			deliveries = append(deliveries, l.Entry)
		}
		if after = next; next == nil {
			break
		}
	}
	waiting := slices.Clone(d.Mails)
	for i := range waiting {
		waiting[i].LeasedTo = time.Time{}
	}
	sections := map[string]any{
		"notifications": d.Messages, "notification_preferences": d.Preferences, "notification_mails": waiting,
		"notification_digest": d.Digest, "notification_deliveries": deliveries,
	}
	out := make(map[string]json.RawMessage, len(sections))
	for name, v := range sections {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		out[name] = raw
	}
	return out, nil
}
