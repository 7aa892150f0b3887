// Package events is how content and the other services talk: what it asks them,
// and what they tell it by reliable call. Events go out with the domain's own
// transactions.
package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 2 * time.Second

// Members asks enrollment who may see what. Only what allows is remembered, for
// two seconds at most; a denial or a lock never.
type Members struct {
	invoker Invoker
	open    *recent.Answers[verdictKey, library.Verdict]
}

var _ library.Members = (*Members)(nil)

// verdictKey is a question. Grants are in the token: another session of the
// person may have others.
type verdictKey struct{ user, session, course, content uuid.UUID }

// NewMembers makes the client; now is the service's clock.
func NewMembers(invoker Invoker, now func() time.Time) *Members {
	const life, most = 2 * time.Second, 50_000
	return &Members{invoker: invoker, open: recent.New[verdictKey, library.Verdict](life, most, now)}
}

// May implements library.Members.
func (m *Members) May(ctx context.Context, actor authz.Principal, course uuid.UUID, content *uuid.UUID, fresh bool) (library.Verdict, error) {
	key := verdictKey{user: actor.UserID, session: actor.SessionID, course: course}
	if content != nil {
		key.content = *content
	}
	if v, ok := m.open.Get(key); ok && !fresh {
		return v, nil
	}
	var reply internalapi.AccessVerdict
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathAccess, Timeout: askTimeout, Idempotent: true,
		Body: internalapi.AccessRequest{
			UserID: actor.UserID, CourseID: course, ResourceID: content, Action: internalapi.ActionSee, Grants: actor.Grants, Limited: actor.Limited,
		},
		Out: &reply,
	})
	if err != nil {
		return library.Verdict{}, err
	}
	v := library.Verdict{
		Allowed: reply.Allowed, Code: reply.Code, As: reply.As, Role: reply.Role, TenantID: reply.TenantID, OrgUnitID: reply.OrgUnitID, ReadOnly: reply.ReadOnly,
	}
	if len(reply.Reasons) > 0 {
		v.Reasons = reply.Reasons
	}
	if v.Allowed {
		m.open.Put(key, v)
	}
	return v, nil
}

// CoursesOf implements library.Members.
func (m *Members) CoursesOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	var reply internalapi.UserCourses
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathUserCourses, "{id}", user.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(reply.Items))
	for i, c := range reply.Items {
		ids[i] = c.CourseID
	}
	return ids, nil
}

// Placements asks course where contents are placed.
type Placements struct{ Invoker Invoker }

var _ library.Placements = Placements{}

// Usages implements library.Placements.
func (p Placements) Usages(ctx context.Context, content uuid.UUID) ([]library.Usage, error) {
	var reply internalapi.ResourceUsages
	_, err := p.Invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathResourceUsages, "{id}", content.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	out := make([]library.Usage, len(reply.Usages))
	for i, u := range reply.Usages {
		out[i] = library.Usage{
			CourseID: u.CourseID, CourseTitle: u.CourseTitle, CourseStatus: u.CourseStatus, ModuleID: u.ModuleID, ItemID: u.ItemID,
			ItemTitle: u.ItemTitle, PlacedAt: u.PlacedAt,
		}
	}
	return out, nil
}
