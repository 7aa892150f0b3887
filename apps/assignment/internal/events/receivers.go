package events

import (
	"context"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/objects"
	"lms/shared/personexport"
	"lms/shared/pg"
)

// Receivers registers what is told by reliable call. Wrap gives the domain's
// transaction for the receiver's.
type Receivers struct {
	Service *coursework.Service
	Wrap    func(*pg.Unit) coursework.Tx
	People  *People
	// Objects is nil where files cannot be kept.
	Objects *objects.Store
}

// Register registers all of them.
func (r Receivers) Register(in *inbox.Inbox) {
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
	r.quizReceivers(in)
	r.partReceivers(in)
}

// statuses maps a person's status at user to what it means here.
var statuses = map[string]string{ //nolint:gochecknoglobals // immutable
	internalapi.PersonInvited: coursework.PersonActive, internalapi.PersonActive: coursework.PersonActive,
	internalapi.PersonDeactivated: coursework.PersonDeactivated, internalapi.PersonDeleted: coursework.PersonDeleted,
	internalapi.PersonMerged: coursework.PersonMerged, internalapi.PersonErased: coursework.PersonErased,
}

func (r Receivers) personStatus(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	status, ok := statuses[in.Status]
	if !ok {
		return internalapi.Done{}, apperr.Invalid(apperr.Field{Path: "status", Code: "unknown", Message: "no such status"})
	}
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.Done{}, r.Service.SetPerson(ctx, r.Wrap(u), coursework.Person{UserID: in.UserID, TenantID: in.TenantID, Status: status}, in.MergedInto)
}

func (r Receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	if err := r.Service.ErasePerson(ctx, r.Wrap(u), in.UserID, in.TenantID, in.Pseudonym); err != nil {
		return internalapi.ErasePersonReply{}, err
	}
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.ErasePersonReply{
		Erased: []string{"submissions", "submission_files", "submission_comments", "extensions", "due_notices"},
		Kept: []internalapi.KeptData{
			{Category: "grades", Reason: "With totals and scores of quizzes, under a pseudonym, with their history, for the numbers of the course."},
			{Category: "group_work", Reason: "Under a pseudonym, since it is the work of the others, too."},
			{Category: "feedback", Reason: "Under a pseudonym: what the person wrote as staff belongs to the learners' grades."},
		},
	}, nil
}

func (r Receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	sections, err := r.Service.ExportPerson(ctx, r.Wrap(u), in.UserID)
	if err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	return personexport.Reply(ctx, r.Objects, "assignment", in, sections)
}
