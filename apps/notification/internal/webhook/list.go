package webhook

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/page"
)

// Deliveries is a page of what was attempted to an endpoint, the newest first unless
// asked otherwise; what waits for its first attempt is the newest.
func (s *Service) Deliveries(ctx context.Context, actor authz.Principal, id uuid.UUID, state State, r page.Request) (p page.Page[Delivery], err error) {
	if _, err := s.Get(ctx, actor, id); err != nil {
		return p, err
	}
	var after *journal.Place
	var at journal.Place
	if seen, err := page.Decode(r.Cursor, &at.Day, &at.Part, &at.Index); err != nil {
		return p, err
	} else if seen {
		after = &at
	}
	want := func(e journal.Entry[Delivery]) bool { return state == "" || e.Body.State == state }
	list := s.log.List
	if r.OldestFirst {
		list = s.log.Oldest
	}
	listed, next, err := list(ctx, id.String(), after, r.Size(), want)
	if err != nil {
		return p, err
	}
	for _, l := range listed {
		p.Items = append(p.Items, l.Body)
	}
	if next != nil {
		p.NextCursor = page.Encode(next.Day, next.Part, next.Index)
	}
	newest := !r.OldestFirst && after == nil || r.OldestFirst && next == nil
	if !newest || state != "" && state != Pending {
		return p, nil
	}
	waiting, err := s.untried(ctx, id, r.Size())
	if r.OldestFirst {
		p.Items = append(p.Items, waiting...)
		return p, err
	}
	slices.Reverse(waiting)
	p.Items = append(waiting, p.Items...)
	return p, err
}

// untried are the newest deliveries that wait for their first attempt, in the order in
// which they came.
func (s *Service) untried(ctx context.Context, id uuid.UUID, limit int) (out []Delivery, err error) {
	q, err := s.queues.Get(ctx, queueKey(id))
	if err != nil || q == nil {
		return nil, err
	}
	for _, d := range q.Pending {
		if d.Attempts == 0 {
			out = append(out, d)
		}
	}
	return out[max(0, len(out)-limit):], nil
}
