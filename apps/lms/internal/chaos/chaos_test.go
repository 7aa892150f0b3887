package chaos_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
)

// A clean history with one of each outcome.
func clean() ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
	history := []chaos.Command{
		{Key: "a", Outcome: chaos.Acknowledged, ID: "1"},
		{Key: "b", Outcome: chaos.Acknowledged, ID: "2"},
		{Key: "c", Outcome: chaos.Unanswered},
		{Key: "d", Outcome: chaos.Unanswered},
	}
	there := []chaos.Seen{{Key: "a", ID: "1"}, {Key: "b", ID: "2"}, {Key: "c", ID: "3"}}
	return history, there, append([]chaos.Seen{}, there...)
}

func TestJudgeFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	history, state, told := clean()
	require.Zero(t, chaos.Judge(history, state, told).Bad())

	for name, c := range map[string]struct {
		plant func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen)
		found func(chaos.Verdict) []string
	}{
		"an acknowledged effect that is gone": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, s[1:], e[1:]
			},
			func(v chaos.Verdict) []string { return v.Lost },
		},
		"an event that was never told": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, s, e[1:]
			},
			func(v chaos.Verdict) []string { return v.Lost },
		},
		"another resource than was named": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				s[0].ID = "9"
				return h, s, e
			},
			func(v chaos.Verdict) []string { return v.Lost },
		},
		"an effect twice": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, append(s, s[0]), e
			},
			func(v chaos.Verdict) []string { return v.Doubled },
		},
		"an event twice": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, s, append(e, e[2])
			},
			func(v chaos.Verdict) []string { return v.Doubled },
		},
		"unanswered and done by half": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, s, e[:2]
			},
			func(v chaos.Verdict) []string { return v.Halfway },
		},
		"what nobody asked for": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				return h, append(s, chaos.Seen{Key: "x", ID: "7"}), e
			},
			func(v chaos.Verdict) []string { return v.Foreign },
		},
		"a refusal": {
			func(h []chaos.Command, s, e []chaos.Seen) ([]chaos.Command, []chaos.Seen, []chaos.Seen) {
				h[3].Outcome = chaos.Refused
				return h, s, e
			},
			func(v chaos.Verdict) []string { return v.Refusals },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := chaos.Judge(c.plant(clean()))
			require.Len(t, c.found(v), 1)
			require.Equal(t, 1, v.Bad(), "%s", v)
		})
	}
}

func TestOutOfTurnFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	turns := []chaos.Turn{
		{Who: "a", Asked: 0, Answered: 10, PlaceInRow: 1}, {Who: "b", Asked: 5, Answered: 12, PlaceInRow: 2}, {Who: "c", Asked: 11, Answered: 20, PlaceInRow: 3},
	}
	require.Zero(t, chaos.OutOfTurn(turns))
	turns[0].PlaceInRow, turns[1].PlaceInRow = 2, 1
	require.Zero(t, chaos.OutOfTurn(turns), "who asked at the same time may stand either way")
	turns[0].PlaceInRow, turns[1].PlaceInRow, turns[2].PlaceInRow = 3, 2, 1
	require.Equal(t, 1, chaos.OutOfTurn(turns), "a was answered before c asked")
	turns[0].PlaceInRow, turns[1].PlaceInRow, turns[2].PlaceInRow = 1, 2, 2
	require.Equal(t, 1, chaos.OutOfTurn(turns), "a place twice")
	turns[2].PlaceInRow = 4
	require.Equal(t, 1, chaos.OutOfTurn(turns), "a place that nobody has")
}
