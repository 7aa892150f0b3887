package xapi_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/xapi"
	"lms/shared/contracts/events"
)

func statement(t *testing.T, e events.Event) (xapi.Statement, bool) {
	t.Helper()
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	s, ok, err := xapi.Writer{Home: "https://learn.example"}.Statement(history.Event{
		ID: uuid.New(), Type: e.EventType(), Time: time.Date(2026, 3, 9, 9, 30, 0, 0, time.FixedZone("", 3600)), Data: raw,
	})
	require.NoError(t, err)
	return s, ok
}

// TestStatementsOfEveryExample have all that the specification asks for.
func TestStatementsOfEveryExample(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, d := range events.All() {
		s, ok := statement(t, d.Example)
		if !ok {
			continue
		}
		said[d.Type()] = true
		require.Equal(t, "2.0.0", s.Version)
		require.Equal(t, "Agent", s.Actor.ObjectType)
		require.NotEqual(t, uuid.Nil, s.Actor.Account.Name, d.Type())
		for _, iri := range []string{s.Verb.ID, s.Object.ID, s.Object.Definition.Type, s.Actor.Account.HomePage} {
			u, err := url.Parse(iri)
			require.NoError(t, err)
			require.True(t, u.IsAbs(), "%s: %q", d.Type(), iri)
		}
		require.NotEmpty(t, s.Verb.Display["en"])
		require.Equal(t, time.UTC, s.Timestamp.Location())
	}
	for _, typ := range xapi.Types() {
		_, ok := said[typ]
		require.True(t, ok || typ == events.TypeProgressChanged || typ == events.TypeQuizGraded, typ)
	}
}

func TestWhatStatementsSay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)
	course, user, item, enrollment := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	p := events.ProgressChanged{
		ProgressState: events.ProgressState{EnrollmentID: enrollment, CourseID: course, UserID: user, At: at}, ItemID: item, ItemKind: events.ItemPage, Change: "viewed",
	}
	s, ok := statement(t, p)
	require.True(t, ok)
	require.Equal(t, "http://adlnet.gov/expapi/verbs/experienced", s.Verb.ID)
	require.Equal(t, "https://learn.example/xapi/activities/items/"+item.String(), s.Object.ID)
	require.Equal(t, enrollment, *s.Context.Registration)
	require.Equal(t, "https://learn.example/xapi/activities/courses/"+course.String(), s.Context.Activities.Grouping[0].ID)
	p.CompletedAt = &at
	s, _ = statement(t, p)
	require.Equal(t, "http://adlnet.gov/expapi/verbs/completed", s.Verb.ID)
	require.True(t, *s.Result.Completion)
	p.Change = "scored"
	_, ok = statement(t, p)
	require.False(t, ok)

	score := events.Hundredths(750)
	g := events.QuizGraded{GradedState: events.GradedState{AttemptState: events.AttemptState{UserID: user, CourseID: course}, Score: &score, Possible: 1000}}
	_, ok = statement(t, g)
	require.False(t, ok, "not posted")
	g.Posted = true
	s, ok = statement(t, g)
	require.True(t, ok)
	raw, err := json.Marshal(s.Result)
	require.NoError(t, err)
	require.JSONEq(t, `{"score":{"scaled":0.75,"raw":7.5,"min":0,"max":10}}`, string(raw))

	id, ok := xapi.Writer{Home: "https://learn.example"}.CourseOf("https://learn.example/xapi/activities/courses/" + course.String())
	require.True(t, ok)
	require.Equal(t, course, id)
	require.Contains(t, xapi.TypesOf("http://adlnet.gov/expapi/verbs/completed"), events.TypeProgressChanged)
}
