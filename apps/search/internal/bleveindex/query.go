package bleveindex

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"lms/apps/search/internal/search"
)

// Queries are answered here, on sets of documents, and not by Bleve's searchers. Those
// go from document to document through every part of a query at once, to add up
// scores that depend on the frequency of words. Here no score depends on more than
// where a word stands: a part of a query is a set of documents of a segment with one
// worth, which documents match is a few operations on sets, and only those that match
// are scored.

// node is a part of a query in one segment.
type node struct {
	docs  *roaring.Bitmap // which match; may belong to the segment
	score float64         // of each of them, beside what its parts add
	parts []*node         // of those that have a score
	best  bool            // the highest of the parts counts, which are in that order; else their sum
	most  float64         // the highest score that a document can have
}

// value is the score of a document that matches.
func (n *node) value(doc uint32) float64 {
	out := n.score
	for _, p := range n.parts {
		if n.best && p.most <= out {
			break
		}
		if !p.docs.Contains(doc) {
			continue
		}
		if n.best {
			out = max(out, p.value(doc))
		} else {
			out += p.value(doc)
		}
	}
	return out
}

// choice is what the score of documents is the best of, where it is nothing else and
// every part of it gives one score; nil otherwise. Those of docs that it is not about
// have no score: in are the others.
func (n *node) choice(docs *roaring.Bitmap) (best *node, in *roaring.Bitmap) {
	in = docs
	for len(n.parts) == 1 && n.score == 0 && !n.best {
		n = n.parts[0]
		in = roaring.And(in, n.docs)
	}
	if !n.best || slices.ContainsFunc(n.parts, func(p *node) bool { return len(p.parts) > 0 }) {
		return nil, nil
	}
	return n, in
}

// sumOf adds up the scores of parts, as far as they match.
func sumOf(docs *roaring.Bitmap, parts []*node) *node {
	n := &node{docs: docs, parts: valued(parts)}
	for _, p := range n.parts {
		n.most += p.most
	}
	return n
}

// bestOf takes the highest of the scores of parts.
func bestOf(docs *roaring.Bitmap, parts []*node) *node {
	n := &node{docs: docs, parts: valued(parts), best: true}
	slices.SortStableFunc(n.parts, func(a, b *node) int { return cmp.Compare(b.most, a.most) })
	if len(n.parts) > 0 {
		n.most = n.parts[0].most
	}
	return n
}

// valued leaves out parts that add nothing.
func valued(parts []*node) []*node {
	var out []*node
	for _, p := range parts {
		if p.most > 0 && !p.docs.IsEmpty() {
			out = append(out, p)
		}
	}
	return out
}

func setsOf(parts []*node) []*roaring.Bitmap {
	out := make([]*roaring.Bitmap, len(parts))
	for i, p := range parts {
		out[i] = p.docs
	}
	return out
}

// matching compiles a query for a segment.
func (p *part) matching(ctx context.Context, q search.Query) (*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch q := q.(type) {
	case nil:
		return &node{docs: p.everything()}, nil
	case search.All:
		return p.all(ctx, q)
	case search.Best:
		parts, err := p.compile(ctx, q)
		return bestOf(union(setsOf(parts)), parts), err
	case search.Most:
		parts, err := p.compile(ctx, q.Of)
		return sumOf(p.several(parts, q.Least), parts), err
	case search.Scored:
		return p.scored(ctx, q)
	}
	docs, score, err := p.leaf(ctx, q)
	return &node{docs: docs, score: score, most: score}, err
}

func (p *part) leaf(ctx context.Context, q search.Query) (docs *roaring.Bitmap, score float64, err error) {
	switch q := q.(type) {
	case search.Term:
		docs, err = p.postings(q.Field, q.Value)
		return docs, q.Score, err
	case search.Prefix:
		docs, err = p.beginning(q.Field, q.Value)
		return docs, q.Score, err
	case search.Fuzzy:
		docs, err = p.nearly(q)
		return docs, q.Score, err
	case search.Phrase:
		docs, err = p.phrase(ctx, q.Field, q.Words)
		return docs, q.Score, err
	case search.In:
		docs, err = p.any(q.Field, q.Values)
		return docs, 0, err
	case search.Range:
		docs, err = p.numbers(q)
		return docs, 0, err
	}
	return nil, 0, fmt.Errorf("query of an unknown kind: %T", q)
}

func (p *part) compile(ctx context.Context, qs []search.Query) ([]*node, error) {
	out := make([]*node, 0, len(qs))
	for _, q := range qs {
		n, err := p.matching(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// all stops where nothing is left that could match.
func (p *part) all(ctx context.Context, qs []search.Query) (*node, error) {
	docs := p.everything()
	var parts []*node
	for i, q := range qs {
		n, err := p.matching(ctx, q)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, n); i == 0 {
			docs = n.docs
		} else {
			docs = roaring.And(docs, n.docs)
		}
		if docs.IsEmpty() {
			return &node{docs: docs}, nil
		}
	}
	return sumOf(docs, parts), nil
}

func (p *part) scored(ctx context.Context, q search.Scored) (*node, error) {
	must, err := p.matching(ctx, q.Must)
	if err != nil || must.docs.IsEmpty() {
		return must, err
	}
	should, err := p.compile(ctx, q.Should)
	if err != nil {
		return nil, err
	}
	not, err := p.compile(ctx, q.Not)
	if err != nil {
		return nil, err
	}
	docs := must.docs
	if len(not) > 0 {
		docs = roaring.AndNot(docs, union(setsOf(not)))
	}
	return sumOf(docs, append([]*node{must}, should...)), nil
}

// several are the documents that enough parts match.
func (p *part) several(parts []*node, least int) *roaring.Bitmap {
	if least <= 1 {
		return union(setsOf(parts))
	}
	seen := make([]uint16, p.Count())
	out := roaring.New()
	for _, n := range parts {
		for it := n.docs.Iterator(); it.HasNext(); {
			doc := it.Next()
			if seen[doc]++; int(seen[doc]) == least {
				out.Add(doc)
			}
		}
	}
	return out
}

// nearly are the documents with a word that is nearly another one. The same word is
// looked for in several fields.
func (p *part) nearly(q search.Fuzzy) (*roaring.Bitmap, error) {
	asked := q
	asked.Field, asked.Score = alike(q.Field)[0], 0
	found, ok := p.near[asked]
	if !ok {
		words, err := p.vocabulary(q.Field)
		if err != nil {
			return nil, err
		}
		found = words.near(q.Value, q.Edits, q.Prefix)
		p.near[asked] = found
	}
	return p.any(q.Field, found)
}

// numbers are the documents with a number in a range.
func (p *part) numbers(q search.Range) (*roaring.Bitmap, error) {
	c, err := p.column(q.Field)
	if err != nil {
		return nil, err
	}
	return c.between(bound(q.Min), bound(q.Max)), nil
}

func bound(n *float64) *string {
	if n == nil {
		return nil
	}
	term := numberTerm(*n)
	return &term
}
