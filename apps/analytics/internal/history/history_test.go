package history_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func kept(t *testing.T, e events.Event, names history.Names) history.Event {
	t.Helper()
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	out, err := history.NewArchive().Keep(history.Event{Type: e.EventType(), AggregateID: e.AggregateID(), Time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Data: raw}, names)
	require.NoError(t, err)
	return out
}

func TestNamesAreEmptiedAndPeopleFound(t *testing.T) {
	t.Parallel()
	user, teacher, other := uuid.New(), uuid.New(), uuid.New()
	e := kept(t, events.UserCreated{UserState: events.UserState{
		ID: user, Name: "Ada Lovelace", Email: "ada@example.org", Locale: "en", MergedInto: &other, ExternalIDs: []events.ExternalID{{Source: "sis", ID: "S-1"}},
	}}, history.Same)
	require.Equal(t, user, e.UserID)
	require.Equal(t, []uuid.UUID{other}, e.Others)
	for _, gone := range []string{"Ada", "example.org", "S-1"} {
		require.NotContains(t, string(e.Data), gone)
	}
	require.Contains(t, string(e.Data), `"locale":"en"`)

	// One of a course's staff is not whom the course is about.
	c := kept(t, events.CourseUpdated{CourseState: events.CourseState{ID: uuid.New(), Staff: []events.CourseStaff{{UserID: teacher}, {UserID: other}}}}, history.Same)
	require.Equal(t, uuid.Nil, c.UserID)
	require.Equal(t, []uuid.UUID{teacher, other}, c.Others)
}

func TestAPseudonymTakesThePersonsPlaceEverywhere(t *testing.T) {
	t.Parallel()
	user, pseudonym := uuid.New(), uuid.New()
	names := func(id uuid.UUID) uuid.UUID {
		if id == user {
			return pseudonym
		}
		return id
	}
	for _, e := range []events.Event{
		events.UserUpdated{UserState: events.UserState{ID: user}},
		events.CourseStaffChanged{CourseState: events.CourseState{ID: uuid.New(), Staff: []events.CourseStaff{{UserID: uuid.New()}, {UserID: user}}}},
		events.SubmissionSubmitted{SubmissionState: events.SubmissionState{SubmissionID: uuid.New(), UserID: user, MemberIDs: []uuid.UUID{uuid.New(), user}}},
		events.Graded{GradeState: events.GradeState{GradeID: uuid.New(), UserID: uuid.New(), GraderID: &user}},
	} {
		out := kept(t, e, names)
		require.NotContains(t, string(out.Data), user.String(), e.EventType())
		require.Contains(t, string(out.Data), pseudonym.String(), e.EventType())
		require.NotEqual(t, user, out.AggregateID)
		require.Contains(t, out.People(), pseudonym, e.EventType())
	}
}

func TestSearchesOfABatchCountOnce(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	b := internalapi.SearchBatch{BatchID: uuid.New(), Searches: []internalapi.SearchPerformed{
		{At: at, Term: "  Mitochondria "}, {At: at, Term: strings.Repeat("ü", 300)}, {At: at, Term: " "}, {Term: "no time"},
	}}
	one, err := history.Searches(b)
	require.NoError(t, err)
	two, err := history.Searches(b)
	require.NoError(t, err)
	require.Equal(t, one, two, "the same ids")
	require.Len(t, one, 2)
	require.Contains(t, string(one[0].Data), `"term":"mitochondria"`)
	_, err = history.Searches(internalapi.SearchBatch{})
	require.Error(t, err)
}
