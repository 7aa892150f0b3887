package analytics

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Keep keeps a batch of events in a transaction that the caller has. Events that
// are kept already, and events of people who were forgotten, are taken as well.
func (s *Service) Keep(ctx context.Context, tx Tx, batch []history.Event) error {
	kept := make([]history.Event, len(batch))
	for i, e := range batch {
		var err error
		if kept[i], err = s.Archive.Keep(e, history.Same); err != nil {
			return err
		}
	}
	return s.append(ctx, tx, kept)
}

func (s *Service) append(ctx context.Context, tx Tx, kept []history.Event) error {
	// From here on nobody is forgotten until this is committed.
	if err := tx.ShareIntake(ctx); err != nil {
		return err
	}
	if err := s.rename(ctx, tx, kept); err != nil {
		return err
	}
	if err := s.makeMonths(ctx, tx, kept); err != nil {
		return err
	}
	if err := tx.Append(ctx, kept, s.Now()); err != nil {
		return err
	}
	tx.AfterCommit(s.arrived)
	return nil
}

// rename writes those who were forgotten under their pseudonyms.
func (s *Service) rename(ctx context.Context, tx Tx, kept []history.Event) error {
	var ids []uuid.UUID
	for _, e := range kept {
		ids = append(ids, e.People()...)
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := tx.Pseudonyms(ctx, ids)
	if err != nil || len(known) == 0 {
		return err
	}
	for i, e := range kept {
		if e.Type == history.TypeSearched {
			continue
		}
		if kept[i], err = s.Archive.Keep(e, naming(known)); err != nil {
			return err
		}
	}
	return nil
}

func naming(pseudonyms map[uuid.UUID]uuid.UUID) history.Names {
	return func(id uuid.UUID) uuid.UUID {
		if p, ok := pseudonyms[id]; ok {
			return p
		}
		return id
	}
}

// Searched keeps a batch of searches, each as an event of its own, once.
func (s *Service) Searched(ctx context.Context, batch internalapi.SearchBatch) error {
	kept, err := history.Searches(batch)
	if err != nil || len(kept) == 0 {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error { return s.append(ctx, tx, kept) })
}

// months knows for which there is room.
type months struct {
	mu   sync.Mutex
	made map[time.Time]bool
}

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func (m *months) missing(wanted []time.Time) []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []time.Time
	seen := map[time.Time]bool{}
	for _, t := range wanted {
		if t = monthOf(t); !m.made[t] && !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	return out
}

func (m *months) note(made []time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range made {
		m.made[t] = true
	}
}

func (s *Service) makeMonths(ctx context.Context, tx Tx, events []history.Event) error {
	times := make([]time.Time, len(events))
	for i, e := range events {
		times[i] = e.Time
	}
	missing := s.months.missing(times)
	if len(missing) == 0 {
		return nil
	}
	if err := tx.MakeMonths(ctx, missing); err != nil {
		return err
	}
	tx.AfterCommit(func() { s.months.note(missing) })
	return nil
}

// monthsAhead is for how many months room is made before their first event.
const monthsAhead = 3

// MakeRoom makes room for the events of this month and the next ones.
func (s *Service) MakeRoom(ctx context.Context) error {
	this := monthOf(s.Now())
	var wanted []time.Time
	for i := range monthsAhead + 1 {
		wanted = append(wanted, this.AddDate(0, i, 0))
	}
	missing := s.months.missing(wanted)
	if len(missing) == 0 {
		return nil
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		tx.AfterCommit(func() { s.months.note(missing) })
		return tx.MakeMonths(ctx, missing)
	})
}
