package coursework

import (
	"strings"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
)

// Entry is what somebody who grades enters for a person: it replaces what was
// entered before as a whole. At most one of Score, Grade and Ratings gives the
// score.
type Entry struct {
	Score *Points
	// Grade is typed as the kind of grading shows it: 87.5, 87.5%, B+, 3.7, pass.
	Grade   string
	Ratings []Rating // by the assignment's rubric
	Excused bool
	// Status overrides the clock (rule 18); nil leaves it to the clock.
	Status        *string
	StatusSeconds *int64 // with late; 0 if absent
	// SubmissionID is the attempt that was looked at; nil is the newest.
	SubmissionID *uuid.UUID
	// Individual: in group work, for this person alone.
	Individual bool
	Comment    string
	Note       string // why, for the history
}

// Codes of entries that are refused.
const (
	CodeAbove = "score_above_possible"
)

// settle normalises an entry and checks what needs no rubric. path is put before
// the names of fields.
func (e *Entry) settle(a Assignment, r Rules, path string) (grade string, score *Points, err error) {
	var bad apperr.Fields
	e.Grade, e.Comment, e.Note = strings.TrimSpace(e.Grade), strings.TrimSpace(e.Comment), strings.TrimSpace(e.Note)
	given := 0
	for _, is := range []bool{e.Score != nil, e.Grade != ""} {
		if is {
			given++
		}
	}
	bad.Require(given <= 1, path+"grade", "pair", "Either score or grade.")
	bad.Require(!e.Excused || given == 0 && len(e.Ratings) == 0, path+"excused", "pair", "Who is excused gets no score.")
	bad.Require(len(e.Comment) <= maxComment, path+"comment", "too_long", "At most 20,000 bytes.")
	bad.Require(len(e.Note) <= 500, path+"note", "too_long", "At most 500 bytes.")
	if e.Status != nil {
		bad.Require(*e.Status == StatusLate || *e.Status == StatusMissing || *e.Status == StatusNone, path+"status", "enum", "One of: late, missing, none.")
		bad.Require(!e.Excused, path+"status", "pair", "Who is excused is neither late nor missing.")
	}
	late := e.Status != nil && *e.Status == StatusLate
	bad.Require(late || e.StatusSeconds == nil, path+"status_seconds", "pair", "Only with the status late.")
	bad.Require(e.StatusSeconds == nil || *e.StatusSeconds >= 0 && *e.StatusSeconds <= maxLateSeconds, path+"status_seconds", "range", "From 0 to ten years.")
	if a.GradingType == GradeNotGraded {
		bad.Require(given == 0 && len(e.Ratings) == 0, path+"score", "not_graded", "The assignment is not graded.")
	}
	score = e.Score
	if e.Grade != "" {
		points, ok := typed(a, r, e.Grade)
		bad.Require(ok, path+"grade", "unknown_grade", "No grade of this kind of grading.")
		if ok {
			score = &points
		}
	}
	checkScore(&bad, a, score, path+"score")
	return e.Grade, score, bad.Err()
}

const (
	maxComment     = 20_000
	maxLateSeconds = 10 * 366 * 24 * 3600
)

// checkScore refuses a score outside of what the assignment allows: from 0 to the
// possible points and what is declared as extra.
func checkScore(bad *apperr.Fields, a Assignment, score *Points, path string) {
	if score == nil {
		return
	}
	bad.Require(*score >= 0, path, "range", "Not negative.")
	bad.Require(*score <= a.Points+a.ExtraPoints, path, CodeAbove, "At most "+(a.Points+a.ExtraPoints).String()+", extra points included.")
}

// typed is the score that a typed grade stands for.
func typed(a Assignment, r Rules, grade string) (Points, bool) {
	switch a.GradingType {
	case GradePassFail:
		switch strings.ToLower(grade) {
		case grading.Pass, "complete":
			return a.Points, true
		case grading.Fail, "incomplete":
			return 0, true
		}
		return 0, false
	case GradeLetter, GradeGPA:
		if points, ok := r.Scheme.Points(grade, a.Points); ok {
			return points, true
		}
	}
	number, percent := strings.CutSuffix(grade, "%")
	if a.GradingType == GradePercent {
		percent = true
	}
	var value Points
	if value.UnmarshalJSON([]byte(strings.TrimSpace(number))) != nil {
		return 0, false
	}
	if !percent {
		return value, true
	}
	if value < 0 || value > 1000_00 {
		return 0, false
	}
	// Half-up to hundredths: possible × percent ÷ 100.
	return (value*a.Points + 5000) / 10000, true
}
