package bleveindex

import (
	"context"
	"fmt"

	"github.com/blevesearch/bleve/v2/mapping"
	bsearch "github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/searcher"
	index "github.com/blevesearch/bleve_index_api"

	"lms/apps/search/internal/search"
)

// compiled is a query of the domain as a query of Bleve. Bleve's own scores depend on
// all documents; these only on what matches, as the domain wants it.
type compiled struct{ q search.Query }

// Searcher implements query.Query.
func (c compiled) Searcher(ctx context.Context, r index.IndexReader, _ mapping.IndexMapping, _ bsearch.SearcherOptions) (bsearch.Searcher, error) {
	return compiler{ctx, r}.compile(c.q)
}

type compiler struct {
	ctx context.Context //nolint:containedctx // of one search
	r   index.IndexReader
}

// unscored leaves out what only Bleve's own scores need.
func unscored() bsearch.SearcherOptions { return bsearch.SearcherOptions{Score: "none"} }

func (c compiler) compile(q search.Query) (bsearch.Searcher, error) {
	switch q := q.(type) {
	case nil:
		s, err := searcher.NewMatchAllSearcher(c.ctx, c.r, 1, unscored())
		return scored(s, err, 0)
	case search.Term:
		s, err := searcher.NewTermSearcher(c.ctx, c.r, q.Value, q.Field, 1, unscored())
		return scored(s, err, q.Score)
	case search.Fuzzy:
		s, err := searcher.NewFuzzySearcher(c.ctx, c.r, q.Value, q.Prefix, q.Edits, q.Field, 1, unscored())
		return scored(s, err, q.Score)
	case search.Prefix:
		s, err := searcher.NewTermPrefixSearcher(c.ctx, c.r, q.Value, q.Field, 1, unscored())
		return scored(s, err, q.Score)
	case search.Phrase:
		s, err := searcher.NewPhraseSearcher(c.ctx, c.r, q.Words, 0, false, q.Field, 1, bsearch.SearcherOptions{IncludeTermVectors: true})
		return scored(s, err, q.Score)
	case search.In:
		s, err := searcher.NewMultiTermSearcher(c.ctx, c.r, q.Values, q.Field, 1, unscored(), false)
		return scored(s, err, 0)
	case search.Range:
		s, err := searcher.NewNumericRangeSearcher(c.ctx, c.r, q.Min, q.Max, nil, inclusive(), q.Field, 1, unscored())
		return scored(s, err, 0)
	case search.All:
		return c.all(q)
	case search.Best:
		parts, err := c.each(q)
		return newUnion(parts, 1, true), err
	case search.Most:
		parts, err := c.each(q.Of)
		return newUnion(parts, q.Least, false), err
	case search.Scored:
		return c.scored(q)
	}
	return nil, fmt.Errorf("query of an unknown kind: %T", q)
}

func inclusive() *bool {
	yes := true
	return &yes
}

func (c compiler) each(qs []search.Query) ([]bsearch.Searcher, error) {
	var out []bsearch.Searcher
	for _, q := range qs {
		s, err := c.compile(q)
		if err != nil {
			return nil, closed(out, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func closed(list []bsearch.Searcher, err error) error {
	for _, s := range list {
		_ = s.Close() // the failure that led here is told
	}
	return err
}

func (c compiler) all(qs []search.Query) (bsearch.Searcher, error) {
	parts, err := c.each(qs)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return searcher.NewConjunctionSearcher(c.ctx, c.r, parts, bsearch.SearcherOptions{})
}

func (c compiler) scored(q search.Scored) (bsearch.Searcher, error) {
	must, err := c.compile(q.Must)
	if err != nil {
		return nil, err
	}
	if len(q.Should) == 0 && len(q.Not) == 0 {
		return must, nil
	}
	var should, not bsearch.Searcher
	if len(q.Should) > 0 {
		parts, err := c.each(q.Should)
		if err != nil {
			return nil, closed([]bsearch.Searcher{must}, err)
		}
		should = newUnion(parts, 0, false)
	}
	if len(q.Not) > 0 {
		parts, err := c.each(q.Not)
		if err != nil {
			return nil, closed([]bsearch.Searcher{must}, err)
		}
		not = newUnion(parts, 1, true)
	}
	return searcher.NewBooleanSearcher(c.ctx, c.r, must, should, not, bsearch.SearcherOptions{})
}

// constant gives each match the same score.
type constant struct {
	bsearch.Searcher
	score float64
}

func scored(s bsearch.Searcher, err error, score float64) (bsearch.Searcher, error) {
	if err != nil {
		return nil, err
	}
	return constant{s, score}, nil
}

func (c constant) give(m *bsearch.DocumentMatch, err error) (*bsearch.DocumentMatch, error) {
	if m != nil {
		m.Score = c.score
	}
	return m, err
}

func (c constant) Next(ctx *bsearch.SearchContext) (*bsearch.DocumentMatch, error) {
	return c.give(c.Searcher.Next(ctx))
}

func (c constant) Advance(ctx *bsearch.SearchContext, id index.IndexInternalID) (*bsearch.DocumentMatch, error) {
	return c.give(c.Searcher.Advance(ctx, id))
}

// union matches what enough of its parts match: with the highest of their scores, or
// with their sum.
type union struct {
	parts   []bsearch.Searcher
	at      []*bsearch.DocumentMatch // where each part stands; nil at its end
	least   int
	highest bool
	begun   bool
	// optional: what stands beside it matches without it too.
	optional bool
}

func newUnion(parts []bsearch.Searcher, least int, highest bool) bsearch.Searcher {
	if len(parts) == 1 && least == 1 {
		return parts[0]
	}
	return &union{parts: parts, at: make([]*bsearch.DocumentMatch, len(parts)), least: max(least, 1), highest: highest, optional: least == 0}
}

func (u *union) step(ctx *bsearch.SearchContext, i int) (err error) {
	u.at[i], err = u.parts[i].Next(ctx)
	return err
}

func (u *union) begin(ctx *bsearch.SearchContext) error {
	u.begun = true
	for i := range u.parts {
		if err := u.step(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// Next implements search.Searcher.
func (u *union) Next(ctx *bsearch.SearchContext) (*bsearch.DocumentMatch, error) {
	if !u.begun {
		if err := u.begin(ctx); err != nil {
			return nil, err
		}
	}
	for {
		var low *bsearch.DocumentMatch
		for _, m := range u.at {
			if m != nil && (low == nil || m.IndexInternalID.Compare(low.IndexInternalID) < 0) {
				low = m
			}
		}
		if low == nil {
			return nil, nil //nolint:nilnil // the end, as Bleve says it
		}
		n, err := u.gather(ctx, low)
		if err != nil {
			return nil, err
		}
		if n >= u.least {
			return low, nil
		}
		ctx.DocumentMatchPool.Put(low)
	}
}

// gather adds up what the parts say about a document, and takes each of them a step
// on.
func (u *union) gather(ctx *bsearch.SearchContext, low *bsearch.DocumentMatch) (n int, err error) {
	score := 0.0
	var here [64]int
	same := here[:0]
	for i, m := range u.at {
		if m != nil && (m == low || m.IndexInternalID.Compare(low.IndexInternalID) == 0) {
			same = append(same, i)
			if u.highest {
				score = max(score, m.Score)
			} else {
				score += m.Score
			}
		}
	}
	for _, i := range same {
		if u.at[i] != low {
			ctx.DocumentMatchPool.Put(u.at[i])
		}
		if err := u.step(ctx, i); err != nil {
			return 0, err
		}
	}
	low.Score = score
	return len(same), nil
}

// Advance implements search.Searcher.
func (u *union) Advance(ctx *bsearch.SearchContext, id index.IndexInternalID) (*bsearch.DocumentMatch, error) {
	if !u.begun {
		if err := u.begin(ctx); err != nil {
			return nil, err
		}
	}
	for i, m := range u.at {
		if m == nil || m.IndexInternalID.Compare(id) >= 0 {
			continue
		}
		ctx.DocumentMatchPool.Put(m)
		var err error
		if u.at[i], err = u.parts[i].Advance(ctx, id); err != nil {
			return nil, err
		}
	}
	return u.Next(ctx)
}

// Close implements search.Searcher.
func (u *union) Close() (err error) {
	for _, p := range u.parts {
		if e := p.Close(); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// Weight and SetQueryNorm belong to Bleve's own scores.
func (u *union) Weight() float64      { return 1 }
func (u *union) SetQueryNorm(float64) {}

// Count is at most how much matches.
func (u *union) Count() (n uint64) {
	for _, p := range u.parts {
		n += p.Count()
	}
	return n
}

// Min is how many parts have to match.
func (u *union) Min() int {
	if u.optional {
		return 0
	}
	return u.least
}

// Size is roughly how much memory the search takes, in bytes.
func (u *union) Size() int {
	n := 64 + 24*len(u.parts)
	for _, p := range u.parts {
		n += p.Size()
	}
	return n
}

// DocumentMatchPoolSize is how many matches are under way at once.
func (u *union) DocumentMatchPoolSize() int {
	n := len(u.at) + 1
	for _, p := range u.parts {
		n += p.DocumentMatchPoolSize()
	}
	return n
}
