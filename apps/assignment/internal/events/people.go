package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Limits of one question to user.
const (
	maxCards   = 500
	maxMembers = 1000
	maxGroups  = 100
)

// People asks user, and remembers cards for a minute.
type People struct {
	invoker Invoker
	known   *recent.Answers[uuid.UUID, coursework.Card]
}

var _ coursework.Directory = (*People)(nil)

// NewPeople makes the client; now is the service's clock.
func NewPeople(invoker Invoker, now func() time.Time) *People {
	const life, most = time.Minute, 20_000
	return &People{invoker: invoker, known: recent.New[uuid.UUID, coursework.Card](life, most, now)}
}

// Cards implements coursework.Directory. Only who is known is remembered: somebody
// who was created a moment ago is found at once.
func (p *People) Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]coursework.Card, error) {
	out := make(map[uuid.UUID]coursework.Card, len(ids))
	var missing []uuid.UUID
	for _, id := range ids {
		if c, ok := p.known.Get(id); ok {
			out[id] = c
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
			card := coursework.Card{ID: c.ID, Name: c.Name, SortName: c.SortName}
			out[c.ID] = card
			p.known.Put(c.ID, card)
		}
	}
	return out, nil
}

// Forget drops a person's card: after an erasure nothing may be shown any more.
func (p *People) Forget(id uuid.UUID) { p.known.Drop(id) }

// GroupMembers implements coursework.Directory.
func (p *People) GroupMembers(ctx context.Context, groups []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) {
	out := make(map[uuid.UUID][]uuid.UUID, len(groups))
	for from := 0; from < len(groups); from += maxGroups {
		cursor := ""
		for {
			var reply internalapi.GroupMembersReply
			_, err := p.invoker.Invoke(ctx, dapr.Call{
				App: "user", Method: http.MethodPost, Path: internalapi.PathGroupMembers, Timeout: askTimeout, Idempotent: true, Out: &reply,
				Body: internalapi.GroupMembersRequest{GroupIDs: groups[from:min(from+maxGroups, len(groups))], Cursor: cursor, Limit: maxMembers},
			})
			if err != nil {
				return nil, err
			}
			for _, m := range reply.Items {
				out[m.GroupID] = append(out[m.GroupID], m.UserID)
			}
			if reply.NextCursor == "" {
				break
			}
			cursor = reply.NextCursor
		}
	}
	return out, nil
}

// CourseGroups implements coursework.Directory.
func (p *People) CourseGroups(ctx context.Context, course uuid.UUID) ([]coursework.CourseGroup, error) {
	var reply internalapi.CourseGroupsReply
	_, err := p.invoker.Invoke(ctx, dapr.Call{
		App: "user", Path: strings.Replace(internalapi.PathCourseGroups, "{id}", course.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	var out []coursework.CourseGroup
	for _, set := range reply.Sets {
		for _, g := range set.Groups {
			out = append(out, coursework.CourseGroup{ID: g.ID, SetID: set.ID, Name: g.Name, Members: g.Members})
		}
	}
	return out, nil
}
