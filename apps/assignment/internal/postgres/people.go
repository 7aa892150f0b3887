package postgres

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/pg"
)

const (
	savePersonSQL = `
insert into people (user_id, tenant_id, status, updated_at) values ($1, $2, $3, $4)
on conflict (user_id) do update set status = excluded.status, updated_at = excluded.updated_at`
	personSQL   = `select user_id, tenant_id, status, updated_at from people where user_id = $1`
	gradesOfSQL = `select` + gradeColumns + ` from grades g where g.user_id = $1 order by g.id for update`

	// erasingSQL lets the history put a pseudonym in a person's place.
	erasingSQL         = `select set_config('lms.erasing', 'on', true)`
	erasingDoneSQL     = `select set_config('lms.erasing', '', true)`
	reassignGradeSQL   = `update grades set user_id = $3, version = version + 1 where id = $1 and user_id = $2`
	reassignHistorySQL = `update grade_history set user_id = $3 where grade_id = $1 and user_id = $2`

	reassignSubmissionsSQL = `
update submissions set member_ids = array_replace(member_ids, $1, $2), version = version + 1 where member_ids @> array[$1::uuid]`
	// An attempt number that the other has as well stays with the person.
	reassignAuthorsSQL = `
update submissions s set user_id = $2 where s.user_id = $1 and (s.group_id is not null
  or not exists (select 1 from submissions o where o.assignment_id = s.assignment_id and o.group_id is null and o.user_id = $2 and o.attempt = s.attempt))`
	reassignFilesSQL     = `update submission_files set user_id = $2 where user_id = $1`
	reassignCommentsSQL  = `update submission_comments set author_id = $2 where author_id = $1`
	reassignOverridesSQL = `
update assignment_overrides o set subject_id = $2, version = version + 1 where o.kind = 'user' and o.subject_id = $1
  and not exists (select 1 from assignment_overrides x where x.assignment_id = o.assignment_id and x.kind = 'user' and x.subject_id = $2)`
)

// SavePerson implements coursework.PeopleTx.
func (t tx) SavePerson(ctx context.Context, p coursework.Person) error {
	_, err := pg.Exec(ctx, t, savePersonSQL, p.UserID, p.TenantID, p.Status, p.UpdatedAt)
	return err
}

// Person implements coursework.PeopleTx.
func (t tx) Person(ctx context.Context, user uuid.UUID) (*coursework.Person, error) {
	return none(pg.One[coursework.Person](ctx, t, "person", personSQL, user))
}

// GradesOf implements coursework.PeopleTx.
func (t tx) GradesOf(ctx context.Context, user uuid.UUID) ([]coursework.Grade, error) {
	return pg.Many[coursework.Grade](ctx, t, gradesOfSQL, user)
}

// ReassignGrade implements coursework.PeopleTx.
func (t tx) ReassignGrade(ctx context.Context, grade, from, to uuid.UUID) error {
	var trip trip
	trip.exec(erasingSQL)
	trip.exec(reassignGradeSQL, grade, from, to)
	trip.exec(reassignHistorySQL, grade, from, to)
	trip.exec(erasingDoneSQL)
	return trip.send(ctx, t)
}

// ReassignWork implements coursework.PeopleTx.
func (t tx) ReassignWork(ctx context.Context, from, to uuid.UUID) error {
	var trip trip
	for _, sql := range []string{reassignSubmissionsSQL, reassignAuthorsSQL, reassignFilesSQL, reassignCommentsSQL, reassignOverridesSQL} {
		trip.exec(sql, from, to)
	}
	return trip.send(ctx, t)
}

// A pseudonym takes the person's place in what counts; what the person wrote goes.
// Work of a group stays, since it is the others' too: only the name goes.
const (
	eraseFilesSQL = `
delete from submission_files f where f.user_id = $1 and (f.submission_id is null
  or exists (select 1 from submissions s where s.id = f.submission_id and s.member_ids = array[$1::uuid]))
returning f.object_key`
	eraseFileOwnersSQL  = `update submission_files set user_id = $2 where user_id = $1`
	eraseOwnWorkSQL     = `update submissions set body = '', links = '{}' where member_ids = array[$1::uuid]`
	eraseAuthorsSQL     = `update submissions set user_id = $2, version = version + 1 where user_id = $1`
	eraseMembersSQL     = `update submissions set member_ids = array_replace(member_ids, $1, $2) where member_ids @> array[$1::uuid]`
	eraseWithdrawersSQL = `update submissions set withdrawn_by = $2 where withdrawn_by = $1`
	eraseGradesSQL      = `update grades set user_id = $2, version = version + 1 where user_id = $1`
	eraseGradersSQL     = `update grades set grader_id = $2 where grader_id = $1`
	eraseAssessorsSQL   = `update assessments set assessor_id = $2 where assessor_id = $1`
	eraseHistorySQL     = `update grade_history set user_id = $2, note = '' where user_id = $1`
	eraseActorsSQL      = `update grade_history set actor_id = $2 where actor_id = $1`
	eraseCommentsSQL    = `update submission_comments set author_id = $2, body = '[erased]' where author_id = $1 and not by_staff`
	eraseWordsSQL       = `update submission_comments set author_id = $2 where author_id = $1 and by_staff`
	eraseOverridesSQL   = `update assignment_overrides set subject_id = $2, reason = '' where kind = 'user' and subject_id = $1`
	eraseNoticesSQL     = `delete from due_notices where user_id = $1`
	eraseMakersSQL      = `update assignments set created_by = $2 where created_by = $1`
	eraseOverridersSQL  = `update assignment_overrides set created_by = $2 where created_by = $1`
	eraseRubricsSQL     = `update rubrics set created_by = $2 where created_by = $1`
	eraseRevisionsSQL   = `update rubric_revisions set created_by = $2 where created_by = $1`
)

// ErasePerson implements coursework.PeopleTx.
func (t tx) ErasePerson(ctx context.Context, user, pseudonym uuid.UUID) ([]string, error) {
	keys, err := pg.Column[string](ctx, t, eraseFilesSQL, user)
	if err != nil {
		return nil, err
	}
	var trip trip
	trip.exec(erasingSQL)
	trip.exec(eraseOwnWorkSQL, user)
	for _, sql := range []string{
		eraseFileOwnersSQL, eraseAuthorsSQL, eraseMembersSQL, eraseWithdrawersSQL, eraseGradesSQL, eraseGradersSQL, eraseAssessorsSQL, eraseHistorySQL,
		eraseActorsSQL, eraseCommentsSQL, eraseWordsSQL, eraseOverridesSQL, eraseMakersSQL, eraseOverridersSQL, eraseRubricsSQL, eraseRevisionsSQL,
	} {
		trip.exec(sql, user, pseudonym)
	}
	trip.exec(eraseNoticesSQL, user)
	trip.exec(erasingDoneSQL)
	return keys, trip.send(ctx, t)
}

const (
	exportSubmissionsSQL = `
select coalesce(json_agg(x order by x.submitted_at), '[]')::text from (
  select s.id, s.course_id, s.assignment_id, a.title, s.group_id, s.attempt, s.body, s.links, s.submitted_at, s.seconds_late, s.withdrawn_at,
    (select coalesce(json_agg(json_build_object('filename', f.filename, 'media_type', f.media_type, 'size', f.size, 'sha256', f.sha256)), '[]')
     from submission_files f where f.submission_id = s.id) as files
  from submissions s join assignments a on a.id = s.assignment_id where s.member_ids @> array[$1::uuid]) x`
	exportGradesSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select g.course_id, g.assignment_id, a.title, a.points / 100.0 as possible, p.entered_grade, p.entered_score / 100.0 as entered_score,
    p.deduction / 100.0 as deduction, p.score / 100.0 as score, p.status, p.excused_at, g.seconds_late, p.graded_at, p.posted_at,
    (select r.ratings from assessments r where r.grade_id = p.id) as rubric
  from grades g join assignments a on a.id = g.assignment_id left join grades p on p.id = g.id and p.posted_at is not null
  where g.user_id = $1) x`
	exportHistorySQL = `
select coalesce(json_agg(x order by x.at), '[]')::text from (
  select h.assignment_id, h.at, h.cause, case when g.posted_at is null then '' else h.note end as note,
    case when g.posted_at is null then h.after - '{entered_grade,entered_score,status,status_seconds,excused_at,graded_at,deduction,missing_score,score,posted_at,hidden,individual,ratings}'::text[]
      else h.after end as after
  from grade_history h join grades g on g.id = h.grade_id
  where h.user_id = $1 and (g.posted_at is not null or h.cause in ('submitted', 'withdrawn'))) x`
	exportCommentsSQL = `
select coalesce(json_agg(x order by x.created_at), '[]')::text from (
  select submission_id, body, by_staff, created_at from submission_comments where author_id = $1) x`
	exportOverridesSQL = `
select coalesce(json_agg(x), '[]')::text from (
  select assignment_id, due_at, available_from, cutoff_at, attempts, unlimited_attempts, reason from assignment_overrides
  where kind = 'user' and subject_id = $1) x`
)

// PersonalData implements coursework.PeopleTx.
func (t tx) PersonalData(ctx context.Context, user uuid.UUID) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for section, sql := range map[string]string{
		"submissions": exportSubmissionsSQL, "grades": exportGradesSQL, "grade_history": exportHistorySQL, "submission_comments": exportCommentsSQL,
		"extensions": exportOverridesSQL,
	} {
		text, err := pg.Scalar[string](ctx, t, "person", sql, user)
		if err != nil {
			return nil, err
		}
		out[section] = json.RawMessage(text)
	}
	return out, nil
}
