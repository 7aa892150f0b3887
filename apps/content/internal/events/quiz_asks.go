package events

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/recent"
)

// QuizMembers asks enrollment who may do what with quizzes. Only what allows is
// remembered, for two seconds at most; a denial or a lock never.
type QuizMembers struct {
	invoker Invoker
	open    *recent.Answers[quizKey, quiz.Verdict]
}

var _ quiz.Members = (*QuizMembers)(nil)

type quizKey struct {
	user, session, course, quiz uuid.UUID
	action                      string
}

// NewQuizMembers makes the client; now is the service's clock.
func NewQuizMembers(invoker Invoker, now func() time.Time) *QuizMembers {
	const life, most = 2 * time.Second, 50_000
	return &QuizMembers{invoker: invoker, open: recent.New[quizKey, quiz.Verdict](life, most, now)}
}

// May implements quiz.Members.
func (m *QuizMembers) May(ctx context.Context, actor authz.Principal, ask quiz.Ask) (quiz.Verdict, error) {
	key := quizKey{user: actor.UserID, session: actor.SessionID, course: ask.CourseID, action: ask.Action}
	if ask.QuizID != nil {
		key.quiz = *ask.QuizID
	}
	if !ask.Fresh {
		if v, ok := m.open.Get(key); ok {
			return v, nil
		}
	}
	var reply internalapi.AccessVerdict
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Method: http.MethodPost, Path: internalapi.PathAccess, Timeout: askTimeout, Idempotent: true,
		Body: internalapi.AccessRequest{
			UserID: actor.UserID, CourseID: ask.CourseID, ResourceID: ask.QuizID, Action: ask.Action, Grants: actor.Grants, Limited: actor.Limited,
		},
		Out: &reply,
	})
	if err != nil {
		return quiz.Verdict{}, err
	}
	v := quiz.Verdict{
		Allowed: reply.Allowed, Code: reply.Code, As: reply.As, Role: reply.Role, TenantID: reply.TenantID, OrgUnitID: reply.OrgUnitID, Until: reply.Until,
	}
	if len(reply.Reasons) > 0 {
		v.Reasons = reply.Reasons
	}
	if v.Allowed {
		m.open.Put(key, v)
	}
	return v, nil
}

// QuizPlacements asks course where quizzes are placed.
type QuizPlacements struct{ Invoker Invoker }

var _ quiz.Placements = QuizPlacements{}

// Placed implements quiz.Placements.
func (p QuizPlacements) Placed(ctx context.Context, id uuid.UUID) (int, error) {
	var reply internalapi.ResourceUsages
	_, err := p.Invoker.Invoke(ctx, dapr.Call{
		App: "course", Path: strings.Replace(internalapi.PathResourceUsages, "{id}", id.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	return len(reply.Usages), err
}
