package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func (a *API) internalRoutes(r *web.Router) {
	op := operation("Internal")
	web.Register(r, op(http.MethodGet, internalapi.PathAuthzSnapshot, "internal-authz-snapshot", "The tree of org units and all roles", web.Internal("auth", "course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics")), a.snapshot)
	web.Register(r, op(http.MethodPost, internalapi.PathUserCards, "internal-user-cards", "What may be shown of people", web.Internal("course", "enrollment", "assignment", "notification", "payment", "analytics")), a.cards)
	web.Register(r, op(http.MethodGet, internalapi.PathActor, "internal-actor", "What somebody may do now", web.Internal("course", "enrollment", "content", "assignment", "payment", "analytics")), a.actor)
	web.Register(r, op(http.MethodPost, internalapi.PathGroupMembers, "internal-group-members", "The members of groups, page by page", web.Internal("enrollment", "assignment")), a.groupMembers)
	web.Register(r, op(http.MethodGet, internalapi.PathCourseGroups, "internal-course-groups", "The group sets of a course", web.Internal("assignment")), a.courseGroups)
	boot := op(http.MethodPost, internalapi.PathBootstrap, "internal-bootstrap", "Make the first organisation and the first administrator", web.Internal(internalapi.OperatorApp))
	boot.Timeout = slow
	web.Register(r, boot, a.bootstrap)
}

type snapshotInput struct{ web.IfNoneMatch }

// snapshot serves tree and roles from memory while they stand still.
func (a *API) snapshot(ctx context.Context, in *snapshotInput) (*web.Resource[authz.Snapshot], error) {
	version, snap, _, err := a.Snapshots.Current(ctx)
	if err != nil {
		return nil, err
	}
	if in.Matches(version) {
		return web.Res(authz.Snapshot{}, version), nil // the kit makes a 304 of it
	}
	return web.Res(snap, version), nil
}

type cardsInput struct{ Body internalapi.CardsRequest }

func (a *API) cards(ctx context.Context, in *cardsInput) (*web.Resource[internalapi.CardsReply], error) {
	users, err := a.Service.Cards(ctx, in.Body.IDs)
	if err != nil {
		return nil, err
	}
	withEmail := seesEmail(web.Actor(ctx).Service)
	return web.Res(internalapi.CardsReply{Cards: each(users, func(u identity.User) internalapi.Card {
		c := internalapi.Card{
			ID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Name: u.Name, SortName: u.SortName, Locale: u.Locale, TimeZone: u.TimeZone,
			Status: string(u.Status), AvatarURL: avatarURL(u),
		}
		if withEmail {
			c.Email, c.EmailVerified = u.Email, u.EmailVerifiedAt != nil
		}
		return c
	})}, 0), nil
}

func (a *API) actor(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.ActorStanding], error) {
	who, err := a.Service.ActorOf(ctx, in.ID)
	return web.Res(internalapi.ActorStanding(who), 0), err
}

// seesEmail says which services write to people.
func seesEmail(service string) bool {
	return service == "notification" || service == "payment" || service == "auth"
}

type groupMembersInput struct {
	Body internalapi.GroupMembersRequest
}

func (a *API) groupMembers(ctx context.Context, in *groupMembersInput) (*web.Resource[internalapi.GroupMembersReply], error) {
	b := in.Body
	if b.ActorID != nil {
		if err := a.Service.SeesGroups(ctx, *b.ActorID, b.GroupIDs); err != nil {
			return nil, err
		}
	}
	p, err := a.Service.MembersOf(ctx, b.GroupIDs, wanted(b.Limit, b.Cursor))
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.GroupMembersReply{Items: each(p.Items, func(m identity.GroupMember) internalapi.GroupMember {
		return internalapi.GroupMember{GroupID: m.GroupID, UserID: m.UserID}
	}), NextCursor: p.NextCursor}, 0), nil
}

func (a *API) courseGroups(ctx context.Context, in *web.ByID) (*web.Resource[internalapi.CourseGroupsReply], error) {
	sets, groups, err := a.Service.CourseGroups(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.CourseGroupsReply{CourseID: in.ID, Sets: each(sets, func(s identity.GroupSet) internalapi.GroupSet {
		return internalapi.GroupSet{ID: s.ID, Name: s.Name, Groups: each(groups[s.ID], func(g identity.GroupWithMembers) internalapi.CourseGroup {
			return internalapi.CourseGroup{ID: g.ID, Name: g.Name, Members: append([]uuid.UUID{}, g.Members...)}
		})}
	})}, 0), nil
}

type bootstrapInput struct{ Body internalapi.BootstrapRequest }

func (a *API) bootstrap(ctx context.Context, in *bootstrapInput) (*web.Resource[internalapi.BootstrapReply], error) {
	b := in.Body
	tenant, admin, made, err := a.Service.MakeFirst(ctx, identity.Bootstrap{
		Organisation: b.Organisation, Email: b.AdminEmail, Password: b.AdminPassword, Name: b.AdminName, Locale: b.Locale, TimeZone: b.TimeZone,
	})
	if err != nil {
		return nil, err
	}
	return web.Res(internalapi.BootstrapReply{TenantID: tenant, AdminID: admin, Created: made}, 0), nil
}
