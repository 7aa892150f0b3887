package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"lms/apps/assignment/internal/coursework"
)

// cellsSQL: the columns are decoded by hand, in this order and of these types.
const cellsSQL = `
select g.user_id, g.assignment_id, g.entered_grade, g.entered_score, g.deduction, g.score, g.excused_at is not null, g.status, g.status_seconds,
  g.submitted_at, g.due_at,
  g.submission_id is not null and g.excused_at is null and g.graded_submission is distinct from g.submission_id,
  g.posted_at is not null, g.updated_at, g.version
from grades g where g.course_id = $1 and g.user_id = any ($2)
union all
select q.user_id, q.quiz_id, '', q.score, q.deduction, q.counted, q.excused_at is not null, null, null, q.submitted_at,
  case when q.told then q.due_at else c.due_at end, q.pending, q.posted or q.missing_score is not null, q.updated_at, q.version
from quiz_scores q join quiz_columns c on c.quiz_id = q.quiz_id where q.course_id = $1 and q.user_id = any ($2)`

// cellTypes are what cellsSQL gives.
var cellTypes = [...]uint32{ //nolint:gochecknoglobals // constant
	pgtype.UUIDOID, pgtype.UUIDOID, pgtype.TextOID, pgtype.Int8OID, pgtype.Int8OID, pgtype.Int8OID, pgtype.BoolOID, pgtype.TextOID,
	pgtype.Int8OID, pgtype.TimestamptzOID, pgtype.TimestamptzOID, pgtype.BoolOID, pgtype.BoolOID, pgtype.TimestamptzOID, pgtype.Int8OID,
}

// Cells implements coursework.GradebookTx. A large course has a hundred thousand
// cells: reflection on each value would take longer than all else together.
func (t tx) Cells(ctx context.Context, course uuid.UUID, users []uuid.UUID, fn func(*coursework.Cell)) error {
	rows, err := t.Query(ctx, cellsSQL, course, users)
	if err != nil {
		return err
	}
	defer rows.Close()
	for i, f := range rows.FieldDescriptions() {
		if f.DataTypeOID != cellTypes[i] || f.Format != pgtype.BinaryFormatCode && f.DataTypeOID != pgtype.TextOID {
			return fmt.Errorf("cells: column %s has type %d in format %d", f.Name, f.DataTypeOID, f.Format)
		}
	}
	var d cellDecoder
	for rows.Next() {
		fn(d.cell(rows.RawValues()))
	}
	return rows.Err()
}

// cellDecoder reads binary values; what it gives points into slabs, so that a cell
// costs no allocation of its own.
type cellDecoder struct {
	cells  slab[coursework.Cell]
	points slab[coursework.Points]
	times  slab[time.Time]
	texts  slab[string]
	ints   slab[int64]
}

func (d *cellDecoder) cell(v [][]byte) *coursework.Cell {
	c := d.cells.next()
	copy(c.UserID[:], v[0])
	copy(c.ColumnID[:], v[1])
	c.EnteredGrade = string(v[2])
	c.Entered = d.hundredths(v[3])
	c.Deduction = coursework.Points(integer(v[4]))
	c.Score = d.hundredths(v[5])
	c.Excused = truth(v[6])
	if v[7] != nil {
		c.Status = d.texts.put(string(v[7]))
	}
	if v[8] != nil {
		c.StatusLate = d.ints.put(integer(v[8]))
	}
	c.SubmittedAt, c.DueAt = d.time(v[9]), d.time(v[10])
	c.Waiting, c.Posted = truth(v[11]), truth(v[12])
	c.UpdatedAt = moment(v[13])
	c.Version = integer(v[14])
	return c
}

func (d *cellDecoder) hundredths(b []byte) *coursework.Points {
	if b == nil {
		return nil
	}
	return d.points.put(coursework.Points(integer(b)))
}

func (d *cellDecoder) time(b []byte) *time.Time {
	if b == nil {
		return nil
	}
	return d.times.put(moment(b))
}

func integer(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b)) // two's complement, as PostgreSQL sends it
}

func truth(b []byte) bool { return len(b) == 1 && b[0] == 1 }

// moment is microseconds since 2000, as PostgreSQL sends it.
func moment(b []byte) time.Time {
	const year2000 = 946_684_800_000_000
	return time.UnixMicro(year2000 + integer(b)).UTC()
}

// slab hands out values of one large allocation after the other.
type slab[T any] struct{ free []T }

func (s *slab[T]) next() *T {
	const size = 1024
	if len(s.free) == 0 {
		s.free = make([]T, size)
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

func (s *slab[T]) put(v T) *T {
	p := s.next()
	*p = v
	return p
}
