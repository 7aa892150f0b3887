package bleveindex

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"lms/apps/search/internal/search"
)

// view is the index as it is when somebody begins to read it.
type view struct {
	index.IndexReader
	parts []*part
}

// part is one segment of a view. What a segment holds never changes; which of its
// documents are gone is the view's.
type part struct {
	segment.Segment
	gone  *roaring.Bitmap // nil for none
	kept  *kept
	dicts map[string]segment.TermDictionary
	near  map[search.Fuzzy][]string // what was looked for in this view, without field and score
}

// view reads the index as it is now. It has to be closed.
func (o *one) view() (*view, error) {
	advanced, err := o.idx.Advanced()
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	r, err := advanced.Reader()
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	snapshot, ok := r.(interface {
		Segments() []*scorch.SegmentSnapshot
	})
	if !ok {
		return nil, errors.Join(fmt.Errorf("index of an unknown kind: %T", r), r.Close())
	}
	v := &view{IndexReader: r}
	segments := snapshot.Segments()
	for i, k := range o.memory.of(segments) {
		v.parts = append(v.parts, &part{
			Segment: segments[i].Segment(), gone: segments[i].Deleted(), kept: k, dicts: map[string]segment.TermDictionary{},
			near: map[search.Fuzzy][]string{},
		})
	}
	return v, nil
}

func closing(v *view, err error) error { return errors.Join(err, v.Close()) }

// fieldID is where Bleve keeps the ids of documents.
const fieldID = "_id"

// find gives the segment that has a document, and which one it is there; a nil part
// if there is none.
func (v *view) find(id string) (*part, uint32, error) {
	for _, p := range slices.Backward(v.parts) {
		docs, err := p.postings(fieldID, id)
		if err != nil {
			return nil, 0, err
		}
		for it := docs.Iterator(); it.HasNext(); {
			if doc := it.Next(); p.gone == nil || !p.gone.Contains(doc) {
				return p, doc, nil
			}
		}
	}
	return nil, 0, nil
}

// memory keeps what was made of segments for as long as they are in use.
type memory struct {
	mu       sync.Mutex
	segments map[uint64]*kept
}

// kept is what was made of one segment.
type kept struct {
	mu           sync.Mutex
	columns      map[string]*column
	vocabularies map[string]*vocabulary
}

// of gives what is kept of segments, and forgets the segments that went away.
func (m *memory) of(segments []*scorch.SegmentSnapshot) []*kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*kept, len(segments))
	for i, s := range segments {
		k, ok := m.segments[s.Id()]
		if !ok {
			k = &kept{columns: map[string]*column{}, vocabularies: map[string]*vocabulary{}}
			if m.segments == nil {
				m.segments = map[uint64]*kept{}
			}
			m.segments[s.Id()] = k
		}
		out[i] = k
	}
	if len(m.segments) > 2*len(segments) {
		for id := range m.segments {
			if !slices.ContainsFunc(segments, func(s *scorch.SegmentSnapshot) bool { return s.Id() == id }) {
				delete(m.segments, id)
			}
		}
	}
	return out
}

// column of a field, made when it is first asked for.
func (p *part) column(field string) (*column, error) {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	if c, ok := p.kept.columns[field]; ok {
		return c, nil
	}
	c, err := newColumn(p, field)
	if err == nil {
		p.kept.columns[field] = c
	}
	return c, err
}

// vocabulary of a field and those alike, made when it is first asked for.
func (p *part) vocabulary(field string) (*vocabulary, error) {
	fields := alike(field)
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	if v, ok := p.kept.vocabularies[fields[0]]; ok {
		return v, nil
	}
	v, err := newVocabulary(p, fields)
	if err == nil {
		p.kept.vocabularies[fields[0]] = v
	}
	return v, err
}

func (p *part) dictionary(field string) (segment.TermDictionary, error) {
	if d, ok := p.dicts[field]; ok {
		return d, nil
	}
	d, err := p.Dictionary(field)
	if err != nil {
		return nil, fmt.Errorf("words of %s: %w", field, err)
	}
	p.dicts[field] = d
	return d, nil
}

// everything is all documents, also those that are gone.
func (p *part) everything() *roaring.Bitmap {
	all := roaring.New()
	all.AddRange(0, p.Count())
	return all
}

// postings are the documents with a term in a field, also those that are gone. They
// belong to the segment: nobody may change them.
func (p *part) postings(field, term string) (*roaring.Bitmap, error) {
	dict, err := p.dictionary(field)
	if err != nil {
		return nil, err
	}
	list, err := dict.PostingsList([]byte(term), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("documents with a word in %s: %w", field, err)
	}
	return bitmapOf(list)
}

func bitmapOf(list segment.PostingsList) (*roaring.Bitmap, error) {
	it := list.Iterator(false, false, false, nil)
	out := roaring.New()
	if fast, ok := it.(segment.OptimizablePostingsIterator); ok {
		if only, ok := fast.DocNum1Hit(); ok {
			out.Add(uint32(only)) // documents of a segment are counted in 32 bits
			return out, nil
		}
		if all := fast.ActualBitmap(); all != nil {
			return all, nil
		}
		return out, nil
	}
	for {
		at, err := it.Next()
		if err != nil || at == nil {
			return out, err
		}
		out.Add(uint32(at.Number())) // as above
	}
}

// any are the documents with at least one of some terms.
func (p *part) any(field string, terms []string) (*roaring.Bitmap, error) {
	var lists []*roaring.Bitmap
	for _, t := range terms {
		list, err := p.postings(field, t)
		if err != nil {
			return nil, err
		}
		if !list.IsEmpty() {
			lists = append(lists, list)
		}
	}
	return union(lists), nil
}

func union(lists []*roaring.Bitmap) *roaring.Bitmap {
	switch len(lists) {
	case 0:
		return roaring.New()
	case 1:
		return lists[0]
	}
	return roaring.FastOr(lists...)
}

// each gives the terms of a field that are at least from, and less than to unless
// that is nil, in their order.
func (p *part) each(field string, from, to []byte, do func(term string) error) error {
	dict, err := p.dictionary(field)
	if err != nil {
		return err
	}
	var it segment.DictionaryIterator
	if fast, ok := dict.(uncounted); ok {
		it = fast.AutomatonIteratorOmitCount(nil, from, to)
	} else {
		it = dict.AutomatonIterator(nil, from, to)
	}
	for {
		entry, err := it.Next()
		if err != nil || entry == nil {
			return err
		}
		if err := do(entry.Term); err != nil {
			return err
		}
	}
}

// uncounted is a dictionary that gives its terms without reading in how many documents
// each is.
type uncounted interface {
	AutomatonIteratorOmitCount(a segment.Automaton, from, to []byte) segment.DictionaryIterator
}

// beginning are the documents with a term that begins with some letters.
func (p *part) beginning(field, with string) (*roaring.Bitmap, error) {
	from := []byte(with)
	var terms []string
	err := p.each(field, from, after(from), func(term string) error {
		terms = append(terms, term)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p.any(field, terms)
}

// after is the first term that does not begin with some bytes; nil where there is none.
func after(beginning []byte) []byte {
	out := slices.Clone(beginning)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// phrase are the documents in which words of a field follow one another.
func (p *part) phrase(ctx context.Context, field string, words []string) (*roaring.Bitmap, error) {
	dict, err := p.dictionary(field)
	if err != nil {
		return nil, err
	}
	var lists []segment.PostingsList
	var maps []*roaring.Bitmap
	for _, w := range words {
		list, err := dict.PostingsList([]byte(w), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("documents with a word in %s: %w", field, err)
		}
		all, err := bitmapOf(list)
		if err != nil || all.IsEmpty() {
			return roaring.New(), err
		}
		lists, maps = append(lists, list), append(maps, all)
	}
	out := roaring.New()
	candidates := roaring.FastAnd(maps...)
	if candidates.IsEmpty() {
		return out, nil
	}
	its := make([]segment.PostingsIterator, len(lists))
	for i, list := range lists {
		its[i] = list.Iterator(true, true, true, nil)
	}
	for it := candidates.Iterator(); it.HasNext(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		doc := it.Next()
		found, err := inRow(its, doc)
		if err != nil {
			return nil, fmt.Errorf("places of words in %s: %w", field, err)
		}
		if found {
			out.Add(doc)
		}
	}
	return out, nil
}

// inRow says whether the words follow one another in a document that has them all.
func inRow(words []segment.PostingsIterator, doc uint32) (bool, error) {
	var starts []uint64 // where the first word of a row that goes on so far stands
	for i, it := range words {
		at, err := it.Advance(uint64(doc))
		if err != nil || at == nil || at.Number() != uint64(doc) {
			return false, err
		}
		var here []uint64
		for _, l := range at.Locations() {
			here = append(here, l.Pos()-uint64(i))
		}
		if i == 0 {
			starts = here
			continue
		}
		starts = slices.DeleteFunc(starts, func(s uint64) bool { return !slices.Contains(here, s) })
		if len(starts) == 0 {
			return false, nil
		}
	}
	return len(starts) > 0, nil
}
