package grading

import (
	"encoding/binary"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// number is an id whose order is that of n.
func number(n int) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// item is a posted score in group 1; -1 is ungraded.
func item(id int, score, possible Hundredths) Item {
	it := Item{ID: number(id), Group: number(1), Possible: possible, Posted: true}
	if score >= 0 {
		it.Score = &score
	}
	return it
}

func in(group int, it Item) Item {
	it.Group = number(group)
	return it
}

func excused(it Item) Item { it.Excused = true; return it }
func omitted(it Item) Item { it.Omitted = true; return it }
func hidden(it Item) Item  { it.Posted = false; return it }

func weighted(groups map[int]Hundredths, items ...Item) Book {
	b := Book{Weighted: true, Items: items}
	for n := 1; n <= 9; n++ {
		if w, ok := groups[n]; ok {
			b.Groups = append(b.Groups, Group{ID: number(n), Weight: w})
		}
	}
	return b
}

func plain(items ...Item) Book {
	return Book{Groups: []Group{{ID: number(1)}, {ID: number(2)}}, Items: items}
}

func TestTotals(t *testing.T) { // rules 22, 24
	t.Parallel()
	const none = Hundredths(-1)
	for name, c := range map[string]struct {
		book           Book
		current, final Hundredths
	}{
		"nothing is null":                           {plain(), none, none},
		"all ungraded":                              {plain(item(1, -1, 10_00)), none, 0},
		"points add up":                             {plain(item(1, 5_00, 10_00), in(2, item(2, 25_00, 30_00))), 75_00, 75_00},
		"ungraded counts as 0 in final only":        {plain(item(1, 8_00, 10_00), item(2, -1, 10_00)), 80_00, 40_00},
		"excused is in neither":                     {plain(item(1, 8_00, 10_00), excused(item(2, -1, 10_00)), excused(item(3, 1_00, 10_00))), 80_00, 80_00},
		"omitted is in neither":                     {plain(item(1, 8_00, 10_00), omitted(item(2, 0, 10_00))), 80_00, 80_00},
		"extra credit has no possible":              {plain(item(1, 8_00, 10_00), item(2, 1_00, 0)), 90_00, 90_00},
		"only extra credit is null":                 {plain(item(1, 5_00, 0)), none, none},
		"more than 100":                             {plain(item(1, 15_00, 10_00)), 150_00, 150_00},
		"a third is rounded at the end":             {plain(item(1, 1_00, 3_00)), 33_33, 33_33},
		"two thirds":                                {plain(item(1, 2_00, 3_00)), 66_67, 66_67},
		"half up":                                   {plain(item(1, 1, 8_00)), 13, 13}, // 0.125
		"weights that are 100":                      {weighted(map[int]Hundredths{1: 40_00, 2: 60_00}, item(1, 5_00, 10_00), in(2, item(2, 10_00, 10_00))), 80_00, 80_00},
		"weights below 100 are scaled up":           {weighted(map[int]Hundredths{1: 20_00, 2: 30_00}, item(1, 5_00, 10_00), in(2, item(2, 10_00, 10_00))), 80_00, 80_00},
		"weights above 100 are not scaled down":     {weighted(map[int]Hundredths{1: 80_00, 2: 120_00}, item(1, 5_00, 10_00), in(2, item(2, 10_00, 10_00))), 160_00, 160_00},
		"groups without possible are skipped":       {weighted(map[int]Hundredths{1: 40_00, 2: 60_00}, item(1, 5_00, 10_00), in(2, item(2, 10_00, 0))), 50_00, 50_00},
		"a group without items is skipped":          {weighted(map[int]Hundredths{1: 40_00, 2: 60_00}, item(1, 5_00, 10_00)), 50_00, 50_00},
		"an ungraded group counts in final":         {weighted(map[int]Hundredths{1: 40_00, 2: 60_00}, item(1, 5_00, 10_00), in(2, item(2, -1, 10_00))), 50_00, 20_00},
		"all groups empty":                          {weighted(map[int]Hundredths{1: 40_00, 2: 60_00}), none, none},
		"only groups without weight":                {weighted(map[int]Hundredths{1: 0}, item(1, 5_00, 10_00)), none, none},
		"a group without weight beside one with":    {weighted(map[int]Hundredths{1: 0, 2: 50_00}, item(1, 0, 10_00), in(2, item(2, 9_00, 10_00))), 90_00, 90_00},
		"what is in no group adds up with the rest": {plain(item(1, 5_00, 10_00), in(0, item(2, 10_00, 10_00))), 75_00, 75_00},
		"and weighs what the groups leave":          {weighted(map[int]Hundredths{1: 40_00}, item(1, 5_00, 10_00), in(0, item(2, 10_00, 10_00))), 80_00, 80_00},
		"or nothing":                                {weighted(map[int]Hundredths{1: 100_00}, item(1, 5_00, 10_00), in(0, item(2, 10_00, 10_00))), 50_00, 50_00},
		"a weighted course without groups":          {weighted(nil, in(0, item(2, 9_00, 10_00))), 90_00, 90_00},
		"sixths are exact": {
			weighted(map[int]Hundredths{1: 33_33, 2: 33_33, 3: 33_34}, item(1, 1_00, 6_00), in(2, item(2, 1_00, 6_00)), in(3, item(3, 1_00, 6_00))),
			16_67, 16_67,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range []View{Staff, Posted} {
				got := c.book.Totals(v)
				for _, side := range []struct {
					want Hundredths
					got  *Hundredths
				}{{c.current, got.Current.Percent}, {c.final, got.Final.Percent}} {
					if side.want == none {
						require.Nil(t, side.got)
					} else {
						require.Equal(t, side.want, *side.got)
					}
				}
			}
		})
	}
}

func TestWhatIsNotPostedIsUngradedToThePerson(t *testing.T) { // rule 25
	t.Parallel()
	b := plain(item(1, 8_00, 10_00), hidden(item(2, 2_00, 10_00)))
	require.Equal(t, Hundredths(50_00), *b.Totals(Staff).Current.Percent)
	require.Equal(t, Hundredths(50_00), *b.Totals(Staff).Final.Percent)
	require.Equal(t, Hundredths(80_00), *b.Totals(Posted).Current.Percent)
	require.Equal(t, Hundredths(40_00), *b.Totals(Posted).Final.Percent)

	b = plain(item(1, 8_00, 10_00), hidden(excused(item(2, -1, 10_00))))
	require.Equal(t, Hundredths(80_00), *b.Totals(Staff).Final.Percent)
	require.Equal(t, Hundredths(40_00), *b.Totals(Posted).Final.Percent, "that one is excused is hidden as well")
}

func TestThePostedTotalNeverDropsWhatIsNotPosted(t *testing.T) { // rule 25
	t.Parallel()
	b := plain(item(1, 8_00, 10_00), item(2, 5_00, 10_00), hidden(item(3, 1_00, 10_00)))
	b.Groups[0].Drop.Lowest = 1
	require.Equal(t, map[uuid.UUID]bool{number(3): true}, b.Totals(Staff).Current.Dropped)
	require.Equal(t, Hundredths(65_00), *b.Totals(Staff).Final.Percent)
	require.Equal(t, map[uuid.UUID]bool{number(2): true}, b.Totals(Posted).Current.Dropped)
	require.Equal(t, Hundredths(80_00), *b.Totals(Posted).Current.Percent)
	require.Equal(t, map[uuid.UUID]bool{number(2): true}, b.Totals(Posted).Final.Dropped, "the hidden one counts as 0 and stays")
	require.Equal(t, Hundredths(40_00), *b.Totals(Posted).Final.Percent)
}

func TestCurrentDropsAfterTheUngradedAreOut(t *testing.T) { // rule 23
	t.Parallel()
	b := plain(item(1, 8_00, 10_00), item(2, 5_00, 10_00), item(3, -1, 10_00))
	b.Groups[0].Drop.Lowest = 1
	got := b.Totals(Staff)
	require.Equal(t, map[uuid.UUID]bool{number(2): true}, got.Current.Dropped)
	require.Equal(t, map[uuid.UUID]bool{number(3): true}, got.Final.Dropped)
	require.Equal(t, Hundredths(80_00), *got.Current.Percent)
	require.Equal(t, Hundredths(65_00), *got.Final.Percent)
}

func TestDroppingMaximisesTheRatioNotTheScore(t *testing.T) { // rule 23
	t.Parallel()
	// The example by which greedy dropping fails: the lowest percent is that of a
	// small item, and dropping the large one is worth more.
	b := plain(item(1, 2_00, 2_00), item(2, 1_00, 10_00), item(3, 20_00, 100_00), item(4, 0, 1_00))
	b.Groups[0].Drop.Lowest = 2
	got := b.Totals(Staff).Final
	require.Equal(t, map[uuid.UUID]bool{number(2): true, number(3): true}, got.Dropped)
}

func TestDropCountsAreClamped(t *testing.T) { // rule 23
	t.Parallel()
	for name, c := range map[string]struct{ lowest, highest, n, wantLowest, wantHighest int }{
		"one stays":                             {5, 0, 3, 2, 0},
		"exactly all":                           {3, 0, 3, 2, 0},
		"lowest wins over highest":              {2, 1, 3, 2, 0},
		"both fit":                              {1, 1, 3, 1, 1},
		"highest alone":                         {0, 3, 3, 0, 0},
		"highest one less than all":             {0, 2, 3, 0, 2},
		"one item is never dropped":             {1, 1, 1, 0, 0},
		"no items":                              {1, 1, 0, 0, 0},
		"negative numbers are none":             {-1, -2, 3, 0, 0},
		"lowest clamped, then nothing to spare": {9, 1, 4, 3, 0},
	} {
		lowest, highest := Dropping{Lowest: c.lowest, Highest: c.highest}.counts(c.n)
		require.Equal(t, []int{c.wantLowest, c.wantHighest}, []int{lowest, highest}, name)
	}
}

func TestDropsByHand(t *testing.T) { // rule 23
	t.Parallel()
	for name, c := range map[string]struct {
		drop  Dropping
		items []Item
		want  []int
	}{
		"the lowest":                      {Dropping{Lowest: 1}, []Item{item(1, 5_00, 10_00), item(2, 4_00, 10_00), item(3, 9_00, 10_00)}, []int{2}},
		"the highest":                     {Dropping{Highest: 1}, []Item{item(1, 5_00, 10_00), item(2, 4_00, 10_00), item(3, 9_00, 10_00)}, []int{3}},
		"both":                            {Dropping{Lowest: 1, Highest: 1}, []Item{item(1, 5_00, 10_00), item(2, 4_00, 10_00), item(3, 9_00, 10_00)}, []int{2, 3}},
		"of equals the lower id stays":    {Dropping{Lowest: 1}, []Item{item(2, 5_00, 10_00), item(3, 5_00, 10_00), item(1, 5_00, 10_00)}, []int{3}},
		"equal ratios of unequal size":    {Dropping{Lowest: 1}, []Item{item(1, 5_00, 10_00), item(2, 10_00, 20_00)}, []int{2}},
		"never-drop items stay":           {Dropping{Lowest: 1, Never: map[uuid.UUID]bool{number(1): true}}, []Item{item(1, 0, 10_00), item(2, 4_00, 10_00), item(3, 9_00, 10_00)}, []int{2}},
		"never-drop items are not in n":   {Dropping{Lowest: 2, Never: map[uuid.UUID]bool{number(1): true}}, []Item{item(1, 0, 10_00), item(2, 4_00, 10_00), item(3, 9_00, 10_00)}, []int{2}},
		"all possible 0: the scores":      {Dropping{Lowest: 1, Highest: 1}, []Item{item(1, 5_00, 0), item(2, 4_00, 0), item(3, 9_00, 0)}, []int{2, 3}},
		"extra credit is not all we keep": {Dropping{Lowest: 1}, []Item{item(1, 5_00, 10_00), item(2, 3_00, 0)}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Book{Groups: []Group{{ID: number(1), Drop: c.drop}}, Items: c.items}
			want := map[uuid.UUID]bool{}
			for _, n := range c.want {
				want[number(n)] = true
			}
			require.Equal(t, want, b.Totals(Staff).Current.Dropped)
		})
	}
}
