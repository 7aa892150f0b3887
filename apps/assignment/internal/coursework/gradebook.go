package coursework

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/authz"
	"lms/shared/work"
)

// standing of work in the column.
func (c Column) standing(w grading.Work, now time.Time) (grading.Status, time.Duration) {
	return grading.Standing(grading.Task{
		Kind: grading.Kind(c.GradingType), Possible: c.Points, Quiz: c.Kind == ColumnQuiz, Expected: c.Expects,
	}, w, now)
}

// Veils says whether graders may not learn yet whose the grade of a cell is.
func (c Column) Veils(cell Cell) bool { return c.Anonymous && !cell.Posted }

// Gradebook is the head of a course's gradebook: its rows come one after the other.
type Gradebook struct {
	Counting
	CourseID uuid.UUID
	At       time.Time
	People   []Card // in the order of their names
	// Deducted are the columns in which lateness has taken something.
	Deducted map[uuid.UUID]bool
}

// Row is one person of a gradebook. Cells are in the order of the columns; a nil
// one is where nothing happened yet.
type Row struct {
	Person Card
	Total  CourseTotal
	Cells  []*Cell
}

// gradebookChunk is how many people are read at once: the document is never in
// memory as a whole.
const gradebookChunk = 100

// ReadGradebook gives the gradebook of a course: begin once, then each row. People
// are those who learn in the course now, and whoever has a grade there; who is
// erased has no name.
func (s *Service) ReadGradebook(ctx context.Context, actor authz.Principal, course uuid.UUID, begin func(Gradebook) error, row func(*Row) error) error {
	st, err := s.inCourse(ctx, actor, course, authz.GradeRead)
	if err != nil {
		return err
	}
	return s.gradebook(ctx, st.TenantID, course, begin, row)
}

func (s *Service) gradebook(ctx context.Context, tenant, course uuid.UUID, begin func(Gradebook) error, row func(*Row) error) error {
	graded, err := read(ctx, s, work.Tenant(tenant), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
		return tx.GradedPeople(ctx, course)
	})
	if err != nil {
		return err
	}
	persons, err := s.roster(ctx, course, graded)
	if err != nil {
		return err
	}
	return s.Store.Read(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		c, _, err := tx.Counting(ctx, course, nil)
		if err != nil {
			return err
		}
		head := Gradebook{Counting: c, CourseID: course, At: s.Now(), People: persons, Deducted: map[uuid.UUID]bool{}}
		deducted, err := tx.Deducted(ctx, course)
		if err != nil {
			return err
		}
		for _, id := range deducted {
			head.Deducted[id] = true
		}
		if err := begin(head); err != nil {
			return err
		}
		for some := range slices.Chunk(persons, gradebookChunk) {
			if err := s.gradebookRows(ctx, tx, c, course, some, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// roster are the people of a gradebook by name. Whom user does not know, or no
// more, is there without a name.
func (s *Service) roster(ctx context.Context, course uuid.UUID, graded []uuid.UUID) ([]Card, error) {
	ids := slices.Clone(graded)
	err := s.eachLearners(ctx, course, func(some []uuid.UUID) error {
		ids = append(ids, some...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sortIDs(ids)
	ids = slices.Compact(ids)
	cards, err := s.People.Cards(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Card, len(ids))
	for i, id := range ids {
		out[i] = cards[id]
		out[i].ID = id
	}
	slices.SortStableFunc(out, func(a, b Card) int {
		if (a.Name == "") != (b.Name == "") {
			if a.Name == "" {
				return 1
			}
			return -1
		}
		return strings.Compare(strings.ToLower(a.sortKey()), strings.ToLower(b.sortKey()))
	})
	return out, nil
}

func (c Card) sortKey() string {
	if c.SortName != "" {
		return c.SortName
	}
	return c.Name
}

func (s *Service) gradebookRows(ctx context.Context, tx Tx, c Counting, course uuid.UUID, some []Card, row func(*Row) error) error {
	ids := make([]uuid.UUID, len(some))
	for i, p := range some {
		ids[i] = p.ID
	}
	at := make(map[uuid.UUID]int, len(c.Columns))
	for i, col := range c.Columns {
		at[col.ID] = i
	}
	rows := make(map[uuid.UUID]*Row, len(some))
	cells := make([]*Cell, len(some)*len(c.Columns))
	for i, p := range some {
		rows[p.ID] = &Row{Person: p, Cells: cells[i*len(c.Columns) : (i+1)*len(c.Columns)]}
	}
	err := tx.Cells(ctx, course, ids, func(cell *Cell) {
		if i, shown := at[cell.ColumnID]; shown {
			rows[cell.UserID].Cells[i] = cell
		}
	})
	if err != nil {
		return err
	}
	totals, err := tx.TotalsOf(ctx, course, ids)
	if err != nil {
		return err
	}
	for _, t := range totals {
		rows[t.UserID].Total = t
	}
	var nothing *Counted // the same for all who have no score yet
	for _, p := range some {
		r := rows[p.ID]
		if r.Total.Revision != c.Grading.Revision { // what will be stored
			scores := r.scores(c)
			if len(scores) > 0 || nothing == nil {
				n := c.count(scores)
				if len(scores) == 0 {
					nothing = &n
				}
				c.apply(&r.Total, n)
			} else {
				c.apply(&r.Total, *nothing)
			}
		}
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

func (r *Row) scores(c Counting) map[uuid.UUID]ScoredItem {
	out := map[uuid.UUID]ScoredItem{}
	for i, cell := range r.Cells {
		if cell == nil || cell.Score == nil && !cell.Excused {
			continue
		}
		item := ScoredItem{UserID: cell.UserID, ColumnID: cell.ColumnID, Score: cell.Score, Excused: cell.Excused, Posted: cell.Posted}
		if cell.Excused {
			item.Score = nil
		}
		out[c.Columns[i].ID] = item
	}
	return out
}
