package postgres

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/pg"
)

const (
	eraseScoresSQL        = `update quiz_scores set user_id = $2, version = version + 1 where user_id = $1`
	eraseTotalsSQL        = `update course_totals set user_id = $2, version = version + 1 where user_id = $1`
	eraseSettersSQL       = `update course_totals set override_by = $2 where override_by = $1`
	eraseScoreActorsSQL   = `update quiz_score_history set actor_id = $2 where actor_id = $1`
	eraseFinalActorsSQL   = `update final_grade_history set actor_id = $2 where actor_id = $1`
	eraseFinalNotesSQL    = `update final_grade_history set note = '' where total_id in (select id from course_totals where user_id = $1)`
	eraseSchemeMakersSQL  = `update grading_schemes set created_by = $2 where created_by = $1`
	reassignQuizScoresSQL = `
update quiz_scores q set user_id = $2, version = version + 1
where q.user_id = $1 and not exists (select 1 from quiz_scores o where o.quiz_id = q.quiz_id and o.user_id = $2)`
	placesOfSQL = `
select tenant_id, org_unit_id, course_id from course_totals where user_id = $1 order by course_id`

	exportTotalsSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select course_id, posted_current / 100.0 as current, coalesce(override_percent, posted_final) / 100.0 as final, posted_letter as letter,
    override_percent / 100.0 as set_by_staff, changed_at
  from course_totals where user_id = $1) x`
	exportScoresSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select q.course_id, q.quiz_id, c.title, c.points / 100.0 as possible, p.score / 100.0 as score, p.deduction / 100.0 as deduction,
    p.counted / 100.0 as counts, p.excused_at, q.submitted_at, q.due_at
  from quiz_scores q join quiz_columns c on c.quiz_id = q.quiz_id
  left join quiz_scores p on p.id = q.id and (p.posted or p.missing_score is not null)
  where q.user_id = $1) x`
)

// EraseGradebook implements coursework.GradebookTx.
func (t tx) EraseGradebook(ctx context.Context, user, pseudonym uuid.UUID) error {
	var trip trip
	trip.exec(erasingSQL)
	trip.exec(eraseFinalNotesSQL, user)
	for _, sql := range []string{
		eraseScoresSQL, eraseTotalsSQL, eraseSettersSQL, eraseScoreActorsSQL, eraseFinalActorsSQL, eraseSchemeMakersSQL,
	} {
		trip.exec(sql, user, pseudonym)
	}
	trip.exec(erasingDoneSQL)
	return trip.send(ctx, t)
}

// ReassignQuizScores implements coursework.GradebookTx.
func (t tx) ReassignQuizScores(ctx context.Context, from, to uuid.UUID) error {
	_, err := pg.Exec(ctx, t, reassignQuizScoresSQL, from, to)
	return err
}

// CountedIn implements coursework.GradebookTx.
func (t tx) CountedIn(ctx context.Context, user uuid.UUID) ([]coursework.Place, error) {
	return pg.Many[coursework.Place](ctx, t, placesOfSQL, user)
}

// GradebookData implements coursework.GradebookTx.
func (t tx) GradebookData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for section, sql := range map[string]string{"course_grades": exportTotalsSQL, "quiz_scores": exportScoresSQL} {
		text, err := pg.Scalar[string](ctx, t, "person", sql, user)
		if err != nil {
			return nil, err
		}
		out[section] = json.RawMessage(text)
	}
	return out, nil
}
