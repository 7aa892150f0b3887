// Package search finds courses and contents: what is indexed of them, who may find
// what, how a question becomes a query, and how an index is made anew. An engine
// only stores documents and answers queries; what is in a document and what a query
// says is decided here, so that every engine answers the same.
package search

import (
	"context"
	"encoding/json"
)

// Fields of a document that hold words, in their order. Those that end in _w hold
// words as they are written, those in _s stems, title_p beginnings of words.
const (
	TitleWords, TitleStems, TitleBeginnings = "title_w", "title_s", "title_p"
	CodeWords                               = "code_w"
	TagWords, TagStems                      = "tags_w", "tags_s"
	AboutWords, AboutStems                  = "about_w", "about_s"
	TextWords, TextStems                    = "text_w", "text_s"
)

// Fields of a document that hold exact values.
const (
	KeyID       = "id"
	KeyType     = "type"
	KeyKind     = "kind"
	KeyTenant   = "tenant"
	KeyOrgUnit  = "org_unit"
	KeyStatus   = "status"
	KeyLanguage = "language"
	KeyLevel    = "level"
	KeyTag      = "tag"
	KeyCategory = "category"
	// KeyCategoryName is the id of the category and what it is called.
	KeyCategoryName = "category_name"
	KeyPrice        = "price"
	KeyCurrency     = "currency"
	KeySeats        = "seats"
	KeyEnrollment   = "enrollment"
	// KeyAudience says who may find the document; see Viewer.
	KeyAudience = "audience"
)

// Fields by which results can be sorted: one value each, compared byte by byte.
const (
	SortTie     = "sort_tie" // among equally good: short titles first
	SortTitle   = "sort_title"
	SortUpdated = "sort_updated"
	SortStarts  = "sort_starts"
	SortPrice   = "sort_price"
)

// Fields that hold numbers.
const (
	NumberOpens  = "opens" // Unix seconds
	NumberCloses = "closes"
	NumberAmount = "amount" // minor units
)

// Fields are all fields, by what an engine does with them.
type Fields struct {
	Phrases []string // words, with their positions
	Words   []string // words without
	Keys    []string
	Sorts   []string
	Numbers []string
}

// Schema is the layout of an index.
func Schema() Fields {
	return Fields{
		Phrases: []string{TitleWords, TagWords, AboutWords, TextWords},
		Words:   []string{TitleStems, TitleBeginnings, CodeWords, TagStems, AboutStems, TextStems},
		Keys: []string{
			KeyID, KeyType, KeyKind, KeyTenant, KeyOrgUnit, KeyStatus, KeyLanguage, KeyLevel, KeyTag, KeyCategory, KeyCategoryName, KeyPrice, KeyCurrency,
			KeySeats, KeyEnrollment, KeyAudience,
		},
		Sorts:   []string{SortTie, SortTitle, SortUpdated, SortStarts, SortPrice},
		Numbers: []string{NumberOpens, NumberCloses, NumberAmount},
	}
}

// Document is what an engine stores. Of two with one id the one with the higher
// version stays; one of the same version is written again. One that is gone is kept
// as a mark of its version, without fields: what was told late cannot bring it back.
type Document struct {
	ID      string
	Version int64
	Gone    bool
	Words   map[string][]string
	Keys    map[string][]string
	Sorts   map[string]string
	Numbers map[string]float64
	Source  json.RawMessage
}

// Query is a condition on documents that gives each match a score.
type Query interface{ query() }

// Term matches documents with a value in a field.
type Term struct {
	Field, Value string
	Score        float64
}

// Fuzzy matches words at most Edits letters away: put in, left out, replaced, or
// swapped with their neighbour. The first Prefix letters are the same.
type Fuzzy struct {
	Field, Value  string
	Edits, Prefix int
	Score         float64
}

// Prefix matches words that begin with a value.
type Prefix struct {
	Field, Value string
	Score        float64
}

// Phrase matches words that follow one another.
type Phrase struct {
	Field string
	Words []string
	Score float64
}

// In matches documents with one of some values in a field, without a score.
type In struct {
	Field  string
	Values []string
}

// Range matches documents with a number of at least Min and at most Max; nil is no
// bound. Without a score.
type Range struct {
	Field    string
	Min, Max *float64
}

// All matches what every part matches; scores add up.
type All []Query

// Best matches what any part matches, with the highest score of those.
type Best []Query

// Most matches what at least Least parts match; scores add up.
type Most struct {
	Of    []Query
	Least int
}

// Scored matches what Must matches, and adds the scores of those of Should that
// match too; what Not matches is left out. A nil Must matches everything.
type Scored struct {
	Must   Query
	Should []Query
	Not    []Query
}

func (Term) query()   {}
func (Fuzzy) query()  {}
func (Prefix) query() {}
func (Phrase) query() {}
func (In) query()     {}
func (Range) query()  {}
func (All) query()    {}
func (Best) query()   {}
func (Most) query()   {}
func (Scored) query() {}

// Order is one key of a sort: the score where Field is empty, which is always the
// highest first. The id decides last.
type Order struct {
	Field string
	Desc  bool
}

// Request asks an engine.
type Request struct {
	Query  Query    // nil matches everything
	Facets []string // fields of which values are counted, each once
	Sort   []Order
	// After is the Sort of the hit to go on behind; nil for the beginning.
	After []string
	Size  int
	// Written asks for all that was written before; else what was written within the
	// last second may not be found yet.
	Written bool
}

// MaxBuckets is how many values of a facet are counted out.
const MaxBuckets = 100

// Result is an engine's answer.
type Result struct {
	Total  int
	Hits   []Hit
	Facets map[string][]Bucket
}

// Hit is a document that matched. Sort is where it stands in the order.
type Hit struct {
	ID      string
	Version int64
	Score   float64
	Sort    []string
	Source  json.RawMessage
}

// Bucket is a value of a facet with the number of documents that have it, the most
// frequent first, then in the order of the values.
type Bucket struct {
	Value string
	Count int
}

// Writer takes documents. It returns when they are durable; they are found within a
// second.
type Writer interface {
	Write(ctx context.Context, docs []Document) error
}

// Engine keeps documents and answers queries. An engine that cannot be reached
// answers apperr.KindUnavailable.
type Engine interface {
	Writer // to the index in use and to one that is being made
	Search(ctx context.Context, r Request) (Result, error)
	// Fetch gives documents by their ids, as they were last written; marks of what is
	// gone are left out.
	Fetch(ctx context.Context, ids []string) (map[string]Hit, error)
	// Filled says whether the index in use was made whole by these rules.
	Filled(ctx context.Context, rules string) (bool, error)
	// Begin makes a new, empty index beside the one in use. From now on Write goes to
	// both. One that was begun before and not finished is thrown away.
	Begin(ctx context.Context, rules string) (Rebuild, error)
	Ready(ctx context.Context) error
	Close() error
}

// Rebuild is an index that is being made.
type Rebuild interface {
	Writer
	// Commit puts it in the place of the one in use, at once for everybody.
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
}
