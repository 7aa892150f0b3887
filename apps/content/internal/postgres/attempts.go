package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	attemptColumns = `a.id, a.tenant_id, a.org_unit_id, a.quiz_id, a.course_id, a.user_id, a.number, a.preview, a.state, a.started_at,
  a.access_until, a.ends_at, a.finished_at, a.ended_by, a.submitted_at, a.score, a.possible, a.graded_at, a.erased_at, a.version`
	insertAttemptSQL = `
insert into attempts (id, tenant_id, org_unit_id, quiz_id, course_id, user_id, number, preview, state, started_at, access_until, ends_at, possible, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	insertTakenSQL = `
insert into attempt_questions (attempt_id, question_id, tenant_id, question_version, slot_id, position, points, choice_order)
select $1, q.question_id, $2, q.question_version, q.slot_id, q.position, q.points, q.choice_order
from jsonb_to_recordset($3::jsonb) as q (question_id uuid, question_version int, slot_id uuid, position int, points bigint, choice_order text[])`
	attemptSQL     = `select ` + attemptColumns + ` from attempts a where a.id = $1`
	lockAttemptSQL = attemptSQL + ` for update`
	saveAttemptSQL = `
update attempts set state = $2, ends_at = $3, finished_at = $4, ended_by = $5, submitted_at = $6, score = $7, possible = $8, graded_at = $9,
  version = $10
where id = $1 and version = $10 - 1`
	takenSQL = `
select q.attempt_id, q.question_id, q.question_version, q.slot_id, q.position, q.points, q.choice_order, q.answer, q.answer_seq, q.answered_at,
  q.auto_points, q.manual_points, q.comment, q.graded_by, q.graded_at, v.definition
from attempt_questions q join question_versions v on v.question_id = q.question_id and v.number = q.question_version
where q.attempt_id = $1 order by q.position`
	saveMarksSQL = `
update attempt_questions q set question_version = m.question_version, points = m.points, auto_points = m.auto_points,
  manual_points = m.manual_points, comment = m.comment, graded_by = m.graded_by, graded_at = m.graded_at
from jsonb_to_recordset($1::jsonb) as m (attempt_id uuid, question_id uuid, question_version int, points bigint, auto_points bigint,
  manual_points bigint, comment text, graded_by uuid, graded_at timestamptz)
where q.attempt_id = m.attempt_id and q.question_id = m.question_id`
	sheetSQL = `
select ` + attemptColumns + `, q.question_id, q.answer_seq, q.answer, q.answered_at, v.definition
from attempts a join attempt_questions q on q.attempt_id = a.id
join question_versions v on v.question_id = q.question_id and v.number = q.question_version
where a.id = $1 and q.question_id = $2`
	// The attempt's row is held against its end: whichever of the two comes first,
	// the other sees it. Autosaves do not hold each other up.
	saveAnswerSQL = `
with a as (
  select id from attempts where id = $1 and state = 'in_progress' and (ends_at is null or ends_at >= $6) for share
), q as (
  update attempt_questions t set answer = $3, answer_seq = $4, answered_at = $5
  from a where t.attempt_id = a.id and t.question_id = $2 and t.answer_seq < $4
  returning 1
)
select exists (select 1 from a) as open, exists (select 1 from q) as stored`

	usedSQL    = `select count(*)::int from attempts where quiz_id = $1 and user_id = $2 and preview = $3`
	runningSQL = `
select ` + attemptColumns + ` from attempts a where a.quiz_id = $1 and a.user_id = $2 and a.preview = $3 and a.state = 'in_progress' for update`
	hasAttemptsSQL = `select exists (select 1 from attempts where quiz_id = $1 and not preview)`
	// What a regrade gives anew: the points of the slot, the version that it pins, or
	// the newest of what it drew.
	regradeNeededSQL = `
select exists (
  select 1 from attempts a
  join attempt_questions k on k.attempt_id = a.id
  join quiz_slots s on s.id = k.slot_id and s.quiz_id = a.quiz_id
  left join questions n on s.bank_id = n.bank_id and n.id = k.question_id and n.deleted_at is null
  where a.quiz_id = $1 and not a.preview and a.state <> 'in_progress' and a.erased_at is null
    and (k.points <> s.points
      or s.question_id = k.question_id and s.question_version <> k.question_version
      or n.current <> k.question_version))`
	runningOfSQL = `
select ` + attemptColumns + ` from attempts a
where a.quiz_id = $1 and a.state = 'in_progress' and ($2::uuid is null or a.user_id = $2) order by a.id for update`
	setEndsSQL = `
update attempts a set ends_at = e.ends_at, version = a.version + 1
from unnest($1::uuid[], $2::timestamptz[]) as e (id, ends_at) where a.id = e.id and a.state = 'in_progress'`
	listAttemptsSQL = `
select ` + attemptColumns + ` from attempts a
where a.quiz_id = $1 and ($2::uuid is null or a.user_id = $2) and ($3 = '' or a.state = $3) and a.preview = $4 and ($5 or a.id < $6::uuid)
order by a.id desc limit $7`
	overdueSQL = `
select id from attempts where state = 'in_progress' and ends_at < $1 and id <> all ($3) order by ends_at limit $2`
	attemptsAfterSQL = `
select id from attempts where state <> 'in_progress' and ($1::uuid is null or quiz_id = $1) and id > $2 order by id limit $3`
	// Of an essay it only matters whether there is one.
	samplesSQL = `
select s.id as attempt_id, s.score, s.possible as attempt_possible, q.question_id, q.question_version, q.points, q.auto_points, q.manual_points,
  case when length(q.answer ->> 'text') > 1000 then jsonb_build_object('text', left(q.answer ->> 'text', 1000)) else q.answer end as answer
from (
  select a.id, a.score, a.possible from attempts a
  where a.quiz_id = $1 and not a.preview and a.state = 'graded' and a.erased_at is null and (not $2 or a.number = 1)
  order by a.id desc limit $3
) s join attempt_questions q on q.attempt_id = s.id
order by s.id desc, q.position`
)

// InsertAttempt implements quiz.Tx.
func (t quizTx) InsertAttempt(ctx context.Context, a quiz.Attempt, questions []quiz.Taken) error {
	_, err := pg.Exec(ctx, t, insertAttemptSQL, a.ID, a.TenantID, a.OrgUnitID, a.QuizID, a.CourseID, a.UserID, a.Number, a.Preview, a.State,
		a.StartedAt, a.AccessUntil, a.EndsAt, a.Possible, a.Version)
	if err != nil {
		return oneAtATime(err)
	}
	rows := make([]drawn, len(questions))
	for i, q := range questions {
		rows[i] = drawn{q.QuestionID, q.QuestionVersion, q.SlotID, q.Position, int64(q.Points), q.ChoiceOrder}
		if rows[i].ChoiceOrder == nil {
			rows[i].ChoiceOrder = []string{}
		}
	}
	_, err = pg.Exec(ctx, t, insertTakenSQL, a.ID, a.TenantID, rows)
	return err
}

// drawn is a question of a new attempt on its way to the database.
type drawn struct {
	QuestionID      uuid.UUID `json:"question_id"`
	QuestionVersion int       `json:"question_version"`
	SlotID          uuid.UUID `json:"slot_id"`
	Position        int       `json:"position"`
	Points          int64     `json:"points"`
	ChoiceOrder     []string  `json:"choice_order"`
}

func oneAtATime(err error) error {
	if pg.Violates(err, "attempts_running") {
		return apperr.Conflict("attempt_in_progress", "Another attempt is in progress.").With(err)
	}
	return err
}

// Attempt implements quiz.Tx.
func (t quizTx) Attempt(ctx context.Context, id uuid.UUID) (quiz.Attempt, error) {
	return pg.One[quiz.Attempt](ctx, t, "attempt", attemptSQL, id)
}

// LockAttempt implements quiz.Tx.
func (t quizTx) LockAttempt(ctx context.Context, id uuid.UUID) (quiz.Attempt, error) {
	return pg.One[quiz.Attempt](ctx, t, "attempt", lockAttemptSQL, id)
}

// SaveAttempt implements quiz.Tx.
func (t quizTx) SaveAttempt(ctx context.Context, a *quiz.Attempt) error {
	err := pg.ExecVersioned(ctx, t, saveAttemptSQL, a.ID, a.State, a.EndsAt, a.FinishedAt, a.EndedBy, a.SubmittedAt, a.Score, a.Possible, a.GradedAt, a.Version+1)
	if err == nil {
		a.Version++
	}
	return oneAtATime(err)
}

// Taken implements quiz.Tx.
func (t quizTx) Taken(ctx context.Context, attempt uuid.UUID) ([]quiz.Taken, error) {
	return pg.Many[quiz.Taken](ctx, t, takenSQL, attempt)
}

// marked is a question's marks on their way to the database; points are whole
// there.
type marked struct {
	AttemptID       uuid.UUID  `json:"attempt_id"`
	QuestionID      uuid.UUID  `json:"question_id"`
	QuestionVersion int        `json:"question_version"`
	Points          int64      `json:"points"`
	AutoPoints      *int64     `json:"auto_points"`
	ManualPoints    *int64     `json:"manual_points"`
	Comment         string     `json:"comment"`
	GradedBy        *uuid.UUID `json:"graded_by"`
	GradedAt        *time.Time `json:"graded_at"`
}

func whole(p *quiz.Points) *int64 {
	if p == nil {
		return nil
	}
	n := int64(*p)
	return &n
}

// SaveMarks implements quiz.Tx.
func (t quizTx) SaveMarks(ctx context.Context, questions []quiz.Taken) error {
	rows := make([]marked, len(questions))
	for i, q := range questions {
		rows[i] = marked{q.AttemptID, q.QuestionID, q.QuestionVersion, int64(q.Points), whole(q.AutoPoints), whole(q.ManualPoints), q.Comment, q.GradedBy, q.GradedAt}
	}
	_, err := pg.Exec(ctx, t, saveMarksSQL, rows)
	return err
}

// Sheet implements quiz.Tx.
func (t quizTx) Sheet(ctx context.Context, attempt, question uuid.UUID) (quiz.Sheet, error) {
	return pg.One[quiz.Sheet](ctx, t, "question of the attempt", sheetSQL, attempt, question)
}

// SaveAnswer implements quiz.Tx.
func (t quizTx) SaveAnswer(ctx context.Context, s quiz.Save) (quiz.Saved, error) {
	return pg.One[quiz.Saved](ctx, t, "attempt", saveAnswerSQL, s.AttemptID, s.QuestionID, s.Answer, s.Seq, s.At, s.Latest)
}

// Used implements quiz.Tx.
func (t quizTx) Used(ctx context.Context, id, user uuid.UUID, preview bool) (int, error) {
	return pg.Scalar[int](ctx, t, "attempt", usedSQL, id, user, preview)
}

// Running implements quiz.Tx.
func (t quizTx) Running(ctx context.Context, id, user uuid.UUID, preview bool) (*quiz.Attempt, error) {
	return maybe(pg.Many[quiz.Attempt](ctx, t, runningSQL, id, user, preview))
}

// HasAttempts implements quiz.Tx.
func (t quizTx) HasAttempts(ctx context.Context, id uuid.UUID) (bool, error) {
	return pg.Scalar[bool](ctx, t, "quiz", hasAttemptsSQL, id)
}

// RegradeNeeded implements quiz.Tx.
func (t quizTx) RegradeNeeded(ctx context.Context, id uuid.UUID) (bool, error) {
	return pg.Scalar[bool](ctx, t, "quiz", regradeNeededSQL, id)
}

// RunningOf implements quiz.Tx.
func (t quizTx) RunningOf(ctx context.Context, id uuid.UUID, user *uuid.UUID) ([]quiz.Attempt, error) {
	return pg.Many[quiz.Attempt](ctx, t, runningOfSQL, id, user)
}

// SetEnds implements quiz.Tx.
func (t quizTx) SetEnds(ctx context.Context, ends map[uuid.UUID]*time.Time) error {
	ids, times := make([]uuid.UUID, 0, len(ends)), make([]*time.Time, 0, len(ends))
	for id, at := range ends {
		ids, times = append(ids, id), append(times, at)
	}
	_, err := pg.Exec(ctx, t, setEndsSQL, ids, times)
	return err
}

// ListAttempts implements quiz.Tx.
func (t quizTx) ListAttempts(ctx context.Context, f quiz.AttemptFilter, p page.Request) (page.Page[quiz.Attempt], error) {
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[quiz.Attempt]{}, err
	}
	rows, err := pg.Many[quiz.Attempt](ctx, t, listAttemptsSQL, f.QuizID, f.UserID, f.State, f.Preview, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(a quiz.Attempt) string { return page.Encode(a.ID) }), err
}

// Overdue implements quiz.Tx.
func (t quizTx) Overdue(ctx context.Context, before time.Time, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, overdueSQL, before, limit, skip)
}

// AttemptsAfter implements quiz.Tx.
func (t quizTx) AttemptsAfter(ctx context.Context, id *uuid.UUID, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, attemptsAfterSQL, id, after, limit)
}

// Samples implements quiz.Tx.
func (t quizTx) Samples(ctx context.Context, id uuid.UUID, first bool, limit int) ([]quiz.Sample, error) {
	return pg.Many[quiz.Sample](ctx, t, samplesSQL, id, first, limit)
}
