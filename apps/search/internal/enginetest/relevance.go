package enginetest

import (
	"cmp"
	"embed"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/search"
	"lms/shared/contracts/events"
	"lms/shared/page"
)

// relevance is the catalogue of the demonstration organisation, kept the same by its
// own test (apps/lms/internal/demo), with what people should find in it.
//
//go:embed relevance
var relevance embed.FS //nolint:gochecknoglobals // embedded files

// demoCourse is a course of the catalogue.
type demoCourse struct {
	Code        string   `json:"code"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Language    string   `json:"language"`
	Level       string   `json:"level"`
	Category    string   `json:"category"`
	Tags        []string `json:"tags"`
}

// judgement says how good each title is as an answer to a question.
type judgement struct {
	question string
	grades   map[string]float64
}

// grade of a course: of its code, else of its title with its level, else of its topic.
func (j judgement) grade(code, title, level string) float64 {
	if g, ok := j.grades[code]; ok {
		return g
	}
	topic, _, _ := strings.Cut(title, ", "+level)
	if g, ok := j.grades[topic+", "+level]; ok {
		return g
	}
	return j.grades[topic]
}

func judgements(t testing.TB) []judgement {
	t.Helper()
	raw, err := relevance.ReadFile("relevance/judgements.txt")
	require.NoError(t, err)
	var out []judgement
	for line := range strings.Lines(string(raw)) {
		question, list, ok := strings.Cut(strings.TrimSpace(line), " | ")
		if !ok {
			continue
		}
		j := judgement{question: question, grades: map[string]float64{}}
		for _, entry := range splitGrades(list) {
			at := strings.LastIndex(entry, " ")
			grade, err := strconv.ParseFloat(entry[at+1:], 64)
			require.NoError(t, err, line)
			j.grades[entry[:at]] = grade
		}
		out = append(out, j)
	}
	return out
}

// splitGrades: a comma may also stand before a level.
func splitGrades(list string) []string {
	var out []string
	for _, part := range strings.Split(list, ", ") {
		if n := len(out); n > 0 && !strings.ContainsAny(out[n-1][len(out[n-1])-1:], "0123456789") {
			out[n-1] += ", " + part
		} else {
			out = append(out, part)
		}
	}
	return out
}

// Floor is what Relevance may not fall below.
const Floor = 0.95

// Relevance measures how good the first ten results are: 1 is the best order that the
// catalogue allows. It fails below the floor.
func Relevance(t *testing.T, open Open, floor float64) {
	w := newWorld(t, open)
	raw, err := relevance.ReadFile("relevance/catalogue.json")
	require.NoError(t, err)
	var catalogue []demoCourse
	require.NoError(t, json.Unmarshal(raw, &catalogue))
	for part := range slices.Chunk(catalogue, 100) {
		var courses []events.CourseState
		for _, c := range part {
			courses = append(courses, course(1, c.Title, c.Description, func(s *events.CourseState) {
				s.ID, s.Code, s.Language, s.Level, s.CategoryName, s.Tags = uuid.NewSHA1(uuid.NameSpaceOID, []byte(c.Code)), c.Code, c.Language, c.Level, c.Category, c.Tags
			}))
		}
		w.add(courses...)
	}
	all := judgements(t)
	require.GreaterOrEqual(t, len(all), 60)
	type scored struct {
		question string
		ndcg     float64
	}
	var results []scored
	sum := 0.0
	for _, j := range all {
		found, err := w.service.Search(t.Context(), member(1), search.Params{Text: j.question}, page.Request{Limit: 10})
		require.NoError(t, err)
		n := ndcg(j, found.Items, catalogue)
		sum += n
		results = append(results, scored{j.question, n})
	}
	mean := sum / float64(len(all))
	slices.SortFunc(results, func(a, b scored) int { return cmp.Compare(a.ndcg, b.ndcg) })
	for _, r := range results[:8] {
		t.Logf("%.2f %s", r.ndcg, r.question)
	}
	t.Logf("NDCG@10 of %d questions in %d courses: %.3f (floor %.2f)", len(all), len(catalogue), mean, floor)
	require.GreaterOrEqual(t, mean, floor)
}

// ndcg is the gain of what was found, discounted by its place, as a share of the most
// that was possible.
func ndcg(j judgement, items []search.Item, catalogue []demoCourse) float64 {
	gain := func(grade float64, at int) float64 { return (math.Exp2(grade) - 1) / math.Log2(float64(at)+2) }
	got, best := 0.0, 0.0
	for i, item := range items {
		got += gain(j.grade(item.Code, item.Title, item.Level), i)
	}
	var ideal []float64
	for _, c := range catalogue {
		ideal = append(ideal, j.grade(c.Code, c.Title, c.Level))
	}
	slices.SortFunc(ideal, func(a, b float64) int { return cmp.Compare(b, a) })
	for i, g := range ideal[:min(10, len(ideal))] {
		best += gain(g, i)
	}
	if best == 0 {
		return 0
	}
	return got / best
}
