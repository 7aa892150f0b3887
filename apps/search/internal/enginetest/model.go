package enginetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/language"
	"lms/apps/search/internal/search"
)

// model answers as plainly as can be: it looks at every document.
type model map[string]search.Document

func (m model) write(docs []search.Document) {
	for _, d := range docs {
		if have, ok := m[d.ID]; !ok || d.Version >= have.Version {
			m[d.ID] = d
		}
	}
}

func (m model) answer(r search.Request) search.Result {
	out := search.Result{Facets: map[string][]search.Bucket{}}
	counts := map[string]map[string]int{}
	for id, d := range m {
		score, ok := matches(r.Query, d)
		if d.Gone || !ok {
			continue
		}
		out.Total++
		out.Hits = append(out.Hits, search.Hit{ID: id, Version: d.Version, Score: score, Source: d.Source})
		for _, f := range r.Facets {
			if counts[f] == nil {
				counts[f] = map[string]int{}
			}
			for _, v := range d.Keys[f] {
				counts[f][v]++
			}
		}
	}
	for _, f := range r.Facets {
		list := []search.Bucket{}
		for v, n := range counts[f] {
			list = append(list, search.Bucket{Value: v, Count: n})
		}
		slices.SortFunc(list, func(a, b search.Bucket) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
		})
		out.Facets[f] = list[:min(len(list), search.MaxBuckets)]
	}
	slices.SortFunc(out.Hits, func(a, b search.Hit) int { return m.compare(r.Sort, a, b) })
	return out
}

func (m model) compare(by []search.Order, a, b search.Hit) int {
	for _, o := range by {
		if o.Field == "" {
			if c := cmp.Compare(b.Score, a.Score); c != 0 {
				return c
			}
			continue
		}
		c := strings.Compare(m[a.ID].Sorts[o.Field], m[b.ID].Sorts[o.Field])
		if o.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.ID, b.ID)
}

// matches says whether a document matches, and with which score.
func matches(q search.Query, d search.Document) (score float64, ok bool) {
	some := func(field string, is func(string) bool) bool {
		return slices.ContainsFunc(d.Words[field], is) || slices.ContainsFunc(d.Keys[field], is)
	}
	switch q := q.(type) {
	case nil:
		return 0, true
	case search.Term:
		return q.Score, some(q.Field, func(w string) bool { return w == q.Value })
	case search.Prefix:
		return q.Score, some(q.Field, func(w string) bool { return strings.HasPrefix(w, q.Value) })
	case search.Fuzzy:
		same := string([]rune(q.Value)[:q.Prefix])
		return q.Score, some(q.Field, func(w string) bool {
			return strings.HasPrefix(w, same) && language.Distance(q.Value, w, q.Edits) <= q.Edits
		})
	case search.Phrase:
		for i := range d.Words[q.Field] {
			if rest := d.Words[q.Field][i:]; len(rest) >= len(q.Words) && slices.Equal(rest[:len(q.Words)], q.Words) {
				return q.Score, true
			}
		}
		return 0, false
	case search.In:
		return 0, some(q.Field, func(w string) bool { return slices.Contains(q.Values, w) })
	case search.Range:
		n, has := d.Numbers[q.Field]
		return 0, has && (q.Min == nil || n >= *q.Min) && (q.Max == nil || n <= *q.Max)
	case search.All:
		sum, n, _ := several(q, d)
		return sum, n == len(q)
	case search.Best:
		_, n, best := several(q, d)
		return best, n > 0
	case search.Most:
		sum, n, _ := several(q.Of, d)
		return sum, n >= q.Least
	case search.Scored:
		score, ok = matches(q.Must, d)
		more, _, _ := several(q.Should, d)
		_, not, _ := several(q.Not, d)
		return score + more, ok && not == 0
	}
	panic(fmt.Sprintf("query of an unknown kind: %T", q))
}

func several(qs []search.Query, d search.Document) (sum float64, n int, best float64) {
	for _, q := range qs {
		if s, ok := matches(q, d); ok {
			sum, n, best = sum+s, n+1, max(best, s)
		}
	}
	return sum, n, best
}

// guess makes documents and queries of few words, so that they meet often.
type guess struct{ *rand.Rand }

func (g guess) word() string {
	if g.IntN(4) == 0 {
		return g.letters("aé", 8)
	}
	return g.letters("abcé", 1+g.IntN(5))
}

func (g guess) letters(of string, n int) string {
	w := make([]rune, n)
	for i := range w {
		w[i] = pick(g, []rune(of))
	}
	return string(w)
}

func (g guess) words(n int) []string {
	out := make([]string, g.IntN(n))
	for i := range out {
		out[i] = g.word()
	}
	return out
}

func pick[T any](g guess, of []T) T { return of[g.IntN(len(of))] }

// unique leaves out what comes twice: a key is one.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

func (g guess) document(version int64) search.Document {
	s := search.Schema()
	id := fmt.Sprintf("%s.%d", pick(g, []string{search.TypeCourse, search.TypeContent}), g.IntN(400))
	kind, _, _ := strings.Cut(id, ".")
	d := search.Document{
		ID: id, Version: version, Gone: g.IntN(10) == 0, Words: map[string][]string{}, Keys: map[string][]string{search.KeyID: {id}, search.KeyType: {kind}},
		Sorts: map[string]string{}, Numbers: map[string]float64{}, Source: json.RawMessage(`{"title":"` + g.word() + `"}`),
	}
	for _, f := range slices.Concat(s.Phrases, s.Words) {
		d.Words[f] = g.words(6)
	}
	for _, f := range s.Keys {
		if d.Keys[f] == nil {
			d.Keys[f] = unique(g.words(4))
		}
	}
	for _, f := range s.Sorts {
		d.Sorts[f] = g.word()
	}
	for _, f := range s.Numbers {
		if g.IntN(3) > 0 {
			d.Numbers[f] = float64(g.IntN(2000)-1000) / 4
		}
	}
	return d
}

func (g guess) score() float64 { return float64(1+g.IntN(40)) / 8 }

func (g guess) bound() *float64 {
	if g.IntN(3) == 0 {
		return nil
	}
	return ptr(float64(g.IntN(2000)-1000) / 4)
}

// query makes a query of a few parts, of parts.
func (g guess) query(depth int) search.Query {
	s := search.Schema()
	field := pick(g, slices.Concat(s.Phrases, s.Words))
	n := 6
	if depth > 0 {
		n = 10
	}
	switch g.IntN(n) {
	case 0:
		return search.Term{Field: field, Value: g.word(), Score: g.score()}
	case 1:
		if g.IntN(2) == 0 {
			return search.Fuzzy{Field: field, Value: g.letters("aé", 8), Edits: 2, Score: g.score()}
		}
		return search.Fuzzy{Field: field, Value: g.letters("abcé", 4), Edits: 1, Prefix: g.IntN(2), Score: g.score()}
	case 2:
		return search.Prefix{Field: field, Value: g.word(), Score: g.score()}
	case 3:
		return search.Phrase{Field: pick(g, s.Phrases), Words: append(g.words(2), g.word(), g.word()), Score: g.score()}
	case 4:
		return search.In{Field: pick(g, s.Keys), Values: append(g.words(6), g.word())}
	case 5:
		return search.Range{Field: pick(g, s.Numbers), Min: g.bound(), Max: g.bound()}
	case 6:
		return search.All(g.queries(1, depth))
	case 7:
		return search.Best(g.queries(1, depth))
	case 8:
		of := g.queries(2, depth)
		return search.Most{Of: of, Least: 1 + g.IntN(len(of))}
	}
	out := search.Scored{Should: g.queries(0, depth), Not: g.queries(0, depth)}
	if g.IntN(4) > 0 {
		out.Must = g.query(depth - 1)
	}
	return out
}

func (g guess) queries(least, depth int) []search.Query {
	var out []search.Query
	for range least + g.IntN(3) {
		out = append(out, g.query(depth-1))
	}
	return out
}

func (g guess) order() []search.Order {
	if g.IntN(2) == 0 {
		return []search.Order{{}, {Field: search.SortTie}}
	}
	return []search.Order{{Field: pick(g, search.Schema().Sorts), Desc: g.IntN(2) == 0}}
}

// agreement: whatever is written in whatever order, an engine answers any query as
// the model does, page by page.
func agreement(t *testing.T, open Open) {
	w, m := newWorld(t, open), model{}
	g := guess{rand.New(rand.NewPCG(1, 2))}
	for version := range int64(12) {
		docs := make([]search.Document, 80)
		for i := range docs {
			docs[i] = g.document(1 + version/2)
		}
		w.write(docs...)
		m.write(docs)
		for range 30 {
			g.ask(t, w, m)
		}
	}
}

func (g guess) ask(t *testing.T, w *world, m model) {
	t.Helper()
	asked := g.query(3)
	if g.IntN(2) == 0 { // as one word is asked for
		asked = search.Scored{Must: search.All{search.Best(g.queries(3, 1))}}
	}
	r := search.Request{
		Query: search.All{search.In{Field: search.KeyType, Values: []string{search.TypeCourse, search.TypeContent}}, asked},
		Sort:  g.order(), Facets: []string{search.KeyTag, search.KeyLevel}, Size: 1 + g.IntN(30),
	}
	want := m.answer(r)
	var got []search.Hit
	for {
		res, err := w.engine.Search(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, want.Total, res.Total, "%#v", r.Query)
		require.Equal(t, want.Facets, res.Facets, "%#v", r.Query)
		if got = append(got, res.Hits...); len(res.Hits) < r.Size {
			break
		}
		r.After = res.Hits[len(res.Hits)-1].Sort
	}
	byScore := r.Sort[0].Field == ""
	require.Len(t, got, want.Total, "%#v", r.Query)
	for i := range got {
		require.Equal(t, want.Hits[i].ID, got[i].ID, "%d of %#v by %v", i, r.Query, r.Sort)
		require.Equal(t, want.Hits[i].Version, got[i].Version)
		require.JSONEq(t, string(want.Hits[i].Source), string(got[i].Source))
		if byScore {
			require.InDelta(t, want.Hits[i].Score, got[i].Score, 0, "%#v of %s", r.Query, got[i].ID)
		}
	}
}
