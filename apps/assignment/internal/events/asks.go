// Package events is how assignment and the other services talk: what it asks them,
// and what they tell it by reliable call. Its own events go out with the domain's
// transactions.
package events

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 2 * time.Second

// Access asks enrollment who may do what, and course where an assignment is placed.
// Only what allows to see is remembered, for two seconds at most; a denial, a lock,
// handing in and grading never.
type Access struct {
	invoker Invoker
	open    *recent.Answers[seeKey, coursework.Verdict]
}

var _ coursework.Access = (*Access)(nil)

type seeKey struct {
	user, course, resource uuid.UUID
	grants                 string // what the token says of the person
}

// NewAccess makes the client; now is the service's clock.
func NewAccess(invoker Invoker, now func() time.Time) *Access {
	const life, most = 2 * time.Second, 10_000
	return &Access{invoker: invoker, open: recent.New[seeKey, coursework.Verdict](life, most, now)}
}

// May implements coursework.Access.
func (a *Access) May(ctx context.Context, ask coursework.Ask) (coursework.Verdict, error) {
	key := keyOf(ask)
	if ask.Action == coursework.See && !ask.Fresh {
		if v, ok := a.open.Get(key); ok {
			return v, nil
		}
	}
	var reply internalapi.AccessVerdict
	_, err := a.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathAccess, Timeout: askTimeout, Idempotent: true, Out: &reply,
		Body: internalapi.AccessRequest{
			UserID: ask.UserID, CourseID: ask.CourseID, ResourceID: ask.ResourceID, Action: string(ask.Action),
			Grants: ask.Actor.Grants, Limited: ask.Actor.Limited,
		},
	})
	if err != nil {
		return coursework.Verdict{}, err
	}
	v := coursework.Verdict{
		Allowed: reply.Allowed, Code: reply.Code, Staff: reply.As == internalapi.AsStaff || reply.As == internalapi.AsAdmin,
		Role: reply.Role, TenantID: reply.TenantID, OrgUnitID: reply.OrgUnitID, ReadOnly: reply.ReadOnly,
	}
	if len(reply.Reasons) > 0 {
		v.Reasons = reply.Reasons
	}
	if v.Allowed && ask.Action == coursework.See {
		a.open.Put(key, v)
	}
	return v, nil
}

func keyOf(ask coursework.Ask) seeKey {
	key := seeKey{user: ask.UserID, course: ask.CourseID}
	if ask.ResourceID != nil {
		key.resource = *ask.ResourceID
	}
	var b strings.Builder
	for _, g := range ask.Actor.Grants {
		b.WriteString(g.Role + "@" + string(g.Scope.Kind) + ":" + g.Scope.ID.String() + ";")
	}
	if ask.Actor.Limited != nil {
		b.WriteByte('|')
		for _, p := range ask.Actor.Limited {
			b.WriteString(string(p) + ";")
		}
	}
	key.grants = b.String()
	return key
}

// Teaches implements coursework.Access.
func (a *Access) Teaches(ctx context.Context, user uuid.UUID) (map[uuid.UUID]string, error) {
	var reply internalapi.UserCourses
	_, err := a.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathUserCourses, "{id}", user.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID]string{}
	for _, c := range reply.Items {
		if c.As == internalapi.AsStaff {
			out[c.CourseID] = c.Role
		}
	}
	return out, nil
}

// Placed implements coursework.Access.
func (a *Access) Placed(ctx context.Context, assignment uuid.UUID) (bool, error) {
	var reply internalapi.ResourceUsages
	_, err := a.invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathResourceUsages, "{id}", assignment.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	return len(reply.Usages) > 0, err
}

// learnersPage is how many learners one question asks for.
const learnersPage = 1000

// Learners implements coursework.Access.
func (a *Access) Learners(ctx context.Context, course uuid.UUID, cursor string) ([]uuid.UUID, string, error) {
	query := url.Values{"limit": {strconv.Itoa(learnersPage)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	var reply internalapi.CourseMembers
	_, err := a.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathCourseMembers, "{id}", course.String(), 1), Query: query, Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, "", err
	}
	ids := make([]uuid.UUID, 0, len(reply.Items))
	for _, m := range reply.Items {
		if m.As == internalapi.AsLearner {
			ids = append(ids, m.UserID)
		}
	}
	return ids, reply.NextCursor, nil
}
