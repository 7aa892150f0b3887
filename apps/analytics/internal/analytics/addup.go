package analytics

import (
	"context"
	"fmt"
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
			more, n, err = s.addUp(ctx, tx, upto)
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

// sum is what some events add up to.
type sum struct {
	book *tally.Book
	n    int   // events
	ord  int64 // everything up to here is in it
	more bool  // there is more
}

// sumOf adds up what has arrived after one ord up to another, at most so many events.
func sumOf(ctx context.Context, tx Tx, after, upto int64, limit int) (sum, error) {
	p := sum{book: tally.NewBook(), ord: upto}
	var last int64
	err := tx.Arrivals(ctx, after, upto, limit, func(e history.Event) error {
		p.n, last = p.n+1, e.Ord
		return p.book.Add(e)
	})
	if p.n == limit {
		p.ord, p.more = last, true
	}
	return p, err
}

// settle writes a sum, and the place where it ends.
func (s *Service) settle(ctx context.Context, tx Tx, p sum) error {
	if err := tx.Settle(ctx, p.book); err != nil {
		return err
	}
	return tx.SetPlace(ctx, p.ord, s.Now())
}

// addUp adds one batch up, of what has arrived up to an ord; more says that there
// is more. The caller holds the tallies that it is about.
func (s *Service) addUp(ctx context.Context, tx Tx, upto int64) (more bool, n int, err error) {
	place, _, err := tx.Place(ctx)
	if err != nil || place >= upto {
		return false, 0, err
	}
	p, err := sumOf(ctx, tx, place, upto, batch)
	if err != nil {
		return false, 0, err
	}
	return p.more, p.n, s.settle(ctx, tx, p)
}
