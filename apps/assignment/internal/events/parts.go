package events

import (
	"context"
	"time"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/packages"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/pg"
)

// partReceivers make what course copies and imports, and give out what it exports.
func (r Receivers) partReceivers(in *inbox.Inbox) {
	inbox.Receive(in, internalapi.CallClonePart, []string{"course"}, r.clonePart)
	inbox.Receive(in, internalapi.CallImportPart, []string{"course"}, r.importPart)
	inbox.Receive(in, internalapi.CallExportPart, []string{"course"}, r.exportPart)
}

// answered turns what can never succeed into an answer: course reports it, and has
// nothing to repeat.
func answered(reply internalapi.PartReply, err error) (internalapi.PartReply, error) {
	if err == nil || !apperr.Deterministic(err) && !apperr.IsKind(err, apperr.KindConflict) {
		return reply, err
	}
	e := apperr.From(err)
	reply = internalapi.PartReply{State: internalapi.PartFailed, Code: e.Code, Message: e.Message}
	if len(e.Fields) > 0 {
		reply.Code, reply.Message = e.Fields[0].Code, e.Fields[0].Message
	}
	return reply, nil
}

func made(left []coursework.Left) internalapi.PartReply {
	reply := internalapi.PartReply{State: internalapi.PartMade}
	for _, l := range left {
		reply.Notes = append(reply.Notes, internalapi.PartNote{Ref: l.Ref, Code: l.Code, Message: l.Message})
	}
	return reply
}

func unknownKind() error {
	return apperr.Invalid(apperr.Field{Path: "kind", Code: "enum", Message: "No such kind of part here."})
}

func targetOf(in internalapi.PartPlace) coursework.Target {
	return coursework.Target{TransferID: in.TransferID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, ActorID: in.ActorID}
}

func (r Receivers) clonePart(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ClonePart) (internalapi.PartReply, error) {
	switch in.Kind {
	case contract.ItemAssignment:
		left, err := r.Service.CloneAssignment(ctx, r.Wrap(u), targetOf(in.PartPlace), in.SourceID, time.Duration(in.ShiftSeconds)*time.Second)
		return answered(made(left), err)
	case internalapi.PartGradebook:
		return answered(made(nil), r.Service.CloneGradebook(ctx, r.Wrap(u), targetOf(in.PartPlace), in.SourceID))
	}
	return answered(internalapi.PartReply{}, unknownKind())
}

func (r Receivers) importPart(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ImportPart) (internalapi.PartReply, error) {
	switch in.Kind {
	case contract.ItemAssignment:
		d, err := packages.Assignment(in.Format, in.Package, in.Main, r.Service.NewDocument(in.Title))
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		left, err := r.Service.MakeAssignment(ctx, r.Wrap(u), targetOf(in.PartPlace), in.ResourceID, d, 0)
		return answered(made(left), err)
	case internalapi.PartGradebook:
		d, err := packages.Gradebook(in.Package)
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		return answered(made(nil), r.Service.MakeGradebook(ctx, r.Wrap(u), targetOf(in.PartPlace), d))
	}
	return answered(internalapi.PartReply{}, unknownKind())
}

func (r Receivers) exportPart(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPart) (internalapi.PartReply, error) {
	reply := internalapi.PartReply{State: internalapi.PartMade}
	switch in.Kind {
	case contract.ItemAssignment:
		d, err := r.Service.AssignmentDocument(ctx, r.Wrap(u), in.TenantID, in.ResourceID)
		if err != nil {
			return answered(reply, err)
		}
		reply.Title = d.Title
		reply.Package, reply.Main, err = packages.WriteAssignment(d, in.Format)
		return answered(reply, err)
	case internalapi.PartGradebook:
		d, err := r.Service.GradebookDocument(ctx, r.Wrap(u), in.TenantID, in.ResourceID)
		if err != nil {
			return answered(reply, err)
		}
		reply.Package, reply.Main, err = packages.WriteGradebook(d)
		return answered(reply, err)
	}
	return answered(reply, unknownKind())
}
