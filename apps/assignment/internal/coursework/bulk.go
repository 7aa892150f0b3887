package coursework

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// MaxBulk is how many grades one request enters.
const MaxBulk = 500

// BulkRow is one of many grades.
type BulkRow struct {
	Who     uuid.UUID // a person, or an alias
	Version *int64    // nil is any
	Entry   Entry
}

// BulkResult says what became of a row.
type BulkResult struct {
	Who     uuid.UUID
	Code    string // "" for entered
	Message string
	Fields  []apperr.Field
	Version int64
	Score   *Points
}

// BulkGrade enters many grades in one transaction: all or none (a row that is
// refused refuses all, with every field), or row by row. Totals are counted once, at
// the end and in the order of people: of two requests at once neither waits for what
// the other holds.
func (s *Service) BulkGrade(ctx context.Context, actor authz.Principal, id uuid.UUID, rows []BulkRow, allOrNone bool) ([]BulkResult, error) {
	if len(rows) == 0 || len(rows) > MaxBulk {
		return nil, apperr.Invalid(apperr.Field{Path: "grades", Code: "count", Message: "1 to 500 rows."})
	}
	names := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		names[i] = r.Who
	}
	if n := len(slices.Compact(slices.SortedFunc(slices.Values(names), compareIDs))); n != len(rows) {
		return nil, apperr.Invalid(apperr.Field{Path: "grades", Code: "duplicate", Message: "Each person once."})
	}
	t, err := s.targets(ctx, actor, id, names)
	if err != nil {
		return nil, err
	}
	return inTx(ctx, s, work.Tenant(t.a.TenantID), func(ctx context.Context, tx Tx) ([]BulkResult, error) {
		en, err := s.begin(ctx, tx, t)
		if err != nil {
			return nil, err
		}
		en.later = &people{}
		out := make([]BulkResult, len(rows))
		var bad apperr.Fields
		for i, row := range rows {
			path := indexed("grades", i) + "."
			x := t.found[row.Who]
			err := x.err
			if err == nil {
				err = en.enter(ctx, x, row.Version, row.Entry, path, CauseBulk)
			}
			if err != nil && !refusal(err) {
				return nil, err
			}
			out[i] = en.result(row, x, err)
			if err != nil {
				bad = append(bad, fieldsOfError(err, path)...)
			}
		}
		if allOrNone && len(bad) > 0 {
			return nil, bad.Err()
		}
		return out, s.counted(ctx, tx, en.later)
	})
}

// refusal says whether an error is about one row, before anything of it was
// written.
func refusal(err error) bool {
	switch apperr.From(err).Kind { //nolint:exhaustive // all others stop the whole
	case apperr.KindInvalid, apperr.KindNotFound, apperr.KindPreconditionFailed:
		return true
	}
	return false
}

func fieldsOfError(err error, path string) []apperr.Field {
	e := apperr.From(err)
	if len(e.Fields) > 0 {
		return e.Fields
	}
	return []apperr.Field{{Path: path + "user_id", Code: e.Code, Message: e.Message}}
}

func (en *entering) result(row BulkRow, x target, err error) BulkResult {
	if err != nil {
		e := apperr.From(err)
		return BulkResult{Who: row.Who, Code: e.Code, Message: e.Message, Fields: e.Fields}
	}
	g := en.rows[x.user]
	return BulkResult{Who: row.Who, Version: g.Version, Score: g.Counts()}
}
