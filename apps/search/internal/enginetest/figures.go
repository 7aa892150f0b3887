//go:build bench

package enginetest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/search"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
)

var documents = flag.Int("documents", 100_000, "how many documents are made for the figures") //nolint:gochecknoglobals // a flag

const (
	batch       = 500
	connections = 8
	questions   = 1000
)

// maker makes up courses of words that are as frequent as words are.
type maker struct {
	r     *rand.Rand
	zipf  *rand.Zipf
	words []string
}

func newMaker() *maker {
	r := rand.New(rand.NewPCG(1, 2))
	m := &maker{r: r, zipf: rand.NewZipf(r, 1.1, 20, 29_999)}
	syllables := strings.Fields("al be con de er fi gra hy in ju ka lo mi na or pe qua ri so tu un vi wa xe yo za tion ment ist ic al ous")
	for range 30_000 {
		w := ""
		for range 2 + r.IntN(3) {
			w += syllables[r.IntN(len(syllables))]
		}
		m.words = append(m.words, w)
	}
	return m
}

func (m *maker) text(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = m.words[m.zipf.Uint64()]
	}
	return strings.Join(out, " ")
}

func (m *maker) course(i int) events.CourseState {
	return course(1, m.text(2+m.r.IntN(4)), m.text(30), func(c *events.CourseState) {
		c.ID, c.Code = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i)), fmt.Sprintf("C-%d", i)
		c.Level = []string{"beginner", "intermediate", "advanced"}[i%3]
		c.Language = []string{"en", "de", "fr", "es", "vi"}[i%5]
		c.Tags = []string{m.words[m.r.IntN(50)], m.words[m.r.IntN(50)]}
		c.OrgUnitID = unit(1, byte(1+i%2))
		if i%10 == 0 {
			c.Status = events.CourseDraft
		}
	})
}

// Figures measures an engine with 100,000 documents, or as many as -documents says.
func Figures(t *testing.T, open Open) {
	w, m := newWorld(t, open), newMaker()
	w.service.Performed = nil
	var titles []string
	var took time.Duration
	for from := 0; from < *documents; from += batch {
		var docs []search.Document
		for i := from; i < from+batch; i++ {
			c := m.course(i)
			titles = append(titles, c.Title)
			docs = append(docs, w.maker.Course(c, 1, search.Around{}))
		}
		began := time.Now()
		require.NoError(t, w.engine.Write(t.Context(), docs))
		took += time.Since(began)
	}
	w.visible()
	t.Logf("indexing: %.0f documents/s, %d at a time (without making them: %d ms in all)", float64(*documents)/took.Seconds(), batch, took.Milliseconds())
	word := func(r *rand.Rand) string {
		f := strings.Fields(titles[r.IntN(len(titles))])
		return f[r.IntN(len(f))]
	}
	ask := func(what string, do func(r *rand.Rand) error) {
		took := make([]time.Duration, questions)
		var wg sync.WaitGroup
		began := time.Now()
		for c := range connections {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(c), 7))
				for i := c; i < questions; i += connections {
					at := time.Now()
					if err := do(r); err != nil {
						t.Error(err)
						return
					}
					took[i] = time.Since(at)
				}
			})
		}
		wg.Wait()
		all := time.Since(began)
		slices.Sort(took)
		t.Logf("%s, %d connections: %.0f/s, p50 %v, p99 %v", what, connections, questions/all.Seconds(),
			took[questions/2].Round(10*time.Microsecond), took[questions*99/100].Round(10*time.Microsecond))
	}
	ada := authz.Principal{UserID: userID(1), TenantID: tenant(1), OrgUnitID: unit(1, 1)}
	find := func(text string, change func(*search.Params)) error {
		p := search.Params{Text: text}
		change(&p)
		_, err := w.service.Search(t.Context(), ada, p, page.Request{Limit: 20})
		return err
	}
	none := func(*search.Params) {}
	ask("one word", func(r *rand.Rand) error { return find(word(r), none) })
	ask("two words of a title", func(r *rand.Rand) error {
		f := strings.Fields(titles[r.IntN(len(titles))])
		return find(f[0]+" "+f[1], none)
	})
	ask("two words with filters and facets", func(r *rand.Rand) error {
		f := strings.Fields(titles[r.IntN(len(titles))])
		return find(f[0]+" "+f[1], func(p *search.Params) {
			p.Levels, p.Facets = []string{"beginner"}, []string{search.FacetLevel, search.FacetLanguage, search.FacetTag}
		})
	})
	ask("a misspelt word", func(r *rand.Rand) error {
		x := word(r)
		i := 1 + r.IntN(len(x)-1)
		return find(x[:i]+x[i-1:], none)
	})
	ask("suggestions", func(r *rand.Rand) error {
		x := word(r)
		_, err := w.service.Suggest(t.Context(), ada, x[:min(len(x), 2+r.IntN(4))], nil, 8)
		return err
	})
}
