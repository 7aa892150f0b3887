package app

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/httpapi"
	"lms/shared/contracts/internalapi"
	"lms/shared/pg"
	"lms/shared/web"
	"lms/shared/work"
)

func TestChangingAnAssignment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	at := path("assignments", a.ID)
	w.as(w.teacher).PATCH(at, body{"title": "x"}).Expect(428)
	w.as(w.teacher).With("If-Match", `"v1"`).PATCH(at, body{"title": "x"}).Expect(412)
	var b, c httpapi.Assignment
	w.as(w.teacher).With("If-Match", `"v2"`).PATCH(at, body{"title": "Report", "points": 50, "attempts": 2}).Expect(200).JSON(&b)
	require.Equal(t, "Report", b.Title)
	require.Equal(t, 2, *b.Attempts)
	w.as(w.teacher).With("If-Match", `"v3"`).PATCH(at, body{"attempts": nil, "points": nil}).Expect(200).JSON(&c)
	require.Nil(t, c.Attempts)
	require.Equal(t, "0", points(t, c.Points))
	w.as(w.teacher).With("If-Match", `"v4"`).PATCH(at, body{"published": false}).Expect(422) // not by this way
	w.as(w.assistant).With("If-Match", `"v4"`).PATCH(at, body{"title": "y"}).Expect(403)
	w.as(w.alien).With("If-Match", `"v4"`).PATCH(at, body{"title": "y"}).Expect(404)
	require.Equal(t, []string{"created", "published", "updated", "updated"}, w.told(a.ID))
	require.Len(t, w.callsOf("resource-state"), 4)
	var audited int
	w.scan(&audited, `select count(*) from audit where resource_id = $1`, a.ID)
	require.Equal(t, 4, audited)
}

func TestUnpublishing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	w.as(w.student).GET(path("assignments", a.ID)).Expect(200)
	w.as(w.teacher).POST(path("assignments", a.ID, "unpublish"), nil).Expect(200)
	w.as(w.student).GET(path("assignments", a.ID)).Expect(404)
	w.as(w.teacher).POST(path("assignments", a.ID, "publish"), nil).Expect(200)
	w.submit(w.student, a)
	w.as(w.teacher).POST(path("assignments", a.ID, "unpublish"), nil).Expect(409).Code("has_submissions")
}

func TestDeletingAnAssignment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.draft(nil)
	at := path("assignments", a.ID)
	w.as(w.teacher).DELETE(at).Expect(428)
	w.friends.placed[a.ID] = true
	w.as(w.teacher).With("If-Match", `"v1"`).DELETE(at).Expect(409).Code("in_use")
	w.as(w.assistant).With("If-Match", `"v1"`).DELETE(at + "?detach=true").Expect(403)
	w.as(w.teacher).With("If-Match", `"v1"`).DELETE(at + "?detach=true").Expect(204)
	w.as(w.teacher).GET(at).Expect(404)
	told := w.callsOf("resource-state")
	require.Equal(t, true, told[len(told)-1]["deleted"])
	b := w.published(nil)
	w.submit(w.student, b)
	w.as(w.teacher).With("If-Match", `"v2"`).DELETE(path("assignments", b.ID)).Expect(409).Code("in_use")
}

func TestListsOfAssignments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	soon := w.clock.Now().Add(time.Hour)
	w.published(body{"title": "B", "position": 1, "due_at": soon.Add(time.Hour)})
	w.published(body{"title": "A", "position": 2, "due_at": soon})
	w.draft(body{"title": "C"})
	titles := func(query string) (out []string) {
		t.Helper()
		cursor := ""
		for {
			var p web.Items[httpapi.Assignment]
			w.as(w.teacher).GET(path("courses", w.course, "assignments") + "?limit=1&" + query + cursor).Expect(200).JSON(&p)
			for _, a := range p.Items {
				out = append(out, a.Title)
			}
			if p.NextCursor == "" {
				return out
			}
			cursor = "&cursor=" + p.NextCursor
		}
	}
	require.Equal(t, []string{"C", "B", "A"}, titles(""))
	require.Equal(t, []string{"A", "B", "C"}, titles("sort=-position"))
	require.Equal(t, []string{"A", "B", "C"}, titles("sort=title"))
	require.Equal(t, []string{"A", "B", "C"}, titles("sort=due_at"))
	require.Equal(t, []string{"B", "A", "C"}, titles("sort=-due_at"))
	require.Equal(t, []string{"C", "A", "B"}, titles("sort=-created_at"))
	require.Equal(t, []string{"B", "A"}, titles("published=true"))
	require.Equal(t, []string{"A"}, titles("q=a"))
	var p web.Items[httpapi.Assignment]
	w.as(w.student).GET(path("courses", w.course, "assignments")).Expect(200).JSON(&p)
	require.Len(t, p.Items, 2)
}

// Rule 18: due, expected, not handed in, not graded; each is told once.
func TestTheSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(48 * time.Hour)
	a := w.published(body{"due_at": due})
	done, extended, excused := w.learner(), w.learner(), w.learner()
	w.submit(done, a)
	w.grade(a, excused.UserID, body{"excused": true})
	w.as(w.teacher).PUT(path("assignments", a.ID, "overrides", extended.UserID), body{"due_at": due.Add(72 * time.Hour)}).Expect(200)
	w.work()
	sweep := func() {
		t.Helper()
		for range 2 {
			require.NoError(t, w.service.Sweep(t.Context()))
		}
	}
	notices := func() (out []uuid.UUID) {
		w.scan(&out, `select coalesce(array_agg((event->'data'->>'user_id')::uuid), '{}') from outbox where type like '%due_soon%'`)
		return out
	}
	missing := func() (out []uuid.UUID) {
		w.scan(&out, `select coalesce(array_agg((event->'data'->>'user_id')::uuid), '{}') from outbox where type like '%submission_missing%'`)
		return out
	}
	sweep()
	require.Empty(t, notices(), "too early")
	w.clock.Set(due.Add(-24 * time.Hour))
	sweep()
	require.ElementsMatch(t, []uuid.UUID{w.student.UserID, excused.UserID}, notices())
	w.clock.Set(due)
	sweep()
	require.Empty(t, missing(), "exactly at the due time nothing is missing")
	w.clock.Set(due.Add(time.Second))
	sweep()
	require.Equal(t, []uuid.UUID{w.student.UserID}, missing())
	g, _ := w.gradeOf(w.teacher, a, w.student.UserID)
	require.True(t, g.Missing)
	// Late is better than missing.
	w.submit(w.student, a)
	g, _ = w.gradeOf(w.teacher, a, w.student.UserID)
	require.False(t, g.Missing)
	require.True(t, g.Late)
	// The extension has a due time of its own.
	w.clock.Set(due.Add(60 * time.Hour))
	sweep()
	require.Contains(t, notices(), extended.UserID)
	w.clock.Set(due.Add(73 * time.Hour))
	sweep()
	require.Equal(t, []uuid.UUID{w.student.UserID, extended.UserID}, missing())
}

// New dates judge all work again, and history keeps both numbers (rule 19).
func TestMovedDatesJudgeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due})
	w.clock.Set(due.Add(30 * time.Second))
	s := w.submit(w.student, a)
	g, _ := w.gradeOf(w.teacher, a, w.student.UserID)
	require.EqualValues(t, 30, g.SecondsLate)
	tag := w.as(w.teacher).GET(path("assignments", a.ID)).Expect(200).ETag()
	w.as(w.teacher).With("If-Match", tag).PATCH(path("assignments", a.ID), body{"due_at": due.Add(time.Hour)}).Expect(200)
	w.work()
	g, _ = w.gradeOf(w.teacher, a, w.student.UserID)
	require.Zero(t, g.SecondsLate)
	var history web.Items[httpapi.Change]
	w.as(w.teacher).GET(path("submissions", s.ID, "history")).Expect(200).JSON(&history)
	require.Equal(t, "dates", history.Items[0].Cause)
	require.EqualValues(t, 30, history.Items[0].Before.SecondsLate)
	require.Zero(t, history.Items[0].After.SecondsLate)
	require.Nil(t, history.Items[1].Before.SubmittedAt)
}

func TestErasingAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	file := w.upload(w.student, a, "secret-name.txt", []byte("secret words"))
	var s httpapi.Submission
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"text": "<p>SECRET</p>", "file_ids": []uuid.UUID{file}}).Expect(201).JSON(&s)
	w.as(w.student).POST(path("submissions", s.ID, "comments"), body{"text": "SECRET too"}).Expect(201)
	w.grade(a, w.student.UserID, body{"score": 5, "note": "SECRET note"})
	pseudonym := uuid.New()
	reply := call[internalapi.ErasePersonReply](w, internalapi.CallErasePerson, "user", w.student.UserID.String(),
		internalapi.ErasePerson{UserID: w.student.UserID, TenantID: w.tenant, Pseudonym: pseudonym})
	require.Contains(t, reply.Erased, "submissions")
	require.NotEmpty(t, reply.Kept)
	w.work()
	// Nothing of the person is left in any table of the service.
	for _, table := range []string{"submissions", "submission_files", "grades", "assessments", "grade_history", "submission_comments", "assignment_overrides", "due_notices"} {
		var left int
		w.scan(&left, `select count(*) from `+table+` t where t::text like '%'||$1||'%' or t::text like '%SECRET%' or t::text like '%secret%'`, w.student.UserID.String())
		require.Zero(t, left, table)
	}
	_, err := w.objects.Stat(t.Context(), w.tenant.String()+"/submissions/"+file.String()+"/file")
	require.Error(t, err)
	g, _ := w.gradeOf(w.teacher, a, pseudonym)
	require.Equal(t, "5", points(t, g.Score), "the number stays")
	// What is told later of the person finds nothing to change.
	call[internalapi.Done](w, internalapi.CallPersonStatus, "user", w.student.UserID.String(),
		internalapi.PersonStatus{UserID: w.student.UserID, TenantID: w.tenant, Status: internalapi.PersonActive})
	var status string
	w.scan(&status, `select status from people where user_id = $1`, w.student.UserID)
	require.Equal(t, "erased", status)
}

func TestMergingAndExportingPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(nil)
	heir := w.learner()
	w.submit(w.student, a)
	w.grade(a, w.student.UserID, body{"score": 5})
	w.submit(w.student, b)
	w.submit(heir, b)
	w.grade(b, heir.UserID, body{"score": 7})
	export := call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, "user", w.student.UserID.String(),
		internalapi.ExportPerson{UserID: w.student.UserID, TenantID: w.tenant})
	for section, words := range map[string]string{"submissions": "My work.", "grades": "entered_score", "grade_history": "graded", "submission_comments": "[]", "extensions": "[]"} {
		require.Contains(t, string(export.Sections[section]), words)
	}
	call[internalapi.Done](w, internalapi.CallPersonStatus, "user", w.student.UserID.String(),
		internalapi.PersonStatus{UserID: w.student.UserID, TenantID: w.tenant, Status: internalapi.PersonMerged, MergedInto: &heir.UserID})
	g, _ := w.gradeOf(w.teacher, a, heir.UserID)
	require.Equal(t, "5", points(t, g.Score))
	report := w.report(heir.UserID)
	require.EqualValues(t, 500, *report.Grade.Score)
	require.NotNil(t, report.Submission.SubmittedAt)
	g, _ = w.gradeOf(w.teacher, b, heir.UserID)
	require.Equal(t, "7", points(t, g.Score), "where both have one, the other's stays")
}

// However many are due at the same moment, one round reaches all of them.
func TestTheSweepReachesWhateverIsDueAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due})
	const more = 250
	require.NoError(t, w.db.InTx(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, `insert into assignments
			select (jsonb_populate_record(null::assignments, to_jsonb(a) || jsonb_build_object('id', gen_random_uuid()))).*
			from assignments a, generate_series(1, $2::int) where a.id = $1`, a.ID, more)
		return err
	}))
	count := func(event string) (n int) {
		w.scan(&n, `select count(*) from outbox where type like '%'||$1||'%'`, event)
		return n
	}
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, more+1, count("due_soon"))
	w.clock.Set(due.Add(time.Second))
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Equal(t, more+1, count("submission_missing"))
}

// A cohort has members who do not learn in the course: nothing is told to them, and
// nothing is kept of them.
func TestTheSweepLeavesStrangersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.clock.Now().Add(time.Hour)
	a := w.published(body{"due_at": due})
	cohort := uuid.New()
	w.friends.groups[cohort] = []uuid.UUID{w.student.UserID, w.stranger.UserID, w.alien.UserID}
	w.as(w.teacher).PUT(path("assignments", a.ID, "group-overrides", cohort), body{"due_at": due.Add(30 * time.Hour)}).Expect(200)
	w.work()
	for _, at := range []time.Time{due.Add(time.Second), due.Add(20 * time.Hour), due.Add(31 * time.Hour)} {
		w.clock.Set(at)
		require.NoError(t, w.service.Sweep(t.Context()))
	}
	var told, kept []uuid.UUID
	w.scan(&told, `select coalesce(array_agg((event->'data'->>'user_id')::uuid order by ord), '{}') from outbox where type like '%due_soon%' or type like '%submission_missing%'`)
	require.Equal(t, []uuid.UUID{w.student.UserID, w.student.UserID}, told, "due soon, then missing")
	w.scan(&kept, `select coalesce(array_agg(user_id), '{}') from grades`)
	require.Equal(t, []uuid.UUID{w.student.UserID}, kept)
}

// An export is the learner's own: what is not posted is not in it (rule 25).
func TestAnExportHidesWhatIsNotPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"posting": "manual"})
	w.submit(w.student, a)
	w.grade(a, w.student.UserID, body{"score": 13.37, "note": "SECRET"})
	c := w.quiz(nil)
	w.scored(c, w.student.UserID, 7_77, func(q *internalapi.QuizScore) { q.Posted = false })
	export := func() (all string) {
		for _, section := range call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, "user", w.student.UserID.String(),
			internalapi.ExportPerson{UserID: w.student.UserID, TenantID: w.tenant}).Sections {
			all += string(section)
		}
		return all
	}
	before := export()
	require.Contains(t, before, "submitted_at")
	for _, secret := range []string{"13.37", "SECRET", "7.77"} {
		require.NotContains(t, before, secret)
	}
	w.as(w.teacher).POST(path("assignments", a.ID, "grades", "post"), nil).Expect(200)
	w.scored(c, w.student.UserID, 7_77, nil)
	after := export()
	for _, shown := range []string{"13.37", "SECRET", "7.77"} {
		require.Contains(t, after, shown)
	}
}
