package grading

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTheMostGenerousExtensionWins(t *testing.T) { // rule 21
	t.Parallel()
	base := Dates{OpensAt: after(-48 * time.Hour), DueAt: &due, CutoffAt: after(24 * time.Hour), Attempts: ptr(1)}
	got := base.Extended(
		Extension{DueAt: after(2 * time.Hour), Attempts: ptr(2)},
		Extension{DueAt: after(-2 * time.Hour), CutoffAt: after(time.Hour), OpensAt: after(-72 * time.Hour), Attempts: ptr(3)},
		Extension{OpensAt: after(0)},
	)
	require.Equal(t, Dates{OpensAt: after(-72 * time.Hour), DueAt: after(2 * time.Hour), CutoffAt: after(24 * time.Hour), Attempts: ptr(3)}, got)
	require.Equal(t, Dates{OpensAt: base.OpensAt, DueAt: after(30 * time.Hour), CutoffAt: after(30 * time.Hour), Attempts: ptr(1)},
		base.Extended(Extension{DueAt: after(30 * time.Hour)}), "an extension beyond the cutoff moves it")
	require.Nil(t, base.Extended(Extension{Unlimited: true}, Extension{Attempts: ptr(5)}).Attempts)
	require.Equal(t, Dates{}, Dates{}.Extended(Extension{DueAt: &due, CutoffAt: &due, OpensAt: &due, Attempts: ptr(1)}), "who is bound by nothing stays so")
}

func TestAnAssignmentIsOpenFromItsOpeningToItsCutoff(t *testing.T) { // rule 21
	t.Parallel()
	d := Dates{OpensAt: after(-time.Hour), DueAt: &due, CutoffAt: after(time.Hour)}
	for name, c := range map[string]struct {
		at   time.Duration
		want Refusal
	}{
		"before": {-time.Hour - 1, NotOpen}, "at the opening": {-time.Hour, Open}, "late but open": {time.Minute, Open},
		"at the cutoff": {time.Hour, Open}, "a moment after": {time.Hour + 1, Closed}, "a second after": {time.Hour + time.Second, Closed},
	} {
		require.Equal(t, c.want, d.At(due.Add(c.at)), name)
	}
	d.LockAt = &due
	require.Equal(t, Open, d.At(due.Add(-1)))
	require.Equal(t, Locked, d.At(due), "a lock always blocks")
	require.Equal(t, Locked, d.Extended(Extension{CutoffAt: after(time.Hour)}).At(due), "also whom an extension was given")
	require.Equal(t, Open, Dates{}.At(due))
}

func TestExtensionsTakeNothingAway(t *testing.T) { // rule 21
	t.Parallel()
	moment := rapid.Custom(func(t *rapid.T) *time.Time {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return after(time.Duration(rapid.IntRange(-50, 50).Draw(t, "hours")) * time.Hour)
	})
	rapid.Check(t, func(t *rapid.T) {
		base := Dates{OpensAt: moment.Draw(t, "opens"), DueAt: moment.Draw(t, "due"), CutoffAt: moment.Draw(t, "cutoff")}
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Extension {
			return Extension{OpensAt: moment.Draw(t, "opens"), DueAt: moment.Draw(t, "due"), CutoffAt: moment.Draw(t, "cutoff")}
		}), 0, 4).Draw(t, "extensions")
		got := base.Extended(list...)
		slices.Reverse(list)
		require.Equal(t, got, base.Extended(list...), "in any order")
		require.Equal(t, got, got.Extended(list...), "twice is once")
		now := due.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "now")) * time.Hour)
		if base.At(now) == Open {
			require.Equal(t, Open, got.At(now))
		}
		for _, e := range list {
			if base.DueAt != nil && e.DueAt != nil {
				require.False(t, got.DueAt.Before(*e.DueAt))
			}
		}
	})
}
