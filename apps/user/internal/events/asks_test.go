package events_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/events"
	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/work"
)

// invoker answers questions as another service would, in JSON.
type invoker func(call dapr.Call) (any, error)

func (f invoker) Invoke(_ context.Context, call dapr.Call) (int, error) {
	out, err := f(call)
	if err != nil {
		return apperr.From(err).Kind.Status(), err
	}
	raw, err := json.Marshal(out)
	if err != nil || call.Out == nil {
		return 200, err
	}
	return 200, json.Unmarshal(raw, call.Out)
}

func TestAccessInACourse(t *testing.T) {
	t.Parallel()
	course, tenant, unit := uuid.New(), uuid.New(), uuid.New()
	actor := authz.Principal{
		UserID: uuid.New(), Limited: []authz.Permission{authz.GroupRead},
		Grants: []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}},
	}
	for name, c := range map[string]struct {
		verdict internalapi.AccessVerdict
		fail    error
		want    identity.CourseAccess
		code    string
	}{
		"a learner":     {verdict: internalapi.AccessVerdict{Allowed: true, As: internalapi.AsLearner, Role: "student", TenantID: tenant, OrgUnitID: unit}, want: identity.CourseAccess{TenantID: tenant, OrgUnitID: unit}},
		"staff":         {verdict: internalapi.AccessVerdict{Allowed: true, As: internalapi.AsStaff, Role: "instructor", TenantID: tenant, OrgUnitID: unit}, want: identity.CourseAccess{TenantID: tenant, OrgUnitID: unit, StaffRole: "instructor"}},
		"an admin":      {verdict: internalapi.AccessVerdict{Allowed: true, As: internalapi.AsAdmin, Role: "org_admin", TenantID: tenant, OrgUnitID: unit}, want: identity.CourseAccess{TenantID: tenant, OrgUnitID: unit}},
		"a stranger":    {verdict: internalapi.AccessVerdict{Code: internalapi.DeniedUnknown}, code: "not_found"},
		"the suspended": {verdict: internalapi.AccessVerdict{Code: internalapi.DeniedSuspended}, code: "not_found"},
		"nobody there":  {fail: apperr.Unavailable("service_unavailable", "Away."), code: "service_unavailable"},
	} {
		got, err := events.Courses{Invoker: invoker(func(call dapr.Call) (any, error) {
			require.Equal(t, "enrollment", call.App)
			require.Equal(t, internalapi.PathAccess, call.Path)
			require.Equal(t, internalapi.AccessRequest{
				UserID: actor.UserID, CourseID: course, Action: internalapi.ActionSee, Grants: actor.Grants, Limited: actor.Limited,
			}, call.Body, "the grants and limits of the token go along")
			return c.verdict, c.fail
		})}.Access(t.Context(), actor, course)
		require.Equal(t, c.code, apperr.Code(err), name)
		require.Equal(t, c.want, got, name)
	}
}

func TestLearnersOfEveryPageAndNoStaff(t *testing.T) {
	t.Parallel()
	course := uuid.New()
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	pages := map[string]internalapi.CourseMembers{
		"":  {Items: []internalapi.CourseMember{{UserID: ids[0], As: internalapi.AsLearner}, {UserID: ids[1], As: internalapi.AsStaff}}, NextCursor: "2"},
		"2": {Items: []internalapi.CourseMember{{UserID: ids[2], As: internalapi.AsLearner}}},
	}
	got, err := events.Courses{Invoker: invoker(func(call dapr.Call) (any, error) {
		require.Equal(t, "/internal/courses/"+course.String()+"/members", call.Path)
		return pages[call.Query.Get("cursor")], nil
	})}.Learners(t.Context(), course)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{ids[0], ids[2]}, got)
}

func TestSessionsAreAuths(t *testing.T) {
	t.Parallel()
	user, session := uuid.New(), uuid.New()
	var calls []dapr.Call
	s := events.Sessions{Invoker: invoker(func(call dapr.Call) (any, error) {
		calls = append(calls, call)
		return internalapi.SessionList{Items: []internalapi.SessionView{{ID: session, Kind: "login", Device: "Laptop", IP: "192.0.2.1", LastUsedAt: time.Unix(9, 0).UTC()}}}, nil
	})}
	list, err := s.List(t.Context(), user)
	require.NoError(t, err)
	require.Equal(t, []identity.Session{{ID: session, Kind: "login", Device: "Laptop", IP: "192.0.2.1", LastUsedAt: time.Unix(9, 0).UTC()}}, list)
	require.NoError(t, s.End(t.Context(), user, session))
	require.NoError(t, s.End(t.Context(), user, uuid.Nil))
	path := "/internal/users/" + user.String() + "/sessions"
	for i, want := range []string{"GET ", "DELETE session_id=" + session.String(), "DELETE "} {
		method := calls[i].Method
		if method == "" {
			method = "GET"
		}
		require.Equal(t, want, method+" "+calls[i].Query.Encode())
		require.Equal(t, path, calls[i].Path)
		require.Equal(t, "auth", calls[i].App)
	}
}

// unit remembers the reliable calls of a transaction.
type unit struct {
	work.Unit
	calls []work.Call
}

func (u *unit) Call(_ context.Context, c work.Call) (uuid.UUID, error) {
	u.calls = append(u.calls, c)
	return uuid.New(), nil
}

func TestWhatIsToldGoesToWhomItConcerns(t *testing.T) {
	t.Parallel()
	c := events.Calls{Services: []string{"course", "enrollment"}}
	u := &unit{}
	p := identity.User{ID: uuid.New(), TenantID: uuid.New(), Status: identity.StatusDeactivated, UpdatedAt: time.Unix(5, 0)}
	require.NoError(t, c.PersonStatus(t.Context(), u, p))
	require.NoError(t, c.EndSessions(t.Context(), u, identity.SessionEnd{Subject: p.ID, TenantID: p.TenantID, Reason: "deactivated", Epoch: 4}))
	pseudonym := uuid.New()
	r := identity.PersonRequest{ID: uuid.New(), UserID: p.ID, TenantID: p.TenantID, Pseudonym: &pseudonym}
	_, err := c.Erase(t.Context(), u, "course", r)
	require.NoError(t, err)
	_, err = c.Export(t.Context(), u, "enrollment", r)
	require.NoError(t, err)
	status := internalapi.PersonStatus{UserID: p.ID, TenantID: p.TenantID, Status: internalapi.PersonDeactivated, At: p.UpdatedAt}
	key := p.ID.String()
	require.Equal(t, []work.Call{
		{To: "course", Name: internalapi.CallPersonStatus, Key: key, TenantID: p.TenantID, Body: status},
		{To: "enrollment", Name: internalapi.CallPersonStatus, Key: key, TenantID: p.TenantID, Body: status},
		{To: "auth", Name: internalapi.CallEndSessions, Key: key, TenantID: p.TenantID, Body: internalapi.EndSessions{UserID: p.ID, Reason: "deactivated", Epoch: 4}},
		{To: "course", Name: internalapi.CallErasePerson, Key: key, TenantID: p.TenantID, Body: internalapi.ErasePerson{RequestID: r.ID, UserID: p.ID, TenantID: p.TenantID, Pseudonym: pseudonym}},
		{To: "enrollment", Name: internalapi.CallExportPerson, Key: key, TenantID: p.TenantID, Body: internalapi.ExportPerson{RequestID: r.ID, UserID: p.ID, TenantID: p.TenantID}},
	}, u.calls)
}
