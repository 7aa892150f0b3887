package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const (
	askTimeout = 2 * time.Second
	maxCards   = 500 // of one request
)

// Courses asks enrollment where a person teaches. Who loses the role loses the
// reports within two seconds.
type Courses struct {
	invoker Invoker
	taught  *recent.Answers[uuid.UUID, map[uuid.UUID]string]
}

var _ analytics.Courses = (*Courses)(nil)

// NewCourses makes the client; now is the service's clock.
func NewCourses(invoker Invoker, now func() time.Time) *Courses {
	const life, most = 2 * time.Second, 5_000
	return &Courses{invoker: invoker, taught: recent.New[uuid.UUID, map[uuid.UUID]string](life, most, now)}
}

// Taught implements analytics.Courses: courses with the person's role in them.
func (c *Courses) Taught(ctx context.Context, actor authz.Principal) (map[uuid.UUID]string, error) {
	if roles, ok := c.taught.Get(actor.UserID); ok {
		return roles, nil
	}
	var reply internalapi.UserCourses
	_, err := c.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathUserCourses, "{id}", actor.UserID.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	roles := map[uuid.UUID]string{}
	for _, x := range reply.Items {
		if x.As == internalapi.AsStaff {
			roles[x.CourseID] = x.Role
		}
	}
	if len(roles) > 0 {
		c.taught.Put(actor.UserID, roles)
	}
	return roles, nil
}

// People asks user for names, which are remembered for a minute and never kept.
type People struct {
	invoker Invoker
	known   *recent.Answers[uuid.UUID, string]
}

var _ analytics.People = (*People)(nil)

// NewPeople makes the client; now is the service's clock.
func NewPeople(invoker Invoker, now func() time.Time) *People {
	const life, most = time.Minute, 20_000
	return &People{invoker: invoker, known: recent.New[uuid.UUID, string](life, most, now)}
}

// Names implements analytics.People. Who was erased has none.
func (p *People) Names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	out := make(map[uuid.UUID]string, len(ids))
	var missing []uuid.UUID
	for _, id := range ids {
		if n, ok := p.known.Get(id); ok {
			out[id] = n
		} else {
			missing = append(missing, id)
		}
	}
	for from := 0; from < len(missing); from += maxCards {
		var reply internalapi.CardsReply
		_, err := p.invoker.Invoke(ctx, dapr.Call{
			App: "user", Method: http.MethodPost, Path: internalapi.PathUserCards, Timeout: askTimeout, Idempotent: true,
			Body: internalapi.CardsRequest{IDs: missing[from:min(from+maxCards, len(missing))]}, Out: &reply,
		})
		if err != nil {
			return nil, err
		}
		for _, c := range reply.Cards {
			out[c.ID] = c.Name
			p.known.Put(c.ID, c.Name)
		}
	}
	return out, nil
}

// Forget drops a person's name: after an erasure it must not be shown any more.
func (p *People) Forget(id uuid.UUID) { p.known.Drop(id) }
