// Package quiz is the domain of question banks, quizzes and attempts. Marking is
// package marking; this one says who may start what and when it ends, which score
// counts, and what others are told. It does no I/O of its own: Store, Members and
// Placements are given to it. Rule numbers are those of the domain rules.
package quiz

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Points are whole hundredths.
type Points = events.Hundredths

// Limits of a quiz.
const (
	MaxTitle        = 255
	MaxInstructions = 50_000
	MaxSlots        = 200
	// MaxQuestions bounds the questions of one attempt.
	MaxQuestions = 500
	MaxPoints    = Points(1_000_000_00)
	// MaxTimeLimit is 30 days.
	MaxTimeLimit = 30 * 24 * time.Hour
	MaxAttempts  = 1_000
)

// Ways to keep one score of several attempts (rule 26).
const (
	KeepHighest = "highest"
	KeepLatest  = "latest"
	KeepFirst   = "first"
	KeepAverage = "average"
)

// When something becomes visible to who took the quiz.
const (
	Never        = "never"
	AfterAttempt = "after_attempt" // once the attempt is finished
	AfterDue     = "after_due"     // once the person's own due time has passed
)

// lateness orders the policies by how long they make one wait.
var lateness = map[string]int{AfterAttempt: 0, AfterDue: 1, Never: 2} //nolint:gochecknoglobals // constant

// Settings are what editors say about a quiz.
type Settings struct {
	Title        string
	Instructions string // HTML
	TimeLimit    *time.Duration
	// AttemptsAllowed is nil exactly if Unlimited: that is said explicitly (rule 27).
	AttemptsAllowed  *int
	Unlimited        bool
	Keep             string
	ShuffleQuestions bool
	ShuffleChoices   bool
	// From and Until are the window in which attempts start and go on, both bounds
	// included. Cutoff is the last moment for late work; the earlier one counts.
	From, Until, Due, Cutoff *time.Time
	// Feedback is when answers and feedback are shown; Scores when points are, nil
	// for the same.
	Feedback string
	Scores   *string
}

// DefaultSettings are what a new quiz has where nothing else was said.
func DefaultSettings() Settings {
	one := 1
	return Settings{AttemptsAllowed: &one, Keep: KeepHighest, Feedback: AfterAttempt}
}

// Quiz belongs to one course.
type Quiz struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	Settings
	// Points are those of all slots together.
	Points      Points
	Questions   int
	PublishedAt *time.Time
	DeletedAt   *time.Time
	CreatedBy   uuid.UUID
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Published says whether learners may take it.
func (q Quiz) Published() bool { return q.PublishedAt != nil }

// ScoresPolicy is when points are shown.
func (q Settings) ScoresPolicy() string {
	if q.Scores != nil {
		return *q.Scores
	}
	return q.Feedback
}

// settle trims texts and keeps times as the database does.
func (q *Settings) settle() {
	q.Title = strings.TrimSpace(q.Title)
	q.From, q.Until, q.Due, q.Cutoff = stored(q.From), stored(q.Until), stored(q.Due), stored(q.Cutoff)
}

func stored(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}

// Check tells everything that is wrong with the settings.
func (q Settings) Check() error {
	var f apperr.Fields
	checkText(&f, "title", q.Title, 1, MaxTitle)
	checkText(&f, "instructions", q.Instructions, 0, MaxInstructions)
	f.Require(slices.Contains([]string{KeepHighest, KeepLatest, KeepFirst, KeepAverage}, q.Keep), "keep", "enum", "One of: highest, latest, first, average.")
	if q.TimeLimit != nil {
		f.Require(*q.TimeLimit >= time.Second && *q.TimeLimit <= MaxTimeLimit, "time_limit_seconds", "range", "Between 1 second and 30 days.")
	}
	f.Require(q.Unlimited == (q.AttemptsAllowed == nil), "attempts_allowed", "pair", "Either attempts_allowed, or unlimited_attempts.")
	if q.AttemptsAllowed != nil {
		f.Require(*q.AttemptsAllowed >= 1 && *q.AttemptsAllowed <= MaxAttempts, "attempts_allowed", "range", "Between 1 and 1,000.")
	}
	checkOrder(&f, "available_until", q.From, q.Until)
	checkOrder(&f, "due_at", q.From, q.Due)
	checkOrder(&f, "cutoff_at", q.Due, q.Cutoff)
	late, known := lateness[q.Feedback]
	f.Require(known, "feedback", "enum", "One of: never, after_attempt, after_due.")
	if q.Scores != nil {
		scores, ok := lateness[*q.Scores]
		f.Require(ok, "scores", "enum", "One of: never, after_attempt, after_due.")
		f.Require(!ok || !known || scores <= late, "scores", "later_than_feedback", "Who sees the answers sees the points.")
	}
	f.Require(q.Due != nil || q.Feedback != AfterDue && q.ScoresPolicy() != AfterDue, "due_at", "required", "What is shown after the due time needs one.")
	return f.Err()
}

func checkText(f *apperr.Fields, path, text string, least, most int) {
	n := utf8.RuneCountInString(text)
	switch {
	case n < least:
		f.Add(path, "required", "It must not be empty.")
	case n > most:
		f.Add(path, "too_long", "It is too long.")
	}
	f.Require(!strings.ContainsRune(text, 0), path, "invalid_character", "It has characters that cannot be kept.")
}

func checkOrder(f *apperr.Fields, path string, from, to *time.Time) {
	f.Require(from == nil || to == nil || !to.Before(*from), path, "order", "It must not be before the other.")
}

func (q Quiz) meta() work.Meta {
	return work.Meta{TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, CourseID: q.CourseID}
}

func (q Quiz) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "quiz", ResourceID: q.ID, TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, Changes: changes,
	}
}

// State is the snapshot that events carry.
func (q Quiz) State() events.QuizState {
	s := events.QuizState{
		QuizID: q.ID, TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, CourseID: q.CourseID, Title: q.Title,
		Published: q.Published(), Deleted: q.DeletedAt != nil, Points: q.Points, Questions: q.Questions,
		AttemptsAllowed: q.AttemptsAllowed, Keep: q.Keep, AvailableFrom: q.From, AvailableUntil: q.Until, DueAt: q.Due, CutoffAt: q.Cutoff,
		UpdatedAt: q.UpdatedAt, Version: q.Version,
	}
	if q.TimeLimit != nil {
		s.TimeLimitSeconds = int64(*q.TimeLimit / time.Second)
	}
	return s
}

// Slot is one place of a quiz: a question in a pinned version, or some drawn at
// random from a bank. Points are those of each question.
type Slot struct {
	ID       uuid.UUID
	Position int
	// QuestionID and QuestionVersion, or BankID and Pick.
	QuestionID      *uuid.UUID
	QuestionVersion *int
	BankID          *uuid.UUID
	Pick            *int
	Points          Points
}

// Count is the number of questions that the slot brings.
func (s Slot) Count() int {
	if s.Pick != nil {
		return *s.Pick
	}
	return 1
}

// Total is the number of questions of all slots, and their points.
func Total(slots []Slot) (questions int, points Points) {
	for _, s := range slots {
		questions += s.Count()
		points += Points(s.Count()) * s.Points
	}
	return questions, points
}

// Override is what is different for one person.
type Override struct {
	QuizID        uuid.UUID
	UserID        uuid.UUID
	TenantID      uuid.UUID
	ExtraTime     time.Duration
	ExtraAttempts int
	From, Until   *time.Time
	Due           *time.Time
	UpdatedBy     uuid.UUID
	UpdatedAt     time.Time
	Version       int64
}

func (o *Override) check() error {
	o.From, o.Until, o.Due = stored(o.From), stored(o.Until), stored(o.Due)
	var f apperr.Fields
	f.Require(o.ExtraTime >= 0 && o.ExtraTime <= MaxTimeLimit, "extra_time_seconds", "range", "Between 0 and 30 days.")
	f.Require(o.ExtraAttempts >= 0 && o.ExtraAttempts <= MaxAttempts, "extra_attempts", "range", "Between 0 and 1,000.")
	checkOrder(&f, "available_until", o.From, o.Until)
	return f.Err()
}

// Terms are what holds for one person.
type Terms struct {
	From, Until, Due, Cutoff *time.Time
	// Limit includes extra time; nil is none.
	Limit *time.Duration
	// Allowed includes extra attempts; nil is unlimited.
	Allowed *int
}

// For is what holds for a person with or without an override. A due time of
// their own only extends, and moves the cutoff only if it is later (rule 21).
func (q Settings) For(o *Override) Terms {
	t := Terms{From: q.From, Until: q.Until, Due: q.Due, Cutoff: q.Cutoff, Limit: q.TimeLimit, Allowed: q.AttemptsAllowed}
	if o == nil {
		return t
	}
	if o.From != nil {
		t.From = o.From
	}
	if o.Until != nil {
		t.Until = o.Until
	}
	if o.Due != nil && (t.Due == nil || o.Due.After(*t.Due)) {
		t.Due = o.Due
		if t.Cutoff != nil && o.Due.After(*t.Cutoff) {
			t.Cutoff = o.Due
		}
	}
	if t.Limit != nil {
		limit := *t.Limit + o.ExtraTime
		t.Limit = &limit
	}
	if t.Allowed != nil {
		allowed := *t.Allowed + o.ExtraAttempts
		t.Allowed = &allowed
	}
	return t
}

// Closes is the last moment in which something is taken, nil for none.
func (t Terms) Closes() *time.Time { return earliest(t.Until, t.Cutoff) }

// Left is the number of attempts left (rule 27), nil for unlimited.
func (t Terms) Left(used int) *int {
	if t.Allowed == nil {
		return nil
	}
	left := max(0, *t.Allowed-used)
	return &left
}

// End is when an attempt ends (rule 28): the earliest of start and limit, the
// window's end, the cutoff, and the end of the person's access. Nil is never.
func (t Terms) End(start time.Time, access *time.Time) *time.Time {
	var limit *time.Time
	if t.Limit != nil {
		at := start.Add(*t.Limit)
		limit = &at
	}
	return earliest(limit, t.Closes(), access)
}

func earliest(times ...*time.Time) *time.Time {
	var out *time.Time
	for _, t := range times {
		if t != nil && (out == nil || t.Before(*out)) {
			out = t
		}
	}
	return out
}

// shows says whether a policy lets a person see something of a finished attempt.
func (t Terms) shows(policy string, now time.Time) bool {
	switch policy {
	case AfterAttempt:
		return true
	case AfterDue:
		return t.Due != nil && now.After(*t.Due)
	}
	return false
}
