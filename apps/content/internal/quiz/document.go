package quiz

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
)

// Document is a quiz with its questions as it goes into another course or out of
// the product. Its ids only say what belongs together: the quiz that is made of it
// has ids of its own.
type Document struct {
	Title            string         `json:"title"`
	Instructions     string         `json:"instructions,omitempty"`
	TimeLimitSeconds *int64         `json:"time_limit_seconds,omitempty"`
	AttemptsAllowed  *int           `json:"attempts_allowed,omitempty"`
	Unlimited        bool           `json:"unlimited_attempts,omitempty"`
	Keep             string         `json:"keep"`
	ShuffleQuestions bool           `json:"shuffle_questions,omitempty"`
	ShuffleChoices   bool           `json:"shuffle_choices,omitempty"`
	From             *time.Time     `json:"available_from,omitempty"`
	Until            *time.Time     `json:"available_until,omitempty"`
	Due              *time.Time     `json:"due_at,omitempty"`
	Cutoff           *time.Time     `json:"cutoff_at,omitempty"`
	Feedback         string         `json:"feedback"`
	Scores           *string        `json:"scores,omitempty"`
	Published        bool           `json:"published,omitempty"`
	Slots            []DocumentSlot `json:"slots"`
	Banks            []DocumentBank `json:"banks"`
}

// DocumentSlot is a place of a quiz: a question of one of its banks, or some drawn
// from a bank.
type DocumentSlot struct {
	QuestionID *uuid.UUID `json:"question_id,omitempty"`
	BankID     *uuid.UUID `json:"bank_id,omitempty"`
	Pick       *int       `json:"pick,omitempty"`
	Points     Points     `json:"points"`
	// version is that of a question whose bank is kept.
	version *int
}

// DocumentBank is a bank with those of its questions that the quiz needs.
type DocumentBank struct {
	ID          uuid.UUID          `json:"id"`
	Title       string             `json:"title"`
	Description string             `json:"description,omitempty"`
	Questions   []DocumentQuestion `json:"questions"`
	// kept says that the copy of the quiz uses the bank itself.
	kept bool
}

// DocumentQuestion is a question as its bank has it, and as a slot pins it where
// that is an older version.
type DocumentQuestion struct {
	ID         uuid.UUID           `json:"id"`
	Title      string              `json:"title"`
	Tags       []string            `json:"tags,omitempty"`
	ExternalID string              `json:"external_id,omitempty"`
	Definition marking.Definition  `json:"definition"`
	Pinned     *marking.Definition `json:"pinned,omitempty"`
}

// NewDocument is a document with the settings of a new quiz.
func NewDocument(title string) Document { return documentOf(Settings{Title: title}, DefaultSettings()) }

func documentOf(named, q Settings) Document {
	d := Document{
		Title: named.Title, Instructions: q.Instructions, AttemptsAllowed: q.AttemptsAllowed, Unlimited: q.Unlimited, Keep: q.Keep,
		ShuffleQuestions: q.ShuffleQuestions, ShuffleChoices: q.ShuffleChoices, From: q.From, Until: q.Until, Due: q.Due, Cutoff: q.Cutoff,
		Feedback: q.Feedback, Scores: q.Scores, Slots: []DocumentSlot{}, Banks: []DocumentBank{},
	}
	d.TimeLimitSeconds = wholeSeconds(q.TimeLimit)
	return d
}

func wholeSeconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	n := int64(*d / time.Second)
	return &n
}

// settings are those of the quiz that is made of the document, its dates moved.
func (d Document) settings(shift time.Duration) Settings {
	moved := func(t *time.Time) *time.Time {
		if t == nil {
			return nil
		}
		at := t.Add(shift)
		return &at
	}
	s := Settings{
		Title: d.Title, Instructions: d.Instructions, AttemptsAllowed: d.AttemptsAllowed, Unlimited: d.Unlimited, Keep: d.Keep,
		ShuffleQuestions: d.ShuffleQuestions, ShuffleChoices: d.ShuffleChoices, From: moved(d.From), Until: moved(d.Until), Due: moved(d.Due),
		Cutoff: moved(d.Cutoff), Feedback: d.Feedback, Scores: d.Scores,
	}
	if d.TimeLimitSeconds != nil {
		limit := time.Duration(*d.TimeLimitSeconds) * time.Second
		s.TimeLimit = &limit
	}
	return s
}

// checkSize refuses a document with more than a quiz may hold.
func (d Document) checkSize() error {
	questions, points := 0, Points(0)
	for _, s := range d.Slots {
		n := 1
		if s.Pick != nil {
			n = max(0, min(*s.Pick, MaxQuestions+1))
		}
		questions += n
		points += Points(n) * max(0, min(s.Points, MaxPoints))
	}
	if len(d.Slots) > MaxSlots || questions > MaxQuestions || points > MaxPoints {
		return apperr.Invalid(apperr.Field{Path: "slots", Code: "too_many", Message: "The quiz has more questions or points than are possible."})
	}
	return nil
}

// Left is something of a document that did not become part of the quiz, or only
// changed.
type Left struct{ Ref, Code, Message string }

// anonymous is a definition without the ids of its parts, which are given anew.
func anonymous(d marking.Definition) marking.Definition {
	choices := make([]marking.Choice, len(d.Choices))
	for i, c := range d.Choices {
		c.ID = ""
		choices[i] = c
	}
	ordering := make([]marking.Item, len(d.Ordering))
	for i, it := range d.Ordering {
		it.ID = ""
		ordering[i] = it
	}
	if d.Choices != nil {
		d.Choices = choices
	}
	if d.Ordering != nil {
		d.Ordering = ordering
	}
	if d.Matching == nil {
		return d
	}
	m := marking.Pairing{}
	for _, p := range d.Matching.Pairs {
		p.ID, p.MatchID = "", ""
		m.Pairs = append(m.Pairs, p)
	}
	for _, it := range d.Matching.Distractors {
		it.ID = ""
		m.Distractors = append(m.Distractors, it)
	}
	d.Matching = &m
	return d
}
