package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/due"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/journal/acts"
	"lms/shared/record"
)

const (
	perTurn = 20 // deliveries to one endpoint before others have their turn
	atOnce  = 5  // requests to one endpoint
	lease   = 5 * time.Minute
)

// pauses are those before the next attempts; after the last a delivery has failed.
func pauses() []time.Duration {
	return []time.Duration{
		10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	}
}

// SignatureHeader carries "t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">", with
// one v1 per secret that is good at the moment.
const SignatureHeader = "Lms-Signature"

// Sign makes the value of SignatureHeader.
func Sign(secrets []string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + t)
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(t + "."))
		mac.Write(body)
		b.WriteString(",v1=" + hex.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}

// Offer notes events for the endpoints that want them. Each event has an error of
// its own; given again it is noted once.
func (s *Service) Offer(ctx context.Context, events []catalog.Event) []error {
	errs := make([]error, len(events))
	type work struct {
		endpoint Endpoint
		events   []int
	}
	byEndpoint := map[uuid.UUID]*work{}
	for i, ev := range events {
		if ev.TenantID == uuid.Nil {
			continue
		}
		items, err := s.of(ctx, ev.TenantID)
		if err != nil {
			errs[i] = err
			continue
		}
		wanted := slices.DeleteFunc(slices.Clone(items), func(e Endpoint) bool { return !e.Wants(ev) })
		if len(wanted) == 0 {
			continue
		}
		if errs[i] = s.keep(ctx, ev); errs[i] != nil {
			continue
		}
		for _, e := range wanted {
			if byEndpoint[e.ID] == nil {
				byEndpoint[e.ID] = &work{endpoint: e}
			}
			byEndpoint[e.ID].events = append(byEndpoint[e.ID].events, i)
		}
	}
	for _, w := range byEndpoint {
		batch := make([]catalog.Event, len(w.events))
		for j, i := range w.events {
			batch[j] = events[i]
		}
		if err := s.enqueue(ctx, w.endpoint, batch); err != nil {
			for _, i := range w.events {
				errs[i] = errors.Join(errs[i], err)
			}
		}
	}
	return errs
}

// of are the endpoints of a tenant as they were at most two seconds ago.
func (s *Service) of(ctx context.Context, tenant uuid.UUID) ([]Endpoint, error) {
	s.mu.Lock()
	c, ok := s.cached[tenant]
	s.mu.Unlock()
	if ok && s.Now().Before(c.until) {
		return c.items, nil
	}
	all, err := s.endpoints.Get(ctx, endpointsKey(tenant))
	if err != nil {
		return nil, err
	}
	var items []Endpoint
	if all != nil {
		items = all.Items
	}
	s.remember(tenant, items)
	return items, nil
}

// keep writes the body of an event, once for all endpoints.
func (s *Service) keep(ctx context.Context, ev catalog.Event) error {
	err := s.bodies.Create(ctx, bodyKey(ev.ID), &body{Raw: ev.Raw, Ends: s.Now().Add(bodyKept)})
	if err != nil && !errors.Is(err, record.ErrConflict) {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func deliveryID(event, endpoint uuid.UUID) uuid.UUID { return uuid.NewSHA1(event, endpoint[:]) }

func (s *Service) enqueue(ctx context.Context, e Endpoint, events []catalog.Event) error {
	var full []Delivery
	_, err := s.queues.Update(ctx, queueKey(e.ID), func(q *queue) (*queue, error) {
		full = nil
		if q == nil {
			q = &queue{EndpointID: e.ID, TenantID: e.TenantID}
		}
		changed := false
		for _, ev := range events {
			id := deliveryID(ev.ID, e.ID)
			if q.Told.Has(id) {
				continue
			}
			q.Told.Add(id, s.Now())
			changed = true
			d := Delivery{ID: id, EventID: ev.ID, Type: ev.Type, State: Pending, CreatedAt: s.Now(), NextAt: s.Now()}
			if len(q.Pending) >= maxPending {
				d.State, d.Error, d.LoggedAt, d.NextAt = Failed, "too many deliveries wait for this endpoint", s.Now(), time.Time{}
				full = append(full, d)
				continue
			}
			q.Pending = append(q.Pending, d)
		}
		if !changed {
			return q, record.ErrKeep
		}
		return q, nil
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if err := s.logThem(ctx, e.ID, full); err != nil {
		return err
	}
	return s.due.Add(ctx, due.Item{Key: e.ID, Due: s.Now()})
}

func (s *Service) logThem(ctx context.Context, endpoint uuid.UUID, ds []Delivery) error {
	entries := make([]journal.Entry[Delivery], len(ds))
	for i, d := range ds {
		entries[i] = journal.Entry[Delivery]{ID: d.ID, At: d.LoggedAt, Body: d}
	}
	return s.log.Put(ctx, endpoint.String(), entries...)
}

// Queue is the queue of endpoints that have something to deliver.
func (s *Service) Queue() *due.Queue { return s.due }

// Lease is for how long a worker has an endpoint.
func (s *Service) Lease() time.Duration { return lease }

// Serve delivers what is due for some endpoints, side by side: a slow one holds up
// none of the others for longer than its own timeouts.
func (s *Service) Serve(ctx context.Context, claims []due.Claim) []due.Result {
	results := make([]due.Result, len(claims))
	var wg sync.WaitGroup
	for i, c := range claims {
		wg.Go(func() {
			next, err := s.turn(ctx, c.Key)
			if err != nil {
				s.Log.WarnContext(ctx, "webhook will be tried again", "endpoint", c.Key, "error", err)
				next = s.Now().Add(10 * time.Second)
			}
			results[i] = due.Result{Claim: c, Next: next}
		})
	}
	wg.Wait()
	return results
}

// turn attempts what is due for one endpoint, and says when there is more.
func (s *Service) turn(ctx context.Context, id uuid.UUID) (next time.Time, err error) {
	q, err := s.queues.Get(ctx, queueKey(id))
	if err != nil || q == nil {
		return next, err
	}
	e, err := s.find(ctx, q.TenantID, id)
	if err != nil {
		return next, err
	}
	if e == nil {
		return time.Time{}, s.dropAll(ctx, id)
	}
	if e.Status != Enabled {
		return time.Time{}, nil // its next change makes it due again
	}
	secrets, err := s.secrets(*e)
	if err != nil {
		return next, err
	}
	ready := q.ready(s.Now())
	outcomes := make([]Delivery, len(ready))
	gate := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, d := range ready {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			outcomes[i] = s.attempt(ctx, *e, secrets, d)
		})
	}
	wg.Wait()
	return s.settle(ctx, *e, outcomes)
}

func (s *Service) find(ctx context.Context, tenant, id uuid.UUID) (*Endpoint, error) {
	all, err := s.endpoints.Get(ctx, endpointsKey(tenant))
	if err != nil || all == nil {
		return nil, err
	}
	for i := range all.Items {
		if all.Items[i].ID == id {
			return &all.Items[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it was deleted
}

func (s *Service) dropAll(ctx context.Context, id uuid.UUID) error {
	if err := s.audited.queues.Follow(ctx, id); err != nil {
		return err
	}
	_, err := s.queues.Update(ctx, queueKey(id), func(*queue) (*queue, error) { return nil, nil }) //nolint:nilnil // nil ends it
	return err
}

func (s *Service) secrets(e Endpoint) ([]string, error) {
	var out []string
	for i, sec := range e.Secrets {
		if i > 0 && !s.Now().Before(sec.Until) {
			continue
		}
		raw, err := s.Sealer.Open(sec.Sealed, "webhook/"+e.ID.String())
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		out = append(out, string(raw))
	}
	return out, nil
}

func (q *queue) ready(now time.Time) []Delivery {
	var out []Delivery
	for _, d := range q.Pending {
		if !d.NextAt.After(now) && len(out) < perTurn {
			out = append(out, d)
		}
	}
	return out
}

// attempt sends one delivery, and returns it as it is after that.
func (s *Service) attempt(ctx context.Context, e Endpoint, secrets []string, d Delivery) Delivery {
	b, err := s.bodies.Get(ctx, bodyKey(d.EventID))
	now := s.Now()
	d.Attempts++
	d.LastAt, d.Error, d.StatusCode = now, "", 0
	if d.LoggedAt.IsZero() {
		d.LoggedAt = now
	}
	switch {
	case err != nil:
		d.Error = "the event could not be read: " + apperr.Code(err)
	case b == nil:
		d.State, d.Error, d.NextAt = Failed, "the event is no longer kept", time.Time{}
		return d
	default:
		answer, err := s.Sender.Post(ctx, e.URL, map[string]string{
			SignatureHeader: Sign(secrets, now, b.Raw), "Lms-Delivery": d.ID.String(), "Lms-Event": d.Type, "Content-Type": "application/cloudevents+json",
		}, b.Raw)
		d.StatusCode = answer.Status
		switch {
		case err != nil:
			d.Error = err.Error()
		case answer.Status < 200 || answer.Status >= 300:
			d.Error = "it answered " + strconv.Itoa(answer.Status)
		default:
			d.State, d.NextAt = Delivered, time.Time{}
			return d
		}
	}
	if p := pauses(); d.Attempts <= len(p) {
		d.NextAt = now.Add(p[d.Attempts-1])
	} else {
		d.State, d.NextAt = Failed, time.Time{}
	}
	return d
}

// settle writes the log, then the queue: a crash in between logs the same line
// again.
func (s *Service) settle(ctx context.Context, e Endpoint, outcomes []Delivery) (next time.Time, err error) {
	if err := s.logThem(ctx, e.ID, outcomes); err != nil {
		return next, err
	}
	success := false
	for _, d := range outcomes {
		success = success || d.State == Delivered
		if s.Attempted != nil {
			s.Attempted(d.State)
		}
	}
	var since time.Time
	_, err = s.queues.Update(ctx, queueKey(e.ID), func(q *queue) (*queue, error) {
		if q == nil {
			return nil, record.ErrKeep
		}
		for _, d := range outcomes {
			i := slices.IndexFunc(q.Pending, func(p Delivery) bool { return p.ID == d.ID })
			switch {
			case i < 0:
			case d.State == Pending:
				q.Pending[i] = d
			default:
				q.Pending = slices.Delete(q.Pending, i, i+1)
			}
		}
		switch {
		case success:
			q.FailingSince = time.Time{}
		case len(outcomes) > 0 && q.FailingSince.IsZero():
			q.FailingSince = s.Now()
		}
		since, next = q.FailingSince, q.next()
		if len(outcomes) == 0 {
			return q, record.ErrKeep
		}
		return q, nil
	})
	if err != nil {
		return next, err
	}
	if !since.IsZero() && s.Now().Sub(since) >= disableAfter {
		return time.Time{}, s.disable(ctx, e, since)
	}
	return next, nil
}

func (q *queue) next() time.Time {
	var next time.Time
	for _, d := range q.Pending {
		if next.IsZero() || d.NextAt.Before(next) {
			next = d.NextAt
		}
	}
	return next
}

// disable switches an endpoint off that has answered nothing for days. What waits
// for it is kept until it is switched on again, or its events are no longer kept.
func (s *Service) disable(ctx context.Context, e Endpoint, since time.Time) error {
	// Who made it is told first: told twice, it is one message.
	if s.Disabled != nil {
		if err := s.Disabled(ctx, e, since); err != nil {
			return err
		}
	}
	err := s.change(ctx, e.TenantID, func(all *endpoints) error {
		for i := range all.Items {
			if x := &all.Items[i]; x.ID == e.ID && x.Status == Enabled {
				x.Status, x.UpdatedAt = Failing, s.Now()
				x.Version++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.queues.Update(ctx, queueKey(e.ID), func(q *queue) (*queue, error) {
		if q == nil {
			return nil, record.ErrKeep
		}
		q.FailingSince = time.Time{} // counted anew once it is switched on
		return q, nil
	})
	return err
}

// Redeliver sends an event to an endpoint once more, at once.
func (s *Service) Redeliver(ctx context.Context, actor authz.Principal, id, delivery uuid.UUID) (Delivery, error) {
	e, err := s.Get(ctx, actor, id)
	if err != nil {
		return Delivery{}, err
	}
	if e.Status != Enabled {
		return Delivery{}, apperr.Conflict("endpoint_disabled", "The endpoint is switched off.")
	}
	var out *Delivery
	entry, err := s.log.Find(ctx, id.String(), delivery)
	if err != nil {
		return Delivery{}, err
	}
	_, err = s.audited.queues.Update(ctx, id, func() acts.Act { return act("webhook_delivery.redeliver", e) }, func(q *queue) (*queue, error) {
		out = nil
		if q == nil {
			q = &queue{EndpointID: id, TenantID: e.TenantID}
		}
		i := slices.IndexFunc(q.Pending, func(p Delivery) bool { return p.ID == delivery })
		switch {
		case i >= 0:
			q.Pending[i].NextAt = s.Now()
			out = &q.Pending[i]
		case entry != nil && len(q.Pending) < maxPending:
			d := entry.Body
			d.State, d.NextAt, d.Error, d.Attempts = Pending, s.Now(), "", 0 // its retries begin anew
			q.Pending = append(q.Pending, d)
			out = &d
		default:
			return q, record.ErrKeep
		}
		return q, nil
	})
	if err != nil {
		return Delivery{}, err
	}
	if out == nil {
		return Delivery{}, apperr.NotFound("delivery")
	}
	return *out, s.due.Add(ctx, due.Item{Key: id, Due: s.Now()})
}
