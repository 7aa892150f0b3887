package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/pg"
)

const (
	quizColumns = `
quiz_id, tenant_id, org_unit_id, course_id, group_id, position, omit_from_final, title, points, due_at, published, deleted,
missing_checked_for, created_at, updated_at, version`
	quizColumnSQL     = `select` + quizColumns + ` from quiz_columns where quiz_id = $1`
	lockQuizColumnSQL = quizColumnSQL + ` for update`
	quizzesOfSQL      = `select` + quizColumns + ` from quiz_columns where course_id = $1 and not deleted order by quiz_id`
	quizzesDueSQL     = `
select` + quizColumns + ` from quiz_columns
where published and not deleted and due_at < $1 and missing_checked_for is distinct from due_at order by due_at, quiz_id limit $2`
	ownDueSQL = `
select q.quiz_id, q.user_id from quiz_scores q join quiz_columns c on c.quiz_id = q.quiz_id and c.published and not c.deleted
where q.told and q.due_at > $1 and q.due_at < $2 and q.submitted_at is null and q.score is null and q.excused_at is null and q.missing_at is null
  and not q.pending
order by q.due_at, q.quiz_id, q.user_id limit $3`
	setQuizCheckedSQL = `update quiz_columns set missing_checked_for = $2 where quiz_id = $1`
	saveQuizColumnSQL = `
insert into quiz_columns (quiz_id, tenant_id, org_unit_id, course_id, group_id, position, omit_from_final, title, points, due_at,
  published, deleted, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (quiz_id) do update set org_unit_id = excluded.org_unit_id, group_id = excluded.group_id, position = excluded.position,
  omit_from_final = excluded.omit_from_final, title = excluded.title, points = excluded.points, due_at = excluded.due_at,
  published = excluded.published, deleted = excluded.deleted, updated_at = excluded.updated_at, version = excluded.version`

	assignmentsOfSQL = `
select id from assignments where course_id = $1 and deleted_at is null order by id`

	scoreColumns = `
q.id, q.tenant_id, q.course_id, q.quiz_id, q.user_id, q.score, q.pending, q.posted, q.excused_at, q.submitted_at, q.due_at, q.told,
q.graded_at, q.seconds_late, q.deduction, q.missing_score, q.missing_at, q.counted, q.created_at, q.updated_at, q.version`
	freshScoresSQL = `
insert into quiz_scores (id, tenant_id, course_id, quiz_id, user_id, created_at, updated_at)
select unnest($1::uuid[]), $2, $3, $4, unnest($5::uuid[]), $6, $6 on conflict (quiz_id, user_id) do nothing`
	lockScoresOfSQL = `select` + scoreColumns + ` from quiz_scores q where q.quiz_id = $1 and q.user_id = any ($2) order by q.user_id for update`
	lockScoresSQL   = `select` + scoreColumns + ` from quiz_scores q where q.quiz_id = $1 and q.user_id > $2 order by q.user_id limit $3 for update`
	scoresAfterSQL  = `select` + scoreColumns + ` from quiz_scores q where q.id > $1 order by q.id limit $2 for update`
	saveScoreSQL    = `
update quiz_scores set score = $2, pending = $3, posted = $4, excused_at = $5, submitted_at = $6, due_at = $7, told = $8, graded_at = $9,
  seconds_late = $10, deduction = $11, missing_score = $12, missing_at = $13, updated_at = $14, version = $15
where id = $1 and version = $15 - 1`
	insertQuizChangeSQL = `
insert into quiz_score_history (id, tenant_id, score_id, at, actor_id, cause, before, after) values ($1, $2, $3, $4, $5, $6, $7, $8)`
)

// OwnDue implements coursework.GradebookTx.
func (t tx) OwnDue(ctx context.Context, from, to time.Time, limit int) ([]coursework.OwnDue, error) {
	return pg.Many[coursework.OwnDue](ctx, t, ownDueSQL, from, to, limit)
}

// QuizColumn implements coursework.GradebookTx.
func (t tx) QuizColumn(ctx context.Context, id uuid.UUID) (*coursework.QuizColumn, error) {
	return none(pg.One[coursework.QuizColumn](ctx, t, "quiz", quizColumnSQL, id))
}

// LockQuizColumn implements coursework.GradebookTx.
func (t tx) LockQuizColumn(ctx context.Context, id uuid.UUID) (*coursework.QuizColumn, error) {
	return none(pg.One[coursework.QuizColumn](ctx, t, "quiz", lockQuizColumnSQL, id))
}

// QuizzesOf implements coursework.GradebookTx.
func (t tx) QuizzesOf(ctx context.Context, course uuid.UUID) ([]coursework.QuizColumn, error) {
	return pg.Many[coursework.QuizColumn](ctx, t, quizzesOfSQL, course)
}

// QuizzesDue implements coursework.GradebookTx.
func (t tx) QuizzesDue(ctx context.Context, before time.Time, limit int) ([]coursework.QuizColumn, error) {
	return pg.Many[coursework.QuizColumn](ctx, t, quizzesDueSQL, before, limit)
}

// SetQuizChecked implements coursework.GradebookTx.
func (t tx) SetQuizChecked(ctx context.Context, id uuid.UUID, due time.Time) error {
	_, err := pg.Exec(ctx, t, setQuizCheckedSQL, id, due)
	return err
}

// AssignmentsOf implements coursework.GradebookTx.
func (t tx) AssignmentsOf(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, assignmentsOfSQL, course)
}

// SaveQuizColumn implements coursework.GradebookTx.
func (t tx) SaveQuizColumn(ctx context.Context, c coursework.QuizColumn) error {
	_, err := pg.Exec(ctx, t, saveQuizColumnSQL, c.QuizID, c.TenantID, c.OrgUnitID, c.CourseID, c.GroupID, c.Position, c.OmitFromFinal, c.Title,
		c.Points, c.DueAt, c.Published, c.Deleted, c.CreatedAt, c.UpdatedAt, c.Version)
	if pg.Violates(err, "quiz_columns_group") {
		return apperr.Invalid(apperr.Field{Path: "group_id", Code: "unknown_group", Message: "No such assignment group in the course."}).With(err)
	}
	return err
}

// EnsureQuizScores implements coursework.GradebookTx; all are of one quiz.
func (t tx) EnsureQuizScores(ctx context.Context, fresh []coursework.QuizScore) ([]coursework.QuizScore, error) {
	ids, users := make([]uuid.UUID, len(fresh)), make([]uuid.UUID, len(fresh))
	for i, q := range fresh {
		ids[i], users[i] = q.ID, q.UserID
	}
	one := fresh[0]
	if _, err := pg.Exec(ctx, t, freshScoresSQL, ids, one.TenantID, one.CourseID, one.QuizID, users, one.CreatedAt); err != nil {
		return nil, err
	}
	return pg.Many[coursework.QuizScore](ctx, t, lockScoresOfSQL, one.QuizID, users)
}

// LockQuizScores implements coursework.GradebookTx.
func (t tx) LockQuizScores(ctx context.Context, quiz, after uuid.UUID, limit int) ([]coursework.QuizScore, error) {
	return pg.Many[coursework.QuizScore](ctx, t, lockScoresSQL, quiz, after, limit)
}

// QuizScoresToCheck implements coursework.GradebookTx.
func (t tx) QuizScoresToCheck(ctx context.Context, after uuid.UUID, limit int) ([]coursework.QuizScore, error) {
	return pg.Many[coursework.QuizScore](ctx, t, scoresAfterSQL, after, limit)
}

// SaveQuizScore implements coursework.GradebookTx.
func (t tx) SaveQuizScore(ctx context.Context, q coursework.QuizScore) error {
	return pg.ExecVersioned(ctx, t, saveScoreSQL, q.ID, q.Score, q.Pending, q.Posted, q.ExcusedAt, q.SubmittedAt, q.DueAt, q.Told, q.GradedAt,
		q.SecondsLate, q.Deduction, q.MissingScore, q.MissingAt, q.UpdatedAt, q.Version)
}

// InsertQuizChange implements coursework.GradebookTx.
func (t tx) InsertQuizChange(ctx context.Context, h coursework.QuizChange) error {
	before, err := json.Marshal(h.Before)
	if err != nil {
		return fmt.Errorf("quiz history: %w", err)
	}
	after, err := json.Marshal(h.After)
	if err != nil {
		return fmt.Errorf("quiz history: %w", err)
	}
	_, err = pg.Exec(ctx, t, insertQuizChangeSQL, h.ID, h.TenantID, h.ScoreID, h.At, h.ActorID, h.Cause, before, after)
	return err
}
