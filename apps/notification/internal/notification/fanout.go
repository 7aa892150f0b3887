package notification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/due"
	"lms/shared/record"
)

const (
	pageOfLearners = 200
	pagesPerTurn   = 5
	fanoutLease    = 2 * time.Minute
	// fanoutPause is the wait after a failure, doubled up to a minute.
	fanoutPause = 2 * time.Second
)

// fanout is a notice on its way to everyone enrolled in a course, page by page.
type fanout struct {
	ID       uuid.UUID      `json:"id"`
	EventID  uuid.UUID      `json:"event_id"`
	At       time.Time      `json:"at"`
	Notice   catalog.Notice `json:"notice"`
	ListOnly bool           `json:"list_only,omitempty"`
	Cursor   string         `json:"cursor,omitempty"`
	Told     int            `json:"told"`
	Failures int            `json:"failures,omitempty"`
	Done     bool           `json:"done,omitempty"`
	Ends     time.Time      `json:"ends"`
}

func fanoutKey(id uuid.UUID) string { return "fanout." + id.String() }

// startFanout notes the job, once per event and kind, and makes it due.
func (s *Service) startFanout(ctx context.Context, e catalog.Event, n catalog.Notice) error {
	id := uuid.NewSHA1(e.ID, []byte("fanout/"+n.Kind))
	f, err := s.fanouts.Update(ctx, fanoutKey(id), func(f *fanout) (*fanout, error) {
		if f != nil {
			return f, record.ErrKeep
		}
		return &fanout{ID: id, EventID: e.ID, At: e.Time, Notice: n, ListOnly: e.Past, Ends: s.Now().Add(fanoutKept)}, nil
	})
	if err != nil {
		return fmt.Errorf("fan-out: %w", err)
	}
	if f.Done {
		return nil
	}
	return s.spread.Add(ctx, due.Item{Key: id, Due: s.Now()})
}

// RunFanouts works on a shard of the fan-outs until ctx ends.
func (s *Service) RunFanouts(ctx context.Context, shard int) error {
	return s.work(ctx, s.spread, shard, 2, fanoutLease, func(ctx context.Context, claims []due.Claim) []due.Result {
		results := make([]due.Result, len(claims))
		for i, c := range claims {
			next, err := s.turn(ctx, c.Key)
			if err != nil {
				s.Log.WarnContext(ctx, "fan-out will be tried again", "fanout", c.Key, "error", err)
			}
			results[i] = due.Result{Claim: c, Next: next}
		}
		return results
	})
}

// turn does some pages of a fan-out, and says when to go on. The cursor is written
// after each page: whoever goes on tells at most one page again, which tells nobody
// twice.
func (s *Service) turn(ctx context.Context, id uuid.UUID) (next time.Time, err error) {
	f, err := s.fanouts.Get(ctx, fanoutKey(id))
	if err != nil {
		return s.Now().Add(fanoutPause), err
	}
	if f == nil || f.Done {
		return time.Time{}, nil
	}
	for range pagesPerTurn {
		f, err = s.page(ctx, *f)
		if err != nil {
			return s.postpone(ctx, id), err
		}
		if f == nil || f.Done {
			return time.Time{}, nil
		}
	}
	return s.Now(), nil
}

func (s *Service) page(ctx context.Context, f fanout) (*fanout, error) {
	ids, cursor, err := s.Roster.Learners(ctx, f.Notice.CourseID, f.Cursor, pageOfLearners)
	if err != nil {
		return nil, fmt.Errorf("learners: %w", err)
	}
	to := map[uuid.UUID][]telling{}
	for _, id := range ids {
		if id != f.Notice.Except {
			to[id] = []telling{{event: f.EventID, at: f.At, notice: f.Notice, listOnly: f.ListOnly}}
		}
	}
	var errs []error
	for id, err := range s.tell(ctx, to) {
		errs = append(errs, fmt.Errorf("%s: %w", id, err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s.fanouts.Update(ctx, fanoutKey(f.ID), func(now *fanout) (*fanout, error) {
		if now == nil || now.Cursor != f.Cursor {
			return now, record.ErrKeep // another replica went on
		}
		now.Cursor, now.Told, now.Failures = cursor, now.Told+len(to), 0
		now.Done = cursor == ""
		return now, nil
	})
}

// postpone notes a failure, and says when to try again.
func (s *Service) postpone(ctx context.Context, id uuid.UUID) time.Time {
	pause := time.Minute
	f, err := s.fanouts.Update(ctx, fanoutKey(id), func(f *fanout) (*fanout, error) {
		if f == nil {
			return nil, record.ErrKeep
		}
		f.Failures++
		return f, nil
	})
	if err == nil && f != nil {
		pause = min(time.Minute, fanoutPause<<min(f.Failures-1, 10))
	}
	return s.Now().Add(pause)
}
