package analytics

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/tally"
	"lms/shared/apperr"
	"lms/shared/work"
)

const (
	// batch is how many events are added up in one transaction.
	batch = 5_000
	// much is after how many events the planner is told how large the tables are by
	// now: it looks by itself, but minutes later.
	much = 50_000
)

// horizon is the ord up to which everything that will ever be there is there.
func (s *Service) horizon(ctx context.Context) (upto int64, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if err := tx.StopIntake(ctx); err != nil {
			return err
		}
		upto, err = tx.Arrived(ctx)
		return err
	})
	return upto, err
}

// AddUpAll adds up all events that have arrived.
func (s *Service) AddUpAll(ctx context.Context) error {
	var behind bool
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		arrived, err := tx.Arrived(ctx)
		if err != nil {
			return err
		}
		place, _, err := tx.Place(ctx)
		behind = place < arrived
		return err
	})
	if err != nil || !behind {
		return err
	}
	upto, err := s.horizon(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		var n int
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			if err := tx.HoldTallies(ctx); err != nil {
				return err
			}
			more, n, err = s.addUp(ctx, tx, upto, batch)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.analyze(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) analyze(ctx context.Context, added int) error {
	if s.added.Add(int64(added)) < much {
		return nil
	}
	s.added.Store(0)
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error { return tx.Analyze(ctx) })
}

// late is after how long events that wait are worth a word.
const late = time.Minute

// Current fails while events wait to be added up that nobody has looked at for long.
func (s *Service) Current(ctx context.Context) error {
	return s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		arrived, err := tx.Arrived(ctx)
		if err != nil {
			return err
		}
		place, at, err := tx.Place(ctx)
		if err != nil {
			return err
		}
		if waiting := s.Now().Sub(at); place < arrived && waiting > late {
			return apperr.Unavailable("events_waiting", fmt.Sprintf("%d events wait, and nothing was added up for %s.", arrived-place, waiting.Round(time.Second)))
		}
		return nil
	})
}

// addUp adds one batch up, of what has arrived up to an ord; more says that there
// is more. The caller holds the tallies that it is about.
func (s *Service) addUp(ctx context.Context, tx Tx, upto int64, limit int) (more bool, n int, err error) {
	place, _, err := tx.Place(ctx)
	if err != nil || place >= upto {
		return false, 0, err
	}
	events, err := tx.Arrivals(ctx, place, upto, limit)
	if err != nil {
		return false, 0, err
	}
	book, err := bookOf(events)
	if err != nil {
		return false, 0, err
	}
	if err := tx.Settle(ctx, book); err != nil {
		return false, 0, err
	}
	if len(events) == limit {
		upto, more = events[len(events)-1].Ord, true
	}
	return more, len(events), tx.SetPlace(ctx, upto, s.Now())
}

// few is how many events are added up by one goroutine.
const few = 2_000

// bookOf adds events up, on all processors where there are many: merging knows no
// order.
func bookOf(events []history.Event) (*tally.Book, error) {
	n := min(runtime.GOMAXPROCS(0), 1+len(events)/few)
	books := make([]*tally.Book, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range books {
		share := events[i*len(events)/n : (i+1)*len(events)/n]
		all.Go(func() {
			books[i] = tally.NewBook()
			for _, e := range share {
				if errs[i] = books[i].Add(e); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, b := range books[1:] {
		books[0].Merge(b)
	}
	return books[0], nil
}
