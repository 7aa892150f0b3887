package demo_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/demo"
)

var update = flag.Bool("update", false, "write the catalogue by which the search is judged") //nolint:gochecknoglobals // a flag

func TestTheSameSeedGivesTheSameOrganisation(t *testing.T) {
	t.Parallel()
	small, err := demo.SizeOf("small")
	require.NoError(t, err)
	require.Equal(t, demo.Make(small, 7), demo.Make(small, 7))
	require.NotEqual(t, demo.Make(small, 7), demo.Make(small, 8))
}

func TestEverySizeIsWholeAndConsistent(t *testing.T) {
	t.Parallel()
	for _, size := range demo.Sizes() {
		o := demo.Make(size, 1)
		require.Len(t, o.Courses, size.Courses)
		require.Len(t, o.Enrollments, size.Enrollments)
		emails, codes, pairs := map[string]bool{}, map[string]bool{}, map[[2]int]bool{}
		for _, p := range o.People {
			require.False(t, emails[p.Email], p.Email)
			emails[p.Email] = true
		}
		taken := make([]int, len(o.Courses))
		for _, c := range o.Courses {
			require.False(t, codes[c.Code], c.Code)
			codes[c.Code] = true
			require.True(t, o.People[c.Instructor].Instructor)
			require.GreaterOrEqual(t, len(c.Modules), 3)
		}
		for _, e := range o.Enrollments {
			require.False(t, pairs[[2]int{e.Person, e.Course}], "enrolled twice")
			pairs[[2]int{e.Person, e.Course}] = true
			require.False(t, o.People[e.Person].Instructor)
			taken[e.Course]++
			if limit := o.Courses[e.Course].Capacity; limit > 0 {
				require.LessOrEqual(t, taken[e.Course], limit)
			}
		}
	}
}

func TestAnUnknownSizeIsRefused(t *testing.T) {
	t.Parallel()
	_, err := demo.SizeOf("huge")
	require.ErrorContains(t, err, "huge")
}

// The catalogue by which the search is judged (apps/search/internal/enginetest) is the
// one of a large demo organisation.
func TestTheSearchIsJudgedByThisCatalogue(t *testing.T) {
	t.Parallel()
	type course struct {
		Code        string   `json:"code"`
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Language    string   `json:"language"`
		Level       string   `json:"level"`
		Category    string   `json:"category"`
		Tags        []string `json:"tags"`
	}
	size, err := demo.SizeOf("large")
	require.NoError(t, err)
	var courses []course
	for _, c := range demo.Make(size, 1).Courses {
		courses = append(courses, course{c.Code, c.Title, c.Description, c.Language, c.Level, c.Category, c.Tags})
	}
	want, err := json.MarshalIndent(courses, "", " ")
	require.NoError(t, err)
	const file = "../../../search/internal/enginetest/relevance/catalogue.json"
	if *update {
		require.NoError(t, os.WriteFile(file, append(want, '\n'), 0o644)) // a document
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", string(got), "go test ./apps/lms/internal/demo -update")
}
