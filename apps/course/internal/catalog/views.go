package catalog

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Views collects who looked at which course, so that a read does not wait for a
// write. What was noted but not yet written is lost when the process dies: a view
// is a statistic, told at most once per person, course and UTC day.
type Views struct {
	mu      sync.Mutex
	day     string
	seen    map[[2]uuid.UUID]bool
	waiting []View
	limit   int
}

// NewViews keeps at most limit views in memory between two flushes and remembers
// as many of the day; beyond that the database alone tells repetitions.
func NewViews(limit int) *Views {
	return &Views{seen: map[[2]uuid.UUID]bool{}, limit: limit}
}

// Note remembers a view by a person; one by nobody, or a second one on the same
// day, is nothing.
func (v *Views) Note(w View) {
	if v == nil || w.UserID == uuid.Nil {
		return
	}
	day := w.ViewedAt.UTC().Format(time.DateOnly)
	w.Day = w.ViewedAt.UTC().Truncate(24 * time.Hour)
	key := [2]uuid.UUID{w.CourseID, w.UserID}
	v.mu.Lock()
	defer v.mu.Unlock()
	if day != v.day || len(v.seen) >= v.limit {
		v.day = day
		clear(v.seen)
	}
	if v.seen[key] || len(v.waiting) >= v.limit {
		return
	}
	v.seen[key] = true
	v.waiting = append(v.waiting, w)
}

func (v *Views) take(n int) []View {
	v.mu.Lock()
	defer v.mu.Unlock()
	n = min(n, len(v.waiting))
	out := v.waiting[:n:n]
	v.waiting = v.waiting[n:]
	return out
}

// FlushViews writes the collected views and tells those that are the first of
// their day.
func (s *Service) FlushViews(ctx context.Context) error {
	for {
		batch := s.Views.take(500)
		if len(batch) == 0 {
			return nil
		}
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			fresh, err := tx.InsertViews(ctx, batch)
			if err != nil {
				return err
			}
			for _, w := range fresh {
				e := events.CourseViewed{
					CourseID: w.CourseID, TenantID: w.TenantID, OrgUnitID: w.OrgUnitID, UserID: w.UserID,
					Day: w.Day.Format(time.DateOnly), ViewedAt: w.ViewedAt,
				}
				if err := tx.Emit(ctx, e, work.Meta{TenantID: w.TenantID, OrgUnitID: w.OrgUnitID, CourseID: w.CourseID}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// PurgeViews forgets who looked when, two days after: it was needed only to tell
// the first view of a day.
func (s *Service) PurgeViews(ctx context.Context) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.PurgeViews(ctx, s.Now().Add(-48*time.Hour))
	})
}
