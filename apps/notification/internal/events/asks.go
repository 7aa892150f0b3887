// Package events is how notification and the other services talk: the topics that
// it consumes, with positions and dead letters in the state block; what it asks user,
// course and enrollment; and what user tells by reliable call.
package events

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/notification"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const askTimeout = 3 * time.Second

// Limits of the cards that are remembered.
const (
	maxCards  = 500
	cardLife  = 60 * time.Second
	cardsKept = 20_000
)

// People asks user, and remembers cards for a minute; never that somebody is not
// there.
type People struct {
	invoker Invoker
	known   *recent.Answers[uuid.UUID, notification.Card]
}

var _ notification.Directory = (*People)(nil)

// NewPeople makes the client; now is the service's clock.
func NewPeople(invoker Invoker, now func() time.Time) *People {
	return &People{invoker: invoker, known: recent.New[uuid.UUID, notification.Card](cardLife, cardsKept, now)}
}

// Cards implements notification.Directory.
func (p *People) Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]notification.Card, error) {
	out := make(map[uuid.UUID]notification.Card, len(ids))
	missing := p.recall(ids, out)
	for from := 0; from < len(missing); from += maxCards {
		var reply internalapi.CardsReply
		_, err := p.invoker.Invoke(ctx, dapr.Call{
			App: "user", Method: http.MethodPost, Path: internalapi.PathUserCards, Timeout: askTimeout, Idempotent: true,
			Body: internalapi.CardsRequest{IDs: missing[from:min(from+maxCards, len(missing))]}, Out: &reply,
		})
		if err != nil {
			return nil, away("user", err)
		}
		p.remember(reply.Cards, out)
	}
	return out, nil
}

// away makes a refusal of another service something to try again: it says nothing
// about the event.
func away(app string, err error) error {
	if apperr.IsKind(err, apperr.KindUnavailable) {
		return err
	}
	return apperr.Unavailable("service_unavailable", "The "+app+" service could not be asked.").With(err)
}

func (p *People) recall(ids []uuid.UUID, out map[uuid.UUID]notification.Card) (missing []uuid.UUID) {
	for _, id := range ids {
		if card, ok := p.known.Get(id); ok {
			out[id] = card
		} else {
			missing = append(missing, id)
		}
	}
	return missing
}

func (p *People) remember(cards []internalapi.Card, out map[uuid.UUID]notification.Card) {
	for _, c := range cards {
		card := notification.Card{
			ID: c.ID, TenantID: c.TenantID, Name: c.Name, Email: c.Email, EmailVerified: c.EmailVerified,
			Locale: c.Locale, TimeZone: c.TimeZone, Status: c.Status,
		}
		out[c.ID] = card
		p.known.Put(c.ID, card)
	}
}

// Forget implements notification.Directory.
func (p *People) Forget(id uuid.UUID) { p.known.Drop(id) }

// Roster asks enrollment.
type Roster struct{ Invoker Invoker }

var _ notification.Roster = Roster{}

// Learners implements notification.Roster.
func (r Roster) Learners(ctx context.Context, course uuid.UUID, cursor string, limit int) ([]uuid.UUID, string, error) {
	var page internalapi.CourseMembers
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	_, err := r.Invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathCourseMembers, "{id}", course.String(), 1), Query: query, Timeout: askTimeout, Out: &page,
	})
	if err != nil {
		return nil, "", away("enrollment", err)
	}
	ids := make([]uuid.UUID, 0, len(page.Items))
	for _, m := range page.Items {
		if m.As == internalapi.AsLearner {
			ids = append(ids, m.UserID)
		}
	}
	return ids, page.NextCursor, nil
}

// Courses asks course.
type Courses struct{ Invoker Invoker }

var _ notification.CourseSource = Courses{}

// Course implements notification.CourseSource.
func (c Courses) Course(ctx context.Context, id uuid.UUID) (*notification.CourseSnapshot, error) {
	var doc internalapi.CourseDocument
	_, err := c.Invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathCourse, "{id}", id.String(), 1), Timeout: askTimeout, Out: &doc,
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, away("course", err)
	}
	s := notification.SnapshotOf(doc.Course, doc.Seq)
	return &s, nil
}
