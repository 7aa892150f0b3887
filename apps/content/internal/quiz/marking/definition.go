// Package marking is what a question is and what an answer is worth: pure
// functions on immutable definitions. Credit is an exact fraction, points are
// whole hundredths; a float never comes near either.
package marking

// Kind is a kind of question.
type Kind string

// The kinds. How each is marked stands at its function.
const (
	Single    Kind = "single"     // one of several choices
	Multiple  Kind = "multiple"   // some of several choices
	TrueFalse Kind = "true_false" // a statement
	Numeric   Kind = "numeric"    // a number, within a tolerance
	ShortText Kind = "short_text" // a word or a phrase
	Matching  Kind = "matching"   // each prompt gets one option
	Ordering  Kind = "ordering"   // items in the right order
	Essay     Kind = "essay"      // read by a person
)

// Kinds are all kinds.
func Kinds() []Kind {
	return []Kind{Single, Multiple, TrueFalse, Numeric, ShortText, Matching, Ordering, Essay}
}

// Ways to score what has several parts.
const (
	// Partial gives a share for each right part; see Mark.
	Partial = "partial"
	// AllOrNothing gives everything or nothing.
	AllOrNothing = "all_or_nothing"
)

// Definition is one version of a question, with its answers. It is never shown
// to who has not answered yet: see Shown. Only the members of its kind are set.
type Definition struct {
	Kind            Kind            `json:"kind" enum:"single,multiple,true_false,numeric,short_text,matching,ordering,essay"`
	Prompt          string          `json:"prompt" minLength:"1" maxLength:"50000" doc:"HTML; what is not harmless is taken out"`
	GeneralFeedback string          `json:"general_feedback,omitempty" maxLength:"20000" doc:"HTML; shown to everybody who answered, once the quiz lets them see feedback"`
	Scoring         string          `json:"scoring,omitempty" enum:"partial,all_or_nothing" doc:"multiple, matching, ordering; partial if absent"`
	Choices         []Choice        `json:"choices,omitempty" maxItems:"50" doc:"single, multiple"`
	TrueFalse       *Statement      `json:"true_false,omitempty"`
	Numeric         []NumericAnswer `json:"numeric,omitempty" maxItems:"20" doc:"The first that fits counts"`
	ShortText       *Phrases        `json:"short_text,omitempty"`
	Matching        *Pairing        `json:"matching,omitempty"`
	Ordering        []Item          `json:"ordering,omitempty" maxItems:"30" doc:"In the right order"`
	Essay           *Prose          `json:"essay,omitempty"`
}

// Choice is one choice of a question.
type Choice struct {
	ID       string `json:"id,omitempty" maxLength:"16" doc:"Keep it when you change a question; absent for a new choice"`
	Text     string `json:"text" minLength:"1" maxLength:"10000" doc:"HTML"`
	Correct  bool   `json:"correct,omitempty"`
	Feedback string `json:"feedback,omitempty" maxLength:"10000" doc:"HTML; for who picked it"`
}

// Statement is right or wrong.
type Statement struct {
	Answer        bool   `json:"answer"`
	TrueFeedback  string `json:"true_feedback,omitempty" maxLength:"10000"`
	FalseFeedback string `json:"false_feedback,omitempty" maxLength:"10000"`
}

// NumericAnswer is a number that earns credit. Numbers are texts, so that they
// stay exact.
type NumericAnswer struct {
	Value     string `json:"value" minLength:"1" maxLength:"40" doc:"A decimal number, such as -12.5 or 6.02e23"`
	Tolerance string `json:"tolerance,omitempty" maxLength:"40" doc:"How far off an answer may be, bound included; 0 if absent"`
	Relative  bool   `json:"relative,omitempty" doc:"The tolerance is in percent of the value"`
	Credit    *int   `json:"credit,omitempty" minimum:"0" maximum:"100" doc:"Percent; 100 if absent"`
	Feedback  string `json:"feedback,omitempty" maxLength:"10000"`
}

// Phrases are the accepted answers of a short text, and how they are compared.
type Phrases struct {
	Accepted   []Phrase `json:"accepted" minItems:"1" maxItems:"50" doc:"The one that earns most counts"`
	Case       bool     `json:"case_sensitive,omitempty"`
	Diacritics bool     `json:"diacritics_sensitive,omitempty" doc:"Absent: é and e are the same"`
	Whitespace bool     `json:"whitespace_sensitive,omitempty" doc:"Absent: spaces at the ends do not count, several count as one"`
	Wildcards  bool     `json:"wildcards,omitempty" doc:"* stands for any text, \\* for itself"`
}

// Phrase is an accepted answer.
type Phrase struct {
	Text     string `json:"text" minLength:"1" maxLength:"500"`
	Credit   *int   `json:"credit,omitempty" minimum:"0" maximum:"100" doc:"Percent; 100 if absent"`
	Feedback string `json:"feedback,omitempty" maxLength:"10000"`
}

// Pairing is prompts with the option that belongs to each.
type Pairing struct {
	Pairs       []Pair `json:"pairs" minItems:"1" maxItems:"30"`
	Distractors []Item `json:"distractors,omitempty" maxItems:"30" doc:"Options that belong to no prompt"`
}

// Pair is a prompt with its option. Two prompts with the same option share it.
type Pair struct {
	ID      string `json:"id,omitempty" maxLength:"16"`
	Prompt  string `json:"prompt" minLength:"1" maxLength:"5000"`
	MatchID string `json:"match_id,omitempty" maxLength:"16" readOnly:"true"`
	Match   string `json:"match" minLength:"1" maxLength:"5000"`
}

// Item is a text with an id.
type Item struct {
	ID   string `json:"id,omitempty" maxLength:"16"`
	Text string `json:"text" minLength:"1" maxLength:"5000"`
}

// Prose says what an essay should be like.
type Prose struct {
	MaxWords    int    `json:"max_words,omitempty" minimum:"0" maximum:"20000" doc:"0: no limit of words"`
	GraderNotes string `json:"grader_notes,omitempty" maxLength:"20000" doc:"HTML; for graders alone"`
}

// options of a pairing: what belongs to a prompt, once each, then the rest.
func (p Pairing) options() []Item {
	var out []Item
	seen := map[string]bool{}
	for _, pair := range p.Pairs {
		if !seen[pair.MatchID] {
			seen[pair.MatchID] = true
			out = append(out, Item{ID: pair.MatchID, Text: pair.Match})
		}
	}
	return append(out, p.Distractors...)
}

func percent(credit *int) int {
	if credit == nil {
		return 100
	}
	return *credit
}
