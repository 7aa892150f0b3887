package postgres

// The tallies' statements: rows by their keys, and rows as they are to be from now
// on. They name no schema: in a rebuild the search path leads to other tables.
const (
	coursesLoadSQL = `
select course_id, tenant_id, org_unit_id, code, title, status, language, starts_at, ends_at, deleted, staff, seq, items, curriculum_seq
from courses where course_id = any ($1::uuid[])`

	coursesSaveSQL = `
insert into courses (
  course_id, tenant_id, org_unit_id, code, title, status, language, starts_at, ends_at, deleted, staff, seq, items, curriculum_seq
)
select course_id, tenant_id, org_unit_id, code, title, status, language, starts_at, ends_at, deleted, staff, seq, items, curriculum_seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::boolean[],
  $11::jsonb[], $12::bigint[], $13::jsonb[], $14::bigint[])
  as t (course_id, tenant_id, org_unit_id, code, title, status, language, starts_at, ends_at, deleted, staff, seq, items, curriculum_seq)
on conflict (course_id) do update set
  tenant_id = excluded.tenant_id, org_unit_id = excluded.org_unit_id, code = excluded.code, title = excluded.title, status = excluded.status,
  language = excluded.language, starts_at = excluded.starts_at, ends_at = excluded.ends_at, deleted = excluded.deleted, staff = excluded.staff,
  seq = excluded.seq, items = excluded.items, curriculum_seq = excluded.curriculum_seq`

	orgUnitsLoadSQL = `
select org_unit_id, tenant_id, parent_id, name, kind, archived, deleted, seq
from org_units where org_unit_id = any ($1::uuid[])`

	orgUnitsSaveSQL = `
insert into org_units (
  org_unit_id, tenant_id, parent_id, name, kind, archived, deleted, seq
)
select org_unit_id, tenant_id, parent_id, name, kind, archived, deleted, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::bigint[])
  as t (org_unit_id, tenant_id, parent_id, name, kind, archived, deleted, seq)
on conflict (org_unit_id) do update set
  tenant_id = excluded.tenant_id, parent_id = excluded.parent_id, name = excluded.name, kind = excluded.kind, archived = excluded.archived,
  deleted = excluded.deleted, seq = excluded.seq`

	peopleLoadSQL = `
select user_id, tenant_id, org_unit_id, status, created_at, seq
from people where user_id = any ($1::uuid[])`

	peopleSaveSQL = `
insert into people (
  user_id, tenant_id, org_unit_id, status, created_at, seq
)
select user_id, tenant_id, org_unit_id, status, created_at, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[])
  as t (user_id, tenant_id, org_unit_id, status, created_at, seq)
on conflict (user_id) do update set
  tenant_id = excluded.tenant_id, org_unit_id = excluded.org_unit_id, status = excluded.status, created_at = excluded.created_at, seq = excluded.seq`

	cohortsLoadSQL = `
select group_id, tenant_id, org_unit_id, kind, name, course_id, deleted, seq
from cohorts where group_id = any ($1::uuid[])`

	cohortsSaveSQL = `
insert into cohorts (
  group_id, tenant_id, org_unit_id, kind, name, course_id, deleted, seq
)
select group_id, tenant_id, org_unit_id, kind, name, course_id, deleted, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::boolean[], $8::bigint[])
  as t (group_id, tenant_id, org_unit_id, kind, name, course_id, deleted, seq)
on conflict (group_id) do update set
  tenant_id = excluded.tenant_id, org_unit_id = excluded.org_unit_id, kind = excluded.kind, name = excluded.name, course_id = excluded.course_id,
  deleted = excluded.deleted, seq = excluded.seq`

	cohortMembersLoadSQL = `
select group_id, user_id, tenant_id, member, seq
from cohort_members where (group_id, user_id) in (select * from unnest($1::uuid[], $2::uuid[]))`

	cohortMembersSaveSQL = `
insert into cohort_members (
  group_id, user_id, tenant_id, member, seq
)
select group_id, user_id, tenant_id, member, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::bigint[])
  as t (group_id, user_id, tenant_id, member, seq)
on conflict (group_id, user_id) do update set
  tenant_id = excluded.tenant_id, member = excluded.member, seq = excluded.seq`

	learnersLoadSQL = `
select course_id, user_id, tenant_id, enrollment_id, state, source, ends_at, status_seq, reset_seq, required, met, progress_seq, viewed_at,
  enrolled_at, started_at, completed_at, withdrawn_at, certified_at, last_activity_at, current_grade, final_grade, letter, grade_seq
from learners where (course_id, user_id) in (select * from unnest($1::uuid[], $2::uuid[]))`

	learnersSaveSQL = `
insert into learners (
  course_id, user_id, tenant_id, enrollment_id, state, source, ends_at, status_seq, reset_seq, required, met, progress_seq, viewed_at, enrolled_at,
  started_at, completed_at, withdrawn_at, certified_at, last_activity_at, current_grade, final_grade, letter, grade_seq
)
select course_id, user_id, tenant_id, enrollment_id, state, source, ends_at, status_seq, reset_seq, required, met, progress_seq, viewed_at,
  enrolled_at, started_at, completed_at, withdrawn_at, certified_at, last_activity_at, current_grade, final_grade, letter, grade_seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bigint[],
  $11::bigint[], $12::bigint[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[],
  $18::timestamptz[], $19::timestamptz[], $20::bigint[], $21::bigint[], $22::text[], $23::bigint[])
  as t (course_id, user_id, tenant_id, enrollment_id, state, source, ends_at, status_seq, reset_seq, required, met, progress_seq, viewed_at,
    enrolled_at, started_at, completed_at, withdrawn_at, certified_at, last_activity_at, current_grade, final_grade, letter, grade_seq)
on conflict (course_id, user_id) do update set
  tenant_id = excluded.tenant_id, enrollment_id = excluded.enrollment_id, state = excluded.state, source = excluded.source,
  ends_at = excluded.ends_at, status_seq = excluded.status_seq, reset_seq = excluded.reset_seq, required = excluded.required, met = excluded.met,
  progress_seq = excluded.progress_seq, viewed_at = excluded.viewed_at, enrolled_at = excluded.enrolled_at, started_at = excluded.started_at,
  completed_at = excluded.completed_at, withdrawn_at = excluded.withdrawn_at, certified_at = excluded.certified_at,
  last_activity_at = excluded.last_activity_at, current_grade = excluded.current_grade, final_grade = excluded.final_grade, letter = excluded.letter,
  grade_seq = excluded.grade_seq`

	learnerItemsLoadSQL = `
select course_id, user_id, item_id, tenant_id, first_at, last_at, completed_at, seq, score, possible
from learner_items where (course_id, item_id, user_id) in (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[]))`

	learnerItemsSaveSQL = `
insert into learner_items (
  course_id, user_id, item_id, tenant_id, first_at, last_at, completed_at, seq, score, possible
)
select course_id, user_id, item_id, tenant_id, first_at, last_at, completed_at, seq, score, possible
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::bigint[],
  $10::bigint[])
  as t (course_id, user_id, item_id, tenant_id, first_at, last_at, completed_at, seq, score, possible)
on conflict (course_id, item_id, user_id) do update set
  tenant_id = excluded.tenant_id, first_at = excluded.first_at, last_at = excluded.last_at, completed_at = excluded.completed_at, seq = excluded.seq,
  score = excluded.score, possible = excluded.possible`

	activitiesLoadSQL = `
select to_char(day, 'YYYY-MM-DD') as day, course_id, user_id, tenant_id, am, pm, events
from activities where (day, course_id, user_id) in (select * from unnest($1::date[], $2::uuid[], $3::uuid[]))`

	activitiesSaveSQL = `
insert into activities (
  day, course_id, user_id, tenant_id, am, pm, events
)
select day, course_id, user_id, tenant_id, am, pm, events
from unnest($1::date[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[])
  as t (day, course_id, user_id, tenant_id, am, pm, events)
on conflict (day, course_id, user_id) do update set
  tenant_id = excluded.tenant_id, am = excluded.am, pm = excluded.pm, events = excluded.events`

	quizzesLoadSQL = `
select quiz_id, tenant_id, course_id, title, points, deleted, seq
from quizzes where quiz_id = any ($1::uuid[])`

	quizzesSaveSQL = `
insert into quizzes (
  quiz_id, tenant_id, course_id, title, points, deleted, seq
)
select quiz_id, tenant_id, course_id, title, points, deleted, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::boolean[], $7::bigint[])
  as t (quiz_id, tenant_id, course_id, title, points, deleted, seq)
on conflict (quiz_id) do update set
  tenant_id = excluded.tenant_id, course_id = excluded.course_id, title = excluded.title, points = excluded.points, deleted = excluded.deleted,
  seq = excluded.seq`

	questionsLoadSQL = `
select question_id, tenant_id, kind, title, deleted, seq
from questions where question_id = any ($1::uuid[])`

	questionsSaveSQL = `
insert into questions (
  question_id, tenant_id, kind, title, deleted, seq
)
select question_id, tenant_id, kind, title, deleted, seq
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::bigint[])
  as t (question_id, tenant_id, kind, title, deleted, seq)
on conflict (question_id) do update set
  tenant_id = excluded.tenant_id, kind = excluded.kind, title = excluded.title, deleted = excluded.deleted, seq = excluded.seq`

	attemptsLoadSQL = `
select attempt_id, tenant_id, course_id, quiz_id, user_id, number, state, started_at, finished_at, seq, score, possible, answers, graded_seq
from attempts where attempt_id = any ($1::uuid[])`

	attemptsSaveSQL = `
insert into attempts (
  attempt_id, tenant_id, course_id, quiz_id, user_id, number, state, started_at, finished_at, seq, score, possible, answers, graded_seq
)
select attempt_id, tenant_id, course_id, quiz_id, user_id, number, state, started_at, finished_at, seq, score, possible, answers, graded_seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::timestamptz[], $9::timestamptz[],
  $10::bigint[], $11::bigint[], $12::bigint[], $13::jsonb[], $14::bigint[])
  as t (attempt_id, tenant_id, course_id, quiz_id, user_id, number, state, started_at, finished_at, seq, score, possible, answers, graded_seq)
on conflict (attempt_id) do update set
  tenant_id = excluded.tenant_id, course_id = excluded.course_id, quiz_id = excluded.quiz_id, user_id = excluded.user_id, number = excluded.number,
  state = excluded.state, started_at = excluded.started_at, finished_at = excluded.finished_at, seq = excluded.seq, score = excluded.score,
  possible = excluded.possible, answers = excluded.answers, graded_seq = excluded.graded_seq`

	assignmentsLoadSQL = `
select assignment_id, tenant_id, course_id, title, points, due_at, published, deleted, seq
from assignments where assignment_id = any ($1::uuid[])`

	assignmentsSaveSQL = `
insert into assignments (
  assignment_id, tenant_id, course_id, title, points, due_at, published, deleted, seq
)
select assignment_id, tenant_id, course_id, title, points, due_at, published, deleted, seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::boolean[], $8::boolean[], $9::bigint[])
  as t (assignment_id, tenant_id, course_id, title, points, due_at, published, deleted, seq)
on conflict (assignment_id) do update set
  tenant_id = excluded.tenant_id, course_id = excluded.course_id, title = excluded.title, points = excluded.points, due_at = excluded.due_at,
  published = excluded.published, deleted = excluded.deleted, seq = excluded.seq`

	worksLoadSQL = `
select assignment_id, user_id, tenant_id, course_id, submitted_at, due_at, seconds_late, withdrawn, submission_rank, missing, excused, late,
  judged_seconds, judged_submission, standing_seq, grader_id, graded_at, score, possible, score_seq
from works where (assignment_id, user_id) in (select * from unnest($1::uuid[], $2::uuid[]))`

	worksSaveSQL = `
insert into works (
  assignment_id, user_id, tenant_id, course_id, submitted_at, due_at, seconds_late, withdrawn, submission_rank, missing, excused, late,
  judged_seconds, judged_submission, standing_seq, grader_id, graded_at, score, possible, score_seq
)
select assignment_id, user_id, tenant_id, course_id, submitted_at, due_at, seconds_late, withdrawn, submission_rank, missing, excused, late,
  judged_seconds, judged_submission, standing_seq, grader_id, graded_at, score, possible, score_seq
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[], $9::bigint[],
  $10::boolean[], $11::boolean[], $12::boolean[], $13::bigint[], $14::timestamptz[], $15::bigint[], $16::uuid[], $17::timestamptz[], $18::bigint[],
  $19::bigint[], $20::bigint[])
  as t (assignment_id, user_id, tenant_id, course_id, submitted_at, due_at, seconds_late, withdrawn, submission_rank, missing, excused, late,
    judged_seconds, judged_submission, standing_seq, grader_id, graded_at, score, possible, score_seq)
on conflict (assignment_id, user_id) do update set
  tenant_id = excluded.tenant_id, course_id = excluded.course_id, submitted_at = excluded.submitted_at, due_at = excluded.due_at,
  seconds_late = excluded.seconds_late, withdrawn = excluded.withdrawn, submission_rank = excluded.submission_rank, missing = excluded.missing,
  excused = excluded.excused, late = excluded.late, judged_seconds = excluded.judged_seconds, judged_submission = excluded.judged_submission,
  standing_seq = excluded.standing_seq, grader_id = excluded.grader_id, graded_at = excluded.graded_at, score = excluded.score,
  possible = excluded.possible, score_seq = excluded.score_seq`

	plansLoadSQL = `
select plan_id, tenant_id, name, kind, seq
from plans where plan_id = any ($1::uuid[])`

	plansSaveSQL = `
insert into plans (
  plan_id, tenant_id, name, kind, seq
)
select plan_id, tenant_id, name, kind, seq
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
  as t (plan_id, tenant_id, name, kind, seq)
on conflict (plan_id) do update set
  tenant_id = excluded.tenant_id, name = excluded.name, kind = excluded.kind, seq = excluded.seq`

	paymentsSaveSQL = `
insert into payments (
  payment_id, tenant_id, org_unit_id, course_id, plan_id, user_id, kind, at, amount, tax, currency
)
select payment_id, tenant_id, org_unit_id, course_id, plan_id, user_id, kind, at, amount, tax, currency
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[],
  $11::text[])
  as t (payment_id, tenant_id, org_unit_id, course_id, plan_id, user_id, kind, at, amount, tax, currency)
on conflict (payment_id) do nothing`

	subscriptionChangesSaveSQL = `
insert into subscription_changes (
  subscription_id, seq, tenant_id, org_unit_id, course_id, plan_id, user_id, at, state, currency, monthly
)
select subscription_id, seq, tenant_id, org_unit_id, course_id, plan_id, user_id, at, state, currency, monthly
from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::timestamptz[], $9::text[], $10::text[],
  $11::bigint[])
  as t (subscription_id, seq, tenant_id, org_unit_id, course_id, plan_id, user_id, at, state, currency, monthly)
on conflict (subscription_id, seq) do nothing`

	searchTermsLoadSQL = `
select tenant_id, term, slot, searches, without_result
from search_terms where (tenant_id, term, slot) in (select * from unnest($1::uuid[], $2::text[], $3::timestamptz[]))`

	searchTermsSaveSQL = `
insert into search_terms (
  tenant_id, term, slot, searches, without_result
)
select tenant_id, term, slot, searches, without_result
from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[])
  as t (tenant_id, term, slot, searches, without_result)
on conflict (tenant_id, term, slot) do update set
  searches = excluded.searches, without_result = excluded.without_result`
)
