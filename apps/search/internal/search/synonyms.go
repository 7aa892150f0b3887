package search

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/language"
	"lms/shared/apperr"
	"lms/shared/journal/acts"
	"lms/shared/record"
	"lms/shared/work"
)

// Limits of synonyms.
const (
	maxGroups     = 2000
	maxGroup      = 20 // terms that mean the same
	maxTermLength = 80 // bytes
)

// Synonyms are groups of terms that mean the same, set by an operator for the whole
// installation.
type Synonyms struct {
	Groups  [][]string `json:"groups"`
	Version int64      `json:"version"`
	Acts    acts.Lines `json:"acts,omitempty"`
}

const synonymsKey = "synonyms"

// synonyms in use: what a term can be replaced by, by its words.
type synonyms struct {
	version int64
	groups  [][][]language.Token
	first   map[string][]int // groups by the first word of any of their terms
}

func newSynonyms(s Synonyms) *synonyms {
	out := &synonyms{version: s.Version, first: map[string][]int{}}
	for i, group := range s.Groups {
		var terms [][]language.Token
		for _, term := range group {
			tokens := language.Tokens(term)
			if len(tokens) == 0 {
				continue // no word by the rules of now
			}
			terms = append(terms, tokens)
			if w := tokens[0].Word; !slices.Contains(out.first[w], i) {
				out.first[w] = append(out.first[w], i)
			}
		}
		out.groups = append(out.groups, terms)
	}
	return out
}

// apply adds to each part of a question what means the same. A term of several words
// is recognised where its words stand in a row, and becomes one part.
func (s *synonyms) apply(q *question) {
	if s == nil || len(s.groups) == 0 {
		return
	}
	for i := 0; i < len(q.parts); i++ {
		if q.parts[i].not || q.parts[i].begins {
			continue
		}
		s.applyAt(q, i)
	}
}

func (s *synonyms) applyAt(q *question, i int) {
	for _, g := range s.first[q.parts[i].tokens[0].Word] {
		for t, term := range s.groups[g] {
			n := standsAt(q.parts[i:], term)
			if n == 0 {
				continue
			}
			p := &q.parts[i]
			if n > 1 { // these words, or one of their synonyms
				*p = asked{tokens: term, words: slices.Clone(q.parts[i : i+n])}
				q.parts = slices.Delete(q.parts, i+1, i+n)
			}
			for other, words := range s.groups[g] {
				if other != t {
					p.same = append(p.same, words)
				}
			}
			break
		}
	}
}

// standsAt is how many parts a term takes at the beginning of parts, 0 for none.
func standsAt(parts []asked, term []language.Token) int {
	if p := parts[0]; p.phrase && slices.Equal(wordsOf(p.tokens), wordsOf(term)) {
		return 1
	}
	if len(parts) < len(term) {
		return 0
	}
	for i, t := range term {
		p := parts[i]
		if p.not || p.begins || len(p.tokens) != 1 || p.tokens[0].Word != t.Word {
			return 0
		}
	}
	return len(term)
}

// SynonymStore keeps the synonyms and has them in use.
type SynonymStore struct {
	book    *record.Book[Synonyms]
	audited *acts.Documents[Synonyms]

	mu  sync.RWMutex
	use *synonyms
}

// NewSynonymStore makes it.
func NewSynonymStore(store record.Store, now func() time.Time, trail *acts.Trail, log *slog.Logger) *SynonymStore {
	book := record.Durable[Synonyms](store, now, nil)
	return &SynonymStore{book: book, audited: acts.Of(trail, book, func(s *Synonyms) *acts.Lines { return &s.Acts }, log), use: &synonyms{}}
}

func (s *SynonymStore) current() *synonyms {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.use
}

// Get reads the synonyms.
func (s *SynonymStore) Get(ctx context.Context) (Synonyms, error) {
	v, err := s.book.Get(ctx, synonymsKey)
	if err != nil || v == nil {
		return Synonyms{Groups: [][]string{}, Version: 1}, err
	}
	return *v, nil
}

// Refresh takes into use what another replica has set.
func (s *SynonymStore) Refresh(ctx context.Context) error {
	v, err := s.Get(ctx)
	if err != nil {
		return err
	}
	if v.Version != s.current().version {
		s.take(v)
	}
	return nil
}

func (s *SynonymStore) take(v Synonyms) {
	use := newSynonyms(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use = use
}

// Follow writes what was done and is not in the audit trail yet.
func (s *SynonymStore) Follow(ctx context.Context) error { return s.audited.Follow(ctx, synonymsKey) }

// Set replaces all synonyms if they are of the given version.
func (s *SynonymStore) Set(ctx context.Context, groups [][]string, version int64) (Synonyms, error) {
	groups, err := checkGroups(groups)
	if err != nil {
		return Synonyms{}, err
	}
	before := 0
	act := func() acts.Act {
		return acts.Act{
			Action: "search_synonyms.set", ResourceType: "search_synonyms", ResourceID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(synonymsKey)),
			Changes: map[string]work.Change{"groups": {From: before, To: len(groups)}},
		}
	}
	v, err := s.audited.Update(ctx, synonymsKey, nil, act, func(old *Synonyms) (*Synonyms, error) {
		if old == nil {
			old = &Synonyms{Version: 1}
		}
		if old.Version != version {
			return nil, apperr.VersionMismatch()
		}
		before = len(old.Groups)
		return &Synonyms{Groups: groups, Version: old.Version + 1, Acts: old.Acts}, nil
	})
	if err != nil {
		return Synonyms{}, err
	}
	s.take(*v)
	return *v, nil
}

// checkGroups takes out spaces and repetitions, and says everything that is wrong.
func checkGroups(groups [][]string) ([][]string, error) {
	var wrong []apperr.Field
	say := func(at, code, message string) {
		wrong = append(wrong, apperr.Field{Path: at, Code: code, Message: message})
	}
	if len(groups) > maxGroups {
		say("groups", "too_many", fmt.Sprintf("There may be %d groups.", maxGroups))
	}
	out := make([][]string, len(groups))
	for i, group := range groups {
		at := fmt.Sprintf("groups[%d]", i)
		seen := map[string]bool{}
		for j, term := range group {
			term = strings.Join(strings.Fields(term), " ")
			words := strings.Join(wordsOf(language.Tokens(term)), " ")
			switch {
			case words == "":
				say(fmt.Sprintf("%s[%d]", at, j), "no_word", "It contains no word.")
			case len(term) > maxTermLength:
				say(fmt.Sprintf("%s[%d]", at, j), "too_long", fmt.Sprintf("It is longer than %d bytes.", maxTermLength))
			case !seen[words]:
				seen[words] = true
				out[i] = append(out[i], term)
			}
		}
		if len(seen) < 2 || len(group) > maxGroup {
			say(at, "size", fmt.Sprintf("A group holds 2 to %d different terms.", maxGroup))
		}
	}
	if len(wrong) > 0 {
		return nil, apperr.Invalid(wrong...)
	}
	return out, nil
}
