package marking

import (
	"math/rand/v2"
	"strconv"
)

// Shown is a question as it is shown to who answers it: it is built from what
// may be seen, so that nothing else can slip in.
type Shown struct {
	Kind     Kind   `json:"kind"`
	Prompt   string `json:"prompt"`
	Choices  []Item `json:"choices,omitempty" doc:"single, multiple"`
	Prompts  []Item `json:"prompts,omitempty" doc:"matching: each gets one of the options"`
	Options  []Item `json:"options,omitempty" doc:"matching"`
	Items    []Item `json:"items,omitempty" doc:"ordering: to be put in order"`
	MaxWords int    `json:"max_words,omitempty" doc:"essay"`
}

// Arrange draws the order in which parts are shown: choices where asked for, the
// options of a matching and the items of an ordering always, since the order in
// which they were written is the answer. The same definition and source give the
// same order.
func (d Definition) Arrange(shuffle bool, rng *rand.Rand) []string {
	var ids []string
	switch d.Kind {
	case Single, Multiple:
		for _, c := range d.Choices {
			ids = append(ids, c.ID)
		}
	case Matching:
		for _, o := range d.Matching.options() {
			ids = append(ids, o.ID)
		}
		shuffle = true
	case Ordering:
		for _, i := range d.Ordering {
			ids = append(ids, i.ID)
		}
		shuffle = true
	case TrueFalse, Numeric, ShortText, Essay:
	}
	if shuffle {
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	}
	return ids
}

// Show shows the question with its parts in the given order; what the order does
// not name comes last.
func (d Definition) Show(order []string) Shown {
	out := Shown{Kind: d.Kind, Prompt: d.Prompt}
	switch d.Kind {
	case Single, Multiple:
		items := make([]Item, len(d.Choices))
		for i, c := range d.Choices {
			items[i] = Item{ID: c.ID, Text: c.Text}
		}
		out.Choices = arranged(items, order)
	case Matching:
		for _, p := range d.Matching.Pairs {
			out.Prompts = append(out.Prompts, Item{ID: p.ID, Text: p.Prompt})
		}
		out.Options = arranged(d.Matching.options(), order)
	case Ordering:
		out.Items = arranged(d.Ordering, order)
	case Essay:
		out.MaxWords = d.Essay.MaxWords
	case TrueFalse, Numeric, ShortText:
	}
	return out
}

func arranged(items []Item, order []string) []Item {
	at := make(map[string]Item, len(items))
	for _, i := range items {
		at[i.ID] = i
	}
	out := make([]Item, 0, len(items))
	for _, id := range order {
		if i, ok := at[id]; ok {
			out = append(out, i)
			delete(at, id)
		}
	}
	for _, i := range items {
		if _, left := at[i.ID]; left {
			out = append(out, i)
		}
	}
	return out
}

// Solution is the definition as a learner may see it once feedback is shown:
// without what is for graders alone.
func (d Definition) Solution() Definition {
	if d.Essay != nil {
		d.Essay = &Prose{MaxWords: d.Essay.MaxWords}
	}
	return d
}

// Feedback is what the definition says to who gave the answer.
func (d Definition) Feedback(a *Answer) []string {
	var out []string
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	r := Mark(d, a)
	for _, id := range r.Picked {
		switch d.Kind {
		case Single, Multiple:
			for _, c := range d.Choices {
				if c.ID == id {
					add(c.Feedback)
				}
			}
		case TrueFalse:
			if id == "true" {
				add(d.TrueFalse.TrueFeedback)
			} else {
				add(d.TrueFalse.FalseFeedback)
			}
		case Numeric:
			if i, err := strconv.Atoi(id); err == nil && i <= len(d.Numeric) {
				add(d.Numeric[i-1].Feedback)
			}
		case ShortText:
			if i, err := strconv.Atoi(id); err == nil && i <= len(d.ShortText.Accepted) {
				add(d.ShortText.Accepted[i-1].Feedback)
			}
		case Matching, Ordering, Essay:
		}
	}
	add(d.GeneralFeedback)
	return out
}
