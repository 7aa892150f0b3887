// Package events is how analytics and the other services talk: every event of every
// topic, what it is told by reliable call, and what it asks.
package events

import (
	"context"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/history"
	"lms/shared/contracts"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/objects"
	"lms/shared/personexport"
	"lms/shared/pg"
)

// Receivers registers what analytics consumes and is told. Wrap gives the domain's
// transaction for the receiver's.
type Receivers struct {
	Service *analytics.Service
	Wrap    func(*pg.Unit) analytics.Tx
	People  *People
	Objects *objects.Store // for what an answer cannot carry; nil for none
}

// Register registers all of it. Each topic has a handler, history-<publisher>.
func (r Receivers) Register(in *inbox.Inbox) {
	for _, t := range contracts.Topics() {
		in.Own("history-"+t.Publisher, t.Name, TypesOf(t.Name), r.keep)
	}
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
}

// TypesOf are the types of events on a topic.
func TypesOf(topic string) []string {
	var out []string
	for _, d := range events.All() {
		if d.Topic == topic {
			out = append(out, d.Type())
		}
	}
	return out
}

func (r Receivers) keep(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
	kept := make([]history.Event, len(batch))
	for i, e := range batch {
		kept[i] = history.Event{
			ID: e.ID, Type: e.Type, Time: e.Time, AggregateID: e.AggregateID, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: e.OrgUnitID,
			CourseID: e.CourseID, ActorID: e.ActorID, Data: e.Data,
		}
	}
	return r.Service.Keep(ctx, r.Wrap(u), kept)
}

// personStatus: what became of an account is told by an event as well.
func (r Receivers) personStatus(_ context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.Done{}, nil
}

func (r Receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	if err := r.Service.Erase(ctx, r.Wrap(u), in.UserID, in.Pseudonym); err != nil {
		return internalapi.ErasePersonReply{}, err
	}
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.ErasePersonReply{
		Erased: []string{"identity"},
		Kept:   []internalapi.KeptData{{Category: "history", Reason: "Under a pseudonym and without names, so that past numbers stay what they were."}},
	}, nil
}

func (r Receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	sections, err := r.Service.ExportPerson(ctx, r.Wrap(u), in.UserID)
	if err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	return personexport.Reply(ctx, r.Objects, "analytics", in, sections)
}
