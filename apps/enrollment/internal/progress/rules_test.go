package progress

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/contracts/events"
)

// Rule 3: percent or points, compared exactly.
func TestMinScore(t *testing.T) {
	t.Parallel()
	percent := func(min, score, possible float64) bool {
		_, ok := Requirement{Kind: events.RequireMinScore, MinScore: *h(min), Unit: events.ScorePercent}.Met(
			Facts{Score: h(score), Possible: h(possible), GradedAt: at(0)})
		return ok
	}
	require.True(t, percent(70, 7, 10))
	require.False(t, percent(70, 6.99, 10))
	require.True(t, percent(57, 0.57, 1), "0.57 is less than 57 % in floating point")
	require.True(t, percent(33.33, 1, 3))
	require.False(t, percent(33.34, 1, 3))
	require.False(t, percent(0, 0, 0), "nothing possible reaches no percentage")
	require.True(t, percent(0, 0, 1))
	_, ok := Requirement{Kind: events.RequireMinScore, MinScore: *h(5), Unit: events.ScorePoints}.Met(Facts{Score: h(5), GradedAt: at(0)})
	require.True(t, ok)
	_, ok = Requirement{Kind: events.RequireMinScore, MinScore: *h(5), Unit: events.ScorePoints}.Met(Facts{Score: h(4.99), GradedAt: at(0)})
	require.False(t, ok)
}

func course(parts ...events.CurriculumPart) *Curriculum {
	return Compile(events.CurriculumState{Modules: parts}, 1)
}

func visibleItem(n int, kind string) events.CurriculumItem {
	it := events.CurriculumItem{ID: id('i', n), Kind: events.ItemPage, Visible: true}
	if kind != "" {
		it.Requirement = &events.ItemRequirement{Kind: kind}
	}
	return it
}

func viewed(n ...int) Record {
	r := NewRecord()
	for i, x := range n {
		r.Completed[id('i', x)] = *at(time.Duration(i+1) * time.Minute)
		r.Facts[id('i', x)] = Facts{ViewedAt: at(time.Duration(i+1) * time.Minute)}
	}
	return r
}

// Rule 1: N suffice, and the module is completed by the Nth earliest.
func TestNOfM(t *testing.T) {
	t.Parallel()
	n := 2
	m := events.CurriculumPart{ID: id('m', 1), Published: true, RequiredCount: &n}
	for i := 1; i <= 3; i++ {
		m.Items = append(m.Items, visibleItem(i, events.RequireView))
	}
	v := Evaluate(course(m), viewed(3), start, *at(time.Hour))
	require.Equal(t, Started, v.Modules[0].State)
	v = Evaluate(course(m), viewed(3, 1, 2), start, *at(time.Hour))
	require.Equal(t, Completed, v.Modules[0].State)
	require.Equal(t, at(2*time.Minute), v.Modules[0].CompletedAt)
	require.Equal(t, []int{2, 2}, []int{v.Required, v.Met}, "100 % can be reached")
	hidden := m
	hidden.Items = []events.CurriculumItem{m.Items[0]}
	v = Evaluate(course(hidden), viewed(1), start, *at(time.Hour))
	require.Equal(t, 1, v.Required, "min(N, visible)")
	require.Nil(t, v.Next)
}

// Rules 2 and 10: what asks for nothing is completed at once, and is not progress.
func TestNothingRequired(t *testing.T) {
	t.Parallel()
	m := events.CurriculumPart{ID: id('m', 1), Published: true, UnlockAt: at(time.Hour), Items: []events.CurriculumItem{visibleItem(1, "")}}
	v := Evaluate(course(m), NewRecord(), start, at(time.Hour).Add(-1))
	require.Equal(t, Locked, v.Modules[0].State)
	v = Evaluate(course(m), NewRecord(), start, *at(time.Hour))
	require.Equal(t, Completed, v.Modules[0].State)
	require.Equal(t, at(time.Hour), v.Modules[0].CompletedAt)
	_, done := CourseCompletedAt(v, events.CompletionSettings{Mode: events.CompleteModules}, nil)
	require.False(t, done, "zero requirements is not complete")
	require.Zero(t, Percent(0, 0))
	require.Equal(t, 99, Percent(199, 200), "rounded down")
}

// Rule 7: only modules positioned earlier count, so a cycle locks nobody out.
func TestCycles(t *testing.T) {
	t.Parallel()
	a := events.CurriculumPart{ID: id('m', 1), Published: true, Prerequisites: []uuid.UUID{id('m', 2)}, Items: []events.CurriculumItem{visibleItem(1, events.RequireView)}}
	b := events.CurriculumPart{ID: id('m', 2), Published: true, Prerequisites: []uuid.UUID{id('m', 1)}}
	v := Evaluate(course(a, b), NewRecord(), start, start)
	require.Equal(t, []State{Unlocked, Locked}, []State{v.Modules[0].State, v.Modules[1].State})
	v = Evaluate(course(a, b), viewed(1), start, *at(time.Hour))
	require.Equal(t, Completed, v.Modules[1].State)
	a.Published = false
	v = Evaluate(course(a, b), NewRecord(), start, start)
	require.Equal(t, Completed, v.Modules[0].State, "an unpublished prerequisite does not count")
}

// Rule 12 and the modes of completion.
func TestCourseCompletedAt(t *testing.T) {
	t.Parallel()
	a := events.CurriculumPart{ID: id('m', 1), Published: true, Items: []events.CurriculumItem{visibleItem(1, events.RequireView)}}
	b := events.CurriculumPart{ID: id('m', 2), Published: true, Items: []events.CurriculumItem{visibleItem(2, events.RequireView)}}
	pass := *h(50)
	grade := func(final float64) *Grade { return &Grade{Final: *h(final), GradedAt: *at(10 * time.Minute)} }
	for name, c := range map[string]struct {
		seen     []int
		settings events.CompletionSettings
		grade    *Grade
		want     *time.Time
	}{
		"all":                    {[]int{2, 1}, events.CompletionSettings{Mode: events.CompleteModules}, nil, at(2 * time.Minute)},
		"one is missing":         {[]int{2}, events.CompletionSettings{Mode: events.CompleteModules}, nil, nil},
		"selected":               {[]int{2}, events.CompletionSettings{Mode: events.CompleteSelectedModules, RequiredModules: []uuid.UUID{id('m', 2)}}, nil, at(time.Minute)},
		"selected is missing":    {[]int{1}, events.CompletionSettings{Mode: events.CompleteSelectedModules, RequiredModules: []uuid.UUID{id('m', 2)}}, nil, nil},
		"none selected":          {[]int{1, 2}, events.CompletionSettings{Mode: events.CompleteSelectedModules}, nil, nil},
		"never":                  {[]int{1, 2}, events.CompletionSettings{Mode: events.CompleteNever}, nil, nil},
		"grade is missing":       {[]int{1, 2}, events.CompletionSettings{Mode: events.CompleteModules, MinGrade: &pass}, nil, nil},
		"grade is too low":       {[]int{1, 2}, events.CompletionSettings{Mode: events.CompleteModules, MinGrade: &pass}, grade(49.99), nil},
		"grade is the last part": {[]int{1, 2}, events.CompletionSettings{Mode: events.CompleteModules, MinGrade: &pass}, grade(50), at(10 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := Evaluate(course(a, b), viewed(c.seen...), start, *at(time.Hour))
			got, done := CourseCompletedAt(v, c.settings, c.grade)
			require.Equal(t, c.want != nil, done)
			if done {
				require.Equal(t, *c.want, got)
			}
		})
	}
}

// Rule 14: placed twice, it counts once, and both places show it.
func TestPlacedTwice(t *testing.T) {
	t.Parallel()
	res := id('r', 1)
	first, second := visibleItem(1, events.RequireSubmit), visibleItem(2, events.RequireSubmit)
	first.ResourceID, second.ResourceID = &res, &res
	c := course(
		events.CurriculumPart{ID: id('m', 1), Published: true, Items: []events.CurriculumItem{first}},
		events.CurriculumPart{ID: id('m', 2), Published: true, Items: []events.CurriculumItem{second}})
	out := Apply(NewRecord(), Change{Old: c, New: c, Facts: map[uuid.UUID]Facts{res: {SubmittedAt: at(0)}}, From: start, Now: *at(time.Minute)})
	require.Equal(t, []int{1, 1}, []int{out.After.Required, out.After.Met})
	require.Equal(t, []uuid.UUID{first.ID, second.ID}, out.Completed)
	require.Len(t, out.ModulesCompleted(), 2)
}

func TestNextUnlock(t *testing.T) {
	t.Parallel()
	c := course(events.CurriculumPart{ID: id('m', 1), Published: true, UnlockAt: at(time.Hour), Items: []events.CurriculumItem{
		{ID: id('i', 1), Visible: true, UnlockAt: at(2 * time.Hour)}, {ID: id('i', 2), UnlockAt: at(time.Minute)},
	}})
	require.Equal(t, at(time.Hour), c.NextUnlock(start))
	require.Equal(t, at(2*time.Hour), c.NextUnlock(*at(time.Hour)))
	require.Nil(t, c.NextUnlock(*at(2 * time.Hour)))
}

func BenchmarkApply(b *testing.B) {
	doc := events.CurriculumState{}
	for m := range 20 {
		p := events.CurriculumPart{ID: id('m', m), Published: true, Sequential: m%2 == 0}
		for i := range 10 {
			it := visibleItem(0, events.RequireView)
			it.ID = uuid.New()
			it.Title = string(rune('a' + i))
			p.Items = append(p.Items, it)
		}
		doc.Modules = append(doc.Modules, p)
	}
	c := Compile(doc, 1)
	r := NewRecord()
	facts := map[uuid.UUID]Facts{doc.Modules[1].Items[0].ID: {ViewedAt: at(0)}}
	b.ReportAllocs()
	for b.Loop() {
		Apply(r, Change{Old: c, New: c, Facts: facts, From: start, Now: start})
	}
}
