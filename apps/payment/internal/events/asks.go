// Package events is how payment and the other services talk: what it asks them, what
// it takes from their answers to its reliable calls, and what user tells it. Its own
// events go out with the domain's transactions.
package events

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
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

var _ billing.CourseSource = Courses{}

// Course implements billing.CourseSource.
func (c Courses) Course(ctx context.Context, id uuid.UUID) (billing.Course, error) {
	var doc internalapi.CourseDocument
	_, err := c.Invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathCourse, "{id}", id.String(), 1), Timeout: askTimeout, Out: &doc,
	})
	return billing.Course{
		ID: doc.Course.ID, TenantID: doc.Course.TenantID, OrgUnitID: doc.Course.OrgUnitID, Title: doc.Course.Title, Deleted: doc.Course.Deleted,
	}, err
}

// People asks user.
type People struct{ Invoker Invoker }

var _ billing.Directory = People{}

// maxCards is how many cards one question may name.
const maxCards = 500

// Cards implements billing.Directory.
func (p People) Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]billing.Card, error) {
	out := make(map[uuid.UUID]billing.Card, len(ids))
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
			out[c.ID] = billing.Card{
				ID: c.ID, TenantID: c.TenantID, Name: c.Name, Active: c.Status == internalapi.PersonActive || c.Status == internalapi.PersonInvited,
			}
		}
	}
	return out, nil
}

// Facts asks enrollment.
type Facts struct{ Invoker Invoker }

var _ billing.FactSource = Facts{}

// RefundFacts implements billing.FactSource.
func (f Facts) RefundFacts(ctx context.Context, course, user uuid.UUID) (billing.RefundFacts, error) {
	var reply internalapi.RefundFacts
	_, err := f.Invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathRefundFacts, "{id}", course.String(), 1), Timeout: askTimeout,
		Query: url.Values{"user_id": {user.String()}}, Out: &reply,
	})
	return billing.RefundFacts{EverCertified: reply.EverCertified, CourseStartsAt: reply.CourseStartsAt}, err
}

// Standings implements billing.FactSource.
func (f Facts) Standings(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]billing.Standing, error) {
	var reply internalapi.EntitlementStandings
	_, err := f.Invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathEntitlements, Timeout: 4 * askTimeout, Idempotent: true,
		Body: internalapi.EntitlementsRequest{IDs: ids}, Out: &reply,
	})
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]billing.Standing, len(reply.Items))
	for _, s := range reply.Items {
		out[s.EntitlementID] = billing.Standing{
			EntitlementID: s.EntitlementID, State: s.State, ValidUntil: s.ValidUntil, EnrollmentState: s.EnrollmentState, Waived: s.Waived,
		}
	}
	return out, nil
}
