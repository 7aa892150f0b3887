package grading

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/google/uuid"
)

// Dropping is how many scores of a group are left out (rule 23).
type Dropping struct {
	Lowest  int
	Highest int
	// Never are items that are not dropped.
	Never map[uuid.UUID]bool
}

// scored is an item as the drop rules see it.
type scored struct {
	id              uuid.UUID
	score, possible Hundredths
	fixed           bool // never dropped
}

// dropped says which items a group leaves out: first the lowest, so that the
// ratio of what stays is the highest, then the highest, so that it is the lowest
// (rule 23). Items that are never dropped count in the ratio. Of equal ones the
// lower id stays.
func (d Dropping) dropped(items []scored) map[uuid.UUID]bool {
	var fixed, free []scored
	for _, it := range items {
		if it.fixed || d.Never[it.id] {
			fixed = append(fixed, it)
		} else {
			free = append(free, it)
		}
	}
	slices.SortFunc(free, func(a, b scored) int { return bytes.Compare(a.id[:], b.id[:]) })
	lowest, highest := d.counts(len(free))
	if lowest == 0 && highest == 0 {
		return nil
	}
	kept := keep(free, fixed, len(free)-lowest, false)
	kept = keep(kept, fixed, len(kept)-highest, true)
	out := make(map[uuid.UUID]bool, lowest+highest)
	for _, it := range free {
		out[it.id] = true
	}
	for _, it := range kept {
		delete(out, it.id)
	}
	return out
}

// counts clamps the numbers so that at least one of n stays (rule 23).
func (d Dropping) counts(n int) (lowest, highest int) {
	lowest, highest = max(d.Lowest, 0), max(d.Highest, 0)
	switch {
	case n == 0:
		return 0, 0
	case lowest >= n:
		lowest = n - 1
	}
	if lowest+highest >= n {
		highest = 0
	}
	return lowest, highest
}

// keep chooses n of the items so that Σ score ÷ Σ possible, with the fixed ones,
// is the highest, or the lowest. A choice in which nothing is possible has no
// ratio and is taken only if there is no other; scores decide then.
//
// The ratio is found by Dinkelbach's method: a choice is the best of all if, at
// its own ratio q, no choice has a larger Σ (score − q × possible); a larger one
// has a better ratio, and is looked at next. It ends after a few rounds, at the
// exact ratio, since every number is whole.
func keep(items, fixed []scored, n int, low bool) []scored {
	if n >= len(items) {
		return items
	}
	base := sum(fixed)
	needsPointed := base.possible == 0 && slices.ContainsFunc(items, pointed)
	if base.possible == 0 && !needsPointed {
		return best(items, n, ratio{0, 1}, low, false)
	}
	chosen := best(items, n, ratio{0, 1}, low, needsPointed)
	for {
		q := sum(chosen).plus(base)
		next := best(items, n, q, low, needsPointed)
		if !better(sum(next).plus(base), q, low) {
			return next
		}
		chosen = next
	}
}

// ratio is points over possible points.
type ratio struct{ score, possible Hundredths }

func (r ratio) plus(o ratio) ratio { return ratio{r.score + o.score, r.possible + o.possible} }

func sum(items []scored) ratio {
	var r ratio
	for _, it := range items {
		r = r.plus(ratio{it.score, it.possible})
	}
	return r
}

func pointed(it scored) bool { return it.possible > 0 }

// better compares exactly; both have possible points.
func better(a, b ratio, low bool) bool {
	cmp := product(a.score, b.possible).Cmp(product(b.score, a.possible))
	return cmp > 0 && !low || cmp < 0 && low
}

// best are the n items of the largest (or smallest) score − q × possible, the
// lower id first among equals; with one that has possible points, if asked.
func best(items []scored, n int, q ratio, low, needsPointed bool) []scored {
	type valued struct {
		scored
		value *big.Int
	}
	all := make([]valued, len(items))
	for i, it := range items {
		v := product(it.score, q.possible)
		v.Sub(v, product(q.score, it.possible))
		if low {
			v.Neg(v)
		}
		all[i] = valued{it, v}
	}
	slices.SortStableFunc(all, func(a, b valued) int { return b.value.Cmp(a.value) }) // items are in the order of ids
	if needsPointed && !slices.ContainsFunc(all[:n], func(v valued) bool { return pointed(v.scored) }) {
		first := slices.IndexFunc(all, func(v valued) bool { return pointed(v.scored) })
		all[n-1] = all[first]
	}
	out := make([]scored, n)
	for i := range out {
		out[i] = all[i].scored
	}
	slices.SortFunc(out, func(a, b scored) int { return bytes.Compare(a.id[:], b.id[:]) })
	return out
}
