// Package acts is the audit trail of a service without a database: what people did,
// in a journal for each organisation.
package acts

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/journal"
	"lms/shared/page"
	"lms/shared/record"
	"lms/shared/work"
)

// Act is one act of a person: who, when, from where, what.
type Act struct {
	TenantID       uuid.UUID              `json:"tenant_id"`
	ActorID        uuid.UUID              `json:"actor_id,omitzero"`
	ImpersonatorID uuid.UUID              `json:"impersonator_id,omitzero"`
	Action         string                 `json:"action"`
	ResourceType   string                 `json:"resource_type"`
	ResourceID     uuid.UUID              `json:"resource_id"`
	IP             string                 `json:"ip,omitempty"`
	UserAgent      string                 `json:"user_agent,omitempty"`
	RequestID      string                 `json:"request_id,omitempty"`
	Changes        map[string]work.Change `json:"changes,omitempty"`
}

// Kept is for how long an act can be read.
const Kept = 365 * 24 * time.Hour

// Trail is an audit trail.
type Trail struct {
	log    *journal.Journal[Act]
	policy authz.Source
	now    func() time.Time
	newID  func() uuid.UUID
}

// New makes the trail of a store.
func New(store record.Store, policy authz.Source, now func() time.Time, newID func() uuid.UUID) *Trail {
	return &Trail{log: journal.New[Act](store, "audit", 200, Kept, now), policy: policy, now: now, newID: newID}
}

// Record writes an act of the caller, after the act: without a transaction over
// several keys a crash in between loses the line, not the act. Who must not lose it
// keeps the Line with the act, and Puts it.
func (t *Trail) Record(ctx context.Context, a Act) error { return t.Put(ctx, t.Line(ctx, a)) }

// Line is an act of the caller as it will stand in the trail.
func (t *Trail) Line(ctx context.Context, a Act) journal.Entry[Act] {
	who := work.ActorFrom(ctx)
	p := who.Principal
	a.ActorID, a.ImpersonatorID, a.IP, a.UserAgent, a.RequestID = p.UserID, p.Impersonator, who.IP, who.UserAgent, who.RequestID
	if a.TenantID == uuid.Nil {
		a.TenantID = p.TenantID
	}
	return journal.Entry[Act]{ID: t.newID(), At: t.now(), Body: a}
}

// Put writes lines; one that is there already stays as it is.
func (t *Trail) Put(ctx context.Context, lines ...journal.Entry[Act]) error {
	byTenant := map[uuid.UUID][]journal.Entry[Act]{}
	for _, l := range lines {
		byTenant[l.Body.TenantID] = append(byTenant[l.Body.TenantID], l)
	}
	for tenant, entries := range byTenant {
		if err := t.log.Put(ctx, tenant.String(), entries...); err != nil {
			return err
		}
	}
	return nil
}

// Filter of the audit trail.
type Filter struct {
	ActorID, ResourceID  uuid.UUID
	ResourceType, Action string
	Since, Until         time.Time
}

func (f Filter) wants(e journal.Entry[Act]) bool {
	a := e.Body
	return (f.ActorID == uuid.Nil || a.ActorID == f.ActorID) && (f.ResourceID == uuid.Nil || a.ResourceID == f.ResourceID) &&
		(f.ResourceType == "" || a.ResourceType == f.ResourceType) && (f.Action == "" || a.Action == f.Action) &&
		(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until))
}

// List is a page of the audit trail of the actor's organisation, the newest first
// unless asked otherwise.
func (t *Trail) List(ctx context.Context, actor authz.Principal, f Filter, r page.Request) (p page.Page[journal.Entry[Act]], err error) {
	policy, err := authz.Knowing(ctx, t.policy, actor, uuid.Nil)
	if err != nil {
		return p, err
	}
	if !policy.Allows(actor, authz.AuditRead, actor.TenantID) {
		return page.Page[journal.Entry[Act]]{}, nil // acts here belong to the organisation as a whole
	}
	var last journal.Entry[Act]
	seen, err := page.Decode(r.Cursor, &last.At, &last.ID)
	if err != nil {
		return p, err
	}
	order := func(a, b journal.Entry[Act]) int {
		if r.OldestFirst {
			a, b = b, a
		}
		return cmp.Or(b.At.Compare(a.At), bytes.Compare(b.ID[:], a.ID[:]))
	}
	var rows []journal.Listed[Act]
	list, after := t.log.List, (*journal.Place)(nil)
	switch { // those of the days on the other side of the last one are not looked at
	case r.OldestFirst && seen:
		list, after = t.log.Oldest, journal.From(last.At)
	case r.OldestFirst && !f.Since.IsZero():
		list, after = t.log.Oldest, journal.From(f.Since)
	case r.OldestFirst:
		list = t.log.Oldest
	case seen:
		after = journal.Through(last.At)
	}
	// Entries stand in the order of their writing, and one may be written late: days are
	// read as a whole.
	for whole := false; !whole; {
		listed, next, err := list(ctx, actor.TenantID.String(), after, page.MaxLimit, func(e journal.Entry[Act]) bool {
			return (!seen || order(last, e) < 0) && f.wants(e)
		})
		if err != nil {
			return p, err
		}
		rows, after = append(rows, listed...), next
		n := len(rows)
		whole = next == nil || n > r.Size() && rows[n-1].Place.Day != rows[r.Size()].Place.Day
	}
	slices.SortStableFunc(rows, func(a, b journal.Listed[Act]) int { return order(a.Entry, b.Entry) })
	cut := page.Cut(rows, r.Size(), func(l journal.Listed[Act]) string { return page.Encode(l.At, l.ID) })
	return page.Map(cut, func(l journal.Listed[Act]) journal.Entry[Act] { return l.Entry }), nil
}
