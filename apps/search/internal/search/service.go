package search

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/language"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
)

// Service answers questions.
type Service struct {
	Engine    Engine
	Policy    authz.Source
	Members   Members
	Languages *language.Languages
	Synonyms  *SynonymStore
	// Performed is told of each search; nil for nobody.
	Performed func(Performed)
	Now       func() time.Time
	Log       *slog.Logger
}

// Performed is a search that somebody made. It does not say who.
type Performed struct {
	At       time.Time
	TenantID uuid.UUID // nil for visitors
	Terms    string    // as typed, in small letters
	Results  int
}

// Sorts are the orders that can be asked for.
func Sorts() []string {
	return []string{"relevance", "title", "-title", "updated_at", "-updated_at", "starts_at", "-starts_at", "price", "-price"}
}

func orderOf(sort string) []Order {
	switch sort {
	case "title":
		return []Order{{Field: SortTitle}}
	case "-title":
		return []Order{{Field: SortTitle, Desc: true}}
	case "updated_at":
		return []Order{{Field: SortUpdated}}
	case "-updated_at":
		return []Order{{Field: SortUpdated, Desc: true}}
	case "starts_at":
		return []Order{{Field: SortStarts}}
	case "-starts_at":
		return []Order{{Field: SortStarts, Desc: true}}
	case "price":
		return []Order{{Field: SortPrice}}
	case "-price":
		return []Order{{Field: SortPrice, Desc: true}}
	}
	return []Order{{}, {Field: SortTie}}
}

// Params are a search as it is asked for. Of a filter any value suffices.
type Params struct {
	Text         string
	Types        []string
	Kinds        []string
	Languages    []string
	Levels       []string
	Tags         []string
	Categories   []uuid.UUID
	OrgUnits     []uuid.UUID // with their subtrees
	Statuses     []string    // published and draft if none
	Availability []string
	Prices       []string
	Currency     string
	MinAmount    *int64
	MaxAmount    *int64
	Facets       []string
	Sort         string
}

// plain names each value once: what is said twice is not asked for, or counted, twice.
func (p Params) plain() Params {
	for _, list := range []*[]string{&p.Types, &p.Kinds, &p.Languages, &p.Levels, &p.Tags, &p.Statuses, &p.Availability, &p.Prices, &p.Facets} {
		*list = slices.Compact(slices.Sorted(slices.Values(*list)))
	}
	return p
}

// Found is one page of what was found.
type Found struct {
	page.Page[Item]
	Total  int
	Facets map[string][]FacetValue
	// Match says how the words were matched: exact, similar, partial.
	Match string
	// Incomplete: where the caller learns could not be asked.
	Incomplete bool
}

// Item is a course or content that was found.
type Item struct {
	Source
	Availability string
	// Courses are the caller's courses that show the content.
	Courses    []uuid.UUID
	Highlights map[string]string
}

// FacetValue is a value of a facet.
type FacetValue struct {
	Value string
	Label string
	Count int
}

// Search finds what the caller may see.
func (s *Service) Search(ctx context.Context, actor authz.Principal, p Params, r page.Request) (Found, error) {
	p = p.plain()
	lang := ""
	if len(p.Languages) == 1 {
		lang = language.Base(p.Languages[0])
	}
	q := parse(s.Languages, s.Synonyms.current(), p.Text, lang)
	at, err := readCursor(p, r.Cursor)
	if err != nil {
		return Found{}, err
	}
	v, err := s.viewer(ctx, actor)
	if err != nil {
		return Found{}, err
	}
	filters, err := s.filters(ctx, p)
	if err != nil {
		return Found{}, err
	}
	ask := asking{service: s, viewer: v, filters: filters, question: q}
	ask.facets(p.Facets)
	req := Request{Sort: orderOf(p.Sort), After: at.after, Size: r.Size() + 1, Facets: ask.plainFacets}
	res, strict, err := ask.run(ctx, req, at)
	if err != nil {
		return Found{}, err
	}
	out := Found{Total: res.Total, Match: strict.name(), Incomplete: v.Incomplete}
	if out.Facets, err = ask.counted(ctx, res, strict); err != nil {
		return Found{}, err
	}
	hits := page.Cut(res.Hits, r.Size(), func(h Hit) string { return cursorOf(p, strict, h.Sort) })
	out.NextCursor = hits.NextCursor
	mark := newMarker(s.Languages, q, strict)
	for _, h := range hits.Items {
		item, err := s.item(h, v, mark)
		if err != nil {
			return Found{}, err
		}
		out.Items = append(out.Items, item)
	}
	s.tell(actor, p.Text, q, r, res.Total)
	return out, nil
}

// tell says that a search was made, once for all its pages.
func (s *Service) tell(actor authz.Principal, text string, q question, r page.Request, results int) {
	if s.Performed == nil || r.Cursor != "" || q.empty() {
		return
	}
	s.Performed(Performed{At: s.Now(), TenantID: actor.TenantID, Terms: strings.ToLower(strings.Join(strings.Fields(text), " ")), Results: results})
}

func (s *Service) item(h Hit, v Viewer, mark *marker) (Item, error) {
	var item Item
	// The whole course, to make the document again, is passed over.
	var shown struct {
		*Source
		Course struct{} `json:"course"`
	}
	shown.Source = &item.Source
	if err := json.Unmarshal(h.Source, &shown); err != nil {
		return Item{}, apperr.Internal(err)
	}
	item.Courses = v.showing[item.ID]
	item.Highlights = mark.highlights(item.Source)
	if item.Type == TypeCourse {
		item.Availability = availability(item.Source, s.Now())
	}
	return item, nil
}

// asking is one search on its way.
type asking struct {
	service  *Service
	viewer   Viewer
	filters  map[string]Query // by the facet that they belong to
	question question

	plainFacets []string // counted with the search itself
	others      []string // need a search of their own
}

// query is the question with who asks and with all filters but that of one facet.
func (a *asking) query(s strictness, without string) Query {
	parts := All{a.viewer.filter()}
	for _, name := range slices.Sorted(maps.Keys(a.filters)) { // the same question is asked in the same words
		if name != without {
			parts = append(parts, a.filters[name])
		}
	}
	if q := a.question.query(s); q != nil {
		parts = append(parts, q)
	}
	return parts
}

// run asks with the strictness of the cursor, or with one after the other until
// something is found. What is found is only what the caller may see, so that the
// strictness tells nothing else either.
func (a *asking) run(ctx context.Context, r Request, at cursor) (Result, strictness, error) {
	if at.after != nil {
		r.Query = a.query(at.strict, "")
		res, err := a.service.Engine.Search(ctx, r)
		return res, at.strict, err
	}
	for s := exact; ; s++ {
		r.Query = a.query(s, "")
		res, err := a.service.Engine.Search(ctx, r)
		if err != nil || res.Total > 0 || a.question.empty() || s+1 == strictnesses || !a.question.possible(s+1) {
			return res, s, err
		}
	}
}

// cursor is where a page begins.
type cursor struct {
	strict strictness
	after  []string
}

// fingerprint lets a cursor go on with its own search only.
func fingerprint(p Params) string {
	p.Facets = nil
	h := fnv.New64a()
	_, _ = h.Write(mustJSON(p)) // never fails
	return strconv.FormatUint(h.Sum64(), 36)
}

func cursorOf(p Params, s strictness, at []string) string {
	return page.Encode(fingerprint(p), int(s), at)
}

func readCursor(p Params, text string) (cursor, error) {
	var search string
	var strict int
	var after []string
	more, err := page.Decode(text, &search, &strict, &after)
	if err != nil || !more {
		return cursor{}, err
	}
	if search != fingerprint(p) || strict < 0 || strict >= int(strictnesses) || !isPlace(orderOf(p.Sort), after) {
		return cursor{}, apperr.Malformed("bad_cursor", "The cursor is not one that this search gave.")
	}
	return cursor{strictness(strict), after}, nil
}

// isPlace says whether the keys are ones that a hit can have in an order.
func isPlace(by []Order, keys []string) bool {
	if len(keys) != len(by)+1 {
		return false
	}
	for i, o := range by {
		if n, err := strconv.ParseFloat(keys[i], 64); o.Field == "" && (err != nil || strconv.FormatFloat(n, 'g', -1, 64) != keys[i] || math.IsNaN(n) || math.IsInf(n, 0)) {
			return false
		}
	}
	return true
}

// Suggestion completes what somebody has typed so far.
type Suggestion struct {
	Text string
	Type string
	ID   uuid.UUID
	// Highlight is the text as HTML, with what was typed marked.
	Highlight string
}

// MaxSuggestions is the most that is suggested at once.
const MaxSuggestions = 20

// Suggest gives titles that begin with what was typed, word by word in any order.
func (s *Service) Suggest(ctx context.Context, actor authz.Principal, text string, types []string, limit int) ([]Suggestion, error) {
	tokens := language.Tokens(text)
	if len(tokens) == 0 {
		return nil, nil
	}
	tokens = tokens[:min(len(tokens), maxAsked)]
	v, err := s.viewer(ctx, actor)
	if err != nil {
		return nil, err
	}
	if len(types) == 0 {
		types = []string{TypeCourse, TypeContent}
	}
	for _, fuzzy := range []bool{false, true} {
		res, err := s.Engine.Search(ctx, Request{
			Query: append(All{v.filter(), In{KeyType, types}, In{KeyStatus, []string{events.CoursePublished, events.CourseDraft}}}, beginningWith(tokens, fuzzy)...),
			Sort:  orderOf(""), Size: limit * 2,
		})
		if err != nil {
			return nil, err
		}
		if len(res.Hits) > 0 {
			return s.suggestions(res.Hits, tokens, limit)
		}
	}
	return nil, nil
}

// beginningWith: every word is typed but the last, which is being typed.
func beginningWith(tokens []language.Token, fuzzy bool) []Query {
	var out []Query
	for i, t := range tokens {
		word := t.Word
		if letters := []rune(word); len(letters) > maxBeginning {
			word = string(letters[:maxBeginning])
		}
		any := Best{Term{TitleBeginnings, word, 1}}
		if i < len(tokens)-1 {
			any = append(any, Term{TitleWords, t.Word, 2})
		} else {
			any = append(any, Term{TitleWords, t.Word, 1.5})
		}
		if edits, prefix := tolerance(word); fuzzy && edits > 0 {
			any = append(any, Fuzzy{TitleBeginnings, word, 1, prefix, 0.5})
		}
		out = append(out, any)
	}
	return out
}

// suggestions leaves out what reads the same.
func (s *Service) suggestions(hits []Hit, tokens []language.Token, limit int) ([]Suggestion, error) {
	var out []Suggestion
	for _, h := range hits {
		var src Source
		if err := json.Unmarshal(h.Source, &src); err != nil {
			return nil, apperr.Internal(err)
		}
		if slices.ContainsFunc(out, func(o Suggestion) bool { return o.Text == src.Title }) {
			continue
		}
		out = append(out, Suggestion{Text: src.Title, Type: src.Type, ID: src.ID, Highlight: markBeginnings(src.Title, tokens)})
		if len(out) == limit {
			break
		}
	}
	return out, nil
}
