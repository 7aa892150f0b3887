package notification

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/journal/acts"
)

// Preferences are what the actor has chosen.
func (s *Service) Preferences(ctx context.Context, actor authz.Principal) (person.Preferences, error) {
	d, err := s.people.Get(ctx, personKey(actor.UserID))
	if err != nil || d == nil {
		return person.Preferences{}, err
	}
	return d.Preferences, nil
}

// SetPreferences replaces the actor's choices if their version is still the one
// that was read. What waits for a digest, and mails that wait for the end of quiet
// hours, follow the new choices.
func (s *Service) SetPreferences(ctx context.Context, actor authz.Principal, version int64, p person.Preferences) (person.Preferences, error) {
	if err := s.checkPreferences(p); err != nil {
		return p, err
	}
	cards, err := s.People.Cards(ctx, []uuid.UUID{actor.UserID})
	if err != nil {
		return p, err
	}
	loc := person.Location(cards[actor.UserID].TimeZone)
	act := func() acts.Act {
		return acts.Act{Action: "notification_preferences.update", ResourceType: "user", ResourceID: actor.UserID}
	}
	d, err := s.audited.people.Update(ctx, actor.UserID, act, func(d *person.Document) (*person.Document, error) {
		if d == nil {
			d = &person.Document{ID: actor.UserID, TenantID: actor.TenantID}
		}
		if d.Erased {
			return nil, apperr.NotFound("person")
		}
		if d.Preferences.Version != version {
			return nil, apperr.VersionMismatch()
		}
		p.Version = version + 1
		d.Preferences = p
		d.Reschedule(s.Now(), loc)
		return d, nil
	})
	if err != nil {
		return p, err
	}
	s.changed(ctx, d)
	return d.Preferences, s.ensure(ctx, d)
}

func (s *Service) checkPreferences(p person.Preferences) error {
	var f apperr.Fields
	for kind, channels := range p.Kinds {
		k, ok := s.Catalog.Kind(kind)
		if !ok {
			f.Add("kinds."+kind, "unknown_kind", "there is no such kind of message")
			continue
		}
		for c, freq := range channels {
			path := "kinds." + kind + "." + string(c)
			switch {
			case c != person.InApp && c != person.Email:
				f.Add(path, "unknown_channel", "is in_app or email")
			case k.Default.Transactional && freq != person.AtOnce:
				f.Add(path, "transactional", "concerns the account and is always told at once")
			case c == person.InApp && freq != person.AtOnce && freq != person.Never:
				f.Add(path, "invalid", "the list knows at_once and never")
			case freq != person.AtOnce && freq != person.Daily && freq != person.Weekly && freq != person.Never:
				f.Add(path, "invalid", "is at_once, daily, weekly or never")
			}
		}
	}
	return f.Err()
}

// ensure makes the queue know of a document's work.
func (s *Service) ensure(ctx context.Context, d *person.Document) error {
	if next := d.NextWork(); !next.IsZero() {
		return s.mail.Add(ctx, item(d.ID, next))
	}
	return nil
}

// StopMail is one-click unsubscription: mails of a kind, or ("") all that are not
// transactional. It may come again.
func (s *Service) StopMail(ctx context.Context, id uuid.UUID, kind string) error {
	if kind != "" {
		k, ok := s.Catalog.Kind(kind)
		if !ok || k.Default.Transactional {
			return apperr.NotFound("kind of message")
		}
	}
	_, err := s.change(ctx, id, uuid.Nil, func(d *person.Document) (bool, error) {
		if !d.Preferences.Unsubscribe(kind) {
			return false, nil
		}
		d.Reschedule(s.Now(), time.UTC)
		return true, nil
	})
	return err
}

// Kinds are all kinds of messages.
func (s *Service) Kinds() []catalog.Kind { return s.Catalog.Kinds() }
