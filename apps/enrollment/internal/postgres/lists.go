package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

func listedFields(l *enrollment.Listed) []any {
	f := []any{&l.StaffRole, &l.CertificateID, &l.Position}
	f = append(f, enrollmentFields(&l.Enrollment)...)
	return append(f, briefFields(&l.Course)...)
}

const (
	// $1 is the viewer.
	listedColumns = `
coalesce(s.role, ''), x.id, 0,` + enrollmentColumns + `,` + briefColumns
	listedJoins = `
from enrollments e
join courses c on c.id = e.course_id
left join course_staff s on s.course_id = e.course_id and s.user_id = $1 and s.active
left join certificates x on x.enrollment_id = e.id and x.revoked_at is null`

	getSQL = `
select coalesce(s.role, ''), x.id,
  case when e.state = 'waitlisted' then (select count(*) from enrollments w
    where w.course_id = e.course_id and w.state = 'waitlisted' and w.waitlist_number <= e.waitlist_number) else 0 end,` +
		enrollmentColumns + `,` + briefColumns + listedJoins + `
where e.id = $2`

	mineSQL = `
select` + listedColumns + listedJoins + `
where e.user_id = $2 and ($3::text[] is null or e.state = any ($3)) and ($4::uuid is null or e.course_id = $4)
  and ($5 = '' or e.external_id = $5) and ($6::uuid is null or e.id < $6)
  and ($7 or s.role is not null or c.org_unit_id = any ($8))
order by e.id desc limit $9`

	waitlistSQL = `
select coalesce(s.role, ''), x.id,
  (select count(*) from enrollments w where w.course_id = e.course_id and w.state = 'waitlisted' and w.waitlist_number <= e.waitlist_number),` +
		enrollmentColumns + `,` + briefColumns + listedJoins + `
where e.course_id = $2 and e.state = 'waitlisted' and ($3::bigint is null or e.waitlist_number > $3)
order by e.waitlist_number limit $4`
)

// Get implements enrollment.ListTx.
func (t tx) Get(ctx context.Context, id, viewer uuid.UUID) (l enrollment.Listed, err error) {
	err = t.QueryRow(ctx, getSQL, viewer, id).Scan(listedFields(&l)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = apperr.NotFound("enrollment")
	}
	return l, err
}

func texts(states []enrollment.State) []string {
	if len(states) == 0 {
		return nil
	}
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = string(s)
	}
	return out
}

// Mine implements enrollment.ListTx.
func (t tx) Mine(ctx context.Context, f enrollment.MineFilter, p page.Request) (out page.Page[enrollment.Listed], err error) {
	args, err := mineArgs(f, p)
	if err != nil {
		return out, err
	}
	rows, err := t.Query(ctx, mineSQL, args...)
	list, err := each(rows, err, listedFields)
	return page.Cut(list, p.Size(), cursorOf), err
}

// Mine implements enrollment.Store.
func (s *Store) Mine(ctx context.Context, sc work.Scope, f enrollment.MineFilter, p page.Request) (out page.Page[enrollment.Listed], err error) {
	args, err := mineArgs(f, p)
	if err != nil {
		return out, err
	}
	err = s.oneTrip(ctx, sc, func(t *trip) func() error {
		var list []enrollment.Listed
		scanned(t, &list, listedFields, mineSQL, args...)
		return func() error {
			out = page.Cut(list, p.Size(), cursorOf)
			return nil
		}
	})
	return out, err
}

func cursorOf(l enrollment.Listed) string { return page.Encode(l.ID) }

func mineArgs(f enrollment.MineFilter, p page.Request) ([]any, error) {
	after, err := afterID(p)
	if err != nil {
		return nil, err
	}
	viewer, all, units := f.UserID, true, []uuid.UUID{}
	if f.Reach != nil {
		viewer, all, units = f.Viewer, f.Reach.All, ids(f.Reach.OrgUnits)
	}
	return []any{viewer, f.UserID, texts(f.States), f.CourseID, f.ExternalID, after, all, units, p.Size() + 1}, nil
}

// Waitlist implements enrollment.ListTx.
func (t tx) Waitlist(ctx context.Context, course uuid.UUID, p page.Request) (out page.Page[enrollment.Listed], err error) {
	var number int64
	seen, err := page.Decode(p.Cursor, &number)
	if err != nil {
		return out, err
	}
	var after *int64
	if seen {
		after = &number
	}
	rows, err := t.Query(ctx, waitlistSQL, uuid.Nil, course, after, p.Size()+1)
	list, err := each(rows, err, listedFields)
	return page.Cut(list, p.Size(), func(l enrollment.Listed) string { return page.Encode(*l.WaitlistNumber) }), err
}

// A roster is sorted by one of three keys, in both directions, with the id to
// make the order total. Each is a statement of its own, so that each is prepared
// and planned by itself; null activity sorts as the earliest.
const (
	rosterFilter = `
where e.course_id = $2 and ($3::text[] is null or e.state = any ($3)) and ($4::uuid[] is null or e.user_id = any ($4))
  and ($5::int is null or e.met * 100 >= $5 * e.required and (e.required > 0 or $5 = 0))
  and ($6::int is null or e.met * 100 < ($6 + 1) * e.required or e.required = 0 or $6 >= 100)
  and ($7::timestamptz is null or coalesce(e.last_activity_at, e.created_at) < $7)
  and ($8 = '' or e.source = $8) and ($9 = '' or e.external_id = $9)`

	rosterCreatedSQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or e.id > $10) order by e.id limit $11`
	rosterCreatedDescSQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or e.id < $10) order by e.id desc limit $11`

	activityKey       = `coalesce(e.last_activity_at, '-infinity'::timestamptz)`
	rosterActivitySQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or (` + activityKey + `, e.id) > (coalesce($12::timestamptz, '-infinity'), $10))
order by ` + activityKey + `, e.id limit $11`
	rosterActivityDescSQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or (` + activityKey + `, e.id) < (coalesce($12::timestamptz, '-infinity'), $10))
order by ` + activityKey + ` desc, e.id desc limit $11`

	progressKey       = `(case when e.required = 0 then 0 else e.met * 10000 / e.required end)`
	rosterProgressSQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or (` + progressKey + `, e.id) > ($12::int, $10))
order by ` + progressKey + `, e.id limit $11`
	rosterProgressDescSQL = `select` + listedColumns + listedJoins + rosterFilter + `
  and ($10::uuid is null or (` + progressKey + `, e.id) < ($12::int, $10))
order by ` + progressKey + ` desc, e.id desc limit $11`
)

// Roster implements enrollment.ListTx.
func (t tx) Roster(ctx context.Context, f enrollment.RosterFilter, p page.Request) (out page.Page[enrollment.Listed], err error) {
	key, desc := strings.CutPrefix(f.Sort, "-")
	var users []uuid.UUID
	if len(f.UserIDs) > 0 {
		users = f.UserIDs
	}
	args := []any{
		uuid.Nil, f.CourseID, texts(f.States), users, f.MinProgress, f.MaxProgress, f.InactiveSince, f.Source, f.ExternalID,
	}
	sql, cursor, err := rosterStatement(key, desc, p)
	if err != nil {
		return out, err
	}
	args = append(args, cursor.id, p.Size()+1)
	args = append(args, cursor.value...)
	rows, err := t.Query(ctx, sql, args...)
	list, err := each(rows, err, listedFields)
	return page.Cut(list, p.Size(), func(l enrollment.Listed) string { return rosterCursorOf(key, l) }), err
}

// rosterCursor is where a page begins: behind an id, and behind a value of the
// sort key where that is not the id.
type rosterCursor struct {
	id    *uuid.UUID
	value []any
}

func rosterStatement(key string, desc bool, p page.Request) (string, rosterCursor, error) {
	var c rosterCursor
	var id uuid.UUID
	var seen bool
	var err error
	sql, down := rosterCreatedSQL, rosterCreatedDescSQL
	switch key {
	case enrollment.SortActivity:
		var at *time.Time
		seen, err = page.Decode(p.Cursor, &at, &id)
		sql, down, c.value = rosterActivitySQL, rosterActivityDescSQL, []any{at}
	case enrollment.SortProgress:
		var points int
		seen, err = page.Decode(p.Cursor, &points, &id)
		sql, down, c.value = rosterProgressSQL, rosterProgressDescSQL, []any{points}
	default:
		seen, err = page.Decode(p.Cursor, &id)
	}
	if desc {
		sql = down
	}
	if seen {
		c.id = &id
	}
	return sql, c, err
}

func rosterCursorOf(key string, l enrollment.Listed) string {
	switch key {
	case enrollment.SortActivity:
		return page.Encode(l.LastActivityAt, l.ID)
	case enrollment.SortProgress:
		points := 0
		if l.Required > 0 {
			points = l.Met * 10000 / l.Required
		}
		return page.Encode(points, l.ID)
	}
	return page.Encode(l.ID)
}

const (
	statesSQL = `
select state, count(*)::int as n, count(*) filter (where met > 0)::int as started,
  coalesce(sum(case when required > 0 then met * 100.0 / required else 0 end), 0)::float8 as percent
from enrollments where course_id = $1 group by state`
	modulesDoneSQL = `
select m.module_id, count(*)::int as n from module_progress m join enrollments e on e.id = m.enrollment_id
where e.course_id = $1 and e.state in ('active', 'completed') and m.state = 'completed' group by m.module_id`
)

// Summary implements enrollment.ListTx.
func (t tx) Summary(ctx context.Context, course uuid.UUID) (enrollment.Summary, error) {
	type stateRow struct {
		State      string
		N, Started int
		Percent    float64
	}
	type moduleRow struct {
		ModuleID uuid.UUID
		N        int
	}
	out := enrollment.Summary{States: map[string]int{}, Modules: map[uuid.UUID]int{}}
	var trip trip
	var states []stateRow
	var modules []moduleRow
	queued(&trip, &states, statesSQL, course)
	queued(&trip, &modules, modulesDoneSQL, course)
	if err := trip.send(ctx, t); err != nil {
		return out, err
	}
	percent := 0.0
	for _, s := range states {
		out.States[s.State] = s.N
		if enrollment.State(s.State).Learning() {
			out.Learners += s.N
			out.Started += s.Started
			percent += s.Percent
		}
	}
	out.Completed = out.States[string(enrollment.Completed)]
	if out.Learners > 0 {
		out.Average = percent / float64(out.Learners)
	}
	for _, m := range modules {
		out.Modules[m.ModuleID] = m.N
	}
	return out, nil
}

const (
	// Deactivated people are left out. Staff who also learn are there as learners.
	membersSQL = `
select * from (
  select e.user_id, '' as role, e.id as enrollment_id, e.state, e.activated_at as since, e.access_ends_at as until
  from enrollments e where e.course_id = $1 and e.state = any ($2)
  union all
  select s.user_id, s.role, null, null, null, null from course_staff s
  where $3 and s.course_id = $1 and s.active
    and not exists (select 1 from enrollments e where e.course_id = $1 and e.user_id = s.user_id and e.state = any ($2))
) m
where m.user_id > $4 and not exists (select 1 from people p where p.user_id = m.user_id and p.status <> 'active')
order by m.user_id limit $5`

	staffCoursesSQL = `
select s.role,` + briefColumns + ` from course_staff s join courses c on c.id = s.course_id
where s.user_id = $1 and s.active and not c.deleted order by c.id`
	learnCoursesSQL = `
select '',` + briefColumns + `,` + enrollmentColumns + ` from enrollments e join courses c on c.id = e.course_id
where e.user_id = $1 and e.state in ('active', 'completed') and not c.deleted and c.status <> 'draft' order by c.id`

	refundFactsSQL = `
select exists (select 1 from certificates x where x.course_id = $1 and x.user_id = $2), (select c.starts_at from courses c where c.id = $1)`
)

// Members implements enrollment.ListTx.
func (t tx) Members(ctx context.Context, course uuid.UUID, states []enrollment.State, staff bool, after uuid.UUID, limit int) ([]enrollment.Member, error) {
	return pg.Many[enrollment.Member](ctx, t, membersSQL, course, texts(states), staff, after, limit)
}

// CoursesOf implements enrollment.ListTx.
func (t tx) CoursesOf(ctx context.Context, user uuid.UUID) ([]enrollment.Belonging, error) {
	rows, err := t.Query(ctx, staffCoursesSQL, user)
	out, err := each(rows, err, func(b *enrollment.Belonging) []any { return append([]any{&b.Role}, briefFields(&b.Course)...) })
	if err != nil {
		return nil, err
	}
	rows, err = t.Query(ctx, learnCoursesSQL, user)
	learns, err := each(rows, err, func(b *enrollment.Belonging) []any {
		b.Enrollment = &enrollment.Enrollment{}
		return append(append([]any{&b.Role}, briefFields(&b.Course)...), enrollmentFields(b.Enrollment)...)
	})
	return append(out, learns...), err
}

// RefundFacts implements enrollment.ListTx.
func (t tx) RefundFacts(ctx context.Context, course, user uuid.UUID) (ever bool, starts *time.Time, err error) {
	err = t.QueryRow(ctx, refundFactsSQL, course, user).Scan(&ever, &starts)
	return ever, starts, err
}
