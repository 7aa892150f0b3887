package events

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 3 * time.Second

// Courses asks enrollment how people stand to courses.
type Courses struct{ Invoker Invoker }

var _ identity.Courses = Courses{}

// Access implements identity.Courses.
func (c Courses) Access(ctx context.Context, actor authz.Principal, course uuid.UUID) (identity.CourseAccess, error) {
	var v internalapi.AccessVerdict
	_, err := c.Invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathAccess, Timeout: askTimeout, Idempotent: true, Out: &v,
		Body: internalapi.AccessRequest{UserID: actor.UserID, CourseID: course, Action: internalapi.ActionSee, Grants: actor.Grants, Limited: actor.Limited},
	})
	if err != nil {
		return identity.CourseAccess{}, err
	}
	if !v.Allowed {
		return identity.CourseAccess{}, apperr.NotFound("course")
	}
	out := identity.CourseAccess{TenantID: v.TenantID, OrgUnitID: v.OrgUnitID}
	if v.As == internalapi.AsStaff {
		out.StaffRole = v.Role
	}
	return out, nil
}

// Learners implements identity.Courses.
func (c Courses) Learners(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error) {
	var out []uuid.UUID
	path := strings.Replace(internalapi.PathCourseMembers, "{id}", course.String(), 1)
	for cursor := ""; ; {
		var page internalapi.CourseMembers
		query := url.Values{"limit": {"1000"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if _, err := c.Invoker.Invoke(ctx, dapr.Call{App: "enrollment", Path: path, Query: query, Timeout: askTimeout, Out: &page}); err != nil {
			return nil, err
		}
		for _, m := range page.Items {
			if m.As == internalapi.AsLearner {
				out = append(out, m.UserID)
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return out, nil
		}
	}
}

// Sessions asks auth about the sessions of a person.
type Sessions struct{ Invoker Invoker }

var _ identity.Sessions = Sessions{}

func sessionsPath(user uuid.UUID) string {
	return strings.Replace(internalapi.PathUserSessionsOf, "{id}", user.String(), 1)
}

// List implements identity.Sessions.
func (s Sessions) List(ctx context.Context, user uuid.UUID) ([]identity.Session, error) {
	var list internalapi.SessionList
	if _, err := s.Invoker.Invoke(ctx, dapr.Call{App: "auth", Path: sessionsPath(user), Timeout: askTimeout, Out: &list}); err != nil {
		return nil, err
	}
	out := make([]identity.Session, len(list.Items))
	for i, v := range list.Items {
		out[i] = identity.Session{
			ID: v.ID, Kind: v.Kind, Method: v.Method, Device: v.Device, IP: v.IP, UserAgent: v.UserAgent,
			CreatedAt: v.CreatedAt, LastUsedAt: v.LastUsedAt, ExpiresAt: v.ExpiresAt,
		}
	}
	return out, nil
}

// End implements identity.Sessions.
func (s Sessions) End(ctx context.Context, user, session uuid.UUID) error {
	query := url.Values{}
	if session != uuid.Nil {
		query.Set("session_id", session.String())
	}
	_, err := s.Invoker.Invoke(ctx, dapr.Call{App: "auth", Method: http.MethodDelete, Path: sessionsPath(user), Query: query, Timeout: askTimeout, Idempotent: true})
	return err
}
