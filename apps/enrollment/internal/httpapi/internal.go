package httpapi

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/web"
)

type accessInput struct {
	Body internalapi.AccessRequest
}

func (a *API) access(ctx context.Context, in *accessInput) (*web.Resource[internalapi.AccessVerdict], error) {
	q := in.Body
	v, err := a.Service.Access(ctx, enrollment.Ask{
		UserID: q.UserID, CourseID: q.CourseID, ItemID: q.ItemID, ResourceID: q.ResourceID,
		Action: enrollment.Action(q.Action), Grants: q.Grants, Limited: q.Limited,
	})
	if err != nil {
		return nil, err
	}
	out := internalapi.AccessVerdict{
		Allowed: v.Allowed, Code: v.Code, As: v.As, Role: v.Role, TenantID: v.TenantID, OrgUnitID: v.OrgUnitID, EnrollmentID: v.EnrollmentID,
		State: string(v.State), ReadOnly: v.ReadOnly, Since: v.Since, Until: v.Until, ItemID: v.ItemID,
	}
	for _, r := range v.Reasons {
		reason := internalapi.LockReason{Code: r.Code, Message: r.Message, Until: r.Until}
		for _, m := range r.Missing {
			reason.Missing = append(reason.Missing, internalapi.LockMissing(m))
		}
		out.Reasons = append(out.Reasons, reason)
	}
	return web.Res(out, 0), nil
}

func (a *API) userCourses(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.UserCourses], error) {
	list, err := a.Service.CoursesOf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := internalapi.UserCourses{Items: []internalapi.UserCourse{}}
	for _, b := range list {
		c := internalapi.UserCourse{
			CourseID: b.Course.ID, TenantID: b.Course.TenantID, OrgUnitID: b.Course.OrgUnitID, As: internalapi.AsStaff, Role: b.Role,
		}
		if b.Enrollment != nil {
			state := b.Enrollment.Effective(b.Course, a.Now())
			if state == enrollment.Expired {
				continue
			}
			c.As, c.Role, c.State = internalapi.AsLearner, internalapi.AsLearner, string(state)
		}
		out.Items = append(out.Items, c)
	}
	return web.Res(out, 0), nil
}

type membersInput struct {
	ID     uuid.UUID `path:"id"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"500"`
	Cursor string    `query:"cursor" maxLength:"2048"`
	State  []string  `query:"state,explode"`
	Staff  bool      `query:"staff"`
}

func (a *API) members(ctx context.Context, in *membersInput) (*web.Resource[internalapi.CourseMembers], error) {
	var after uuid.UUID
	if _, err := page.Decode(in.Cursor, &after); err != nil {
		return nil, err
	}
	wanted := states(in.State)
	if len(wanted) == 0 {
		wanted = []enrollment.State{enrollment.Active, enrollment.Completed}
	}
	list, err := a.Service.Members(ctx, in.ID, wanted, in.Staff, after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := internalapi.CourseMembers{Items: make([]internalapi.CourseMember, len(list))}
	for i, m := range list {
		member := internalapi.CourseMember{UserID: m.UserID, As: internalapi.AsStaff, Role: m.Role, EnrollmentID: m.EnrollmentID, Since: m.Since, Until: m.Until}
		if m.EnrollmentID != nil {
			member.As, member.Role, member.State = internalapi.AsLearner, internalapi.AsLearner, *m.State
		}
		out.Items[i] = member
	}
	if len(list) == in.Limit {
		out.NextCursor = page.Encode(list[len(list)-1].UserID)
	}
	return web.Res(out, 0), nil
}

type refundFactsInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `query:"user_id" required:"true"`
}

func (a *API) refundFacts(ctx context.Context, in *refundFactsInput) (*web.Resource[internalapi.RefundFacts], error) {
	ever, starts, err := a.Service.RefundFacts(ctx, in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.RefundFacts{CourseID: in.ID, UserID: in.UserID, EverCertified: ever, CourseStartsAt: starts}, 0), nil
}

type standingsInput struct {
	Body internalapi.EntitlementsRequest
}

func (a *API) standings(ctx context.Context, in *standingsInput) (*web.Resource[internalapi.EntitlementStandings], error) {
	list, err := a.Service.EntitlementStandings(ctx, in.Body.IDs)
	if err != nil {
		return nil, err
	}
	out := internalapi.EntitlementStandings{Items: make([]internalapi.EntitlementStanding, len(list))}
	for i, s := range list {
		out.Items[i] = internalapi.EntitlementStanding{EntitlementID: s.ID, State: s.State, ValidUntil: s.ValidUntil, EnrollmentState: s.Enrollment, Waived: s.Waived}
	}
	return web.Res(out, 0), nil
}
