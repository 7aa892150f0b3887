package analytics

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/authz"
)

// Service is what analytics does.
type Service struct {
	Store   Store
	Archive *history.Archive
	Authz   authz.Source
	Courses Courses
	People  People
	Now     func() time.Time
	NewID   func() uuid.UUID
	Log     *slog.Logger

	intake chan struct{} // something has arrived
	months *months
	added  *atomic.Int64 // events since the planner was told of them
}

// New finishes a service.
func New(s Service) *Service {
	s.months = &months{made: map[time.Time]bool{}}
	s.intake, s.added = make(chan struct{}, 1), new(atomic.Int64)
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return &s
}

// arrived wakes who adds events up.
func (s *Service) arrived() {
	select {
	case s.intake <- struct{}{}:
	default: // it will look anyway
	}
}

const (
	// gather is how long events are gathered before they are added up: many at once
	// cost little more than one.
	gather = 100 * time.Millisecond
	// look is how often somebody else's arrivals are looked for.
	look = time.Second
)

// AddUp adds arriving events up until ctx ends.
func (s *Service) AddUp(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		if err := s.AddUpAll(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.intake:
			pause(ctx, gather)
		case <-t.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
