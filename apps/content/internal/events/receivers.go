package events

import (
	"context"
	"encoding/json"

	"lms/apps/content/internal/library"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/personexport"
	"lms/shared/pg"
)

// Part is a domain of this service that keeps data of people: the library, quizzes.
// Each does its share in the receiver's transaction.
type Part interface {
	// Merge gives what is one person's to another.
	Merge(ctx context.Context, u *pg.Unit, in internalapi.PersonStatus) error
	// Erase adds what it erased and what it kept.
	Erase(ctx context.Context, u *pg.Unit, in internalapi.ErasePerson, reply *internalapi.ErasePersonReply) error
	// Export adds its sections.
	Export(ctx context.Context, u *pg.Unit, in internalapi.ExportPerson, sections map[string]any) error
}

// Receivers registers what other services tell by reliable call; store is nil where
// files cannot be kept.
func Receivers(in *inbox.Inbox, store *objects.Store, parts ...Part) {
	r := receivers{store, parts}
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
}

type receivers struct {
	objects *objects.Store
	parts   []Part
}

func (r receivers) personStatus(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	if in.Status != internalapi.PersonMerged || in.MergedInto == nil {
		return internalapi.Done{}, nil // who is deactivated has no session, and is nobody's learner
	}
	for _, p := range r.parts {
		if err := p.Merge(ctx, u, in); err != nil {
			return internalapi.Done{}, err
		}
	}
	return internalapi.Done{}, nil
}

func (r receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	var reply internalapi.ErasePersonReply
	for _, p := range r.parts {
		if err := p.Erase(ctx, u, in, &reply); err != nil {
			return internalapi.ErasePersonReply{}, err
		}
	}
	return reply, nil
}

func (r receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	sections := map[string]any{}
	for _, p := range r.parts {
		if err := p.Export(ctx, u, in, sections); err != nil {
			return internalapi.ExportPersonReply{}, err
		}
	}
	out := map[string]json.RawMessage{}
	for name, v := range sections {
		raw, err := json.Marshal(v)
		if err != nil {
			return internalapi.ExportPersonReply{}, apperr.Internal(err)
		}
		out[name] = raw
	}
	return personexport.Reply(ctx, r.objects, "content", in, out)
}

// Library is the library's Part. Wrap gives the domain's transaction for the
// receiver's.
type Library struct {
	Service *library.Service
	Wrap    func(*pg.Unit) library.Tx
}

var _ Part = Library{}

// Merge implements Part.
func (l Library) Merge(ctx context.Context, u *pg.Unit, in internalapi.PersonStatus) error {
	return l.Service.Merge(ctx, l.Wrap(u), in.UserID, *in.MergedInto)
}

// Erase implements Part.
func (l Library) Erase(ctx context.Context, u *pg.Unit, in internalapi.ErasePerson, reply *internalapi.ErasePersonReply) error {
	kept, err := l.Service.Erase(ctx, l.Wrap(u), in.UserID, in.Pseudonym)
	if err != nil {
		return err
	}
	reply.Erased = append(reply.Erased, "content_views", "watches", "open_uploads")
	if kept > 0 {
		reply.Kept = append(reply.Kept, internalapi.KeptData{
			Category: "content_authorship",
			Reason:   "Contents, versions and captions belong to the organisation; their author is a pseudonym now.",
		})
	}
	return nil
}

// Export implements Part.
func (l Library) Export(ctx context.Context, u *pg.Unit, in internalapi.ExportPerson, sections map[string]any) error {
	data, err := l.Service.Export(ctx, l.Wrap(u), in.UserID)
	if err != nil {
		return err
	}
	sections["contents"] = rows(data.Contents, func(c library.Content) map[string]any {
		return map[string]any{"id": c.ID, "kind": c.Kind, "title": c.Title, "created_at": c.CreatedAt}
	})
	sections["uploads"] = rows(data.Uploads, func(x library.Upload) map[string]any {
		return map[string]any{"id": x.ID, "content_id": x.ContentID, "filename": x.Filename, "size": x.Size, "state": x.State, "created_at": x.CreatedAt}
	})
	sections["content_views"] = rows(data.Openings, func(o library.Opening) map[string]any {
		return map[string]any{"content_id": o.ContentID, "course_id": o.CourseID, "viewed_at": o.ViewedAt}
	})
	sections["watches"] = rows(data.Watches, func(w library.Watch) map[string]any {
		return map[string]any{
			"content_id": w.ContentID, "watched_ms": w.WatchedMS, "position_ms": w.PositionMS, "percent": w.Percent, "reported_at": w.ReportedAt,
		}
	})
	return nil
}

func rows[T any](list []T, show func(T) map[string]any) []map[string]any {
	out := make([]map[string]any, len(list))
	for i, x := range list {
		out[i] = show(x)
	}
	return out
}

// LibraryJobs registers the library's background jobs.
func LibraryJobs(r *jobs.Runner, s *library.Service) {
	jobs.Handle(r, library.JobVerify, func(ctx context.Context, run *jobs.Run, in library.VerifyInput) (any, error) {
		u, err := s.RunVerify(ctx, in)
		if err != nil {
			return nil, err
		}
		run.Progress(u.Size, u.Size)
		return map[string]any{"upload_id": u.ID, "content_id": u.ContentID, "version": u.Number}, nil
	})
}
