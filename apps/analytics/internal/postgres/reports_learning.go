package postgres

// Statements of the reports about learning. $1 are courses and $2 people that they
// are limited to, null for no limit; what else there is says the function of its
// arguments (reports.go). Shares are in ten-thousandths.
const (
	inScope = `($1::uuid[] is null or l.course_id = any ($1)) and ($2::uuid[] is null or l.user_id = any ($2))`

	courseFunnelSQL = `
select c.course_id, c.code, c.title, s.viewed, s.enrolled, s.started, s.completed
from (
  select l.course_id,
    count(*) filter (where viewed_at >= $3 and viewed_at < $4) as viewed,
    count(*) filter (where enrolled_at >= $3 and enrolled_at < $4) as enrolled,
    count(*) filter (where started_at >= $3 and started_at < $4) as started,
    count(*) filter (where completed_at >= $3 and completed_at < $4) as completed
  from learners l where ` + inScope + ` group by l.course_id
) s join courses c using (course_id)
where s.viewed + s.enrolled + s.started + s.completed > 0
order by s.enrolled desc, s.viewed desc, c.course_id limit $5`

	funnelOverTimeSQL = `
select b, coalesce(viewed, 0), coalesce(enrolled, 0), coalesce(started, 0), coalesce(completed, 0), coalesce(withdrawn, 0)
from generate_series(1, cardinality($3::timestamptz[]) - 1) as b
left join (
  select width_bucket(s.at, $3::timestamptz[]) as b, count(*) filter (where s.step = 1) as viewed, count(*) filter (where s.step = 2) as enrolled,
    count(*) filter (where s.step = 3) as started, count(*) filter (where s.step = 4) as completed, count(*) filter (where s.step = 5) as withdrawn
  from learners l
  cross join lateral (values (1, l.viewed_at), (2, l.enrolled_at), (3, l.started_at), (4, l.completed_at), (5, l.withdrawn_at)) as s (step, at)
  where ` + inScope + ` and s.at >= $3[1] and s.at < $3[cardinality($3::timestamptz[])]
  group by 1
) x using (b)
order by b limit $4`

	progressDistributionSQL = `
select case b.band when -1 then 'nothing required' when 10 then '100 %' else b.band * 10 || '–' || b.band * 10 + 9 || ' %' end, coalesce(x.learners, 0)
from generate_series(-1, 10) as b (band)
left join (
  select case when required = 0 then -1 when met >= required then 10 else met * 10 / required end as band, count(*) as learners
  from learners l where state in ('active', 'completed') and ` + inScope + ` group by 1
) x using (band)
order by b.band limit $3`

	timeToCompleteSQL = `
select c.course_id, c.code, c.title, s.n, s.p[1], s.p[2], s.p[3], s.p[4]
from (
  select course_id, count(*) as n, percentile_disc(array[0.25, 0.5, 0.75, 0.9]) within group (order by seconds) as p
  from (
    select l.course_id, floor(extract(epoch from completed_at - enrolled_at))::bigint as seconds
    from learners l where completed_at >= $3 and completed_at < $4 and enrolled_at is not null and ` + inScope + `
  ) t group by course_id
) s join courses c using (course_id)
order by s.n desc, c.course_id limit $5`

	// $3 to $6 are the parts of UTC days that make up the parts of the period.
	spans = `
with spans as (select * from unnest($3::date[], $4::bigint[], $5::bigint[], $6::integer[]) as s (day, am, pm, b)),
active as (
  select distinct s.b, l.user_id from spans s join activities l on l.day = s.day
  where (l.am & s.am <> 0 or l.pm & s.pm <> 0) and l.course_id <> '00000000-0000-0000-0000-000000000000' and ` + inScope + `
)`

	activeLearnersSQL = spans + `
select b, count(a.user_id) from generate_series(1, $7::integer) as b left join active a using (b) group by b order by b limit $8`

	retentionSQL = spans + `,
firsts as (
  select user_id, min(enrolled_at) as at from learners l where enrolled_at is not null and ` + inScope + ` group by user_id
),
cohort as (
  select user_id, width_bucket(at, $7::timestamptz[]) as c from firsts where at >= $7[1] and at < $7[cardinality($7::timestamptz[])]
),
sizes as (select c, count(*) as size from cohort group by c),
kept as (select c.c, a.b, count(*) as active from cohort c join active a on a.user_id = c.user_id and a.b >= c.c group by c.c, a.b)
select s.c, n.b - s.c, s.size, coalesce(k.active, 0), round(10000.0 * coalesce(k.active, 0) / s.size)::bigint
from sizes s
cross join lateral generate_series(s.c, cardinality($7::timestamptz[]) - 1) as n (b)
left join kept k on k.c = s.c and k.b = n.b
order by s.c, n.b limit $8`

	// $3 and $4 are the first and the last UTC day, $5 the org units of groups.
	cohortsSQL = `
select g.group_id, g.name, g.kind, count(*), count(*) filter (where x.learner), count(a.user_id), count(*) filter (where x.completed),
  round(avg(x.grade))::bigint
from cohorts g join cohort_members m on m.group_id = g.group_id and m.member
left join (
  select user_id, bool_or(state in ('active', 'completed')) as learner, bool_or(completed_at is not null) as completed, avg(final_grade) as grade
  from learners l where ` + inScope + ` group by user_id
) x using (user_id)
left join (
  select distinct user_id from activities l
  where day between $3 and $4 and course_id <> '00000000-0000-0000-0000-000000000000' and ` + inScope + `
) a using (user_id)
where not g.deleted and ($5::uuid[] is null or g.org_unit_id = any ($5))
group by g.group_id order by g.name, g.group_id limit $6`

	itemDifficultySQL = `
select i.position, i.item_id, i.title, i.module_title, i.kind, count(l.user_id), count(l.completed_at),
  round(10000.0 * count(l.completed_at) / nullif(count(l.user_id), 0))::bigint, count(l.score),
  round(10000.0 * sum(l.score) / nullif(sum(l.possible) filter (where l.score is not null), 0))::bigint
from courses c
cross join lateral jsonb_to_recordset(c.items) as i (item_id uuid, title text, module_title text, kind text, position integer)
left join learner_items l on l.course_id = c.course_id and l.item_id = i.item_id and l.first_at >= $3 and l.first_at < $4 and ` + inScope + `
where c.course_id = any ($1)
group by i.position, i.item_id, i.title, i.module_title, i.kind
order by i.position limit $5`

	questionDifficultySQL = `
select l.quiz_id, coalesce(z.title, ''), q.question_id, q.version, coalesce(x.title, ''), coalesce(x.kind, ''), count(*),
  count(*) filter (where q.class = 'correct'), count(*) filter (where q.class = 'partial'), count(*) filter (where q.class = 'wrong'),
  count(*) filter (where q.class = 'blank'), count(*) filter (where q.class = 'manual'),
  round(10000.0 * sum(q.points) / nullif(sum(q.possible) filter (where q.points is not null), 0))::bigint as facility
from attempts l
cross join lateral jsonb_to_recordset(l.answers) as q (question_id uuid, version integer, points bigint, possible bigint, class text)
left join quizzes z on z.quiz_id = l.quiz_id
left join questions x on x.question_id = q.question_id
where l.graded_seq > 0 and l.finished_at >= $3 and l.finished_at < $4 and ` + inScope + `
group by l.quiz_id, z.title, q.question_id, q.version, x.title, x.kind
order by facility nulls last, q.question_id, q.version, l.quiz_id limit $5`

	gradeDistributionSQL = `
select case b.band when -1 then 'none' when 10 then '100 % and more' else b.band * 10 || '–' || b.band * 10 + 9 || ' %' end,
  coalesce(f.n, 0), coalesce(k.n, 0)
from generate_series(-1, 10) as b (band)
left join (
  select case when final_grade is null then -1 else least(greatest(final_grade, 0) / 1000, 10) end as band, count(*) as n from learners l
  where state in ('active', 'completed') and ` + inScope + ` group by 1
) f using (band)
left join (
  select case when current_grade is null then -1 else least(greatest(current_grade, 0) / 1000, 10) end as band, count(*) as n from learners l
  where state in ('active', 'completed') and ` + inScope + ` group by 1
) k using (band)
order by b.band limit $3`

	lateWorkSQL = `
select a.assignment_id, a.title, s.course_id, coalesce(c.title, ''), s.on_time, s.late, s.missing, s.excused,
  round(10000.0 * s.late / nullif(s.on_time + s.late, 0))::bigint, s.median
from (
  select l.assignment_id, l.course_id, count(*) filter (where standing = 'on_time') as on_time, count(*) filter (where standing = 'late') as late,
    count(*) filter (where standing = 'missing') as missing, count(*) filter (where standing = 'excused') as excused,
    percentile_disc(0.5) within group (order by case when judged then judged_seconds else seconds_late end) filter (where standing = 'late') as median
  from works l join assignments d using (assignment_id)
  where coalesce(l.due_at, d.due_at) >= $3 and coalesce(l.due_at, d.due_at) < $4 and not d.deleted and standing <> 'open' and ` + inScope + `
  group by l.assignment_id, l.course_id
) s
join assignments a using (assignment_id) left join courses c on c.course_id = s.course_id
order by s.late + s.missing desc, a.assignment_id limit $5`

	// $3 is now, $5 and $6 since when one must have done something, $7 the grade and
	// $8 the distance from what is expected that are of concern. Reasons are put into
	// words by the domain.
	atRiskSQL = `
with learning as (
  select l.course_id, c.title, l.user_id, l.enrolled_at, l.started_at, l.last_activity_at, l.current_grade, coalesce(w.missing, 0) as missing,
    case when l.required > 0 then round(10000.0 * least(l.met, l.required) / l.required)::bigint end as progress,
    case when coalesce(l.ends_at, c.ends_at) > l.enrolled_at then
      round(10000.0 * extract(epoch from least($3::timestamptz, coalesce(l.ends_at, c.ends_at)) - l.enrolled_at)
        / extract(epoch from coalesce(l.ends_at, c.ends_at) - l.enrolled_at))::bigint end as expected
  from learners l join courses c using (course_id)
  left join (
    select l.course_id, l.user_id, count(*) as missing from works l join assignments d using (assignment_id)
    where l.standing = 'missing' and not d.deleted and ` + inScope + ` group by 1, 2
  ) w on w.course_id = l.course_id and w.user_id = l.user_id
  where l.state = 'active' and l.enrolled_at is not null and l.enrolled_at <= $3 and not c.deleted and c.status <> 'archived' and ` + inScope + `
), judged as (
  select *,
    started_at is not null and last_activity_at <= $5::timestamptz as inactive,
    started_at is null and enrolled_at <= $6::timestamptz as not_begun,
    missing > 0 as has_missing,
    coalesce(current_grade < $7::bigint, false) as low,
    coalesce(expected - progress > $8::bigint, false) as behind
  from learning
)
select course_id, title, user_id, '' as name, inactive::int + not_begun::int + has_missing::int + low::int + behind::int as risks,
  array_remove(array[case when inactive then 'inactive' end, case when not_begun then 'not_begun' end, case when has_missing then 'missing_work' end,
    case when low then 'low_grade' end, case when behind then 'behind' end], null) as reasons,
  last_activity_at, progress, expected, current_grade, missing, enrolled_at
from judged where inactive or not_begun or has_missing or low or behind
order by risks desc, course_id, user_id limit $4`

	instructorLoadSQL = `
with staff as (
  select s.user_id, c.course_id from courses c cross join lateral jsonb_to_recordset(c.staff) as s (user_id uuid)
  where not c.deleted and c.status <> 'archived' and ($1::uuid[] is null or c.course_id = any ($1)) and ($2::uuid[] is null or s.user_id = any ($2))
), teaching as (
  select s.user_id, count(*) as courses, sum(coalesce(l.n, 0))::bigint as learners, sum(coalesce(w.n, 0))::bigint as waiting
  from staff s
  left join (select course_id, count(*) as n from learners where state = 'active' group by 1) l using (course_id)
  left join (
    select course_id, count(*) as n from works join assignments d using (assignment_id, course_id)
    where submitted_at is not null and not withdrawn and not excused and not d.deleted and coalesce(graded_at < submitted_at, true) group by 1
  ) w using (course_id)
  group by s.user_id
), grading as (
  select grader_id as user_id, count(*) as graded,
    percentile_disc(0.5) within group (order by floor(extract(epoch from graded_at - submitted_at))::bigint) filter (where graded_at >= submitted_at) as median
  from works l where grader_id is not null and graded_at >= $3 and graded_at < $4 and ($1::uuid[] is null or l.course_id = any ($1))
    and ($2::uuid[] is null or l.grader_id = any ($2))
  group by 1
)
select user_id, '' as name, coalesce(t.courses, 0), coalesce(t.learners, 0), coalesce(t.waiting, 0), coalesce(g.graded, 0), g.median
from teaching t full join grading g using (user_id)
order by coalesce(t.waiting, 0) desc, coalesce(t.learners, 0) desc, user_id limit $5`
)
