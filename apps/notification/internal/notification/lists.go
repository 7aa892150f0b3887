package notification

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/page"
	"lms/shared/record"
)

// Filter of a list of messages.
type Filter struct {
	Unread   bool
	Kind     string
	CourseID uuid.UUID
}

func (f Filter) wants(m person.Message) bool {
	return (!f.Unread || m.ReadAt == nil) && (f.Kind == "" || m.Kind == f.Kind) && (f.CourseID == uuid.Nil || m.CourseID == f.CourseID)
}

// Messages is a page of a person's list, the newest first unless asked otherwise, with
// the version of the document.
func (s *Service) Messages(ctx context.Context, actor authz.Principal, f Filter, r page.Request) (p page.Page[person.Message], version int64, err error) {
	var from int64
	more, err := page.Decode(r.Cursor, &from)
	if err != nil {
		return p, 0, err
	}
	d, err := s.people.Get(ctx, personKey(actor.UserID))
	if err != nil || d == nil {
		return page.Page[person.Message]{Items: []person.Message{}}, 0, err
	}
	rows := make([]person.Message, 0, min(len(d.Messages), r.Size()+1))
	all, behind := slices.Backward(d.Messages), func(n int64) bool { return n < from }
	if r.OldestFirst {
		all, behind = slices.All(d.Messages), func(n int64) bool { return n > from }
	}
	for _, m := range all {
		if len(rows) > r.Size() {
			break
		}
		if f.wants(m) && (!more || behind(m.N)) {
			rows = append(rows, m)
		}
	}
	return page.Cut(rows, r.Size(), func(m person.Message) string { return page.Encode(m.N) }), d.Version, nil
}

// Message is one message of the actor's list.
func (s *Service) Message(ctx context.Context, actor authz.Principal, id uuid.UUID) (person.Message, error) {
	d, err := s.people.Get(ctx, personKey(actor.UserID))
	if err != nil {
		return person.Message{}, err
	}
	m := d.Find(id)
	if m == nil {
		return person.Message{}, apperr.NotFound("notification")
	}
	return *m, nil
}

// Unread counts what the actor has not read.
func (s *Service) Unread(ctx context.Context, actor authz.Principal) (unread int, version int64, err error) {
	d, err := s.people.Get(ctx, personKey(actor.UserID))
	if err != nil || d == nil {
		return 0, 0, err
	}
	return d.Unread(), d.Version, nil
}

// change changes the actor's document; fn says whether it did.
func (s *Service) change(ctx context.Context, id, tenant uuid.UUID, fn func(*person.Document) (bool, error)) (*person.Document, error) {
	changed := false
	d, err := s.people.Update(ctx, personKey(id), func(d *person.Document) (*person.Document, error) {
		if d == nil {
			d = &person.Document{ID: id, TenantID: tenant}
		}
		if d.Erased {
			return nil, apperr.NotFound("person")
		}
		var err error
		if changed, err = fn(d); err != nil {
			return nil, err
		}
		if !changed {
			return d, record.ErrKeep
		}
		return d, nil
	})
	if err == nil && changed {
		s.changed(ctx, d)
	}
	return d, err
}

// Read marks a message as read.
func (s *Service) Read(ctx context.Context, actor authz.Principal, id uuid.UUID) (person.Message, error) {
	var out person.Message
	_, err := s.change(ctx, actor.UserID, actor.TenantID, func(d *person.Document) (bool, error) {
		changed := d.Read(id, s.Now())
		m := d.Find(id)
		if m == nil {
			return false, apperr.NotFound("notification")
		}
		out = *m
		return changed, nil
	})
	return out, err
}

// ReadAll marks all messages as read, up to one that the actor has seen (nil id:
// all), and says how many that were.
func (s *Service) ReadAll(ctx context.Context, actor authz.Principal, upTo uuid.UUID) (n int, err error) {
	_, err = s.change(ctx, actor.UserID, actor.TenantID, func(d *person.Document) (bool, error) {
		last := int64(0)
		if upTo != uuid.Nil {
			m := d.Find(upTo)
			if m == nil {
				return false, apperr.NotFound("notification")
			}
			last = m.N
		}
		n = d.ReadAll(last, s.Now())
		return n > 0, nil
	})
	return n, err
}

// Delete takes a message out of the actor's list.
func (s *Service) Delete(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	_, err := s.change(ctx, actor.UserID, actor.TenantID, func(d *person.Document) (bool, error) {
		if !d.Delete(id) {
			return false, apperr.NotFound("notification")
		}
		return true, nil
	})
	return err
}

// DeliveryFilter of the delivery log.
type DeliveryFilter struct {
	TenantID uuid.UUID // for who may read more than one
	UserID   uuid.UUID
	Status   person.MailState
	Kind     string
	Since    time.Time
}

func (f DeliveryFilter) wants(e journal.Entry[Delivery]) bool {
	d := e.Body
	return (f.UserID == uuid.Nil || d.UserID == f.UserID) && (f.Status == "" || d.Status == f.Status) &&
		(f.Kind == "" || d.Kind == f.Kind) && (f.Since.IsZero() || !e.At.Before(f.Since))
}

// Deliveries is a page of a tenant's delivery log, the newest first unless asked
// otherwise: of each mail the last attempt, from its first one on, for 30 days. For one
// person what waits for its first attempt is shown as well, as the newest.
func (s *Service) Deliveries(ctx context.Context, actor authz.Principal, f DeliveryFilter, r page.Request) (p page.Page[journal.Entry[Delivery]], err error) {
	policy, err := authz.Knowing(ctx, s.Policy, actor, uuid.Nil)
	if err != nil {
		return p, err
	}
	tenant := actor.TenantID
	if f.TenantID != uuid.Nil {
		tenant = f.TenantID
	}
	if !policy.Allows(actor, authz.DeliveryRead, tenant) {
		if tenant != actor.TenantID {
			return p, apperr.NotFound("tenant")
		}
		return p, apperr.Forbidden("You may read the delivery log of a whole organisation only.")
	}
	var after *journal.Place
	var at journal.Place
	if seen, err := page.Decode(r.Cursor, &at.Day, &at.Part, &at.Index); err != nil {
		return p, err
	} else if seen {
		after = &at
	}
	list := s.deliveries.List
	if r.OldestFirst {
		list = s.deliveries.Oldest
	}
	listed, next, err := list(ctx, tenant.String(), after, r.Size(), f.wants)
	if err != nil {
		return p, err
	}
	for _, e := range listed {
		p.Items = append(p.Items, e.Entry)
	}
	if next != nil {
		p.NextCursor = page.Encode(next.Day, next.Part, next.Index)
	}
	switch newest := !r.OldestFirst && after == nil || r.OldestFirst && next == nil; {
	case !newest || f.UserID == uuid.Nil:
		return p, nil
	case r.OldestFirst:
		waiting, err := s.waitingOf(ctx, tenant, f)
		slices.Reverse(waiting)
		p.Items = append(p.Items, waiting...)
		return p, err
	}
	waiting, err := s.waitingOf(ctx, tenant, f)
	p.Items = append(waiting, p.Items...)
	return p, err
}

// waitingOf are a person's mails that have not been tried yet.
func (s *Service) waitingOf(ctx context.Context, tenant uuid.UUID, f DeliveryFilter) (out []journal.Entry[Delivery], err error) {
	d, err := s.people.Get(ctx, personKey(f.UserID))
	if err != nil || d == nil || d.TenantID != tenant {
		return nil, err
	}
	for _, m := range slices.Backward(d.Mails) {
		e := journal.Entry[Delivery]{ID: m.ID, At: m.At, Body: deliveryOf(d.ID, m)}
		if m.LoggedAt.IsZero() && f.wants(e) {
			out = append(out, e)
		}
	}
	return out, nil
}
