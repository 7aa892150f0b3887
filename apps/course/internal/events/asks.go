// Package events is how course and the other services talk: what it asks them, and
// what they tell it by reliable call. Events go out with the domain's own
// transactions.
package events

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 2 * time.Second

// People asks user for the cards of people.
type People struct{ Invoker Invoker }

var _ catalog.People = People{}

// maxCards is how many cards one question may name.
const maxCards = 500

// Cards implements catalog.People. Who is not known is left out.
func (p People) Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]catalog.Person, error) {
	out := make(map[uuid.UUID]catalog.Person, len(ids))
	for from := 0; from < len(ids); from += maxCards {
		var reply internalapi.CardsReply
		_, err := p.Invoker.Invoke(ctx, dapr.Call{
			App: "user", Method: http.MethodPost, Path: internalapi.PathUserCards, Timeout: askTimeout, Idempotent: true,
			Body: internalapi.CardsRequest{IDs: ids[from:min(from+maxCards, len(ids))]}, Out: &reply,
		})
		if err != nil {
			return nil, err
		}
		for _, c := range reply.Cards {
			out[c.ID] = catalog.Person{
				ID: c.ID, TenantID: c.TenantID, Name: c.Name, AvatarURL: c.AvatarURL,
				Active: c.Status == internalapi.PersonActive || c.Status == internalapi.PersonInvited,
			}
		}
	}
	return out, nil
}

// Membership asks enrollment who may see what. Only what allows is remembered, for
// two seconds at most; a denial or a lock never.
type Membership struct {
	invoker Invoker
	log     *slog.Logger
	open    *recent.Answers[verdictKey, catalog.Verdict]
	courses *recent.Answers[uuid.UUID, []uuid.UUID]
}

var _ catalog.Membership = (*Membership)(nil)

type verdictKey struct{ user, course, item uuid.UUID }

// NewMembership makes the client; now is the service's clock.
func NewMembership(invoker Invoker, log *slog.Logger, now func() time.Time) *Membership {
	const life, most = 2 * time.Second, 10_000
	return &Membership{
		invoker: invoker, log: log,
		open:    recent.New[verdictKey, catalog.Verdict](life, most, now),
		courses: recent.New[uuid.UUID, []uuid.UUID](life, most, now),
	}
}

// May implements catalog.Membership.
func (m *Membership) May(ctx context.Context, user, course uuid.UUID, item *uuid.UUID) (catalog.Verdict, error) {
	key := verdictKey{user: user, course: course}
	if item != nil {
		key.item = *item
	}
	if v, ok := m.open.Get(key); ok {
		return v, nil
	}
	var reply internalapi.AccessVerdict
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathAccess, Timeout: askTimeout, Idempotent: true,
		Body: internalapi.AccessRequest{UserID: user, CourseID: course, ItemID: item, Action: internalapi.ActionSee}, Out: &reply,
	})
	if err != nil {
		return catalog.Verdict{}, err
	}
	v := catalog.Verdict{Allowed: reply.Allowed, Enrolled: enrolled(reply)}
	if len(reply.Reasons) > 0 {
		v.Reasons = reply.Reasons
	}
	if v.Allowed {
		m.open.Put(key, v)
	}
	return v, nil
}

// enrolled says whether the person belongs to the course, also where the verdict
// does not allow what was asked.
func enrolled(v internalapi.AccessVerdict) bool {
	switch v.Code {
	case internalapi.DeniedItemLocked, internalapi.DeniedReadOnly, internalapi.DeniedSuspended:
		return true
	}
	return v.Allowed && v.As != ""
}

// CoursesOf implements catalog.Membership. A list of courses is still worth having
// without those that only enrollment knows of: while it is away, there are none.
func (m *Membership) CoursesOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error) {
	if ids, ok := m.courses.Get(user); ok {
		return ids, nil
	}
	var reply internalapi.UserCourses
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathUserCourses, "{id}", user.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	switch {
	case apperr.IsKind(err, apperr.KindNotFound):
		return nil, nil
	case apperr.IsKind(err, apperr.KindUnavailable) && !errors.Is(err, context.Canceled):
		m.log.WarnContext(ctx, "courses listed without enrollments", "error", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	ids := make([]uuid.UUID, len(reply.Items))
	for i, c := range reply.Items {
		ids[i] = c.CourseID
	}
	m.courses.Put(user, ids)
	return ids, nil
}
