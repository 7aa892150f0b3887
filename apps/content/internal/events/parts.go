package events

import (
	"context"
	"time"

	"lms/apps/content/internal/library"
	"lms/apps/content/internal/packages"
	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/pg"
)

// Parts makes what course copies and imports, and gives out what it exports.
type Parts struct {
	Library     *library.Service
	Quizzes     *quiz.Service
	WrapLibrary func(*pg.Unit) library.Tx
	WrapQuiz    func(*pg.Unit) quiz.Tx
}

// Register registers the receivers.
func (p Parts) Register(in *inbox.Inbox) {
	inbox.Receive(in, internalapi.CallClonePart, []string{"course"}, p.clone)
	inbox.Receive(in, internalapi.CallImportPart, []string{"course"}, p.take)
	inbox.Receive(in, internalapi.CallExportPart, []string{"course"}, p.give)
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

func noted(left []quiz.Left) []internalapi.PartNote {
	var out []internalapi.PartNote
	for _, l := range left {
		out = append(out, internalapi.PartNote{Ref: l.Ref, Code: l.Code, Message: l.Message})
	}
	return out
}

func unknownKind() error {
	return apperr.Invalid(apperr.Field{Path: "kind", Code: "enum", Message: "No such kind of part here."})
}

func placeOf(in internalapi.PartPlace) quiz.Place {
	return quiz.Place{TransferID: in.TransferID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, ActorID: in.ActorID}
}

func (p Parts) clone(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ClonePart) (internalapi.PartReply, error) {
	if in.Kind != contract.ItemQuiz {
		return answered(internalapi.PartReply{}, unknownKind())
	}
	left, err := p.Quizzes.Clone(ctx, p.WrapQuiz(u), placeOf(in.PartPlace), in.SourceID, time.Duration(in.ShiftSeconds)*time.Second)
	return answered(internalapi.PartReply{State: internalapi.PartMade, Notes: noted(left)}, err)
}

func (p Parts) take(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ImportPart) (internalapi.PartReply, error) {
	switch in.Kind {
	case contract.ItemQuiz:
		d, left, err := packages.Quiz(in.Format, in.Package, in.Main, in.Title)
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		more, err := p.Quizzes.Make(ctx, p.WrapQuiz(u), placeOf(in.PartPlace), in.ResourceID, d, 0)
		return answered(internalapi.PartReply{State: internalapi.PartMade, Notes: noted(append(left, more...))}, err)
	case contract.ItemContent:
		return p.takeContent(ctx, u, in)
	}
	return answered(internalapi.PartReply{}, unknownKind())
}

func (p Parts) takeContent(ctx context.Context, u *pg.Unit, in internalapi.ImportPart) (internalapi.PartReply, error) {
	taken := library.Taken{
		ID: in.ResourceID, TransferID: in.TransferID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, CourseID: in.CourseID, ActorID: in.ActorID,
		Title: in.Title, Publish: in.Published, File: in.File,
	}
	if in.File == nil {
		text, err := packages.Page(in.Package, in.Main)
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		taken.Body = &text
	}
	pending, err := p.Library.Take(ctx, p.WrapLibrary(u), taken)
	reply := internalapi.PartReply{State: internalapi.PartMade}
	if pending {
		reply.State = internalapi.PartPending
	}
	return answered(reply, err)
}

func (p Parts) give(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPart) (internalapi.PartReply, error) {
	switch in.Kind {
	case contract.ItemQuiz:
		d, err := p.Quizzes.Document(ctx, p.WrapQuiz(u), in.TenantID, in.ResourceID)
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		raw, main, left, err := packages.WriteQuiz(d, in.Format)
		return answered(internalapi.PartReply{State: internalapi.PartMade, Title: d.Title, Package: raw, Main: main, Notes: noted(left)}, err)
	case contract.ItemContent:
		g, err := p.Library.Give(ctx, p.WrapLibrary(u), in.TenantID, in.ResourceID)
		if err != nil {
			return answered(internalapi.PartReply{}, err)
		}
		reply := internalapi.PartReply{State: internalapi.PartMade, Title: g.Title, File: g.File}
		if g.Captions > 0 {
			reply.Notes = []internalapi.PartNote{{Code: "captions", Message: "Captions are not part of the package."}}
		}
		if g.File == nil {
			reply.Package, reply.Main, err = packages.WritePage(g.Title, g.Body)
		}
		return answered(reply, err)
	}
	return answered(internalapi.PartReply{}, unknownKind())
}
