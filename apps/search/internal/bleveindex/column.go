package bleveindex

import (
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

// column has the values of a field by document, to sort and to count by, without
// reading documents.
type column struct {
	terms  []string // each value once, in their order
	starts []uint32 // of each document, and the end: where its values begin in values
	values []uint32 // places in terms
}

func newColumn(p *part, field string) (*column, error) {
	c := &column{starts: make([]uint32, p.Count()+1)}
	var docs []uint32
	var ends []int // of each term, in docs
	err := p.each(field, nil, nil, func(term string) error {
		list, err := p.postings(field, term)
		if err != nil {
			return err
		}
		c.terms = append(c.terms, term)
		for it := list.Iterator(); it.HasNext(); {
			docs = append(docs, it.Next())
		}
		ends = append(ends, len(docs))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		c.starts[d+1]++
	}
	for i := 1; i < len(c.starts); i++ {
		c.starts[i] += c.starts[i-1]
	}
	c.values = make([]uint32, len(docs))
	next := slices.Clone(c.starts)
	begin := 0
	for term, end := range ends {
		for _, d := range docs[begin:end] {
			c.values[next[d]] = uint32(term) // fewer than there are documents and values
			next[d]++
		}
		begin = end
	}
	return c, nil
}

// of are the values of a document.
func (c *column) of(doc uint32) []uint32 { return c.values[c.starts[doc]:c.starts[doc+1]] }

// first is the least value of a document; it has none where ok is false.
func (c *column) first(doc uint32) (value uint32, ok bool) {
	if c.starts[doc] == c.starts[doc+1] {
		return 0, false
	}
	return c.values[c.starts[doc]], true
}

// between are the documents with a value from one to another, both included; nil is
// no bound.
func (c *column) between(from, to *string) *roaring.Bitmap {
	least, most := 0, len(c.terms)
	if from != nil {
		least = sort.SearchStrings(c.terms, *from)
	}
	if to != nil {
		most = sort.Search(len(c.terms), func(i int) bool { return c.terms[i] > *to })
	}
	out := roaring.New()
	var docs []uint32
	for d := range uint32(len(c.starts) - 1) { // documents of a segment are counted in 32 bits
		for _, v := range c.of(d) {
			if int(v) >= least && int(v) < most {
				docs = append(docs, d)
				break
			}
		}
	}
	out.AddMany(docs)
	return out
}
