// Package events is how user and the other services talk: what it tells them by
// reliable call, what they answer, and what it asks them. Events go out with
// the domain's own transactions.
package events

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/contracts/internalapi"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

// Calls implements identity.Calls with reliable calls.
type Calls struct {
	// Services keep personal data.
	Services []string
}

var _ identity.Calls = Calls{}

// EndSessions implements identity.Calls.
func (Calls) EndSessions(ctx context.Context, u work.Unit, e identity.SessionEnd) error {
	_, err := u.Call(ctx, work.Call{
		To: "auth", Name: internalapi.CallEndSessions, Key: e.Subject.String(), TenantID: e.TenantID,
		Body: internalapi.EndSessions{UserID: e.Subject, ExceptSession: e.Except, Reason: e.Reason, EpochOnly: e.EpochOnly, Epoch: e.Epoch},
	})
	return err
}

// PersonStatus implements identity.Calls.
func (c Calls) PersonStatus(ctx context.Context, u work.Unit, p identity.User) error {
	body := internalapi.PersonStatus{UserID: p.ID, TenantID: p.TenantID, Status: string(p.Status), MergedInto: p.MergedInto, At: p.UpdatedAt}
	for _, service := range c.Services {
		if _, err := u.Call(ctx, work.Call{To: service, Name: internalapi.CallPersonStatus, Key: p.ID.String(), TenantID: p.TenantID, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// Erase implements identity.Calls.
func (Calls) Erase(ctx context.Context, u work.Unit, service string, r identity.PersonRequest) (uuid.UUID, error) {
	return u.Call(ctx, work.Call{
		To: service, Name: internalapi.CallErasePerson, Key: r.UserID.String(), TenantID: r.TenantID,
		Body: internalapi.ErasePerson{RequestID: r.ID, UserID: r.UserID, TenantID: r.TenantID, Pseudonym: *r.Pseudonym},
	})
}

// Export implements identity.Calls.
func (Calls) Export(ctx context.Context, u work.Unit, service string, r identity.PersonRequest) (uuid.UUID, error) {
	return u.Call(ctx, work.Call{
		To: service, Name: internalapi.CallExportPerson, Key: r.UserID.String(), TenantID: r.TenantID,
		Body: internalapi.ExportPerson{RequestID: r.ID, UserID: r.UserID, TenantID: r.TenantID},
	})
}

// Replies hands the answers about a person's data to the service layer, in the
// transaction that marks the call as done.
func Replies(ob *outbox.Outbox, svc *identity.Service, wrap func(*pg.Unit) identity.Tx) {
	for _, name := range []string{internalapi.CallErasePerson, internalapi.CallExportPerson} {
		outbox.OnReply(ob, name, func(ctx context.Context, u *pg.Unit, c outbox.DoneCall, reply json.RawMessage) error {
			return svc.Answered(ctx, wrap(u), identity.Answer{CallID: c.ID, Parked: c.Parked, Error: c.Error, Reply: reply})
		})
	}
}
