package events

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// other is the other side of an invocation.
type other struct {
	calls []dapr.Call
	reply any
	err   error
}

func (o *other) Invoke(_ context.Context, call dapr.Call) (int, error) {
	o.calls = append(o.calls, call)
	if o.err != nil {
		return 0, o.err
	}
	raw, err := json.Marshal(o.reply)
	if err != nil {
		return 0, err
	}
	return 200, json.Unmarshal(raw, call.Out)
}

func TestCardsAreAskedInParts(t *testing.T) {
	t.Parallel()
	active, gone := uuid.New(), uuid.New()
	o := &other{reply: internalapi.CardsReply{Cards: []internalapi.Card{
		{ID: active, Name: "A", Status: internalapi.PersonActive}, {ID: gone, Name: "B", Status: internalapi.PersonDeactivated},
	}}}
	people, err := People{Invoker: o}.Cards(t.Context(), make([]uuid.UUID, 501))
	require.NoError(t, err)
	require.Len(t, o.calls, 2)
	require.Equal(t, "user", o.calls[0].App)
	require.True(t, people[active].Active)
	require.False(t, people[gone].Active)
	people, err = People{Invoker: o}.Cards(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, people)
	require.Len(t, o.calls, 2, "nobody is asked about nobody")
}

func membership(o *other) (*Membership, *clock.Manual) {
	c := clock.NewManual(time.Now())
	return NewMembership(o, slog.New(slog.DiscardHandler), c.Now), c
}

func TestOnlyWhatAllowsIsRememberedAndNotForLong(t *testing.T) {
	t.Parallel()
	o := &other{reply: internalapi.AccessVerdict{Code: internalapi.DeniedItemLocked, Reasons: []internalapi.LockReason{{Code: "sequential"}}}}
	m, now := membership(o)
	user, course, item := uuid.New(), uuid.New(), uuid.New()
	ask := func(i *uuid.UUID) catalog.Verdict {
		v, err := m.May(t.Context(), user, course, i)
		require.NoError(t, err)
		return v
	}
	v := ask(&item)
	require.False(t, v.Allowed)
	require.True(t, v.Enrolled)
	require.NotNil(t, v.Reasons)
	ask(&item)
	require.Len(t, o.calls, 2, "a lock is asked for each time")

	o.reply = internalapi.AccessVerdict{Allowed: true, As: internalapi.AsLearner}
	require.True(t, ask(&item).Allowed)
	o.reply = internalapi.AccessVerdict{Code: internalapi.DeniedNotActive}
	now.Advance(1999 * time.Millisecond)
	require.True(t, ask(&item).Allowed)
	require.False(t, ask(nil).Allowed, "another question")
	now.Advance(time.Millisecond)
	require.False(t, ask(&item).Allowed, "two seconds later it is asked again")
	require.False(t, ask(&item).Enrolled)
}

func TestAnswersThatDoNotComeAreNotMadeUp(t *testing.T) {
	t.Parallel()
	o := &other{err: apperr.Unavailable("sidecar_unavailable", "away")}
	m, _ := membership(o)
	_, err := m.May(t.Context(), uuid.New(), uuid.New(), nil)
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	ids, err := m.CoursesOf(t.Context(), uuid.New())
	require.NoError(t, err, "a list is still worth having")
	require.Empty(t, ids)
	o.err = apperr.Forbidden("no")
	_, err = m.CoursesOf(t.Context(), uuid.New())
	require.Error(t, err)
	o.err = nil
	course := uuid.New()
	o.reply = internalapi.UserCourses{Items: []internalapi.UserCourse{{CourseID: course}}}
	user := uuid.New()
	for range 3 {
		ids, err = m.CoursesOf(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{course}, ids)
	}
	require.Len(t, o.calls, 4)
	require.Equal(t, "/internal/users/"+user.String()+"/courses", o.calls[3].Path)
}
