package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/pg"
)

const (
	resultColumns = `quiz_id, user_id, tenant_id, course_id, score, possible, attempt_id, pending, submitted_at, graded_at, override_score,
  override_note, overridden_by, overridden_at, excused_by, excused_at, posted, posts_at, updated_at, version`
	makeResultSQL = `
insert into quiz_results (quiz_id, user_id, tenant_id, course_id, updated_at) values ($1, $2, $3, $4, $5)
on conflict (quiz_id, user_id) do nothing`
	resultSQL     = `select ` + resultColumns + ` from quiz_results where quiz_id = $1 and user_id = $2`
	lockResultSQL = resultSQL + ` for update`
	saveResultSQL = `
update quiz_results set score = $3, possible = $4, attempt_id = $5, pending = $6, submitted_at = $7, graded_at = $8, override_score = $9,
  override_note = $10, overridden_by = $11, overridden_at = $12, excused_by = $13, excused_at = $14, posted = $15, posts_at = $16,
  updated_at = $17, version = $18
where quiz_id = $1 and user_id = $2 and version = $18 - 1`
	finishedSQL = `
select id, number, score, possible, state = 'submitted' as pending, submitted_at, graded_at from attempts
where quiz_id = $1 and user_id = $2 and not preview and submitted_at is not null order by number`
	dueToPostSQL    = `select ` + resultColumns + ` from quiz_results where posts_at < $1 order by posts_at limit $2`
	resultsAfterSQL = `
select ` + resultColumns + ` from quiz_results where ($1::uuid is null or quiz_id = $1) and (quiz_id, user_id) > ($2, $3) order by quiz_id, user_id limit $4`

	attemptsBySQL    = `select ` + attemptColumns + ` from attempts a where a.user_id = $1 order by a.id`
	resultsBySQL     = `select ` + resultColumns + ` from quiz_results where user_id = $1 order by quiz_id`
	deleteResultSQL  = `delete from quiz_results where quiz_id = $1 and user_id = $2`
	moveOverridesSQL = `
update quiz_overrides o set user_id = $2 where o.user_id = $1
  and not exists (select 1 from quiz_overrides x where x.quiz_id = o.quiz_id and x.user_id = $2)`
	moveAttemptsSQL = `
update attempts a set user_id = $3, version = a.version + 1,
  number = a.number + coalesce((select max(b.number) from attempts b where b.quiz_id = $1 and b.user_id = $3 and not b.preview), 0)
where a.quiz_id = $1 and a.user_id = $2 and not a.preview`

	// What people wrote themselves, and what graders wrote to them.
	eraseAnswersSQL = `
update attempt_questions q set answer = null, comment = ''
from attempts a, questions n where a.id = q.attempt_id and n.id = q.question_id and a.user_id = $1 and n.kind in ('essay', 'short_text')`
	eraseCommentsSQL    = `update attempt_questions q set comment = '' from attempts a where a.id = q.attempt_id and a.user_id = $1`
	forgetAttemptsSQL   = `update attempts set user_id = $2, erased_at = $3, version = version + 1 where user_id = $1`
	forgetResultsSQL    = `update quiz_results set user_id = $2, override_note = '' where user_id = $1`
	forgetOverridesSQL  = `delete from quiz_overrides where user_id = $1`
	forgetGraderSQL     = `update attempt_questions set graded_by = $2 where graded_by = $1`
	forgetOverriddenSQL = `
update quiz_results set overridden_by = case when overridden_by = $1 then $2 else overridden_by end,
  excused_by = case when excused_by = $1 then $2 else excused_by end
where overridden_by = $1 or excused_by = $1`
	forgetOverriderSQL        = `update quiz_overrides set updated_by = $2 where updated_by = $1`
	forgetQuizzesSQL          = `update quizzes set created_by = $2 where created_by = $1`
	forgetBanksSQL            = `update question_banks set created_by = $2 where created_by = $1`
	forgetQuestionVersionsSQL = `update question_versions set created_by = $2 where created_by = $1`
	forgetQuestionUploadsSQL  = `delete from question_uploads where owner_id = $1`
)

// LockResult implements quiz.Tx.
func (t quizTx) LockResult(ctx context.Context, r quiz.Result) (quiz.Result, error) {
	found, err := maybe(pg.Many[quiz.Result](ctx, t, lockResultSQL, r.QuizID, r.UserID))
	if err != nil {
		return quiz.Result{}, err
	}
	if found != nil {
		return *found, nil
	}
	if _, err := pg.Exec(ctx, t, makeResultSQL, r.QuizID, r.UserID, r.TenantID, r.CourseID, r.UpdatedAt); err != nil {
		return quiz.Result{}, err
	}
	return pg.One[quiz.Result](ctx, t, "result", lockResultSQL, r.QuizID, r.UserID)
}

// Result implements quiz.Tx.
func (t quizTx) Result(ctx context.Context, id, user uuid.UUID) (*quiz.Result, error) {
	return maybe(pg.Many[quiz.Result](ctx, t, resultSQL, id, user))
}

// SaveResult implements quiz.Tx.
func (t quizTx) SaveResult(ctx context.Context, r *quiz.Result) error {
	err := pg.ExecVersioned(ctx, t, saveResultSQL, r.QuizID, r.UserID, r.Score, r.Possible, r.AttemptID, r.Pending, r.SubmittedAt, r.GradedAt,
		r.OverrideScore, r.OverrideNote, r.OverriddenBy, r.OverriddenAt, r.ExcusedBy, r.ExcusedAt, r.Posted, r.PostsAt, r.UpdatedAt, r.Version+1)
	if err == nil {
		r.Version++
	}
	return err
}

// Finished implements quiz.Tx.
func (t quizTx) Finished(ctx context.Context, id, user uuid.UUID) ([]quiz.Scored, error) {
	return pg.Many[quiz.Scored](ctx, t, finishedSQL, id, user)
}

// DueToPost implements quiz.Tx.
func (t quizTx) DueToPost(ctx context.Context, now time.Time, limit int) ([]quiz.Result, error) {
	return pg.Many[quiz.Result](ctx, t, dueToPostSQL, now, limit)
}

// ResultsAfter implements quiz.Tx.
func (t quizTx) ResultsAfter(ctx context.Context, id *uuid.UUID, after quiz.ResultKey, limit int) ([]quiz.Result, error) {
	return pg.Many[quiz.Result](ctx, t, resultsAfterSQL, id, after.QuizID, after.UserID, limit)
}

// AttemptsBy implements quiz.Tx.
func (t quizTx) AttemptsBy(ctx context.Context, user uuid.UUID) ([]quiz.Attempt, error) {
	return pg.Many[quiz.Attempt](ctx, t, attemptsBySQL, user)
}

// ResultsBy implements quiz.Tx.
func (t quizTx) ResultsBy(ctx context.Context, user uuid.UUID) ([]quiz.Result, error) {
	return pg.Many[quiz.Result](ctx, t, resultsBySQL, user)
}

// MoveOverrides implements quiz.Tx.
func (t quizTx) MoveOverrides(ctx context.Context, from, to uuid.UUID) error {
	_, err := pg.Exec(ctx, t, moveOverridesSQL, from, to)
	return err
}

// MoveAttempts implements quiz.Tx.
func (t quizTx) MoveAttempts(ctx context.Context, id, from, to uuid.UUID) error {
	_, err := pg.Exec(ctx, t, moveAttemptsSQL, id, from, to)
	return err
}

// DeleteResult implements quiz.Tx.
func (t quizTx) DeleteResult(ctx context.Context, id, user uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteResultSQL, id, user)
	return err
}

// Forget implements quiz.Tx.
func (t quizTx) Forget(ctx context.Context, user, pseudonym uuid.UUID, at time.Time) (int64, error) {
	for _, sql := range []string{eraseAnswersSQL, eraseCommentsSQL, forgetOverridesSQL, forgetQuestionUploadsSQL} {
		if _, err := pg.Exec(ctx, t, sql, user); err != nil {
			return 0, err
		}
	}
	kept, err := pg.Exec(ctx, t, forgetAttemptsSQL, user, pseudonym, at)
	if err != nil {
		return 0, err
	}
	for _, sql := range []string{
		forgetResultsSQL, forgetGraderSQL, forgetOverriddenSQL, forgetOverriderSQL, forgetQuizzesSQL, forgetBanksSQL, forgetQuestionVersionsSQL,
	} {
		if _, err := pg.Exec(ctx, t, sql, user, pseudonym); err != nil {
			return 0, err
		}
	}
	return kept, nil
}
