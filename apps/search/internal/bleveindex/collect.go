package bleveindex

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"lms/apps/search/internal/search"
)

// lookEvery is after how many documents it is looked whether the caller still waits.
const lookEvery = 4096

// search answers a question from one view.
func (o *one) search(ctx context.Context, q search.Request) (out search.Result, err error) {
	v, err := o.view()
	if err != nil {
		return search.Result{}, err
	}
	defer func() { err = closing(v, err) }()
	top := &ranking{order: q.Sort, after: q.After, size: q.Size}
	counted := counts{}
	for _, p := range v.parts {
		n, err := p.matching(ctx, q.Query)
		if err != nil {
			return search.Result{}, err
		}
		docs := n.docs
		if p.gone != nil {
			docs = roaring.AndNot(docs, p.gone)
		}
		out.Total += int(docs.GetCardinality()) // fits
		if err := counted.add(p, docs, q.Facets); err != nil {
			return search.Result{}, err
		}
		if err := top.add(ctx, p, n, docs); err != nil {
			return search.Result{}, err
		}
	}
	out.Facets = counted.buckets(q.Facets)
	out.Hits, err = top.hits()
	return out, err
}

// counts are how many documents have a value, by the field.
type counts map[string]map[string]int

func (c counts) add(p *part, docs *roaring.Bitmap, fields []string) error {
	if docs.IsEmpty() {
		return nil
	}
	for _, f := range fields {
		values, err := p.column(f)
		if err != nil {
			return err
		}
		here := make([]int, len(values.terms))
		for it := docs.Iterator(); it.HasNext(); {
			for _, v := range values.of(it.Next()) {
				here[v]++
			}
		}
		if c[f] == nil {
			c[f] = map[string]int{}
		}
		for v, n := range here {
			if n > 0 {
				c[f][values.terms[v]] += n
			}
		}
	}
	return nil
}

func (c counts) buckets(fields []string) map[string][]search.Bucket {
	out := map[string][]search.Bucket{}
	for _, f := range fields {
		list := []search.Bucket{}
		for value, n := range c[f] {
			list = append(list, search.Bucket{Value: value, Count: n})
		}
		slices.SortFunc(list, func(a, b search.Bucket) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
		})
		out[f] = list[:min(len(list), search.MaxBuckets)]
	}
	return out
}

// ranking keeps the first documents of an order, the last of them on top.
type ranking struct {
	order []search.Order
	after []string
	size  int
	list  []*ranked
}

// ranked is a document with where it stands.
type ranked struct {
	part  *part
	doc   uint32
	score float64
	keys  []*column // of the order; nil for the score
	id    string    // read when nothing else decides
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (r *ranking) Len() int           { return len(r.list) }
func (r *ranking) Less(i, j int) bool { return r.compare(r.list[i], r.list[j]) > 0 }
func (r *ranking) Swap(i, j int)      { r.list[i], r.list[j] = r.list[j], r.list[i] }

// Push implements heap.Interface.
func (r *ranking) Push(x any) { r.list = append(r.list, x.(*ranked)) } //nolint:forcetypeassert // called by add alone

// Pop implements heap.Interface.
func (r *ranking) Pop() any {
	last := r.list[len(r.list)-1]
	r.list = r.list[:len(r.list)-1]
	return last
}

// byScore says that the score decides first.
func (r *ranking) byScore() bool { return len(r.order) > 0 && r.order[0].Field == "" }

func (r *ranking) columns(p *part) ([]*column, error) {
	keys := make([]*column, len(r.order))
	for i, o := range r.order {
		if o.Field == "" {
			continue
		}
		var err error
		if keys[i], err = p.column(o.Field); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// add ranks the documents of a segment that match.
func (r *ranking) add(ctx context.Context, p *part, n *node, docs *roaring.Bitmap) error {
	if r.size == 0 || docs.IsEmpty() {
		return nil
	}
	keys, err := r.columns(p)
	if err != nil {
		return err
	}
	in := &entry{ranking: r, next: &ranked{part: p, keys: keys}}
	if !slices.ContainsFunc(r.order, func(o search.Order) bool { return o.Field == "" }) {
		return in.all(ctx, docs, func(uint32) float64 { return 0 })
	}
	choice, scored := n.choice(docs)
	if choice == nil || !r.byScore() {
		return in.all(ctx, docs, n.value)
	}
	// One after the other, the best first: most searches need no more than the best.
	for _, c := range choice.parts {
		if r.full() && r.list[0].score > c.most {
			return nil
		}
		these := roaring.And(scored, c.docs)
		if err := in.all(ctx, these, func(uint32) float64 { return c.most }); err != nil {
			return err
		}
		docs, scored = roaring.AndNot(docs, these), roaring.AndNot(scored, these)
	}
	return in.all(ctx, docs, func(uint32) float64 { return 0 })
}

func (r *ranking) full() bool { return len(r.list) == r.size }

// entry brings documents of one segment into a ranking.
type entry struct {
	*ranking
	next    *ranked // to be filled
	changes int     // of the ranking
	// Where the last one of the ranking stands among the values of this segment's
	// second key, as of so many changes.
	limit uint32
	asOf  int
}

func (e *entry) all(ctx context.Context, docs *roaring.Bitmap, score func(uint32) float64) error {
	i := 0
	for it := docs.Iterator(); it.HasNext(); i++ {
		if i%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e.next.doc, e.next.id = it.Next(), ""
		e.next.score = score(e.next.doc)
		if e.full() && e.byScore() && e.hopeless() {
			continue
		}
		if e.after != nil && e.behind(e.next) <= 0 {
			continue
		}
		e.enter()
	}
	return nil
}

func (e *entry) enter() {
	if !e.full() {
		heap.Push(e.ranking, e.next)
		e.next = &ranked{part: e.next.part, keys: e.next.keys}
		e.changes++
		return
	}
	if e.compare(e.next, e.list[0]) >= 0 {
		return
	}
	part, keys := e.next.part, e.next.keys
	e.next, e.list[0] = e.list[0], e.next
	heap.Fix(e.ranking, 0)
	e.next.part, e.next.keys = part, keys
	e.changes++
}

// hopeless says, without comparing texts, that the next one comes behind the last one
// of the ranking, which is full.
func (e *entry) hopeless() bool {
	last := e.list[0]
	if e.next.score != last.score {
		return e.next.score < last.score
	}
	if len(e.order) < 2 || e.order[1].Field == "" || e.order[1].Desc {
		return false
	}
	column := e.next.keys[1]
	if e.asOf != e.changes+1 {
		key, ok := last.key(1)
		if !ok {
			return false
		}
		e.limit = uint32(sort.Search(len(column.terms), func(i int) bool { return column.terms[i] > key })) // fewer than there are documents
		e.asOf = e.changes + 1
	}
	value, ok := column.first(e.next.doc)
	return ok && value >= e.limit
}

// compare says which of two documents comes first.
func (r *ranking) compare(a, b *ranked) int {
	for i, o := range r.order {
		var c int
		switch {
		case o.Field == "":
			c = cmp.Compare(b.score, a.score)
		case a.part == b.part:
			x, hasX := a.keys[i].first(a.doc)
			y, hasY := b.keys[i].first(b.doc)
			c = ordered(cmp.Compare(x, y), hasX, hasY, o.Desc)
		default:
			x, hasX := a.key(i)
			y, hasY := b.key(i)
			c = ordered(strings.Compare(x, y), hasX, hasY, o.Desc)
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.identity(), b.identity())
}

// behind says where a document stands to the one that the caller has had last.
func (r *ranking) behind(a *ranked) int {
	for i, o := range r.order {
		var c int
		if o.Field == "" {
			last, err := strconv.ParseFloat(r.after[i], 64)
			if err != nil {
				return -1 // no score that this index gave
			}
			c = cmp.Compare(last, a.score)
		} else {
			x, has := a.key(i)
			c = ordered(strings.Compare(x, r.after[i]), has, r.after[i] != "", o.Desc)
		}
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.identity(), r.after[len(r.order)])
}

// ordered turns a comparison of values into one of documents: those without a value
// come last either way.
func ordered(c int, hasA, hasB, desc bool) int {
	switch {
	case !hasA && !hasB:
		return 0
	case !hasA:
		return 1
	case !hasB:
		return -1
	case desc:
		return -c
	}
	return c
}

// key is a value of the order.
func (a *ranked) key(i int) (string, bool) {
	v, ok := a.keys[i].first(a.doc)
	if !ok {
		return "", false
	}
	return a.keys[i].terms[v], true
}

// identity is the id of the document.
func (a *ranked) identity() string {
	if a.id == "" {
		if raw, err := a.part.DocID(uint64(a.doc)); err == nil { // fails for a document that is not there only
			a.id = string(raw)
		}
	}
	return a.id
}

// hits reads the documents that were ranked, the first one first.
func (r *ranking) hits() ([]search.Hit, error) {
	slices.SortFunc(r.list, r.compare)
	var out []search.Hit
	for _, a := range r.list {
		h, err := a.part.hit(a.doc)
		if err != nil {
			return nil, err
		}
		h.ID, h.Score = a.identity(), a.score
		for i, o := range r.order {
			if o.Field == "" {
				h.Sort = append(h.Sort, strconv.FormatFloat(a.score, 'g', -1, 64))
				continue
			}
			key, _ := a.key(i)
			h.Sort = append(h.Sort, key)
		}
		h.Sort = append(h.Sort, h.ID)
		out = append(out, h)
	}
	return out, nil
}

// hit reads what is stored of a document.
func (p *part) hit(doc uint32) (search.Hit, error) {
	var h search.Hit
	err := p.VisitStoredFields(uint64(doc), func(field string, _ byte, value []byte, _ []uint64) bool {
		switch field {
		case fieldSource:
			h.Source = json.RawMessage(slices.Clone(value))
		case fieldVersion:
			h.Version = versionOf(string(value))
		}
		return true
	})
	if err != nil {
		return search.Hit{}, fmt.Errorf("read a document: %w", err)
	}
	return h, nil
}
