package notification

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/due"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/record"
)

// A stream follows the version of a person's document, so that any replica can
// serve it. What this replica writes wakes its streams at once. What another one
// writes is seen by the pulse: a document of some bytes that says the version, and
// that is written only while somebody watches. The whole document is read when the
// pulse has moved, and every readAnyway in case a pulse was lost with its writer.
const (
	pulseEvery = time.Second
	readAnyway = 20 * time.Second
	watchFor   = 2 * time.Minute
	pulseKept  = time.Hour
	// maxStreams of one person in one replica.
	maxStreams = 8
)

type pulse struct {
	Version int64     `json:"v"`
	Ends    time.Time `json:"exp"`
}

func pulseKey(id uuid.UUID) string { return "pulse." + id.String() }

func item(id uuid.UUID, at time.Time) due.Item { return due.Item{Key: id, Due: at} }

// hub wakes the streams of this replica.
type hub struct {
	mu       sync.Mutex
	watchers map[uuid.UUID]map[chan struct{}]bool
}

func newHub() *hub { return &hub{watchers: map[uuid.UUID]map[chan struct{}]bool{}} }

func (h *hub) join(id uuid.UUID) (wake chan struct{}, leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers[id]) >= maxStreams {
		return nil, nil, false
	}
	wake = make(chan struct{}, 1)
	if h.watchers[id] == nil {
		h.watchers[id] = map[chan struct{}]bool{}
	}
	h.watchers[id][wake] = true
	return wake, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], wake)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
	}, true
}

func (h *hub) wake(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.watchers[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// changed tells streams of a new version: those here, and by the pulse those of
// other replicas. A pulse that is not written only delays them.
func (s *Service) changed(ctx context.Context, d *person.Document) {
	s.hub.wake(d.ID)
	if !d.Watched.After(s.Now()) {
		return
	}
	_, err := s.pulses.Update(ctx, pulseKey(d.ID), func(p *pulse) (*pulse, error) {
		if p != nil && p.Version >= d.Version {
			return p, record.ErrKeep
		}
		return &pulse{Version: d.Version, Ends: s.Now().Add(pulseKept)}, nil
	})
	if err != nil {
		s.Log.InfoContext(ctx, "pulse not written", "user", d.ID, "error", err)
	}
}

// News is what a stream tells.
type News struct {
	Messages []person.Message // new ones, the oldest first
	Last     int64            // to resume behind
	Unread   int
}

// Follow tells of messages behind after (negative: from now on), and of each change
// of the unread count, until ctx ends or tell fails. Beat is called when nothing was
// told for a while.
func (s *Service) Follow(ctx context.Context, actor authz.Principal, after int64, tell func(News) error, beat func() error) error {
	wake, leave, ok := s.hub.join(actor.UserID)
	if !ok {
		return apperr.New(apperr.KindRateLimited, "too_many_streams", "There are too many open streams of this person.").After(10 * time.Second)
	}
	defer leave()
	f := follower{s: s, actor: actor, after: after, first: true}
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for {
		news, err := f.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case news != nil:
			err = tell(*news)
		case f.quiet():
			err = beat()
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			f.stale = true
		case <-ticker.C:
		}
	}
}

// follower is where one stream stands.
type follower struct {
	s       *Service
	actor   authz.Principal
	after   int64
	version int64
	unread  int
	first   bool
	stale   bool
	read    time.Time // of the document
	watched time.Time
	told    time.Time
}

const beatEvery = 15 * time.Second

func (f *follower) quiet() bool {
	if f.s.Now().Sub(f.told) < beatEvery {
		return false
	}
	f.told = f.s.Now()
	return true
}

// look finds out what is new; nil for nothing.
func (f *follower) look(ctx context.Context) (*News, error) {
	now := f.s.Now()
	if now.After(f.watched) {
		if err := f.watch(ctx, now); err != nil {
			return nil, err
		}
	}
	if !f.stale && now.Sub(f.read) < readAnyway {
		p, err := f.s.pulses.Get(ctx, pulseKey(f.actor.UserID))
		if err != nil || p == nil || p.Version <= f.version {
			return nil, err
		}
	}
	d, err := f.s.people.Get(ctx, personKey(f.actor.UserID))
	if err != nil {
		return nil, err
	}
	f.read, f.stale = now, false
	return f.compare(d, now), nil
}

// watch says that somebody follows, in the document itself.
func (f *follower) watch(ctx context.Context, now time.Time) error {
	_, err := f.s.people.Update(ctx, personKey(f.actor.UserID), func(d *person.Document) (*person.Document, error) {
		if d == nil {
			d = &person.Document{ID: f.actor.UserID, TenantID: f.actor.TenantID}
		}
		if d.Erased || d.Watched.After(now.Add(watchFor/2)) {
			return d, record.ErrKeep
		}
		d.Watched = now.Add(watchFor)
		return d, nil
	})
	f.watched = now.Add(watchFor / 2)
	f.stale = true
	return err
}

func (f *follower) compare(d *person.Document, now time.Time) *News {
	if d == nil {
		d = &person.Document{}
	}
	if f.after < 0 || f.after > d.Last {
		f.after = d.Last // from now on; or a list that was erased meanwhile
	}
	news := News{Last: d.Last, Unread: d.Unread()}
	for _, m := range d.Messages {
		if m.N > f.after {
			news.Messages = append(news.Messages, m)
		}
	}
	nothing := !f.first && len(news.Messages) == 0 && news.Unread == f.unread
	f.after, f.version, f.unread, f.first = d.Last, d.Version, news.Unread, false
	if nothing {
		return nil
	}
	f.told = now
	return &news
}
