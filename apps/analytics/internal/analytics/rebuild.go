package analytics

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

const (
	// rebuildBatch is how many events one transaction of a rebuild adds up.
	rebuildBatch = 40_000
	// maxDifferences of each table are told; one is enough to know.
	maxDifferences = 50
)

var errReplaced = apperr.Conflict("rebuild_replaced", "Another rebuild has begun since.")

// BeginRebuild begins to add everything up anew, beside what reports read. A run
// that was at work is given up.
func (s *Service) BeginRebuild(ctx context.Context) (Rebuild, error) {
	upto, err := s.horizon(ctx)
	if err != nil {
		return Rebuild{}, err
	}
	r := Rebuild{ID: s.NewID(), Upto: upto, StartedAt: s.Now()}
	return r, s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if err := tx.HoldRebuild(ctx); err != nil {
			return err
		}
		return tx.BeginRebuild(ctx, r)
	})
}

// RebuildStep adds the next events up; n is how many, place how far it is. more
// says that there are more of those that were there when the run began.
func (s *Service) RebuildStep(ctx context.Context, id uuid.UUID) (more bool, n int, place, upto int64, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		r, err := s.holdRebuild(ctx, tx, id)
		if err != nil {
			return err
		}
		upto = r.Upto
		if err := tx.InRebuild(ctx); err != nil {
			return err
		}
		if more, n, err = s.addUp(ctx, tx, upto, rebuildBatch); err != nil {
			return err
		}
		place, _, err = tx.Place(ctx)
		return err
	})
	return more, n, place, upto, err
}

func (s *Service) holdRebuild(ctx context.Context, tx Tx, id uuid.UUID) (Rebuild, error) {
	if err := tx.HoldRebuild(ctx); err != nil {
		return Rebuild{}, err
	}
	r, err := tx.TheRebuild(ctx)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && r.ID != id {
		return Rebuild{}, errReplaced
	}
	return r, err
}

// FinishRebuild brings both to the same place, says where they differ and, if it is
// wanted, puts what was made anew in the place of what was there.
func (s *Service) FinishRebuild(ctx context.Context, id uuid.UUID, put bool) (found []internalapi.Difference, err error) {
	if put {
		if err := s.indexRebuild(ctx, id); err != nil {
			return nil, err
		}
	}
	// What arrived during the run is added up before anything has to wait for it.
	upto, err := s.horizon(ctx)
	if err != nil {
		return nil, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if err := tx.HoldTallies(ctx); err != nil {
			return err
		}
		if _, err := s.holdRebuild(ctx, tx, id); err != nil {
			return err
		}
		place, _, err := tx.Place(ctx)
		if err != nil {
			return err
		}
		upto = max(upto, place)
		if err := s.catchUp(ctx, tx, upto); err != nil {
			return err
		}
		if err := tx.InRebuild(ctx); err != nil {
			return err
		}
		if err := s.catchUp(ctx, tx, upto); err != nil {
			return err
		}
		if err := tx.InPlace(ctx); err != nil {
			return err
		}
		rows, err := tx.Differences(ctx, maxDifferences)
		if err != nil {
			return err
		}
		if found, err = differences(rows); err != nil {
			return err
		}
		if put {
			if err := tx.Swap(ctx); err != nil {
				return err
			}
			if err := tx.Analyze(ctx); err != nil {
				return err
			}
		}
		return tx.EndRebuild(ctx)
	})
	return found, err
}

// indexRebuild takes a while in which the tallies that are in use go on.
func (s *Service) indexRebuild(ctx context.Context, id uuid.UUID) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if _, err := s.holdRebuild(ctx, tx, id); err != nil {
			return err
		}
		return tx.IndexRebuild(ctx)
	})
}

func (s *Service) catchUp(ctx context.Context, tx Tx, upto int64) error {
	for more := true; more; {
		var err error
		if more, _, err = s.addUp(ctx, tx, upto, batch); err != nil {
			return err
		}
	}
	return nil
}

// differences names the fields in which rows differ. Rows of one thing are found by
// what they have in common: their keys, which begin every row.
func differences(rows []RowDifference) ([]internalapi.Difference, error) {
	type both struct {
		tbl              string
		id               uuid.UUID
		stored, computed map[string]json.RawMessage
	}
	byKey := map[string]*both{}
	for _, r := range rows {
		raw := r.Stored
		if raw == nil {
			raw = r.Computed
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, apperr.Internal(err)
		}
		key, id := keyOf(r.Tbl, fields)
		b := byKey[key]
		if b == nil {
			b = &both{tbl: r.Tbl, id: id}
			byKey[key] = b
		}
		if r.Stored != nil {
			b.stored = fields
		} else {
			b.computed = fields
		}
	}
	var out []internalapi.Difference
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		b := byKey[key]
		names := maps.Clone(b.stored)
		if names == nil {
			names = map[string]json.RawMessage{}
		}
		maps.Copy(names, b.computed)
		for _, f := range slices.Sorted(maps.Keys(names)) {
			if !bytes.Equal(b.stored[f], b.computed[f]) {
				out = append(out, internalapi.Difference{Kind: b.tbl, ID: b.id, Field: f, Stored: string(b.stored[f]), Computed: string(b.computed[f])})
			}
		}
	}
	return out, nil
}

// keys are the columns that name a row, by table; the first is whose it is.
var keys = map[string][]string{ //nolint:gochecknoglobals // immutable
	"courses": {"course_id"}, "org_units": {"org_unit_id"}, "people": {"user_id"}, "cohorts": {"group_id"}, "cohort_members": {"user_id", "group_id"},
	"learners": {"user_id", "course_id"}, "learner_items": {"user_id", "course_id", "item_id"}, "activities": {"user_id", "course_id", "day"},
	"quizzes": {"quiz_id"}, "questions": {"question_id"}, "attempts": {"attempt_id"}, "assignments": {"assignment_id"}, "works": {"user_id", "assignment_id"},
	"plans": {"plan_id"}, "payments": {"payment_id"}, "subscription_changes": {"subscription_id", "seq"}, "search_terms": {"tenant_id", "term", "slot"},
}

func keyOf(tbl string, fields map[string]json.RawMessage) (key string, id uuid.UUID) {
	key = tbl
	for i, k := range keys[tbl] {
		key += "/" + string(fields[k])
		if i == 0 {
			_ = json.Unmarshal(fields[k], &id) // uuid columns
		}
	}
	return key, id
}

// place of a recomputation, in its cursor.
type recomputation struct {
	ID   uuid.UUID `json:"id"`
	Done bool      `json:"done"` // all events are added up: compare
}

// Recompute adds everything up anew, page by page, and says in the last page where
// that differs from what is stored. A repair then takes the new numbers.
func (s *Service) Recompute(ctx context.Context, in internalapi.RecomputeRequest) (out internalapi.RecomputeReply, err error) {
	var at recomputation
	if in.Cursor == "" {
		r, err := s.BeginRebuild(ctx)
		if err != nil {
			return out, err
		}
		out.NextCursor = cursor(recomputation{ID: r.ID})
		return out, nil
	}
	if err := json.Unmarshal([]byte(in.Cursor), &at); err != nil {
		return out, apperr.Malformed("invalid_cursor", "The cursor is none of ours.")
	}
	if !at.Done {
		more, n, _, _, err := s.RebuildStep(ctx, at.ID)
		if err != nil {
			return out, err
		}
		at.Done = !more
		return internalapi.RecomputeReply{Checked: int64(n), NextCursor: cursor(at)}, nil
	}
	out.Differences, err = s.FinishRebuild(ctx, at.ID, in.Repair)
	return out, err
}

func cursor(at recomputation) string {
	raw, err := json.Marshal(at)
	if err != nil {
		panic(err) // plain values
	}
	return string(raw)
}
