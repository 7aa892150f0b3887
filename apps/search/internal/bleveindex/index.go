package bleveindex

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/whitespace"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/numeric"

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
	// Values by document are made of the terms where they are asked for (column).
	text := func(analyzer string, phrases bool) *mapping.FieldMapping {
		f := bleve.NewTextFieldMapping()
		f.Analyzer, f.Store, f.IncludeInAll = analyzer, false, false
		f.IncludeTermVectors, f.SkipFreqNorm, f.DocValues = phrases, !phrases, false
		return f
	}
	s := search.Schema()
	for _, name := range s.Phrases {
		doc.AddFieldMappingsAt(name, text(words, true))
	}
	for _, name := range s.Words {
		doc.AddFieldMappingsAt(name, text(words, false))
	}
	for _, name := range slices.Concat(s.Keys, s.Sorts, s.Numbers) {
		doc.AddFieldMappingsAt(name, text(keyword.Name, false))
	}
	version := text(keyword.Name, false)
	version.Store = true
	doc.AddFieldMappingsAt(fieldVersion, version)
	source := bleve.NewTextFieldMapping()
	source.Index, source.Store, source.IncludeInAll, source.DocValues = false, true, false, false
	doc.AddFieldMappingsAt(fieldSource, source)
	im.DefaultMapping = doc
	return im, nil
}

// one is one index in a folder. Writes go one after the other.
type one struct {
	path   string
	idx    bleve.Index
	memory memory
	mu     sync.Mutex
}

// lockWait is for how long a process that ends may still have the index in use.
const lockWait = 15 * time.Second

// opening is how an index is opened: a write returns once it is on the disk.
func opening() map[string]any {
	return map[string]any{"unsafe_batch": false, "bolt_timeout": lockWait.String()}
}

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
		return nil, fmt.Errorf("open the index %s, which another process may have in use: %w", path, err)
	}
	return &one{path: path, idx: idx}, nil
}

// missing says of an error of open that there is no index.
func missing(err error) bool {
	return errors.Is(err, bleve.ErrorIndexPathDoesNotExist) || errors.Is(err, bleve.ErrorIndexMetaMissing)
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
		out[name] = numberTerm(n)
	}
	out[fieldSource] = string(d.Source)
	return out
}

// numberTerm writes a number so that terms sort as numbers do.
func numberTerm(n float64) string {
	return string(numeric.MustNewPrefixCodedInt64(numeric.Float64ToInt64(n), 0))
}

// versions reads which versions are stored.
func (o *one) versions(of map[string]search.Document) (out map[string]int64, err error) {
	v, err := o.view()
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(v, err) }()
	out = map[string]int64{}
	for id := range of {
		p, doc, err := v.find(id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		versions, err := p.column(fieldVersion)
		if err != nil {
			return nil, err
		}
		if at, ok := versions.first(doc); ok {
			out[id] = versionOf(versions.terms[at])
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

// fetch reads documents by their ids.
func (o *one) fetch(ids []string) (out map[string]search.Hit, err error) {
	v, err := o.view()
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(v, err) }()
	out = map[string]search.Hit{}
	for _, id := range ids {
		p, doc, err := v.find(id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		hit, err := p.hit(doc)
		if err != nil {
			return nil, err
		}
		if hit.ID = id; hit.Source != nil {
			out[id] = hit
		}
	}
	return out, nil
}
