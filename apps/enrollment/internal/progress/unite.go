package progress

import (
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Unite makes one record of two that the same person has in a course: of each
// subject the best of both. What is completed in both is so since the earlier of
// the times; what either keeps open stays open (rule 8). The facts are given apart,
// as Apply takes them: what follows from them is not judged yet.
func Unite(a, b Record) (Record, map[uuid.UUID]Facts) {
	facts := maps.Clone(b.Facts)
	for subject, f := range a.Facts {
		facts[subject] = f.unite(facts[subject])
	}
	out := Record{Facts: a.Facts, Completed: maps.Clone(a.Completed), Modules: maps.Clone(a.Modules)}
	for item, at := range b.Completed {
		if since, ok := out.Completed[item]; ok && at.Before(since) {
			out.Completed[item] = at
		}
	}
	for module, kept := range b.Modules {
		out.Modules[module] = out.Modules[module].unite(kept)
	}
	return out, facts
}

// unite keeps the first time of everything that sticks (rule 3), and the better
// score: the greater part of what was possible, of equals the one that was there
// first.
func (f Facts) unite(o Facts) Facts {
	best, other := f, o
	if o.scoresAbove(f) {
		best, other = o, f
	}
	if best.Possible == nil && best.Score == nil {
		best.Possible = other.Possible
	}
	best.ViewedAt = earlier(f.ViewedAt, o.ViewedAt)
	best.DoneAt = earlier(f.DoneAt, o.DoneAt)
	best.SubmittedAt = earlier(f.SubmittedAt, o.SubmittedAt)
	best.ExcusedAt = earlier(f.ExcusedAt, o.ExcusedAt)
	best.Watched = max(f.Watched, o.Watched)
	return best
}

func (f Facts) scoresAbove(o Facts) bool {
	switch {
	case f.Score == nil || f.GradedAt == nil:
		return false
	case o.Score == nil || o.GradedAt == nil:
		return true
	}
	a, b := int64(*f.Score), int64(*o.Score)
	if f.Possible != nil && o.Possible != nil && *f.Possible > 0 && *o.Possible > 0 {
		a, b = a*int64(*o.Possible), b*int64(*f.Possible)
	}
	return a > b || a == b && f.GradedAt.Before(*o.GradedAt)
}

func (m ModuleRecord) unite(o ModuleRecord) ModuleRecord {
	out := ModuleRecord{KeptAt: earlier(m.KeptAt, o.KeptAt), KeptItems: slices.Clone(m.KeptItems)}
	for _, item := range o.KeptItems {
		if !slices.Contains(out.KeptItems, item) {
			out.KeptItems = append(out.KeptItems, item)
		}
	}
	return out
}
