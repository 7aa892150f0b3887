package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	quizColumns = `id, tenant_id, org_unit_id, course_id, title, instructions, time_limit_seconds * 1000000000 as time_limit,
  attempts_allowed, unlimited, keep, shuffle_questions, shuffle_choices, available_from as "from", available_until as "until",
  due_at as due, cutoff_at as cutoff, feedback, scores, points, questions, published_at, deleted_at, created_by, created_at, updated_at, version`
	insertQuizSQL = `
insert into quizzes (id, tenant_id, org_unit_id, course_id, title, instructions, time_limit_seconds, attempts_allowed, unlimited, keep,
  shuffle_questions, shuffle_choices, available_from, available_until, due_at, cutoff_at, feedback, scores, points, questions,
  published_at, deleted_at, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`
	updateQuizSQL = `
update quizzes set title = $2, instructions = $3, time_limit_seconds = $4, attempts_allowed = $5, unlimited = $6, keep = $7,
  shuffle_questions = $8, shuffle_choices = $9, available_from = $10, available_until = $11, due_at = $12, cutoff_at = $13, feedback = $14,
  scores = $15, points = $16, questions = $17, published_at = $18, deleted_at = $19, updated_at = $20, version = $21
where id = $1 and version = $21 - 1`
	anyQuizSQL   = `select ` + quizColumns + ` from quizzes where id = $1`
	quizSQL      = anyQuizSQL + ` and deleted_at is null`
	lockQuizSQL  = quizSQL + ` for update`
	shareQuizSQL = anyQuizSQL + ` for share`
	// A course has few quizzes: the order needs no choice.
	listQuizzesSQL = `
select ` + quizColumns + ` from quizzes
where course_id = $1 and deleted_at is null and ($2::boolean is null or (published_at is not null) = $2) and ($3 = '' or lower(title) like $3)
  and ($4 or (created_at, id) > ($5, $6::uuid))
order by created_at, id limit $7`
	dueSoonSQL = `
select ` + quizColumns + ` from quizzes
where published_at is not null and due_at > $1 and due_at <= $2 and due_soon_told is distinct from due_at
order by due_at limit $3 for update skip locked`
	toldDueSoonSQL = `update quizzes set due_soon_told = $2 where id = $1`

	slotColumns    = `id, position, question_id, question_version, bank_id, pick, points`
	slotsSQL       = `select ` + slotColumns + ` from quiz_slots where quiz_id = $1 order by position`
	deleteSlotsSQL = `delete from quiz_slots where quiz_id = $1`
	insertSlotsSQL = `
insert into quiz_slots (id, quiz_id, tenant_id, position, question_id, question_version, bank_id, pick, points)
select s.id, $1, $2, s.position, s.question_id, s.question_version, s.bank_id, s.pick, s.points
from jsonb_to_recordset($3::jsonb) as s (id uuid, position int, question_id uuid, question_version int, bank_id uuid, pick int, points bigint)`

	overrideColumns = `quiz_id, user_id, tenant_id, extra_time_seconds * 1000000000 as extra_time, extra_attempts, available_from as "from",
  available_until as "until", due_at as due, updated_by, updated_at, version`
	listOverridesSQL = `
select ` + overrideColumns + ` from quiz_overrides where quiz_id = $1 and ($2 or user_id > $3::uuid) order by user_id limit $4`
	overrideSQL     = `select ` + overrideColumns + ` from quiz_overrides where quiz_id = $1 and user_id = $2`
	overridesOfSQL  = `select ` + overrideColumns + ` from quiz_overrides where quiz_id = $1 and user_id = any($2)`
	overridesForSQL = `select ` + overrideColumns + ` from quiz_overrides where user_id = $1 order by quiz_id`
	putOverrideSQL  = `
insert into quiz_overrides (quiz_id, user_id, tenant_id, extra_time_seconds, extra_attempts, available_from, available_until, due_at, updated_by, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (quiz_id, user_id) do update set extra_time_seconds = excluded.extra_time_seconds, extra_attempts = excluded.extra_attempts,
  available_from = excluded.available_from, available_until = excluded.available_until, due_at = excluded.due_at,
  updated_by = excluded.updated_by, updated_at = excluded.updated_at, version = excluded.version`
	deleteOverrideSQL = `delete from quiz_overrides where quiz_id = $1 and user_id = $2`
)

func seconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	n := int64(*d / time.Second)
	return &n
}

// InsertQuiz implements quiz.Tx.
func (t quizTx) InsertQuiz(ctx context.Context, q quiz.Quiz) error {
	_, err := pg.Exec(ctx, t, insertQuizSQL, q.ID, q.TenantID, q.OrgUnitID, q.CourseID, q.Title, q.Instructions, seconds(q.TimeLimit),
		q.AttemptsAllowed, q.Unlimited, q.Keep, q.ShuffleQuestions, q.ShuffleChoices, q.From, q.Until, q.Due, q.Cutoff, q.Feedback, q.Scores,
		q.Points, q.Questions, q.PublishedAt, q.DeletedAt, q.CreatedBy, q.CreatedAt, q.UpdatedAt, q.Version)
	return err
}

// UpdateQuiz implements quiz.Tx.
func (t quizTx) UpdateQuiz(ctx context.Context, q quiz.Quiz) error {
	return pg.ExecVersioned(ctx, t, updateQuizSQL, q.ID, q.Title, q.Instructions, seconds(q.TimeLimit), q.AttemptsAllowed, q.Unlimited, q.Keep,
		q.ShuffleQuestions, q.ShuffleChoices, q.From, q.Until, q.Due, q.Cutoff, q.Feedback, q.Scores, q.Points, q.Questions,
		q.PublishedAt, q.DeletedAt, q.UpdatedAt, q.Version)
}

// Quiz implements quiz.Tx.
func (t quizTx) Quiz(ctx context.Context, id uuid.UUID) (quiz.Quiz, error) {
	return pg.One[quiz.Quiz](ctx, t, "quiz", quizSQL, id)
}

// AnyQuiz implements quiz.Tx.
func (t quizTx) AnyQuiz(ctx context.Context, id uuid.UUID) (quiz.Quiz, error) {
	return pg.One[quiz.Quiz](ctx, t, "quiz", anyQuizSQL, id)
}

// LockQuiz implements quiz.Tx.
func (t quizTx) LockQuiz(ctx context.Context, id uuid.UUID) (quiz.Quiz, error) {
	return pg.One[quiz.Quiz](ctx, t, "quiz", lockQuizSQL, id)
}

// ShareQuiz implements quiz.Tx.
func (t quizTx) ShareQuiz(ctx context.Context, id uuid.UUID) (quiz.Quiz, error) {
	return pg.One[quiz.Quiz](ctx, t, "quiz", shareQuizSQL, id)
}

// ListQuizzes implements quiz.Tx.
func (t quizTx) ListQuizzes(ctx context.Context, f quiz.QuizFilter, p page.Request) (page.Page[quiz.Quiz], error) {
	var at time.Time
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &at, &last)
	if err != nil {
		return page.Page[quiz.Quiz]{}, err
	}
	rows, err := pg.Many[quiz.Quiz](ctx, t, listQuizzesSQL, f.CourseID, f.Published, like(f.Query), !more, at, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(q quiz.Quiz) string { return page.Encode(q.CreatedAt, q.ID) }), err
}

// DueSoon implements quiz.Tx.
func (t quizTx) DueSoon(ctx context.Context, now, until time.Time, limit int) ([]quiz.Quiz, error) {
	return pg.Many[quiz.Quiz](ctx, t, dueSoonSQL, now, until, limit)
}

// ToldDueSoon implements quiz.Tx.
func (t quizTx) ToldDueSoon(ctx context.Context, id uuid.UUID, due time.Time) error {
	_, err := pg.Exec(ctx, t, toldDueSoonSQL, id, due)
	return err
}

// Slots implements quiz.Tx.
func (t quizTx) Slots(ctx context.Context, id uuid.UUID) ([]quiz.Slot, error) {
	return pg.Many[quiz.Slot](ctx, t, slotsSQL, id)
}

// savedSlot is a slot on its way to the database; points are whole there.
type savedSlot struct {
	ID              uuid.UUID  `json:"id"`
	Position        int        `json:"position"`
	QuestionID      *uuid.UUID `json:"question_id"`
	QuestionVersion *int       `json:"question_version"`
	BankID          *uuid.UUID `json:"bank_id"`
	Pick            *int       `json:"pick"`
	Points          int64      `json:"points"`
}

// SaveSlots implements quiz.Tx.
func (t quizTx) SaveSlots(ctx context.Context, q quiz.Quiz, slots []quiz.Slot) error {
	if _, err := pg.Exec(ctx, t, deleteSlotsSQL, q.ID); err != nil {
		return err
	}
	rows := make([]savedSlot, len(slots))
	for i, s := range slots {
		rows[i] = savedSlot{s.ID, s.Position, s.QuestionID, s.QuestionVersion, s.BankID, s.Pick, int64(s.Points)}
	}
	_, err := pg.Exec(ctx, t, insertSlotsSQL, q.ID, q.TenantID, rows)
	return err
}

// ListOverrides implements quiz.Tx.
func (t quizTx) ListOverrides(ctx context.Context, id uuid.UUID, p page.Request) (page.Page[quiz.Override], error) {
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[quiz.Override]{}, err
	}
	rows, err := pg.Many[quiz.Override](ctx, t, listOverridesSQL, id, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(o quiz.Override) string { return page.Encode(o.UserID) }), err
}

// Override implements quiz.Tx.
func (t quizTx) Override(ctx context.Context, id, user uuid.UUID) (*quiz.Override, error) {
	return maybe(pg.Many[quiz.Override](ctx, t, overrideSQL, id, user))
}

// OverridesOf implements quiz.Tx.
func (t quizTx) OverridesOf(ctx context.Context, id uuid.UUID, users []uuid.UUID) (map[uuid.UUID]quiz.Override, error) {
	rows, err := pg.Many[quiz.Override](ctx, t, overridesOfSQL, id, users)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]quiz.Override, len(rows))
	for _, o := range rows {
		out[o.UserID] = o
	}
	return out, nil
}

// OverridesFor implements quiz.Tx.
func (t quizTx) OverridesFor(ctx context.Context, user uuid.UUID) ([]quiz.Override, error) {
	return pg.Many[quiz.Override](ctx, t, overridesForSQL, user)
}

// PutOverride implements quiz.Tx.
func (t quizTx) PutOverride(ctx context.Context, o quiz.Override) error {
	_, err := pg.Exec(ctx, t, putOverrideSQL, o.QuizID, o.UserID, o.TenantID, int64(o.ExtraTime/time.Second), o.ExtraAttempts, o.From, o.Until,
		o.Due, o.UpdatedBy, o.UpdatedAt, o.Version)
	return err
}

// DeleteOverride implements quiz.Tx.
func (t quizTx) DeleteOverride(ctx context.Context, id, user uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteOverrideSQL, id, user)
	return err
}
