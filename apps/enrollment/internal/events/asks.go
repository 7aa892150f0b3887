// Package events is how enrollment and the other services talk: what it asks them,
// what it copies from course's events, and what it is told by reliable call. Its own
// events go out with the domain's transactions.
package events

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 2 * time.Second

// Courses asks course.
type Courses struct{ Invoker Invoker }

var _ enrollment.CourseSource = Courses{}

// Course implements enrollment.CourseSource.
func (c Courses) Course(ctx context.Context, id uuid.UUID) (*enrollment.CourseSnapshot, *enrollment.CurriculumSnapshot, error) {
	var doc internalapi.CourseDocument
	_, err := c.Invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathCourse, "{id}", id.String(), 1), Timeout: askTimeout, Out: &doc,
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	course := &enrollment.CourseSnapshot{State: doc.Course, Seq: doc.Seq}
	if doc.Curriculum.CourseID == uuid.Nil {
		return course, nil, nil
	}
	return course, &enrollment.CurriculumSnapshot{State: doc.Curriculum, Seq: doc.Seq}, nil
}

// Limits of one question to user.
const (
	maxCards   = 500
	maxMembers = 1000
	cardLife   = 60 * time.Second
	cardsKept  = 20_000
)

// People asks user, and remembers cards for a minute.
type People struct {
	invoker Invoker
	now     func() time.Time

	mu    sync.Mutex
	known map[uuid.UUID]knownCard
}

type knownCard struct {
	card  enrollment.Card
	until time.Time
}

var _ enrollment.Directory = (*People)(nil)

// NewPeople makes the client; now is the service's clock.
func NewPeople(invoker Invoker, now func() time.Time) *People {
	return &People{invoker: invoker, now: now, known: map[uuid.UUID]knownCard{}}
}

// Cards implements enrollment.Directory. Only who is known is remembered: somebody
// who was created a moment ago is found at once.
func (p *People) Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]enrollment.Card, error) {
	out := make(map[uuid.UUID]enrollment.Card, len(ids))
	missing := p.recall(ids, out)
	for from := 0; from < len(missing); from += maxCards {
		var reply internalapi.CardsReply
		_, err := p.invoker.Invoke(ctx, dapr.Call{
			App: "user", Method: http.MethodPost, Path: internalapi.PathUserCards, Timeout: askTimeout, Idempotent: true,
			Body: internalapi.CardsRequest{IDs: missing[from:min(from+maxCards, len(missing))]}, Out: &reply,
		})
		if err != nil {
			return nil, err
		}
		p.remember(reply.Cards, out)
	}
	return out, nil
}

func (p *People) recall(ids []uuid.UUID, out map[uuid.UUID]enrollment.Card) (missing []uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, id := range ids {
		if k, ok := p.known[id]; ok && now.Before(k.until) {
			out[id] = k.card
		} else {
			missing = append(missing, id)
		}
	}
	return missing
}

func (p *People) remember(cards []internalapi.Card, out map[uuid.UUID]enrollment.Card) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= cardsKept {
		clear(p.known)
	}
	until := p.now().Add(cardLife)
	for _, c := range cards {
		card := enrollment.Card{ID: c.ID, TenantID: c.TenantID, Name: c.Name, SortName: c.SortName, AvatarURL: c.AvatarURL, Status: c.Status}
		out[c.ID] = card
		p.known[c.ID] = knownCard{card, until}
	}
}

// Forget drops a person's card: after an erasure nothing may be shown any more.
func (p *People) Forget(id uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, id)
}

// GroupMembers implements enrollment.Directory.
func (p *People) GroupMembers(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) ([]uuid.UUID, error) {
	var out []uuid.UUID
	cursor := ""
	for {
		reply, err := p.groupMembers(ctx, internalapi.GroupMembersRequest{GroupIDs: groups, ActorID: &actor, Cursor: cursor, Limit: maxMembers})
		if err != nil {
			return nil, err
		}
		for _, m := range reply.Items {
			out = append(out, m.UserID)
		}
		if reply.NextCursor == "" {
			return out, nil
		}
		cursor = reply.NextCursor
	}
}

// SeesGroups implements enrollment.Directory.
func (p *People) SeesGroups(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) error {
	_, err := p.groupMembers(ctx, internalapi.GroupMembersRequest{GroupIDs: groups, ActorID: &actor, Limit: 1})
	return err
}

func (p *People) groupMembers(ctx context.Context, in internalapi.GroupMembersRequest) (reply internalapi.GroupMembersReply, err error) {
	_, err = p.invoker.Invoke(ctx, dapr.Call{
		App: "user", Method: http.MethodPost, Path: internalapi.PathGroupMembers, Timeout: askTimeout, Idempotent: true, Body: in, Out: &reply,
	})
	return reply, err //nolint:wrapcheck // already an apperr
}
