package grading

import (
	"bytes"
	"maps"
	"math/big"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The model is rules 22 to 25 written down a second time, on fractions and
// without any thought of speed: it looks at every choice there is.

type choice []scored

func (c choice) ratio() *big.Rat { // nil where nothing is possible
	s, p := int64(0), int64(0)
	for _, it := range c {
		s, p = s+int64(it.score), p+int64(it.possible)
	}
	if p == 0 {
		return nil
	}
	return big.NewRat(s, p)
}

func (c choice) score() *big.Rat {
	s := int64(0)
	for _, it := range c {
		s += int64(it.score)
	}
	return big.NewRat(s, 1)
}

func (c choice) ids() []byte {
	var list []uuid.UUID
	for _, it := range c {
		list = append(list, it.id)
	}
	slices.SortFunc(list, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var out []byte
	for _, id := range list {
		out = append(out, id[:]...)
	}
	return out
}

// choices are all ways to take n of the items.
func choices(items []scored, n int) []choice {
	if n == 0 {
		return []choice{nil}
	}
	if len(items) < n {
		return nil
	}
	out := choices(items[1:], n)
	for _, c := range choices(items[1:], n-1) {
		out = append(out, append(choice{items[0]}, c...))
	}
	return out
}

// bestOf tries all choices: by ratio with the fixed ones where there is one, else
// by score; of equal ones that with the lowest ids.
func bestOf(items, fixed []scored, n int, low bool) choice {
	all := choices(items, n)
	value := func(c choice) *big.Rat { return choice(append(slices.Clone(fixed), c...)).ratio() }
	if !slices.ContainsFunc(all, func(c choice) bool { return value(c) != nil }) {
		value = choice.score
	}
	var winner choice
	var top *big.Rat
	for _, c := range all {
		v := value(c)
		if v == nil {
			continue
		}
		cmp := 1
		if top != nil {
			if cmp = v.Cmp(top); low {
				cmp = -cmp
			}
		}
		if cmp > 0 || cmp == 0 && bytes.Compare(c.ids(), winner.ids()) < 0 {
			winner, top = c, v
		}
	}
	return winner
}

func modelKept(d Dropping, items []scored) []scored {
	var fixed, free choice
	for _, it := range items {
		if it.fixed || d.Never[it.id] {
			fixed = append(fixed, it)
		} else {
			free = append(free, it)
		}
	}
	if len(free) == 0 {
		return fixed
	}
	lowest, highest := d.Lowest, d.Highest
	if lowest >= len(free) {
		lowest = len(free) - 1
	}
	if lowest+highest >= len(free) {
		highest = 0
	}
	kept := bestOf(free, fixed, len(free)-lowest, false)
	kept = bestOf(kept, fixed, len(free)-lowest-highest, true)
	return append(fixed, kept...)
}

func modelTotal(b Book, v View, final bool) *big.Rat {
	ratio, weights := new(big.Rat), new(big.Rat)
	var all choice
	groups := slices.Clone(b.Groups)
	rest := Group{Weight: 100_00}
	for _, g := range groups {
		if rest.Weight -= g.Weight; rest.Weight < 0 {
			rest.Weight = 0
		}
	}
	for _, g := range append(groups, rest) {
		var items []scored
		for _, it := range b.Items {
			unseen := v == Posted && !it.Posted
			ungraded := it.Score == nil || unseen
			if it.Group != g.ID || it.Omitted || it.Excused && !unseen || ungraded && !final {
				continue
			}
			s := scored{id: it.ID, possible: it.Possible, fixed: unseen}
			if !ungraded {
				s.score = *it.Score
			}
			items = append(items, s)
		}
		kept := choice(modelKept(g.Drop, items))
		all = append(all, kept...)
		if r := kept.ratio(); r != nil {
			w := big.NewRat(int64(g.Weight), 10000)
			weights.Add(weights, w)
			ratio.Add(ratio, w.Mul(w, r))
		}
	}
	switch {
	case !b.Weighted:
		return all.ratio()
	case weights.Sign() == 0:
		return nil
	case weights.Cmp(big.NewRat(1, 1)) < 0:
		return ratio.Quo(ratio, weights)
	}
	return ratio
}

func drawItems(t *rapid.T, most int) []scored {
	n := rapid.IntRange(1, most).Draw(t, "n")
	out := make([]scored, n)
	for i := range out {
		out[i] = scored{
			id:       number(i + 1),
			score:    Hundredths(rapid.OneOf(rapid.IntRange(0, 4), rapid.IntRange(-500, 3000)).Draw(t, "score")),
			possible: Hundredths(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 4), rapid.IntRange(1, 2000)).Draw(t, "possible")),
			fixed:    rapid.IntRange(0, 5).Draw(t, "fixed") == 0,
		}
	}
	perm := rapid.Permutation(out).Draw(t, "order")
	return perm
}

func drawDropping(t *rapid.T) Dropping {
	d := Dropping{Lowest: rapid.IntRange(0, 5).Draw(t, "lowest"), Highest: rapid.IntRange(0, 4).Draw(t, "highest"), Never: map[uuid.UUID]bool{}}
	for range rapid.IntRange(0, 2).Draw(t, "never") {
		d.Never[number(rapid.IntRange(1, 8).Draw(t, "never id"))] = true
	}
	return d
}

func TestEachStepOfDroppingIsOptimal(t *testing.T) { // rule 23
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var fixed, free []scored
		for _, it := range drawItems(t, 8) {
			if it.fixed {
				fixed = append(fixed, it)
			} else {
				free = append(free, it)
			}
		}
		if len(free) == 0 {
			return
		}
		slices.SortFunc(free, func(a, b scored) int { return bytes.Compare(a.id[:], b.id[:]) })
		n := rapid.IntRange(1, len(free)).Draw(t, "keep")
		low := rapid.Bool().Draw(t, "low")
		require.Equal(t, bestOf(free, fixed, n, low).ids(), choice(keep(free, fixed, n, low)).ids())
	})
}

func TestDroppingIsAsTheRuleIsWritten(t *testing.T) { // rule 23
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items, d := drawItems(t, 8), drawDropping(t)
		want := map[uuid.UUID]bool{}
		for _, it := range items {
			want[it.id] = true
		}
		for _, it := range modelKept(d, items) {
			delete(want, it.id)
		}
		got := maps.Clone(d.dropped(items))
		if got == nil {
			got = map[uuid.UUID]bool{}
		}
		require.Equal(t, want, got)
	})
}

func drawBook(t *rapid.T) Book {
	b := Book{Weighted: rapid.Bool().Draw(t, "weighted")}
	for g := range rapid.IntRange(1, 3).Draw(t, "groups") {
		b.Groups = append(b.Groups, Group{ID: number(100 + g), Weight: Hundredths(rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 70_00)).Draw(t, "weight")), Drop: drawDropping(t)})
	}
	for i, s := range drawItems(t, 8) {
		it := Item{
			ID: number(i + 1), Group: rapid.SampledFrom(append(slices.Clone(b.Groups), Group{})).Draw(t, "group").ID, Possible: s.possible,
			Excused: rapid.IntRange(0, 5).Draw(t, "excused") == 0, Omitted: rapid.IntRange(0, 8).Draw(t, "omitted") == 0,
			Posted: rapid.IntRange(0, 3).Draw(t, "posted") > 0,
		}
		if rapid.IntRange(0, 3).Draw(t, "graded") > 0 {
			it.Score = &s.score
		}
		b.Items = append(b.Items, it)
	}
	return b
}

func TestTotalsAreAsTheRulesAreWritten(t *testing.T) { // rules 22 to 25
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t)
		for _, v := range []View{Staff, Posted} {
			got := b.Totals(v)
			for _, side := range []struct {
				exact *big.Rat
				got   Total
			}{{modelTotal(b, v, false), got.Current}, {modelTotal(b, v, true), got.Final}} {
				if side.exact == nil {
					require.Nil(t, side.got.Percent)
					continue
				}
				require.NotNil(t, side.got.Percent)
				off := new(big.Rat).Mul(side.exact, big.NewRat(10000, 1))
				off.Sub(big.NewRat(int64(*side.got.Percent), 1), off)
				require.LessOrEqual(t, off.Abs(off).Cmp(big.NewRat(1, 2)), 0, "rounded to hundredths")
				if v == Posted {
					for _, it := range b.Items {
						require.False(t, !it.Posted && side.got.Dropped[it.ID], "the posted total never drops an unposted item")
					}
				}
			}
		}
	})
}

func TestThePostedTotalsTellNothingOfWhatIsHidden(t *testing.T) { // rule 25
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t)
		before := b.Totals(Posted)
		changed := b
		changed.Items = slices.Clone(b.Items)
		for i := range changed.Items {
			if it := &changed.Items[i]; !it.Posted {
				it.Score = ptr(Hundredths(rapid.IntRange(0, 2000).Draw(t, "other score")))
				it.Excused = !it.Excused
			}
		}
		require.Equal(t, before, changed.Totals(Posted))
	})
}

func TestWithEverythingPostedBothSeeTheSame(t *testing.T) { // rule 25
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t)
		for i := range b.Items {
			b.Items[i].Posted = true
		}
		require.Equal(t, b.Totals(Staff), b.Totals(Posted))
	})
}

func BenchmarkTotals(b *testing.B) {
	book := Book{Weighted: true}
	for g := range 5 {
		book.Groups = append(book.Groups, Group{ID: number(1000 + g), Weight: 20_00, Drop: Dropping{Lowest: 2, Highest: 1}})
	}
	for i := range 100 {
		book.Items = append(book.Items, in(1000+i%5, item(i, Hundredths(i*37%1000), 10_00)))
	}
	for b.Loop() {
		book.Totals(Staff)
	}
}
