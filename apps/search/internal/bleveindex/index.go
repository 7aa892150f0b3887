package bleveindex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/whitespace"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	bsearch "github.com/blevesearch/bleve/v2/search"
	index "github.com/blevesearch/bleve_index_api"

	"lms/apps/search/internal/search"
)

// Fields of an index besides those of the domain.
const (
	fieldSource  = "source"
	fieldVersion = "version"
)

const words = "words" // analyzer: what is given is words already

func layout() (mapping.IndexMapping, error) {
	im := bleve.NewIndexMapping()
	im.IndexDynamic, im.StoreDynamic, im.DocValuesDynamic = false, false, false
	if err := im.AddCustomAnalyzer(words, map[string]any{"type": custom.Name, "tokenizer": whitespace.Name}); err != nil {
		return nil, err
	}
	doc := bleve.NewDocumentStaticMapping()
	text := func(analyzer string, phrases, values bool) *mapping.FieldMapping {
		f := bleve.NewTextFieldMapping()
		f.Analyzer, f.Store, f.IncludeInAll = analyzer, false, false
		f.IncludeTermVectors, f.SkipFreqNorm, f.DocValues = phrases, !phrases, values
		return f
	}
	s := search.Schema()
	for _, name := range s.Phrases {
		doc.AddFieldMappingsAt(name, text(words, true, false))
	}
	for _, name := range s.Words {
		doc.AddFieldMappingsAt(name, text(words, false, false))
	}
	for _, name := range append(s.Keys, s.Sorts...) {
		doc.AddFieldMappingsAt(name, text(keyword.Name, false, true))
	}
	version := text(keyword.Name, false, true)
	version.Store = true
	doc.AddFieldMappingsAt(fieldVersion, version)
	for _, name := range s.Numbers {
		f := bleve.NewNumericFieldMapping()
		f.Store, f.DocValues, f.IncludeInAll = false, false, false
		doc.AddFieldMappingsAt(name, f)
	}
	source := bleve.NewTextFieldMapping()
	source.Index, source.Store, source.IncludeInAll, source.DocValues = false, true, false, false
	doc.AddFieldMappingsAt(fieldSource, source)
	im.DefaultMapping = doc
	return im, nil
}

// one is one index in a folder. Writes go one after the other.
type one struct {
	path string
	idx  bleve.Index
	mu   sync.Mutex
}

// opening is how an index is opened: a write returns once it is on the disk.
func opening() map[string]any { return map[string]any{"unsafe_batch": false} }

func create(path string) (*one, error) {
	im, err := layout()
	if err != nil {
		return nil, fmt.Errorf("layout of the index: %w", err)
	}
	idx, err := bleve.NewUsing(path, im, scorch.Name, scorch.Name, opening())
	if err != nil {
		return nil, fmt.Errorf("make the index %s: %w", path, err)
	}
	return &one{path: path, idx: idx}, nil
}

func open(path string) (*one, error) {
	idx, err := bleve.OpenUsing(path, opening())
	if err != nil {
		return nil, fmt.Errorf("open the index %s: %w", path, err)
	}
	return &one{path: path, idx: idx}, nil
}

func (o *one) close() error { return o.idx.Close() }

// write stores those documents that are not older than what is stored.
func (o *one) write(docs []search.Document) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest := map[string]search.Document{}
	for _, d := range docs {
		if have, ok := newest[d.ID]; !ok || d.Version >= have.Version {
			newest[d.ID] = d
		}
	}
	stored, err := o.versions(newest)
	if err != nil {
		return err
	}
	batch := o.idx.NewBatch()
	for id, d := range newest {
		if d.Version < stored[id] {
			continue
		}
		if err := batch.Index(id, fieldsOf(d)); err != nil {
			return fmt.Errorf("document %s: %w", id, err)
		}
	}
	if batch.Size() == 0 {
		return nil
	}
	if err := o.idx.Batch(batch); err != nil {
		return fmt.Errorf("write to the index: %w", err)
	}
	return nil
}

func fieldsOf(d search.Document) map[string]any {
	out := map[string]any{fieldVersion: strconv.FormatInt(d.Version, 10)}
	if d.Gone {
		return out
	}
	for name, list := range d.Words {
		if len(list) > 0 {
			out[name] = strings.Join(list, " ")
		}
	}
	for name, list := range d.Keys {
		if len(list) > 0 {
			out[name] = list
		}
	}
	for name, value := range d.Sorts {
		out[name] = value
	}
	for name, n := range d.Numbers {
		out[name] = n
	}
	out[fieldSource] = string(d.Source)
	return out
}

// versions reads which versions are stored.
func (o *one) versions(of map[string]search.Document) (out map[string]int64, err error) {
	r, err := o.reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	values, err := r.DocValueReader([]string{fieldVersion})
	if err != nil {
		return nil, fmt.Errorf("versions: %w", err)
	}
	out = map[string]int64{}
	for id := range of {
		at, err := r.InternalID(id)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", id, err)
		}
		if at == nil {
			continue
		}
		err = values.VisitDocValues(at, func(_ string, term []byte) {
			out[id] = versionOf(string(term))
		})
		if err != nil {
			return nil, fmt.Errorf("version of %s: %w", id, err)
		}
	}
	return out, nil
}

// versionOf reads what was written by fieldsOf.
func versionOf(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

func (o *one) reader() (index.IndexReader, error) {
	advanced, err := o.idx.Advanced()
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	r, err := advanced.Reader()
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return r, nil
}

func (o *one) search(ctx context.Context, q search.Request) (search.Result, error) {
	req := bleve.NewSearchRequestOptions(compiled{q.Query}, q.Size, 0, false)
	req.Sort = sortOf(q.Sort)
	if q.After != nil {
		req.SetSearchAfter(q.After)
	}
	if q.Size > 0 {
		req.Fields = []string{fieldSource, fieldVersion}
	}
	for _, f := range q.Facets {
		req.AddFacet(f, bleve.NewFacetRequest(f, search.MaxBuckets))
	}
	res, err := o.idx.SearchInContext(ctx, req)
	if err != nil {
		return search.Result{}, fmt.Errorf("search: %w", err)
	}
	out := search.Result{Total: int(res.Total), Facets: map[string][]search.Bucket{}}
	for _, h := range res.Hits {
		hit := search.Hit{ID: h.ID, Score: h.Score, Sort: h.Sort}
		if s, ok := h.Fields[fieldSource].(string); ok {
			hit.Source = json.RawMessage(s)
		}
		if v, ok := h.Fields[fieldVersion].(string); ok {
			hit.Version = versionOf(v)
		}
		// What sorts by the score does not keep it among its keys.
		for i, k := range q.Sort {
			if k.Field == "" {
				hit.Sort[i] = strconv.FormatFloat(h.Score, 'g', -1, 64)
			}
		}
		out.Hits = append(out.Hits, hit)
	}
	for name, f := range res.Facets {
		buckets := []search.Bucket{}
		for _, t := range f.Terms.Terms() {
			buckets = append(buckets, search.Bucket{Value: t.Term, Count: t.Count})
		}
		out.Facets[name] = buckets
	}
	return out, nil
}

func sortOf(keys []search.Order) bsearch.SortOrder {
	var out bsearch.SortOrder
	for _, k := range keys {
		if k.Field == "" {
			out = append(out, &bsearch.SortScore{Desc: true})
			continue
		}
		out = append(out, &bsearch.SortField{Field: k.Field, Desc: k.Desc, Type: bsearch.SortFieldAsString})
	}
	return append(out, &bsearch.SortDocID{})
}

// fetch reads documents by their ids.
func (o *one) fetch(ids []string) (out map[string]search.Hit, err error) {
	r, err := o.reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	out = map[string]search.Hit{}
	for _, id := range ids {
		doc, err := r.Document(id)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", id, err)
		}
		if doc == nil {
			continue
		}
		hit := search.Hit{ID: id}
		doc.VisitFields(func(f index.Field) {
			switch f.Name() {
			case fieldSource:
				hit.Source = append([]byte(nil), f.Value()...)
			case fieldVersion:
				hit.Version = versionOf(string(f.Value()))
			}
		})
		if hit.Source != nil {
			out[id] = hit
		}
	}
	return out, nil
}
