package cli

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/outbox"
)

func TestDrainWaitsForEveryOutbox(t *testing.T) {
	t.Parallel()
	left := map[string]int64{"user": 3, "course": 1}
	var said []string
	status := func(_ context.Context, service string) (outbox.Status, error) {
		n := left[service]
		if n > 0 {
			left[service] = n - 1
		}
		return outbox.Status{Unpublished: n, PendingCalls: n}, nil
	}
	rest, err := drain(t.Context(), status, time.Minute, time.Millisecond, func(line string) { said = append(said, line) })
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Equal(t, "waiting: user 3 events, 3 calls and mails; course 1 events, 1 calls and mails", said[0])
	require.Len(t, said, 3)
}

func TestDrainSaysWhatIsLeftWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	stuck := func(_ context.Context, service string) (outbox.Status, error) {
		if service == "payment" {
			return outbox.Status{PendingCalls: 2}, nil
		}
		return outbox.Status{}, nil
	}
	rest, err := drain(t.Context(), stuck, 20*time.Millisecond, time.Millisecond, func(string) {})
	require.ErrorContains(t, err, "payment 0 events, 2 calls and mails; lms outbox says")
	require.Equal(t, []waiting{{"payment", 0, 2}}, rest)

	away := errors.New("nobody answers")
	_, err = drain(t.Context(), func(context.Context, string) (outbox.Status, error) { return outbox.Status{}, away }, time.Minute, time.Millisecond, func(string) {})
	require.ErrorIs(t, err, away)
}
