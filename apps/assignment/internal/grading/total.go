package grading

import (
	"math/big"
	"slices"

	"github.com/google/uuid"
)

// Group is a group of assignments.
type Group struct {
	ID uuid.UUID
	// Weight in percent; it counts in a weighted course only.
	Weight Hundredths
	Drop   Dropping
}

// Item is one person's score in one assignment or quiz.
type Item struct {
	ID uuid.UUID
	// Group is uuid.Nil for what is in no group: the rest of the course.
	Group    uuid.UUID
	Possible Hundredths
	// Score is what counts, after any deduction; nil is ungraded.
	Score   *Hundredths
	Excused bool
	// Omitted: the assignment counts in no total.
	Omitted bool
	// Posted: the person may see the score and whether it is excused (rule 25).
	Posted bool
}

// Book is all of one person's scores in a course.
type Book struct {
	// Weighted: groups count by their weights, else all points are added up.
	Weighted bool
	Groups   []Group
	Items    []Item
}

// View is whose eyes a total is for (rule 25).
type View int

// The views: staff see every score, the person only what is posted.
const (
	Staff View = iota
	Posted
)

// Totals are a person's two totals in a course (rule 24).
type Totals struct {
	// Current ignores what is ungraded, Final counts it as 0.
	Current, Final Total
}

// Total is one of them.
type Total struct {
	// Percent is nil where nothing counts: never 0, and never a division by 0.
	Percent *Hundredths
	// Score and Possible are the points that are kept, unweighted.
	Score, Possible Hundredths
	// Groups are the groups in which something is possible.
	Groups map[uuid.UUID]GroupTotal
	// Dropped are the items that the drop rules left out.
	Dropped map[uuid.UUID]bool
}

// GroupTotal is what is kept of a group.
type GroupTotal struct {
	Score, Possible Hundredths
}

// Percent of the group's possible points; nil where nothing is possible.
func (g GroupTotal) Percent() *Hundredths { return Share(g.Score, g.Possible) }

// Totals computes both (rules 22 to 25).
func (b Book) Totals(v View) Totals {
	return Totals{Current: b.total(v, false), Final: b.total(v, true)}
}

func (b Book) total(v View, final bool) Total {
	items := make(map[uuid.UUID][]scored, len(b.Groups))
	for _, it := range b.Items {
		if s, counts := it.seen(v, final); counts {
			items[it.Group] = append(items[it.Group], s)
		}
	}
	t := Total{Groups: map[uuid.UUID]GroupTotal{}, Dropped: map[uuid.UUID]bool{}}
	groups := b.groups()
	for _, g := range groups {
		var sum GroupTotal
		dropped := g.Drop.dropped(items[g.ID])
		for _, it := range items[g.ID] {
			if dropped[it.id] {
				t.Dropped[it.id] = true
				continue
			}
			sum.Score, sum.Possible = sum.Score+it.score, sum.Possible+it.possible
		}
		t.Score, t.Possible = t.Score+sum.Score, t.Possible+sum.Possible
		if sum.Possible > 0 || !b.Weighted && sum.Score != 0 {
			t.Groups[g.ID] = sum
		}
	}
	t.Percent = Share(t.Score, t.Possible)
	if b.Weighted {
		t.Percent = weigh(groups, t.Groups)
	}
	return t
}

// groups are all of them, and what is in none: that weighs what the others leave
// of 100.
func (b Book) groups() []Group {
	rest := Group{ID: uuid.Nil, Weight: hundred}
	for _, g := range b.Groups {
		rest.Weight -= g.Weight
	}
	rest.Weight = max(rest.Weight, 0)
	return append(slices.Clone(b.Groups), rest)
}

// seen is the item as a total sees it, and whether it counts there. To the person
// a grade that is not posted is none: it counts as ungraded, excused or not, and
// is never dropped, since that would tell of it (rules 24, 25).
func (it Item) seen(v View, final bool) (scored, bool) {
	hidden := v == Posted && !it.Posted
	if it.Omitted || it.Excused && !hidden {
		return scored{}, false
	}
	s := scored{id: it.ID, possible: it.Possible, fixed: hidden}
	if it.Score != nil && !hidden {
		s.score = *it.Score
		return s, true
	}
	return s, final
}

// weigh adds the groups up by weight. Those with 0 possible are not there;
// weights that add up to less than 100 are scaled up, more than 100 stays (rule 22).
func weigh(groups []Group, totals map[uuid.UUID]GroupTotal) *Hundredths {
	sum, weights := new(big.Rat), Hundredths(0)
	for _, g := range groups {
		if t, ok := totals[g.ID]; ok {
			share := big.NewRat(int64(t.Score), int64(t.Possible))
			sum.Add(sum, share.Mul(share, big.NewRat(int64(g.Weight), 1)))
			weights += g.Weight
		}
	}
	if weights == 0 {
		return nil
	}
	if weights < hundred {
		sum.Mul(sum, big.NewRat(hundred, int64(weights)))
	}
	p := rounded(sum.Num(), sum.Denom())
	return &p
}
