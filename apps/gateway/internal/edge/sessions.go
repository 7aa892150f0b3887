package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// sessions says whether the session behind an access token is live. A document
// is read at most every two seconds per person; while the store is away, what
// was read serves two seconds more, and then nobody gets in.
type sessions struct {
	get func(ctx context.Context, store, key string) (dapr.State, error)
	now func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	docs   map[uuid.UUID]heldDocument
	denied map[denial]time.Time // until when a refusal need not be looked up again
}

type heldDocument struct {
	doc   *internalapi.SessionDocument // nil: no document, all sessions ended
	asked time.Time
}

type denial struct {
	session uuid.UUID
	epoch   int64
}

const (
	graceWithoutStore = 2 * time.Second
	readTimeout       = time.Second
)

func newSessions(get func(context.Context, string, string) (dapr.State, error), now func() time.Time) *sessions {
	return &sessions{get: get, now: now, docs: map[uuid.UUID]heldDocument{}, denied: map[denial]time.Time{}}
}

// check answers nil for a live session: 401 `session_ended`, or 503
// `sessions_unavailable` when nobody knows.
func (s *sessions) check(ctx context.Context, p authz.Principal, epoch int64) error {
	if p.SessionID == uuid.Nil {
		return errSessionEnded
	}
	now := s.now()
	key := denial{p.SessionID, epoch}
	s.mu.Lock()
	until, refused := s.denied[key]
	s.mu.Unlock()
	if refused && now.Before(until) {
		return errSessionEnded
	}
	held, err := s.document(ctx, p.UserID, time.Time{})
	if err != nil {
		return err
	}
	rec, err := held.doc.Live(p.SessionID, epoch, now)
	if err != nil && held.asked.Before(now) {
		// Kept from before this sign-in or role change, perhaps: a refusal is
		// never given from memory.
		if held, err = s.document(ctx, p.UserID, now); err != nil {
			return err
		}
		rec, err = held.doc.Live(p.SessionID, epoch, now)
	}
	if err == nil && rec.Actor != uuid.Nil {
		err = s.actorLive(ctx, rec, now)
		if apperr.IsKind(err, apperr.KindUnavailable) {
			return err
		}
	}
	if err != nil {
		s.deny(key, now.Add(keptFor))
		return errSessionEnded
	}
	return nil
}

// actorLive: who acts as another must still be signed in.
func (s *sessions) actorLive(ctx context.Context, rec *internalapi.SessionRecord, now time.Time) error {
	held, err := s.document(ctx, rec.Actor, time.Time{})
	if err != nil {
		return err
	}
	if _, err = held.doc.LiveSession(rec.ActorSession, now); err != nil {
		return fmt.Errorf("session of the actor: %w", err)
	}
	return nil
}

func (s *sessions) deny(key denial, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.denied) >= maxKept {
		clear(s.denied)
	}
	s.denied[key] = until
}

// document is the person's sessions, read after `since` or at most two seconds
// ago.
func (s *sessions) document(ctx context.Context, subject uuid.UUID, since time.Time) (heldDocument, error) {
	for range 2 {
		now := s.now()
		s.mu.Lock()
		held, ok := s.docs[subject]
		s.mu.Unlock()
		if ok && now.Sub(held.asked) < keptFor && !held.asked.Before(since) {
			return held, nil
		}
		// A read that others began earlier may be joined; if it began before
		// `since`, the loop reads once more.
		v, err, _ := s.flight.Do(subject.String(), func() (any, error) { return s.read(ctx, subject) })
		if err != nil {
			if ok && since.IsZero() && now.Sub(held.asked) < keptFor+graceWithoutStore {
				return held, nil
			}
			return heldDocument{}, apperr.Unavailable("sessions_unavailable", "Sign-in cannot be checked at the moment. Try again.").With(err)
		}
		if held, _ := v.(heldDocument); !held.asked.Before(since) {
			return held, nil
		}
	}
	return heldDocument{}, apperr.Unavailable("sessions_unavailable", "Sign-in cannot be checked at the moment. Try again.")
}

func (s *sessions) read(ctx context.Context, subject uuid.UUID) (heldDocument, error) {
	held := heldDocument{asked: s.now()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	state, err := s.get(ctx, internalapi.SessionStore, internalapi.SessionKey(subject))
	if err != nil {
		return held, err
	}
	if state.Exists() {
		held.doc = &internalapi.SessionDocument{}
		if err := json.Unmarshal(state.Value, held.doc); err != nil {
			return held, fmt.Errorf("session document: %w", err)
		}
		if held.doc.Subject != subject {
			return held, errors.New("session document of another person")
		}
	}
	s.keep(subject, held)
	return held, nil
}

func (s *sessions) keep(subject uuid.UUID, held heldDocument) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.docs) >= maxKept {
		for id, old := range s.docs {
			if held.asked.Sub(old.asked) >= keptFor+graceWithoutStore || len(s.docs) >= maxKept {
				delete(s.docs, id)
			}
		}
	}
	s.docs[subject] = held
}
