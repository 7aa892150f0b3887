package coursework

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
)

// Document is an assignment as it goes into another course or out of the product.
// Its ids only say what belongs together: what is made of it has ids of its own.
// Group work stays behind, since sets of groups belong to people.
type Document struct {
	Title           string          `json:"title"`
	Description     string          `json:"description,omitempty"`
	Position        int             `json:"position,omitempty"`
	GradingType     string          `json:"grading_type"`
	Points          Points          `json:"points"`
	ExtraPoints     Points          `json:"extra_points,omitempty"`
	OmitFromFinal   bool            `json:"omit_from_final,omitempty"`
	DueAt           *time.Time      `json:"due_at,omitempty"`
	AvailableFrom   *time.Time      `json:"available_from,omitempty"`
	CutoffAt        *time.Time      `json:"cutoff_at,omitempty"`
	LockAt          *time.Time      `json:"lock_at,omitempty"`
	SubmissionTypes []string        `json:"submission_types"`
	FileExtensions  []string        `json:"file_extensions,omitempty"`
	MaxFiles        int             `json:"max_files"`
	MaxFileBytes    int64           `json:"max_file_bytes"`
	Attempts        *int            `json:"attempts,omitempty"`
	Anonymous       bool            `json:"anonymous,omitempty"`
	Posting         string          `json:"posting"`
	Published       bool            `json:"published,omitempty"`
	GroupWork       bool            `json:"group_work,omitempty"`
	Group           *DocumentGroup  `json:"group,omitempty"`
	Rubric          *DocumentRubric `json:"rubric,omitempty"`
	Scheme          *DocumentScheme `json:"scheme,omitempty"`
}

// DocumentGroup is a group with its weight and what is dropped of it.
type DocumentGroup struct {
	ID          uuid.UUID   `json:"id"`
	Name        string      `json:"name"`
	Position    int         `json:"position"`
	Weight      Points      `json:"weight"`
	DropLowest  int         `json:"drop_lowest,omitempty"`
	DropHighest int         `json:"drop_highest,omitempty"`
	NeverDrop   []uuid.UUID `json:"never_drop,omitempty"`
}

// DocumentRubric is a rubric in the revision that an assignment is pinned to.
type DocumentRubric struct {
	ID       uuid.UUID   `json:"id"`
	Title    string      `json:"title"`
	Criteria []Criterion `json:"criteria"`
}

// DocumentScheme is a grading scheme.
type DocumentScheme struct {
	ID     uuid.UUID       `json:"id"`
	Name   string          `json:"name"`
	Grades []grading.Grade `json:"grades"`
	// kept says that the course may use the scheme itself.
	kept bool
}

// GradebookDocument is how a course's grades count.
type GradebookDocument struct {
	Weighted     bool             `json:"weighted"`
	ShowTotals   bool             `json:"show_totals"`
	Scheme       *DocumentScheme  `json:"scheme,omitempty"`
	Late         bool             `json:"late,omitempty"`
	LateRate     Points           `json:"late_rate"`
	LateInterval string           `json:"late_interval"`
	LateFloor    Points           `json:"late_floor"`
	Missing      bool             `json:"missing,omitempty"`
	MissingRate  Points           `json:"missing_rate"`
	Groups       []DocumentGroup  `json:"groups"`
	Quizzes      []DocumentColumn `json:"quizzes"`
}

// DocumentColumn is where a quiz stands in the gradebook.
type DocumentColumn struct {
	QuizID        uuid.UUID  `json:"quiz_id"`
	GroupID       *uuid.UUID `json:"group_id,omitempty"`
	Position      int        `json:"position,omitempty"`
	OmitFromFinal bool       `json:"omit_from_final,omitempty"`
}

// NewDocument is an assignment with the fields of a new one.
func (s *Service) NewDocument(title string) Document {
	f := s.DefaultFields()
	f.Title = title
	return documentOf(Assignment{AssignmentFields: f})
}

func documentOf(a Assignment) Document {
	return Document{
		Title: a.Title, Description: a.Description, Position: a.Position, GradingType: a.GradingType, Points: a.Points, ExtraPoints: a.ExtraPoints,
		OmitFromFinal: a.OmitFromFinal, DueAt: a.DueAt, AvailableFrom: a.AvailableFrom, CutoffAt: a.CutoffAt, LockAt: a.LockAt,
		SubmissionTypes: a.SubmissionTypes, FileExtensions: a.FileExtensions, MaxFiles: a.MaxFiles, MaxFileBytes: a.MaxFileBytes,
		Attempts: a.Attempts, Anonymous: a.Anonymous, Posting: a.Posting, Published: a.Published, GroupWork: a.GroupSetID != nil,
	}
}

// fields are those of the assignment that is made of the document, its dates moved.
func (d Document) fields(shift time.Duration, most int64) AssignmentFields {
	moved := func(t *time.Time) *time.Time {
		if t == nil {
			return nil
		}
		at := t.Add(shift).UTC().Truncate(time.Microsecond)
		return &at
	}
	return AssignmentFields{
		Title: d.Title, Description: d.Description, Position: d.Position, GradingType: d.GradingType, Points: d.Points, ExtraPoints: d.ExtraPoints,
		OmitFromFinal: d.OmitFromFinal, DueAt: moved(d.DueAt), AvailableFrom: moved(d.AvailableFrom), CutoffAt: moved(d.CutoffAt), LockAt: moved(d.LockAt),
		SubmissionTypes: d.SubmissionTypes, FileExtensions: d.FileExtensions, MaxFiles: d.MaxFiles, MaxFileBytes: min(d.MaxFileBytes, most),
		Attempts: d.Attempts, Anonymous: d.Anonymous, Posting: d.Posting,
	}
}

func groupDocument(g Group) DocumentGroup {
	return DocumentGroup{
		ID: g.ID, Name: g.Name, Position: g.Position, Weight: g.Weight, DropLowest: g.DropLowest, DropHighest: g.DropHighest, NeverDrop: g.NeverDrop,
	}
}

// anonymous are criteria without ids, which are given anew.
func anonymous(list []Criterion) []Criterion {
	out := make([]Criterion, len(list))
	for i, c := range list {
		c.ID = uuid.Nil
		levels := make([]Level, len(c.Levels))
		for j, l := range c.Levels {
			l.ID = uuid.Nil
			levels[j] = l
		}
		c.Levels = levels
		out[i] = c
	}
	return out
}
