package quiz

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func at(minutes int) *time.Time {
	t := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
	return &t
}

func span(minutes int) *time.Duration {
	d := time.Duration(minutes) * time.Minute
	return &d
}

func TestAnAttemptEndsAtTheEarliestOfAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings Settings
		override *Override
		access   *time.Time
		want     *time.Time
	}{
		"nothing ends it":            {Settings{}, nil, nil, nil},
		"limit":                      {Settings{TimeLimit: span(30)}, nil, nil, at(30)},
		"extra time":                 {Settings{TimeLimit: span(30)}, &Override{ExtraTime: *span(15)}, nil, at(45)},
		"no extra without a limit":   {Settings{}, &Override{ExtraTime: *span(15)}, nil, nil},
		"window":                     {Settings{TimeLimit: span(30), Until: at(20)}, nil, nil, at(20)},
		"extra ends with the window": {Settings{TimeLimit: span(30), Until: at(35)}, &Override{ExtraTime: *span(15)}, nil, at(35)},
		"a window of one's own":      {Settings{TimeLimit: span(30), Until: at(20)}, &Override{Until: at(60)}, nil, at(30)},
		"cutoff":                     {Settings{TimeLimit: span(30), Due: at(5), Cutoff: at(10)}, nil, nil, at(10)},
		"extension moves the cutoff": {Settings{TimeLimit: span(30), Due: at(5), Cutoff: at(10)}, &Override{Due: at(25)}, nil, at(25)},
		"extension before it":        {Settings{TimeLimit: span(30), Due: at(5), Cutoff: at(10)}, &Override{Due: at(8)}, nil, at(10)},
		"access":                     {Settings{TimeLimit: span(30), Until: at(20)}, nil, at(7), at(7)},
	} {
		require.Equal(t, c.want, c.settings.For(c.override).End(*at(0), c.access), name)
	}
	require.Equal(t, at(5), Settings{Due: at(5)}.For(&Override{Due: at(3)}).Due, "an extension never shortens (rule 21)")
}

func TestAttemptsLeft(t *testing.T) {
	t.Parallel()
	two := 2
	for _, c := range []struct{ extra, used, left int }{{0, 0, 2}, {0, 2, 0}, {0, 3, 0}, {1, 2, 1}, {1, 5, 0}} {
		left := Settings{AttemptsAllowed: &two}.For(&Override{ExtraAttempts: c.extra}).Left(c.used)
		require.Equal(t, c.left, *left)
	}
	require.Nil(t, Settings{Unlimited: true}.For(nil).Left(1000))
}

func TestBothBoundsOfTheWindowAreIn(t *testing.T) {
	t.Parallel()
	terms := Terms{From: at(0), Until: at(10)}
	require.NoError(t, terms.open(*at(0)))
	require.NoError(t, terms.open(*at(10)))
	require.Error(t, terms.open(at(0).Add(-time.Microsecond)))
	require.Error(t, terms.open(at(10).Add(time.Microsecond)))
}

// history is an attempt as the model sees it: what happened to it, in words.
func attempts(t *rapid.T) []Scored {
	n := rapid.IntRange(0, 6).Draw(t, "attempts")
	out := make([]Scored, n)
	for i := range out {
		out[i] = Scored{ID: uuid.New(), Number: i + 1, Possible: 1000, SubmittedAt: *at(i)}
		if rapid.Bool().Draw(t, "scored") {
			p := Points(rapid.Int64Range(0, 1000).Draw(t, "score"))
			out[i].Score, out[i].GradedAt = &p, at(i)
		}
		out[i].Pending = out[i].Score == nil || rapid.IntRange(0, 3).Draw(t, "again") == 0
	}
	rand.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestKeepAgainstAPlainModel compares with rule 26 said in the plainest way.
func TestKeepAgainstAPlainModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := attempts(t)
		policy := rapid.SampledFrom([]string{KeepHighest, KeepLatest, KeepFirst, KeepAverage}).Draw(t, "policy")
		got := Keep(policy, all)

		sorted := slices.Clone(all)
		slices.SortFunc(sorted, func(a, b Scored) int { return a.Number - b.Number })
		var scores []int64
		for _, a := range sorted {
			if a.Score != nil {
				scores = append(scores, int64(*a.Score))
			}
		}
		var want *int64
		switch {
		case policy == KeepFirst:
			if len(sorted) > 0 && sorted[0].Score != nil {
				want = &scores[0]
			}
		case len(scores) == 0:
		case policy == KeepLatest:
			want = &scores[len(scores)-1]
		case policy == KeepHighest:
			most := slices.Max(scores)
			want = &most
		default:
			var sum int64
			for _, s := range scores {
				sum += s
			}
			n := int64(len(scores))
			mean := sum / n
			if 2*(sum%n) >= n {
				mean++
			}
			want = &mean
		}
		if want == nil {
			require.Nil(t, got.Score, "no graded attempt = no grade")
		} else {
			require.Equal(t, *want, int64(*got.Score))
			require.NotNil(t, got.Possible)
		}
		require.Equal(t, len(all) == 0, got.SubmittedAt == nil)
		require.Equal(t, got.Score == nil, got.Possible == nil)
	})
}

func TestOfEqualScoresTheEarlierCounts(t *testing.T) {
	t.Parallel()
	p := Points(50)
	a, b := Scored{ID: uuid.New(), Number: 1, Score: &p}, Scored{ID: uuid.New(), Number: 2, Score: &p}
	require.Equal(t, a.ID, *Keep(KeepHighest, []Scored{b, a}).AttemptID)
}

func TestTheLastValueStaysWhileTheAttemptThatCountsIsGraded(t *testing.T) {
	t.Parallel()
	p := Points(60)
	first, second := Scored{ID: uuid.New(), Number: 1, Score: &p}, Scored{ID: uuid.New(), Number: 2, Pending: true}
	k := Keep(KeepLatest, []Scored{first, second})
	require.Equal(t, p, *k.Score)
	require.True(t, k.Pending)
	require.False(t, Keep(KeepFirst, []Scored{first, second}).Pending, "the second cannot count")
}

// TestADrawTakesNoQuestionTwice draws at random from random banks.
func TestADrawTakesNoQuestionTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		banks := []uuid.UUID{uuid.New(), uuid.New()}
		have := map[uuid.UUID]int{}
		var pool []Drawable
		for _, b := range banks {
			have[b] = rapid.IntRange(0, 8).Draw(t, "questions")
			for range have[b] {
				pool = append(pool, Drawable{BankID: b, QuestionID: uuid.New(), Number: 1})
			}
		}
		var slots []Slot
		one, need := 1, map[uuid.UUID]int{}
		for range rapid.IntRange(1, 6).Draw(t, "slots") {
			if len(pool) > 0 && rapid.Bool().Draw(t, "pin") {
				d := pool[rapid.IntRange(0, len(pool)-1).Draw(t, "which")]
				if !pinnedIn(slots)[d.QuestionID] {
					slots = append(slots, Slot{ID: uuid.New(), QuestionID: &d.QuestionID, QuestionVersion: &one})
					need[d.BankID]++
				}
				continue
			}
			b, n := banks[rapid.IntRange(0, 1).Draw(t, "bank")], rapid.IntRange(1, 4).Draw(t, "pick")
			slots = append(slots, Slot{ID: uuid.New(), BankID: &b, Pick: &n})
			need[b] += n
		}
		fits := true
		for _, b := range drawnFrom(slots) {
			fits = fits && need[b] <= have[b]
		}
		out, ok := choose(slots, pool, rand.New(rand.NewPCG(1, 2)))
		require.Equal(t, fits, ok)
		if !ok {
			return
		}
		total, _ := Total(slots)
		require.Len(t, out, total)
		seen := map[uuid.UUID]bool{}
		for _, q := range out {
			require.False(t, seen[q.QuestionID])
			seen[q.QuestionID] = true
		}
	})
}

func TestSettingsTellAllThatIsWrong(t *testing.T) {
	t.Parallel()
	never, due := Never, AfterDue
	good := DefaultSettings()
	good.Title = "x"
	require.NoError(t, good.Check())
	for name, change := range map[string]func(*Settings){
		"title":    func(s *Settings) { s.Title = "" },
		"both":     func(s *Settings) { s.Unlimited = true },
		"neither":  func(s *Settings) { s.AttemptsAllowed = nil },
		"window":   func(s *Settings) { s.From, s.Until = at(1), at(0) },
		"cutoff":   func(s *Settings) { s.Due, s.Cutoff = at(1), at(0) },
		"scores":   func(s *Settings) { s.Scores = &never },
		"due":      func(s *Settings) { s.Feedback = AfterDue },
		"due too":  func(s *Settings) { s.Feedback, s.Scores = Never, &due },
		"keep":     func(s *Settings) { s.Keep = "best" },
		"feedback": func(s *Settings) { s.Feedback = "sometimes" },
		"limit":    func(s *Settings) { s.TimeLimit = span(0) },
	} {
		s := good
		change(&s)
		require.Error(t, s.Check(), name)
	}
}
