package coursework

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/grading"
)

// Of four pieces of work, 10 points each, the lowest is dropped: 8 and 6 are given,
// and two are ungraded.
func TestUngradedWorkIsDroppedUnlessThatWouldTellWhatIsHidden(t *testing.T) { // rules 23 to 25
	t.Parallel()
	for name, c := range map[string]struct {
		posting       string // of what is ungraded
		hidden        *Points
		staff, posted string
	}{
		"nothing can be hidden":           {posting: PostAutomatic, staff: "46.67", posted: "46.67"}, // 14 of 30
		"a grade could be hidden":         {posting: PostManual, staff: "46.67", posted: "26.67"},    // 8 of 30
		"a grade is hidden":               {posting: PostManual, hidden: points(9_00), staff: "76.67", posted: "26.67"},
		"a grade that was posted is back": {posting: PostAutomatic, hidden: points(9_00), staff: "76.67", posted: "46.67"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := uuid.New()
			in := Counting{Scheme: grading.Standard(), Groups: []Group{{ID: group, DropLowest: 1}}}
			scores := map[uuid.UUID]ScoredItem{}
			for i := range 4 {
				col := Column{ID: uuid.New(), GroupID: &group, Points: 10_00, Posting: PostAutomatic}
				switch {
				case i < 2:
					scores[col.ID] = ScoredItem{ColumnID: col.ID, Score: points(Points(8-2*i) * 100), Posted: true}
				default:
					col.Posting = c.posting
					if i == 2 && c.hidden != nil {
						scores[col.ID] = ScoredItem{ColumnID: col.ID, Score: c.hidden}
					}
				}
				in.Columns = append(in.Columns, col)
			}
			got := in.count(scores)
			require.Equal(t, in.book(scores).Totals(grading.Staff), got.Staff, "staff see what the rules make of every score")
			require.Equal(t, []string{c.staff, c.posted}, []string{got.Staff.Final.Percent.String(), got.Posted.Final.Percent.String()})
		})
	}
}

func points(p Points) *Points { return &p }
