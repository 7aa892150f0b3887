package grading

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func ptr[T any](v T) *T { return &v }

var due = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) *time.Time { return ptr(due.Add(d)) }

// daily takes 10 % a day, never below 40 %, and 75 % of missing work.
func daily() LatePolicy {
	return LatePolicy{Late: true, Rate: 10_00, Interval: 24 * time.Hour, Floor: 40_00, Missing: true, MissingRate: 75_00}
}

func essay() Task { return Task{Kind: Points, Possible: 20_00, Expected: true} }

func TestLateWorkLosesAShareOfThePossiblePoints(t *testing.T) { // rule 16
	t.Parallel()
	for name, c := range map[string]struct {
		late      time.Duration
		entered   Hundredths
		change    func(*LatePolicy, *Task)
		deduction Hundredths
	}{
		"a moment is a whole interval":           {late: time.Microsecond, entered: 18_00, deduction: 2_00},
		"exactly one interval":                   {late: 24 * time.Hour, entered: 18_00, deduction: 2_00},
		"a moment more is two":                   {late: 24*time.Hour + time.Microsecond, entered: 18_00, deduction: 4_00},
		"of the possible, not of the score":      {late: time.Hour, entered: 10_00, deduction: 2_00},
		"down to the floor":                      {late: 30 * 24 * time.Hour, entered: 18_00, deduction: 10_00},
		"a score at the floor stays":             {late: time.Hour, entered: 8_00, deduction: 0},
		"the floor raises nothing":               {late: time.Hour, entered: 5_00, deduction: 0},
		"just above the floor":                   {late: time.Hour, entered: 8_01, deduction: 1},
		"extra credit is taken from as well":     {late: time.Hour, entered: 25_00, deduction: 2_00},
		"never more than the score":              {late: 1000 * time.Hour, entered: 3_00, change: func(p *LatePolicy, _ *Task) { p.Floor = 0 }, deduction: 3_00},
		"by the hour":                            {late: 90 * time.Minute, entered: 18_00, change: func(p *LatePolicy, _ *Task) { p.Interval = time.Hour }, deduction: 4_00},
		"rounded half-up to hundredths":          {late: time.Hour, entered: 2, change: func(p *LatePolicy, k *Task) { p.Rate, p.Floor, k.Possible = 25_00, 0, 2 }, deduction: 1},
		"rounded down below half":                {late: time.Hour, entered: 2, change: func(p *LatePolicy, k *Task) { p.Rate, p.Floor, k.Possible = 24_99, 0, 2 }, deduction: 0},
		"not of negative scores":                 {late: time.Hour, entered: -1_00, deduction: 0},
		"a zero stays a zero":                    {late: time.Hour, entered: 0, deduction: 0},
		"nothing where nothing is possible":      {late: time.Hour, entered: 5_00, change: func(_ *LatePolicy, k *Task) { k.Possible = 0 }, deduction: 0},
		"nothing without a policy":               {late: time.Hour, entered: 18_00, change: func(p *LatePolicy, _ *Task) { p.Late = false }, deduction: 0},
		"percent":                                {late: time.Hour, entered: 18_00, change: func(_ *LatePolicy, k *Task) { k.Kind = Percent }, deduction: 2_00},
		"letters":                                {late: time.Hour, entered: 18_00, change: func(_ *LatePolicy, k *Task) { k.Kind = Letter }, deduction: 2_00},
		"grade points":                           {late: time.Hour, entered: 18_00, change: func(_ *LatePolicy, k *Task) { k.Kind = GPA }, deduction: 2_00},
		"not of pass and fail":                   {late: time.Hour, entered: 20_00, change: func(_ *LatePolicy, k *Task) { k.Kind = PassFail }, deduction: 0},
		"not of what is not graded":              {late: time.Hour, entered: 20_00, change: func(_ *LatePolicy, k *Task) { k.Kind = Ungraded }, deduction: 0},
		"numbers that overflow machine integers": {late: 24 * 365 * 100 * time.Hour, entered: 99_999_999_99, change: func(p *LatePolicy, k *Task) { p.Rate, p.Floor, k.Possible = 100_00, 0, 99_999_999_99 }, deduction: 99_999_999_99},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, task := daily(), essay()
			if c.change != nil {
				c.change(&p, &task)
			}
			got := p.Apply(task, Work{Due: &due, SubmittedAt: after(c.late), Entered: &c.entered}, due)
			require.Equal(t, Late, got.Status)
			require.Equal(t, c.deduction, got.Deduction)
			require.Equal(t, c.entered-c.deduction, *got.Score, "entered and deduction add up (rule 20)")
			require.False(t, got.Imputed)
		})
	}
}

func TestWhenWorkIsLateOrMissing(t *testing.T) { // rules 17, 18
	t.Parallel()
	quiz := Task{Kind: Points, Possible: 20_00, Quiz: true, Expected: true}
	paper := Task{Kind: Points, Possible: 20_00}
	for name, c := range map[string]struct {
		task   Task
		work   Work
		now    time.Duration
		status Status
		late   time.Duration
	}{
		"exactly at the due time is on time":        {essay(), Work{SubmittedAt: &due}, time.Hour, None, 0},
		"a moment later is late":                    {essay(), Work{SubmittedAt: after(time.Microsecond)}, time.Hour, Late, time.Microsecond},
		"a quiz has a minute":                       {quiz, Work{SubmittedAt: after(QuizGrace)}, time.Hour, None, 0},
		"which is taken off":                        {quiz, Work{SubmittedAt: after(QuizGrace + time.Second)}, time.Hour, Late, time.Second},
		"excused is not late":                       {essay(), Work{SubmittedAt: after(time.Hour), Excused: true}, time.Hour, None, 0},
		"excused is not missing":                    {essay(), Work{Excused: true}, time.Hour, None, 0},
		"nothing is missing at the due time":        {essay(), Work{}, 0, None, 0},
		"but right after it":                        {essay(), Work{}, time.Microsecond, Missing, 0},
		"a quiz is missing after its minute":        {quiz, Work{}, QuizGrace + time.Microsecond, Missing, 0},
		"and not before":                            {quiz, Work{}, QuizGrace, None, 0},
		"what is graded is not missing":             {essay(), Work{Entered: ptr(Hundredths(0))}, time.Hour, None, 0},
		"where nothing is expected nothing misses":  {paper, Work{}, time.Hour, None, 0},
		"by hand late, no seconds given":            {essay(), Work{SubmittedAt: after(time.Hour), Manual: ptr(Late)}, time.Hour, Late, 0},
		"by hand late, with its own seconds":        {quiz, Work{Manual: ptr(Late), ManualLate: 90 * time.Second}, -time.Hour, Late, 90 * time.Second},
		"by hand missing, though handed in":         {essay(), Work{SubmittedAt: after(-time.Hour), Manual: ptr(Missing)}, 0, Missing, 0},
		"by hand missing where nothing is expected": {paper, Work{Manual: ptr(Missing)}, 0, Missing, 0},
		"by hand neither":                           {essay(), Work{SubmittedAt: after(time.Hour), Manual: ptr(None)}, time.Hour, None, 0},
		"excused wins over a manual status":         {essay(), Work{Manual: ptr(Late), ManualLate: time.Hour, Excused: true}, time.Hour, None, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.work.Due = &due
			status, late := Standing(c.task, c.work, due.Add(c.now))
			require.Equal(t, c.status, status)
			require.Equal(t, c.late, late)
			if from := MissingFrom(c.task, c.work); from != nil {
				s, _ := Standing(c.task, c.work, *from)
				require.Equal(t, None, s)
				s, _ = Standing(c.task, c.work, from.Add(time.Microsecond))
				require.Equal(t, Missing, s)
			}
		})
	}
	t.Run("without a due time", func(t *testing.T) {
		t.Parallel()
		status, _ := Standing(essay(), Work{}, due)
		require.Equal(t, None, status)
		require.Nil(t, MissingFrom(essay(), Work{}))
	})
}

func TestMissingWorkGetsTheScoreOfThePolicy(t *testing.T) { // rule 18
	t.Parallel()
	now := due.Add(time.Hour)
	missing := Work{Due: &due}
	got := daily().Apply(essay(), missing, now)
	require.Equal(t, Result{Status: Missing, Score: ptr(Hundredths(5_00)), Imputed: true}, got)

	given := missing
	given.Entered, given.Manual = ptr(Hundredths(12_00)), ptr(Missing)
	require.Equal(t, Result{Status: Missing, Score: ptr(Hundredths(12_00))}, daily().Apply(essay(), given, now), "a score that exists stays")

	p := daily()
	p.Missing = false
	require.Equal(t, Result{Status: Missing}, p.Apply(essay(), missing, now), "no policy, no score")
	task := essay()
	task.Kind = PassFail
	require.Equal(t, Hundredths(0), *daily().Apply(task, missing, now).Score, "a share of a pass is none")
	task.Kind = Ungraded
	require.Nil(t, daily().Apply(task, missing, now).Score)
	task = essay()
	task.Possible = 0
	require.Nil(t, daily().Apply(task, missing, now).Score)

	submitted := missing
	submitted.SubmittedAt = after(time.Hour)
	require.Equal(t, Result{Status: Late, Late: time.Hour}, daily().Apply(essay(), submitted, now), "what comes late after all has no score until it is graded")
}

func TestAChangeOfThePolicyStartsFromTheEnteredScore(t *testing.T) { // rule 19
	t.Parallel()
	w := Work{Due: &due, SubmittedAt: after(25 * time.Hour), Entered: ptr(Hundredths(18_00))}
	require.Equal(t, Hundredths(14_00), *daily().Apply(essay(), w, due).Score)
	milder := daily()
	milder.Rate = 5_00
	require.Equal(t, Hundredths(16_00), *milder.Apply(essay(), w, due).Score)
	w.Due = after(48 * time.Hour)
	require.Equal(t, Result{Status: None, Score: ptr(Hundredths(18_00))}, milder.Apply(essay(), w, due), "no longer late")
}

// plainDeduction is rule 16 as it is written, on fractions.
func plainDeduction(p LatePolicy, t Task, score Hundredths, late time.Duration) *big.Rat {
	of := func(h Hundredths) *big.Rat { return big.NewRat(int64(h), 100) }
	intervals := new(big.Rat).SetInt64(int64(late / p.Interval))
	if late%p.Interval > 0 {
		intervals.Add(intervals, big.NewRat(1, 1))
	}
	least := new(big.Rat).Mul(of(p.Rate), intervals)
	raw := new(big.Rat).Quo(of(score), of(t.Possible))
	raw.Mul(raw, big.NewRat(100, 1)).Sub(raw, of(p.Floor))
	if raw.Sign() < 0 {
		raw.SetInt64(0)
	}
	if raw.Cmp(least) < 0 {
		least = raw
	}
	return least.Mul(least, of(t.Possible)).Quo(least, big.NewRat(100, 1))
}

func TestDeductionsAreAsTheRuleIsWritten(t *testing.T) { // rules 16, 20
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := LatePolicy{
			Late: true, Rate: Hundredths(rapid.IntRange(0, 100_00).Draw(t, "rate")), Floor: Hundredths(rapid.IntRange(0, 100_00).Draw(t, "floor")),
			Interval: rapid.SampledFrom([]time.Duration{time.Hour, 24 * time.Hour}).Draw(t, "interval"),
		}
		task := Task{Kind: Points, Possible: Hundredths(rapid.IntRange(1, 1000_00).Draw(t, "possible"))}
		score := Hundredths(rapid.IntRange(0, 1500_00).Draw(t, "score"))
		late := time.Duration(rapid.Int64Range(1, int64(60*24*time.Hour)).Draw(t, "late"))
		got := p.Deduction(task, &score, late)
		exact := plainDeduction(p, task, score, late)
		off := new(big.Rat).Sub(big.NewRat(int64(got), 100), exact)
		require.LessOrEqual(t, off.Cmp(big.NewRat(1, 200)), 0, "rounded up by at most half a hundredth")
		require.Positive(t, off.Cmp(big.NewRat(-1, 200)), "rounded down by less than half")
		require.GreaterOrEqual(t, got, Hundredths(0))
		require.LessOrEqual(t, got, score)
		longer := p.Deduction(task, &score, late+p.Interval)
		require.GreaterOrEqual(t, longer, got, "later is never better")
	})
}
