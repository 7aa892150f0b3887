package coursework

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/authz"
	"lms/shared/work"
)

// standing of work in the column.
func (c *Column) standing(w grading.Work, now time.Time) (grading.Status, time.Duration) {
	return grading.Standing(grading.Task{
		Kind: grading.Kind(c.GradingType), Possible: c.Points, Quiz: c.Kind == ColumnQuiz, Expected: c.Expects,
	}, w, now)
}

// Veils says whether graders may not learn yet whose the grade of a cell is.
func (c *Column) Veils(cell *Cell) bool { return c.Anonymous && !cell.Posted }

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
	// At is the moment as of which the row is: rows are read in chunks, so that who
	// takes them slowly holds no transaction open.
	At time.Time
}

// gradebookCells is how many cells are read at once, and gradebookChunks how many
// times as many are in memory: those that are written, and those that two
// connections read meanwhile. The document is never there as a whole.
const (
	gradebookCells  = 15_000
	gradebookChunks = 3
)

// chunkOf is how many people that is.
func chunkOf(columns int) int { return max(20, min(1000, gradebookCells/max(1, columns))) }

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
	head := Gradebook{CourseID: course, At: s.Now(), People: persons, Deducted: map[uuid.UUID]bool{}}
	deducted, err := read(ctx, s, work.Tenant(tenant), func(ctx context.Context, tx Tx) (_ []uuid.UUID, err error) {
		if head.Counting, _, err = tx.Counting(ctx, course, nil); err != nil {
			return nil, err
		}
		return tx.Deducted(ctx, course)
	})
	if err != nil {
		return err
	}
	for _, id := range deducted {
		head.Deducted[id] = true
	}
	if err := begin(head); err != nil {
		return err
	}
	next := func(ctx context.Context, some []Card) ([]*Row, error) {
		return read(ctx, s, work.Tenant(tenant), func(ctx context.Context, tx Tx) ([]*Row, error) {
			return s.gradebookRows(ctx, tx, head.Counting, course, some)
		})
	}
	return ahead(ctx, slices.Collect(slices.Chunk(persons, chunkOf(len(head.Columns)))), next, row)
}

// ahead reads the next chunks while one is written: the database, on two of its
// connections, and the encoder work at the same time. What reads is over when it
// returns.
func ahead(ctx context.Context, chunks [][]Card, next func(context.Context, []Card) ([]*Row, error), row func(*Row) error) error {
	type chunk struct {
		rows []*Row
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	coming := make([]chan chunk, 0, len(chunks)) // in order
	for n, done := 0, 0; done < len(chunks); done++ {
		for ; n < len(chunks) && n < done+gradebookChunks; n++ {
			read := make(chan chunk, 1)
			coming = append(coming, read)
			some := chunks[n]
			readers.Go(func() {
				rows, err := next(ctx, some)
				read <- chunk{rows, err}
			})
		}
		c := <-coming[done]
		if c.err != nil {
			return c.err
		}
		for _, r := range c.rows {
			if err := row(r); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
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

func (s *Service) gradebookRows(ctx context.Context, tx Tx, c Counting, course uuid.UUID, some []Card) ([]*Row, error) {
	now := s.Now()
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
		rows[p.ID] = &Row{Person: p, At: now, Cells: cells[i*len(c.Columns) : (i+1)*len(c.Columns)]}
	}
	err := tx.Cells(ctx, course, ids, func(cell *Cell) {
		if i, shown := at[cell.ColumnID]; shown {
			rows[cell.UserID].Cells[i] = cell
		}
	})
	if err != nil {
		return nil, err
	}
	totals, err := tx.TotalsOf(ctx, course, ids)
	if err != nil {
		return nil, err
	}
	for _, t := range totals {
		rows[t.UserID].Total = t
	}
	var nothing *Counted // the same for all who have no score yet
	out := make([]*Row, len(some))
	for i, p := range some {
		r := rows[p.ID]
		out[i] = r
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
	}
	return out, nil
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
