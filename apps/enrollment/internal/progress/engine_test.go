package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/contracts/events"
)

var start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

func id(kind byte, n int) uuid.UUID {
	var u uuid.UUID
	u[0], u[6], u[15] = kind, 0x70, byte(n)
	return u
}

func h(v float64) *events.Hundredths {
	x := events.Hundredths(math.Round(v * 100))
	return &x
}

func at(d time.Duration) *time.Time {
	t := start.Add(d)
	return &t
}

func drawRequirement(t *rapid.T) *events.ItemRequirement {
	switch rapid.IntRange(0, 6).Draw(t, "requirement") {
	case 0:
		return nil
	case 1:
		return &events.ItemRequirement{Kind: events.RequireView}
	case 2:
		return &events.ItemRequirement{Kind: events.RequireDone}
	case 3:
		return &events.ItemRequirement{Kind: events.RequireSubmit}
	case 4:
		return &events.ItemRequirement{Kind: events.RequireMinScore, MinScore: h(5), Unit: events.ScorePoints}
	case 5:
		return &events.ItemRequirement{Kind: events.RequireMinScore, MinScore: h(60), Unit: events.ScorePercent}
	default:
		return &events.ItemRequirement{Kind: events.RequireMinScore, MinScore: h(90), Unit: events.ScorePercent}
	}
}

func drawDate(t *rapid.T, label string) *time.Time {
	if rapid.IntRange(0, 4).Draw(t, label+"?") > 0 {
		return nil
	}
	return at(time.Duration(rapid.IntRange(0, 60).Draw(t, label)) * time.Minute)
}

// drawCurriculum makes a curriculum of known ids, so that a second one is a
// change of the first: other order, moved items, published or not, resources
// placed twice, prerequisites in both directions and in cycles.
func drawCurriculum(t *rapid.T, relocks map[uuid.UUID]int64) events.CurriculumState {
	doc := events.CurriculumState{CourseID: id('c', 1)}
	order := rapid.Permutation([]int{1, 2, 3, 4}).Draw(t, "order")
	perModule := map[int][]int{}
	for n := 1; n <= 8; n++ {
		module := rapid.IntRange(0, len(order)).Draw(t, "module of item")
		perModule[module] = append(perModule[module], n) // 0: not there
	}
	for _, n := range order {
		if rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
			continue
		}
		m := events.CurriculumPart{
			ID: id('m', n), Title: fmt.Sprint("module ", n), Published: rapid.IntRange(0, 5).Draw(t, "published") > 0,
			Sequential: rapid.Bool().Draw(t, "sequential"), UnlockAt: drawDate(t, "unlock module"), Relock: relocks[id('m', n)],
		}
		if rapid.IntRange(0, 2).Draw(t, "n of m") == 0 {
			needed := rapid.IntRange(1, 3).Draw(t, "n")
			m.RequiredCount = &needed
		}
		for p := 1; p <= 4; p++ {
			if p != n && rapid.IntRange(0, 3).Draw(t, "prerequisite") == 0 {
				m.Prerequisites = append(m.Prerequisites, id('m', p))
			}
		}
		for _, i := range perModule[n] {
			it := events.CurriculumItem{
				ID: id('i', i), Kind: events.ItemAssignment, Title: fmt.Sprint("item ", i), UnlockAt: drawDate(t, "unlock item"),
				Visible: m.Published && rapid.IntRange(0, 5).Draw(t, "visible") > 0, Requirement: drawRequirement(t),
			}
			if r := rapid.IntRange(0, 5).Draw(t, "resource"); r > 0 {
				res := id('r', r)
				it.ResourceID = &res
			}
			m.Items = append(m.Items, it)
		}
		doc.Modules = append(doc.Modules, m)
	}
	return doc
}

func drawFacts(t *rapid.T, was Facts, now time.Time) Facts {
	f := was
	flip := func(p *time.Time) *time.Time {
		if p != nil {
			return nil
		}
		return &now
	}
	switch rapid.IntRange(0, 5).Draw(t, "fact") {
	case 0:
		if f.ViewedAt == nil {
			f.ViewedAt = &now
		}
	case 1:
		f.DoneAt = flip(f.DoneAt)
	case 2:
		f.SubmittedAt = flip(f.SubmittedAt)
	case 3:
		f.ExcusedAt = flip(f.ExcusedAt)
	default:
		f.Score, f.Possible, f.GradedAt = h(float64(rapid.IntRange(0, 10).Draw(t, "score"))), h(10), &now
	}
	return f
}

// TestEngineAgainstModel walks histories of facts, curriculum changes, re-locks
// and passing time, and wants the engine, which stores only exceptions, to agree
// with the model, which remembers everything, at each moment.
func TestEngineAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		relocks := map[uuid.UUID]int64{}
		doc := drawCurriculum(t, relocks)
		plain := newModel(doc, start)
		curriculum := Compile(doc, 1)
		record := NewRecord()
		now := start
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "minutes")) * time.Minute)
			next, facts := curriculum, map[uuid.UUID]Facts{}
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				if rapid.Bool().Draw(t, "relock") {
					relocks[id('m', rapid.IntRange(1, 4).Draw(t, "relocked"))]++
				}
				doc = drawCurriculum(t, relocks)
				next = Compile(doc, curriculum.Seq+1)
			case 1: // only time
			default:
				subject := id('r', rapid.IntRange(1, 5).Draw(t, "subject"))
				if rapid.IntRange(0, 3).Draw(t, "item fact") == 0 {
					subject = id('i', rapid.IntRange(1, 8).Draw(t, "item"))
				}
				facts[subject] = drawFacts(t, record.Facts[subject], now)
			}
			states := plain.change(doc, facts, now)
			out := Apply(record, Change{Old: curriculum, New: next, Facts: facts, From: start, Now: now})
			record, curriculum = out.Record, next
			agree(t, plain, states, out.After, now)
			checkDiff(t, out)
			// The stored record alone gives the same view again.
			again := Evaluate(curriculum, record, start, now)
			agree(t, plain, states, again, now)
		}
	})
}

func agree(t *rapid.T, plain *model, states map[uuid.UUID]modelModule, v View, now time.Time) {
	published := 0
	for _, mod := range plain.doc.Modules {
		if !mod.Published {
			continue
		}
		published++
		want := states[mod.ID]
		got, ok := v.Module(mod.ID)
		require.True(t, ok)
		require.Equal(t, want.unlocked, got.State != Locked, "%s unlocked", mod.Title)
		require.Equal(t, want.unlocked, len(got.Reasons) == 0, "%s says why (rule 11)", mod.Title)
		require.Equal(t, want.needed, got.Needed, "%s needed", mod.Title)
		require.Equal(t, want.met, got.Met, "%s met", mod.Title)
		require.Equal(t, want.completedAt, got.CompletedAt, "%s completed at", mod.Title)
		for i, it := range mod.Items {
			iv, shown := got.item(it.ID)
			require.Equal(t, visible(mod, it), shown, "rule 9: %s shown", it.Title)
			if !shown {
				continue
			}
			open := plain.opens(mod, i, want, now)
			require.Equal(t, open, iv.Open, "%s open", it.Title)
			require.Equal(t, open, len(iv.Reasons) == 0, "rule 11: %s says why", it.Title)
			wantAt, done := plain.itemDone[it.ID]
			require.Equal(t, done, iv.CompletedAt != nil, "%s completed", it.Title)
			if done {
				require.True(t, wantAt.Equal(*iv.CompletedAt), "rule 12: %s", it.Title)
			}
		}
	}
	require.Len(t, v.Modules, published)
	required, met := plain.totals(states)
	require.Equal(t, required, v.Required, "rule 10: required")
	require.Equal(t, met, v.Met, "rule 10: met")
}

func checkDiff(t *rapid.T, out Outcome) {
	for _, id := range out.Completed {
		require.Contains(t, out.Record.Completed, id)
	}
	for _, id := range out.Regressed {
		require.NotContains(t, out.Record.Completed, id)
		require.False(t, slices.Contains(out.Completed, id))
	}
}
