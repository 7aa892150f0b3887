package events

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/outbox"
	"lms/shared/pg"
)

// Receivers registers what is told by reliable call, and what is done with the answers
// to our own. Wrap gives the domain's transaction for the receiver's.
type Receivers struct {
	Service *billing.Service
	Wrap    func(*pg.Unit) billing.Tx
}

// Register registers what user tells.
func (r Receivers) Register(in *inbox.Inbox) {
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
}

// Answers registers what enrollment answers.
func (r Receivers) Answers(out *outbox.Outbox) {
	outbox.OnReply(out, internalapi.CallSeatHold, r.SeatHold)
	outbox.OnReply(out, internalapi.CallEntitlement, r.Entitlement)
	outbox.OnReply(out, internalapi.CallCoursePriced, r.CoursePriced)
}

// CoursePriced takes in that enrollment knows whether a course has a price. A parked
// call is shown to the operator; until then the course's plans are not on sale.
func (r Receivers) CoursePriced(ctx context.Context, u *pg.Unit, c outbox.DoneCall, _ internalapi.Done) error {
	course, err := uuid.Parse(c.Key)
	if err != nil {
		return fmt.Errorf("key of a price: %w", err)
	}
	if c.Superseded || c.Parked {
		return nil
	}
	return r.Service.PriceAnswered(ctx, r.Wrap(u), course, c.ID)
}

// SeatHold takes the answer to a hold. One that enrollment refuses for good is a
// refusal.
func (r Receivers) SeatHold(ctx context.Context, u *pg.Unit, c outbox.DoneCall, reply internalapi.SeatHoldReply) error {
	id, err := uuid.Parse(c.Key)
	if err != nil {
		return fmt.Errorf("key of a hold: %w", err)
	}
	if c.Superseded {
		return nil
	}
	a := billing.SeatAnswer{Held: reply.Held, Code: reply.Code, ExpiresAt: reply.ExpiresAt, Missing: reply.Missing}
	if c.Parked {
		a = billing.SeatAnswer{Code: "course_unavailable"}
	}
	return r.Service.HoldAnswered(ctx, r.Wrap(u), id, a)
}

// Entitlement takes the answer to an entitlement. A parked call is shown to the
// operator, and by the next reconciliation.
func (r Receivers) Entitlement(ctx context.Context, u *pg.Unit, c outbox.DoneCall, reply internalapi.EntitlementReply) error {
	id, err := uuid.Parse(c.Key)
	if err != nil {
		return fmt.Errorf("key of an entitlement: %w", err)
	}
	if c.Superseded || c.Parked {
		return nil
	}
	return r.Service.EntitlementAnswered(ctx, r.Wrap(u), id, billing.RightAnswer{
		Enrolled: reply.Enrolled, Code: reply.Code, EnrollmentID: reply.EnrollmentID, Certified: reply.Certified,
	})
}

// statuses maps a person's status at user to what it means here.
var statuses = map[string]string{ //nolint:gochecknoglobals // immutable
	internalapi.PersonInvited: billing.PersonActive, internalapi.PersonActive: billing.PersonActive,
	internalapi.PersonDeactivated: billing.PersonDeactivated, internalapi.PersonDeleted: billing.PersonDeleted,
	internalapi.PersonMerged: billing.PersonMerged, internalapi.PersonErased: billing.PersonDeleted,
}

func (r Receivers) personStatus(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	status, ok := statuses[in.Status]
	if !ok {
		return internalapi.Done{}, apperr.Invalid(apperr.Field{Path: "status", Code: "unknown", Message: "no such status"})
	}
	return internalapi.Done{}, r.Service.SetPerson(ctx, r.Wrap(u), in.UserID, status, in.MergedInto)
}

func (r Receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	until, err := r.Service.ErasePerson(ctx, r.Wrap(u), in.UserID, in.Pseudonym)
	if err != nil {
		return internalapi.ErasePersonReply{}, err
	}
	return internalapi.ErasePersonReply{
		Erased: []string{"payment_methods", "billing_details", "checkouts", "subscriptions", "entitlements", "seats"},
		Kept: []internalapi.KeptData{
			{Category: "invoices", Reason: "Under a pseudonym: tax law asks for invoices and credit notes to be kept.", Until: &until},
			{Category: "ledger", Reason: "Orders, payments and bookings under a pseudonym: commercial law asks for the books to be kept.", Until: &until},
		},
	}, nil
}

// maxExport is what a reply may carry; see internalapi.ExportPersonReply.
const maxExport = 3 << 20

func (r Receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	sections, err := r.Service.ExportPerson(ctx, r.Wrap(u), in.UserID)
	if err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	size := 0
	for _, s := range sections {
		size += len(s)
	}
	if size > maxExport {
		return internalapi.ExportPersonReply{}, apperr.New(apperr.KindTooLarge, "export_too_large", "There is more of the person than one answer can carry.")
	}
	return internalapi.ExportPersonReply{Sections: sections}, nil
}
