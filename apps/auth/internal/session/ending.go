package session

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
)

// Live says whether a session lives; 401 `session_ended` if not.
func (s *Sessions) Live(ctx context.Context, subject, id uuid.UUID) error {
	_, err := s.Find(ctx, subject, id)
	return err
}

// Find is a live session; 401 `session_ended` if it is not live.
func (s *Sessions) Find(ctx context.Context, subject, id uuid.UUID) (Record, error) {
	d, err := s.Book.Get(ctx, internalapi.SessionKey(subject))
	if err != nil {
		return Record{}, err
	}
	r, err := d.LiveSession(id, s.Now())
	if err != nil {
		return Record{}, errEnded.With(err)
	}
	return *r, nil
}

// Good says whether an access token of the session and epoch is good.
func (s *Sessions) Good(ctx context.Context, subject, id uuid.UUID, epoch int64) (bool, error) {
	d, err := s.Book.Get(ctx, internalapi.SessionKey(subject))
	if err != nil {
		return false, err
	}
	r, err := d.Live(id, epoch, s.Now())
	if err != nil {
		return false, nil //nolint:nilerr // not live is an answer here
	}
	if r.Actor == uuid.Nil {
		return true, nil
	}
	err = s.Live(ctx, r.Actor, r.ActorSession)
	if apperr.IsKind(err, apperr.KindUnauthenticated) {
		return false, nil
	}
	return err == nil, err
}

// List is every live session of a subject, the newest first.
func (s *Sessions) List(ctx context.Context, subject uuid.UUID) ([]internalapi.SessionView, error) {
	d, err := s.Book.Get(ctx, internalapi.SessionKey(subject))
	if err != nil || d == nil {
		return []internalapi.SessionView{}, err
	}
	now := s.Now()
	out := make([]internalapi.SessionView, 0, len(d.Sessions))
	for i := range slices.Backward(d.Sessions) {
		if live(&d.Sessions[i], now) {
			out = append(out, View(&d.Sessions[i]))
		}
	}
	return out, nil
}

// End ends one session and says whether it lived.
func (s *Sessions) End(ctx context.Context, subject, id uuid.UUID) (bool, error) {
	var ended bool
	_, err := s.Book.Update(ctx, internalapi.SessionKey(subject), func(current *Document) (*Document, error) {
		ended = false
		if current == nil {
			return nil, record.ErrKeep
		}
		d := clone(current)
		if ended = remove(d, id, s.Now()); !ended {
			return current, record.ErrKeep
		}
		return d, nil
	})
	return ended, err
}

// EndAll applies an order to end the sessions of a subject and returns how many
// ended. A subject without sessions keeps the order's epoch for a while, so
// that a login which is under way comes too late.
func (s *Sessions) EndAll(ctx context.Context, o internalapi.EndSessions) (int, error) {
	var ended int
	_, err := s.Book.Update(ctx, internalapi.SessionKey(o.UserID), func(current *Document) (*Document, error) {
		d := newDocument(o.UserID, uuid.Nil)
		if current != nil {
			d = clone(current)
		}
		ended = end(d, o, s.Now())
		return d, nil
	})
	return ended, err
}

// KnowPassword notes that a session has proved to know the password as it is
// now: it lives on when all others end.
func (s *Sessions) KnowPassword(ctx context.Context, subject, id uuid.UUID, changedAt *time.Time) error {
	_, err := s.Book.Update(ctx, internalapi.SessionKey(subject), func(current *Document) (*Document, error) {
		if _, err := current.LiveSession(id, s.Now()); err != nil {
			return nil, errEnded.With(err)
		}
		d := clone(current)
		for i := range d.Sessions {
			if d.Sessions[i].ID == id {
				d.Sessions[i].PasswordAt = changedAt
			}
		}
		return d, nil
	})
	return err
}

// EndByToken ends the session of a genuine refresh token, whichever of its
// family it is, and says whether there was one.
func (s *Sessions) EndByToken(ctx context.Context, raw string) (bool, error) {
	t, err := s.Chain.Parse(raw)
	if err != nil {
		return false, nil //nolint:nilerr // not ours: nothing to end
	}
	return s.End(ctx, t.Subject, t.Session)
}

// Peek is the session of a refresh token that would be accepted now, without
// using the token; nil for any other.
func (s *Sessions) Peek(ctx context.Context, raw string) (*Document, *Record, error) {
	t, err := s.Chain.Parse(raw)
	if err != nil {
		return nil, nil, nil //nolint:nilerr // not ours: no session
	}
	d, err := s.Book.Get(ctx, internalapi.SessionKey(t.Subject))
	if err != nil {
		return nil, nil, err
	}
	rec, err := d.LiveSession(t.Session, s.Now())
	if err != nil {
		return nil, nil, nil //nolint:nilerr // not live: no session
	}
	r := *rec
	if verdict, _ := s.Chain.present(&r, t); verdict == Theft {
		return nil, nil, nil
	}
	return d, &r, nil
}

// OpenClient is the session of a service account: one per client, living on
// with each token it gets. There is no refresh family.
func (s *Sessions) OpenClient(ctx context.Context, c internalapi.Client, from From) (Record, int64, error) {
	now := s.Now()
	var out Record
	d, err := s.Book.Update(ctx, internalapi.SessionKey(c.ID), func(current *Document) (*Document, error) {
		d := newDocument(c.ID, c.TenantID)
		if current != nil {
			d = clone(current)
		}
		if d.Floor > c.Epoch || d.Epoch > c.Epoch {
			return nil, apperr.Unavailable("client_changed", "The client is being changed. Try again.").After(time.Second)
		}
		settle(d, now)
		if d.Epoch == c.Epoch && len(d.Sessions) > 0 && endOf(&d.Sessions[0]).Sub(now) > s.Limits.Client/2 {
			out = d.Sessions[0]
			return current, record.ErrKeep
		}
		r := Record{ID: s.NewID(), Kind: internalapi.SessionClient, CreatedAt: now}
		if len(d.Sessions) > 0 {
			r = d.Sessions[0]
		}
		r.LastUsedAt, r.IP, r.UserAgent = now, from.IP, from.UserAgent
		r.ExpiresAt, r.IdleExpiresAt = now.Add(s.Limits.Client), now.Add(s.Limits.Client)
		r.ProofEpoch = c.Epoch
		d.Sessions, d.Epoch, d.Tenant = []Record{r}, c.Epoch, c.TenantID
		settle(d, now)
		out = r
		return d, nil
	})
	if err != nil {
		return Record{}, 0, err
	}
	return out, d.Epoch, nil
}
