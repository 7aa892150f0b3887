package events

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/pg"
)

// Receivers registers what other services tell by reliable call. wrap gives the
// domain's transaction for the receiver's.
func Receivers(in *inbox.Inbox, s *catalog.Service, wrap func(*pg.Unit) catalog.Tx) {
	r := receivers{service: s, wrap: wrap}
	inbox.Receive(in, internalapi.CallSeatsState, []string{"enrollment"}, r.seatsState)
	inbox.Receive(in, internalapi.CallResourceState, []string{"content", "assignment"}, r.resourceState)
	inbox.Receive(in, internalapi.CallPriceSummary, []string{"payment"}, r.priceSummary)
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
}

type receivers struct {
	service *catalog.Service
	wrap    func(*pg.Unit) catalog.Tx
}

func (r receivers) seatsState(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.SeatsState) (internalapi.Applied, error) {
	touched, err := r.service.SeatsState(ctx, r.wrap(u), in.CourseID, in.State)
	return internalapi.Applied{Courses: touched}, err
}

func (r receivers) priceSummary(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PriceSummary) (internalapi.Applied, error) {
	touched, err := r.service.PriceSummary(ctx, r.wrap(u), in.CourseID, in.Price)
	return internalapi.Applied{Courses: touched}, err
}

// resourceState takes a resource's state from the service that owns its kind.
func (r receivers) resourceState(ctx context.Context, u *pg.Unit, m inbox.CallMeta, in internalapi.ResourceState) (internalapi.Applied, error) {
	owner := "content"
	if in.Kind == events.ItemAssignment {
		owner = "assignment"
	}
	if m.Source != owner {
		return internalapi.Applied{}, apperr.Forbidden("The resource belongs to another service.")
	}
	touched, err := r.service.ResourceState(ctx, r.wrap(u), catalog.Resource{
		ID: in.ResourceID, TenantID: in.TenantID, CourseID: in.CourseID, Kind: in.Kind, Title: in.Title,
		Published: in.Published, Deleted: in.Deleted, Points: in.Points,
	})
	return internalapi.Applied{Courses: touched}, err
}

func (r receivers) personStatus(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	active := in.Status == internalapi.PersonActive || in.Status == internalapi.PersonInvited
	var heir *uuid.UUID
	if in.Status == internalapi.PersonMerged {
		heir = in.MergedInto
	}
	_, err := r.service.PersonStatus(ctx, r.wrap(u), in.UserID, active, heir)
	return internalapi.Done{}, err
}

func (r receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	done, err := r.service.ErasePerson(ctx, r.wrap(u), in.UserID, in.Pseudonym)
	if err != nil {
		return internalapi.ErasePersonReply{}, err
	}
	reply := internalapi.ErasePersonReply{Erased: []string{"course_staff", "course_views", "import_uploads"}}
	if done.Kept > 0 {
		reply.Kept = []internalapi.KeptData{{
			Category: "course_authorship",
			Reason:   "Courses, announcements, templates and versions belong to the organisation; their author is a pseudonym now.",
		}}
	}
	return reply, nil
}

func (r receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	data, err := r.service.ExportPerson(ctx, r.wrap(u), in.UserID)
	if err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	sections := map[string]json.RawMessage{}
	for name, v := range map[string]any{
		"course_staff": exportStaff(data.Staff), "announcements": exportAnnouncements(data.Announcements), "course_views": exportViews(data.Views),
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return internalapi.ExportPersonReply{}, apperr.Internal(err)
		}
		sections[name] = raw
	}
	return internalapi.ExportPersonReply{Sections: sections}, nil
}

func exportStaff(rows []catalog.StaffMember) []map[string]any {
	out := make([]map[string]any, len(rows))
	for i, m := range rows {
		out[i] = map[string]any{"course_id": m.CourseID, "role": m.Role, "active": m.Active, "added_at": m.AddedAt}
	}
	return out
}

// maxExported bounds the announcements of an export: all together stay below what
// a call may answer.
const maxExported = 1_000

func exportAnnouncements(rows []catalog.Announcement) []map[string]any {
	out := []map[string]any{}
	for _, a := range rows[:min(len(rows), maxExported)] {
		entry := map[string]any{"id": a.ID, "course_id": a.CourseID, "title": a.Title, "published_at": a.PublishedAt, "created_at": a.CreatedAt}
		if len(a.Body) <= 2_000 {
			entry["body"] = a.Body
		}
		out = append(out, entry)
	}
	return out
}

func exportViews(rows []catalog.View) []map[string]any {
	out := make([]map[string]any, len(rows))
	for i, v := range rows {
		out[i] = map[string]any{"course_id": v.CourseID, "viewed_at": v.ViewedAt}
	}
	return out
}
