package analytics

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/period"
	"lms/apps/analytics/internal/report"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// MaxRows is how many rows an answer has; an export has all.
const MaxRows = 1_000

// Head is what is known of a report before its rows.
type Head struct {
	Report report.Report
	Query  report.Query
	Period report.Period
	// UpdatedAt is up to when arriving events were added up.
	UpdatedAt time.Time
}

// Result is a report with its rows.
type Result struct {
	Head
	Rows      [][]any
	Truncated bool
}

// Catalogue are the reports that a caller may ask for somewhere.
func (s *Service) Catalogue(ctx context.Context, actor authz.Principal) ([]report.Report, error) {
	var out []report.Report
	reaches := map[authz.Permission]reach{}
	for _, r := range report.Catalogue() {
		perm := permissionFor(r.About)
		at, known := reaches[perm]
		if !known {
			var err error
			if at, err = s.reachOf(ctx, actor, perm); err != nil {
				return nil, err
			}
			reaches[perm] = at
		}
		if at.none() || r.About == report.AboutSearches && !at.units.All && !at.policy.Allows(actor, perm, actor.TenantID) {
			continue
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, forbidden(authz.ReportRead)
	}
	return out, nil
}

// Read is a report with at most MaxRows rows.
func (s *Service) Read(ctx context.Context, actor authz.Principal, name report.Name, q report.Query) (Result, error) {
	limit := MaxRows
	if q.Limit > 0 {
		limit = min(q.Limit, MaxRows)
	}
	q.Limit = limit + 1
	out := Result{Rows: [][]any{}}
	err := s.stream(ctx, actor, name, q, func(h Head) error {
		out = Result{Head: h, Rows: [][]any{}} // the transaction may be tried again
		return nil
	}, func(row []any) error {
		if len(out.Rows) == limit {
			out.Truncated = true
			return nil
		}
		out.Rows = append(out.Rows, row)
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	return out, s.nameRows(ctx, out.Report, out.Rows)
}

var errUnknownReport = apperr.NotFound("report")

// stream gives the head of a report and then its rows, one by one.
func (s *Service) stream(ctx context.Context, actor authz.Principal, name report.Name, q report.Query, head func(Head) error, row func([]any) error) error {
	r, ok := report.Find(name)
	if !ok {
		return errUnknownReport
	}
	now := s.Now()
	p, err := r.Ask(q, now)
	if err != nil {
		return err
	}
	at, err := s.reachOf(ctx, actor, permissionFor(r.About))
	if err != nil {
		return err
	}
	return s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		l, err := s.limit(ctx, tx, actor, r, q, at)
		if err != nil {
			return err
		}
		_, updated, err := tx.Place(ctx)
		if err != nil {
			return err
		}
		if err := head(Head{Report: r, Query: q, Period: p, UpdatedAt: updated}); err != nil {
			return err
		}
		a := report.Arguments{Period: p, Now: now, Courses: l.courses, Users: l.users, OrgUnits: l.orgUnits}
		if q.Limit > 0 {
			a.Limit = &q.Limit
		}
		if len(p.Buckets) > 0 {
			a.Spans = period.Spans(p.Buckets)
		}
		return tx.Report(ctx, name, a, func(values []any) error {
			shown, err := shape(r, p, now, values)
			if err != nil {
				return err
			}
			return row(shown)
		})
	})
}

var errShape = errors.New("a report's rows are not as its catalogue says")

// shape turns what the store gives into what is shown: buckets by their labels,
// shares as fractions, reasons in words.
func shape(r report.Report, p report.Period, now time.Time, values []any) ([]any, error) {
	if len(values) < len(r.Columns) {
		return nil, apperr.Internal(errShape)
	}
	if r.Name == report.AtRisk {
		explain(values, now)
	}
	values = values[:len(r.Columns)]
	for i, c := range r.Columns {
		switch v := values[i].(type) {
		case nil:
			continue
		case [16]byte:
			values[i] = uuid.UUID(v)
		case int32:
			values[i] = int64(v)
		case time.Time:
			values[i] = v.UTC()
		}
		switch n, whole := values[i].(int64); {
		case c.Kind == report.KindBucket && whole && n > 0 && int(n) <= len(p.Buckets):
			values[i] = p.Buckets[n-1].Label
		case c.Kind == report.KindShare && whole:
			values[i] = float64(n) / 10_000
		}
	}
	return values, nil
}

// Places of columns in a row of learners at risk.
const (
	riskReasons = 5 + iota
	riskLastActive
	riskProgress
	riskExpected
	riskGrade
	riskMissing
	riskEnrolled // not shown
)

func explain(values []any, now time.Time) {
	optional := func(i int) *int64 {
		if n, ok := values[i].(int64); ok {
			return &n
		}
		return nil
	}
	st := report.Standing{Progress: optional(riskProgress), Expected: optional(riskExpected), Grade: optional(riskGrade)}
	if n := optional(riskMissing); n != nil {
		st.Missing = *n
	}
	if t, ok := values[riskLastActive].(time.Time); ok {
		st.LastActivityAt = &t
	}
	if t, ok := values[riskEnrolled].(time.Time); ok {
		st.EnrolledAt = t
	}
	codes, _ := values[riskReasons].([]any)
	words := make([]string, 0, len(codes))
	for _, c := range codes {
		if code, ok := c.(string); ok {
			words = append(words, report.Why(code, st, now))
		}
	}
	values[riskReasons] = words
}

// nameRows fills the names of people in, where a report shows people.
func (s *Service) nameRows(ctx context.Context, r report.Report, rows [][]any) error {
	user, name := -1, -1
	for i, c := range r.Columns {
		switch c.Key {
		case "user_id":
			user = i
		case "name":
			name = i
		}
	}
	if user < 0 || name < 0 || len(rows) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		if id, ok := row[user].(uuid.UUID); ok {
			ids = append(ids, id)
		}
	}
	names, err := s.People.Names(ctx, ids)
	if err != nil {
		// Numbers without names are of use, and user may be away.
		s.Log.WarnContext(ctx, "a report without names", "report", r.Name, "error", err)
		return nil
	}
	for _, row := range rows {
		if id, ok := row[user].(uuid.UUID); ok {
			row[name] = names[id]
		}
	}
	return nil
}
