package marking

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"

	"lms/shared/apperr"
)

// Author prepares definitions that people write.
type Author struct {
	// Random makes ids. They must tell nothing of the order in which they were
	// made: a UUIDv7 would tell the right order of an ordering.
	Random io.Reader
	// HTML keeps only harmless markup.
	HTML func(string) string
}

// Prepare checks a definition, cleans its texts and gives ids to what has none.
// An id that is sent must be one of before: ids are ours, since an author's could
// tell the answer. Errors are 422 with all fields.
func (a Author) Prepare(d Definition, before *Definition) (Definition, error) {
	p := preparation{Author: a, known: map[string]bool{}, used: map[string]bool{}}
	if before != nil {
		p.remember(*before)
	}
	d = p.clean(d)
	p.check(d)
	if err := p.fields.Err(); err != nil {
		return Definition{}, err
	}
	return d, p.failed
}

type preparation struct {
	Author
	known, used map[string]bool
	fields      apperr.Fields
	failed      error
}

func (p *preparation) remember(d Definition) {
	for _, c := range d.Choices {
		p.known[c.ID] = true
	}
	for _, i := range d.Ordering {
		p.known[i.ID] = true
	}
	if d.Matching != nil {
		for _, pair := range d.Matching.Pairs {
			p.known[pair.ID], p.known[pair.MatchID] = true, true
		}
		for _, i := range d.Matching.Distractors {
			p.known[i.ID] = true
		}
	}
}

// id keeps a known id and makes one for what is new.
func (p *preparation) id(path, sent string) string {
	if sent != "" {
		p.fields.Require(p.known[sent], path, "unknown_id", "Not an id of the version before.")
		p.fields.Require(!p.used[sent], path, "not_unique", "The id is used twice.")
		p.used[sent] = true
		return sent
	}
	raw := make([]byte, 5)
	if _, err := io.ReadFull(p.Random, raw); err != nil && p.failed == nil {
		p.failed = apperr.Internal(fmt.Errorf("question ids: %w", err))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}

func (p *preparation) html(s string) string { return strings.TrimSpace(p.HTML(s)) }

// clean copies the definition with harmless texts, ids, and only the members of
// its kind.
func (p *preparation) clean(d Definition) Definition {
	out := Definition{Kind: d.Kind, Prompt: p.html(d.Prompt), GeneralFeedback: p.html(d.GeneralFeedback)}
	p.foreign(d)
	switch d.Kind {
	case Multiple, Matching, Ordering:
		if out.Scoring = d.Scoring; out.Scoring == "" {
			out.Scoring = Partial
		}
	case Single, TrueFalse, Numeric, ShortText, Essay:
		p.fields.Require(d.Scoring == "", "scoring", "not_for_kind", "Not for this kind of question.")
	}
	switch d.Kind {
	case Single, Multiple:
		for i, c := range d.Choices {
			out.Choices = append(out.Choices, Choice{
				ID: p.id(fmt.Sprintf("choices[%d].id", i), c.ID), Text: p.html(c.Text), Correct: c.Correct, Feedback: p.html(c.Feedback),
			})
		}
	case TrueFalse:
		if s := d.TrueFalse; s != nil {
			out.TrueFalse = &Statement{Answer: s.Answer, TrueFeedback: p.html(s.TrueFeedback), FalseFeedback: p.html(s.FalseFeedback)}
		}
	case Numeric:
		for _, n := range d.Numeric {
			n.Value, n.Tolerance, n.Feedback = strings.TrimSpace(n.Value), strings.TrimSpace(n.Tolerance), p.html(n.Feedback)
			out.Numeric = append(out.Numeric, n)
		}
	case ShortText:
		if d.ShortText != nil {
			s := *d.ShortText
			s.Accepted = nil
			for _, a := range d.ShortText.Accepted {
				a.Feedback = p.html(a.Feedback)
				s.Accepted = append(s.Accepted, a)
			}
			out.ShortText = &s
		}
	case Matching:
		out.Matching = p.pairing(d.Matching)
	case Ordering:
		for i, it := range d.Ordering {
			out.Ordering = append(out.Ordering, Item{ID: p.id(fmt.Sprintf("ordering[%d].id", i), it.ID), Text: p.html(it.Text)})
		}
	case Essay:
		out.Essay = &Prose{}
		if d.Essay != nil {
			out.Essay = &Prose{MaxWords: d.Essay.MaxWords, GraderNotes: p.html(d.Essay.GraderNotes)}
		}
	}
	return out
}

func (p *preparation) pairing(in *Pairing) *Pairing {
	if in == nil {
		return nil
	}
	out := &Pairing{}
	ids := map[string]string{} // text of an option → its id
	for i, pair := range in.Pairs {
		path := fmt.Sprintf("matching.pairs[%d]", i)
		pair.ID, pair.Prompt, pair.Match = p.id(path+".id", pair.ID), p.html(pair.Prompt), p.html(pair.Match)
		if id, ok := ids[pair.Match]; ok {
			pair.MatchID = id
		} else {
			pair.MatchID = p.id(path+".match_id", pair.MatchID)
			ids[pair.Match] = pair.MatchID
		}
		out.Pairs = append(out.Pairs, pair)
	}
	for i, it := range in.Distractors {
		path := fmt.Sprintf("matching.distractors[%d]", i)
		it = Item{ID: p.id(path+".id", it.ID), Text: p.html(it.Text)}
		p.fields.Require(ids[it.Text] == "", path+".text", "not_unique", "The option belongs to a prompt.")
		out.Distractors = append(out.Distractors, it)
	}
	return out
}

// foreign refuses members of another kind: an author who sent them expects them
// to count.
func (p *preparation) foreign(d Definition) {
	for _, m := range []struct {
		set   bool
		path  string
		kinds []Kind
	}{
		{len(d.Choices) > 0, "choices", []Kind{Single, Multiple}},
		{d.TrueFalse != nil, "true_false", []Kind{TrueFalse}},
		{len(d.Numeric) > 0, "numeric", []Kind{Numeric}},
		{d.ShortText != nil, "short_text", []Kind{ShortText}},
		{d.Matching != nil, "matching", []Kind{Matching}},
		{len(d.Ordering) > 0, "ordering", []Kind{Ordering}},
		{d.Essay != nil, "essay", []Kind{Essay}},
	} {
		fits := false
		for _, k := range m.kinds {
			fits = fits || k == d.Kind
		}
		p.fields.Require(!m.set || fits, m.path, "not_for_kind", "Not for this kind of question.")
	}
}

func (p *preparation) check(d Definition) {
	f := &p.fields
	f.Require(d.Prompt != "", "prompt", "required", "A question asks something.")
	f.Require(len(d.Prompt) <= 50_000, "prompt", "too_long", "At most 50,000 bytes.")
	f.Require(len(d.GeneralFeedback) <= 20_000, "general_feedback", "too_long", "At most 20,000 bytes.")
	f.Require(d.Scoring == "" || d.Scoring == Partial || d.Scoring == AllOrNothing, "scoring", "enum", "One of: partial, all_or_nothing.")
	switch d.Kind {
	case Single, Multiple:
		p.checkChoices(d)
	case TrueFalse:
		f.Require(d.TrueFalse != nil, "true_false", "required", "Say whether the statement is true.")
	case Numeric:
		p.checkNumbers(d.Numeric)
	case ShortText:
		p.checkPhrases(d.ShortText)
	case Matching:
		p.checkPairs(d.Matching)
	case Ordering:
		f.Require(len(d.Ordering) >= 2 && len(d.Ordering) <= 30, "ordering", "range", "Between 2 and 30 items.")
		p.checkItems("ordering", d.Ordering)
	case Essay:
		f.Require(d.Essay.MaxWords >= 0 && d.Essay.MaxWords <= 20_000, "essay.max_words", "range", "Between 0 and 20,000.")
	default:
		f.Add("kind", "enum", "No such kind of question.")
	}
}

func (p *preparation) checkItems(path string, items []Item) {
	for i, it := range items {
		p.fields.Require(it.Text != "" && len(it.Text) <= 5_000, fmt.Sprintf("%s[%d].text", path, i), "length", "Between 1 and 5,000 bytes.")
	}
}

func (p *preparation) checkChoices(d Definition) {
	f := &p.fields
	f.Require(len(d.Choices) >= 2 && len(d.Choices) <= 50, "choices", "range", "Between 2 and 50 choices.")
	right := 0
	for i, c := range d.Choices {
		f.Require(c.Text != "" && len(c.Text) <= 10_000, fmt.Sprintf("choices[%d].text", i), "length", "Between 1 and 10,000 bytes.")
		if c.Correct {
			right++
		}
	}
	if d.Kind == Single {
		f.Require(right == 1, "choices", "one_correct", "Exactly one choice is correct.")
		return
	}
	f.Require(right >= 1, "choices", "none_correct", "At least one choice is correct.")
}

func (p *preparation) checkNumbers(list []NumericAnswer) {
	f := &p.fields
	f.Require(len(list) >= 1 && len(list) <= 20, "numeric", "range", "Between 1 and 20 answers.")
	full := false
	for i, n := range list {
		path := fmt.Sprintf("numeric[%d]", i)
		_, ok := number(n.Value)
		f.Require(ok, path+".value", "number", "A decimal number.")
		tolerance, ok := number(orZero(n.Tolerance))
		f.Require(ok && tolerance.Sign() >= 0, path+".tolerance", "number", "A decimal number, not below 0.")
		p.checkCredit(path, n.Credit)
		full = full || percent(n.Credit) == 100
	}
	f.Require(full || len(list) == 0, "numeric", "none_correct", "At least one answer earns 100 percent.")
}

func (p *preparation) checkCredit(path string, credit *int) {
	c := percent(credit)
	p.fields.Require(c >= 0 && c <= 100, path+".credit", "range", "Between 0 and 100.")
}

func (p *preparation) checkPhrases(s *Phrases) {
	f := &p.fields
	if s == nil || len(s.Accepted) == 0 || len(s.Accepted) > 50 {
		f.Add("short_text", "range", "Between 1 and 50 accepted answers.")
		return
	}
	full := false
	for i, a := range s.Accepted {
		path := fmt.Sprintf("short_text.accepted[%d]", i)
		f.Require(strings.TrimSpace(a.Text) != "" && len(a.Text) <= 500, path+".text", "length", "Between 1 and 500 bytes.")
		p.checkCredit(path, a.Credit)
		full = full || percent(a.Credit) == 100
	}
	f.Require(full, "short_text", "none_correct", "At least one answer earns 100 percent.")
}

func (p *preparation) checkPairs(m *Pairing) {
	f := &p.fields
	if m == nil || len(m.Pairs) < 1 || len(m.Pairs) > 30 || len(m.Distractors) > 30 {
		f.Add("matching", "range", "Between 1 and 30 pairs, and at most 30 distractors.")
		return
	}
	f.Require(len(m.options()) >= 2, "matching", "too_few", "There must be two options to choose from.")
	for i, pair := range m.Pairs {
		path := fmt.Sprintf("matching.pairs[%d]", i)
		f.Require(pair.Prompt != "" && len(pair.Prompt) <= 5_000, path+".prompt", "length", "Between 1 and 5,000 bytes.")
		f.Require(pair.Match != "" && len(pair.Match) <= 5_000, path+".match", "length", "Between 1 and 5,000 bytes.")
	}
	p.checkItems("matching.distractors", m.Distractors)
}
