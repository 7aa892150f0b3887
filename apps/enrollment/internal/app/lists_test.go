package app

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/work"
)

type listing struct {
	Items []httpapi.Enrollment `json:"items"`
	Next  string               `json:"next_cursor"`
}

func (w *world) list(p authz.Principal, url string) listing {
	w.t.Helper()
	var out listing
	w.as(p).GET(url).Expect(200).JSON(&out)
	return out
}

func TestMyEnrollments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []uuid.UUID
	var courses []contract.CourseState
	for range 5 {
		c := w.course()
		w.curriculum(c, part("M", needs(contract.RequireView)))
		courses = append(courses, c)
		want = append([]uuid.UUID{w.enroll(w.student, c).ID}, want...)
	}
	var got []uuid.UUID
	for url := "/api/v1/enrollments?limit=2&include=course,progress,next_item"; url != ""; {
		r := w.as(w.student).GET(url).Expect(200)
		var page listing
		r.JSON(&page)
		for _, e := range page.Items {
			got = append(got, e.ID)
			require.Equal(t, "A course", e.Course.Title)
			require.Equal(t, "view", e.NextItem.Title)
			require.Equal(t, 1, e.Progress.Required)
		}
		url = ""
		if link := r.Header.Get("Link"); link != "" {
			url = link[1:strings.Index(link, ">")]
		}
	}
	require.Equal(t, want, got, "the newest first, each once")
	require.Len(t, w.list(w.student, "/api/v1/enrollments?course_id="+courses[0].ID.String()).Items, 1)
	require.Empty(t, w.list(w.student, "/api/v1/enrollments?state=withdrawn").Items)
	w.as(w.student).GET("/api/v1/enrollments?cursor=nonsense").Expect(400).Code("bad_cursor")
	// Others: staff see their courses, strangers nothing.
	url := "/api/v1/enrollments?user_id=" + w.student.UserID.String()
	require.Len(t, w.list(w.teacher, url).Items, 5)
	require.Len(t, w.list(w.admin, url).Items, 5)
	require.Empty(t, w.list(w.learner(), url).Items)
	require.Empty(t, w.list(w.alien, url).Items)
}

func TestRosterFiltersSortsAndPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	items := []contract.CurriculumItem{needs(contract.RequireView), needs(contract.RequireView), needs(contract.RequireView), needs(contract.RequireView)}
	w.curriculum(c, part("M", items...))
	var list []httpapi.Enrollment
	for i := range 5 {
		p := w.learner()
		list = append(list, w.enroll(p, c))
		for _, it := range items[:i] {
			w.clock.Advance(time.Minute)
			w.view(p, c, it)
		}
	}
	roster := path("courses", c.ID, "enrollments")
	walk := func(query string) (out []int) {
		for cursor := ""; ; {
			page := w.list(w.teacher, roster+"?limit=2&"+query+"&cursor="+cursor)
			for _, e := range page.Items {
				for i := range list {
					if list[i].ID == e.ID {
						out = append(out, i)
					}
				}
				require.NotEmpty(t, e.User.Name)
			}
			if cursor = page.Next; cursor == "" {
				return out
			}
		}
	}
	require.Equal(t, []int{0, 1, 2, 3, 4}, walk(""))
	require.Equal(t, []int{4, 3, 2, 1, 0}, walk("sort=-created_at"))
	require.Equal(t, []int{0, 1, 2, 3, 4}, walk("sort=progress"))
	require.Equal(t, []int{4, 3, 2, 1, 0}, walk("sort=-progress"))
	require.Equal(t, []int{0, 1, 2, 3, 4}, walk("sort=activity"))
	require.Equal(t, []int{4, 3, 2, 1, 0}, walk("sort=-activity"))
	require.Equal(t, []int{4}, walk("state=completed"))
	require.Equal(t, []int{2, 3, 4}, walk("min_progress=50"))
	require.Equal(t, []int{0, 1, 2}, walk("max_progress=50"))
	require.Equal(t, []int{1, 3}, walk("user_id="+list[1].UserID.String()+"&user_id="+list[3].UserID.String()))
	require.Equal(t, []int{0, 1}, walk("inactive_since="+w.read(w.teacher, list[2].ID).LastActivityAt.Format(time.RFC3339Nano)))
	w.as(w.teacher).GET(roster + "?sort=name").Expect(422)
	w.as(w.learner()).GET(roster).Expect(403)
	w.as(w.alien).GET(roster).Expect(404)

	var report struct{ Items []httpapi.ReportLine }
	w.as(w.teacher).GET(path("courses", c.ID, "progress-report") + "?sort=-progress").Expect(200).JSON(&report)
	require.Equal(t, 100, report.Items[0].Progress.Percent)
	var sum httpapi.CourseSummary
	w.as(w.teacher).GET(path("courses", c.ID, "progress-report", "summary")).Expect(200).JSON(&sum)
	require.Equal(t, httpapi.CourseSummary{
		States: map[string]int{"active": 4, "completed": 1}, Learners: 5, Started: 4, Completed: 1, AveragePercent: 50,
		Modules: []httpapi.ModuleSummary{{ID: sum.Modules[0].ID, Title: "M", Completed: 1}},
	}, sum)
}

// CSV is safe to open: no cell is a formula.
func TestCSV(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	e := w.enroll(w.student, c)
	card := w.friends.people[w.student.UserID]
	card.Name = `=HYPERLINK("http://evil")`
	w.friends.people[w.student.UserID] = card
	for _, list := range []string{"enrollments", "progress-report"} {
		r := w.as(w.teacher).With("Accept", "text/csv").GET(path("courses", c.ID, list)).Expect(200)
		require.Contains(t, r.Header.Get("Content-Type"), "text/csv")
		rows, err := csv.NewReader(strings.NewReader(string(r.Body))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Contains(t, rows[1], `'=HYPERLINK("http://evil")`)
		require.Contains(t, rows[1], e.UserID.String())
	}
	w.as(w.learner()).With("Accept", "text/csv").GET(path("courses", c.ID, "enrollments")).Expect(403)
}

func (w *world) rows() (out []string) {
	w.t.Helper()
	w.scan(&out, `select coalesce(array_agg(status || case when code = '' then '' else ':' || code end order by n), '{}') from job_row`)
	return out
}

func TestBulkEnroll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	a, b, in := w.learner(), w.learner(), w.learner()
	w.enroll(in, c)
	group, nobody := uuid.New(), uuid.New()
	w.friends.groups[group] = []uuid.UUID{a.UserID, b.UserID}
	bulk := path("courses", c.ID, "enrollments", "bulk")
	w.as(w.student).POST(bulk, map[string]any{"user_ids": []uuid.UUID{a.UserID}}).Expect(403)
	w.as(w.teacher).POST(bulk, map[string]any{}).Expect(422).Field("user_ids", "required")
	w.as(w.teacher).POST(bulk, map[string]any{"group_ids": []uuid.UUID{group, uuid.New()}}).Expect(422).Field("group_ids", "unknown")
	r := w.as(w.teacher).With("Idempotency-Key", "b").POST(bulk, map[string]any{"user_ids": []uuid.UUID{a.UserID, nobody, in.UserID}, "group_ids": []uuid.UUID{group}}).Expect(202)
	var job work.Job
	r.JSON(&job)
	require.Equal(t, "/api/v1/jobs/enrollment/"+job.ID.String(), r.Header.Get("Location"))
	w.work()
	require.Equal(t, []string{"created", "failed:validation_failed", "unchanged:already_enrolled", "created"}, w.rows())
	var result string
	w.scan(&result, `select result::text from job where kind = 'bulk-enroll'`)
	require.JSONEq(t, `{"created": 2, "failed": 1, "unchanged": 1}`, result)
	var by string
	w.scan(&by, `select string_agg(distinct actor_id::text, ',') from audit where action = 'enrollment.create' and resource_id in (select id from enrollments where source = 'staff')`)
	require.Equal(t, w.teacher.UserID.String(), by)
}

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(func(c *contract.CourseState) { c.ExternalSource, c.ExternalID = "sis", "BIO" })
	a, b := w.learner(), w.learner()
	out := w.enroll(b, c)
	lines := strings.Join([]string{
		"user_id,course_code,course_external_id,course_external_source,state,ends_at,external_source,external_id",
		a.UserID.String() + "," + c.Code + ",,,,2031-01-01T00:00:00Z,sis,e1",
		b.UserID.String() + ",,BIO,sis,withdrawn,,,",
		a.UserID.String() + ",nowhere,,,,,,",
		"x," + c.Code + ",,,,tomorrow,,",
	}, "\n")
	send := func(dry string) {
		w.as(w.teacher).With("Content-Type", "text/csv").POST("/api/v1/imports/enrollments"+dry, lines).Expect(202)
		w.work()
	}
	send("?dry_run=true")
	require.Equal(t, []string{"would_be_created", "would_be_withdrawn", "failed:validation_failed", "failed:validation_failed"}, w.rows())
	require.Equal(t, "active", w.read(b, out.ID).State)
	clear := func() {
		conn, err := w.pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		_, err = conn.Exec(t.Context(), `begin; set local lms.tenant = '*'; delete from job_row; commit`)
		require.NoError(t, err)
	}
	clear()
	send("")
	require.Equal(t, []string{"created", "withdrawn", "failed:validation_failed", "failed:validation_failed"}, w.rows())
	require.Equal(t, "withdrawn", w.read(b, out.ID).State)
	mine := w.list(a, "/api/v1/enrollments?external_id=e1").Items
	require.Len(t, mine, 1)
	require.Equal(t, "import", mine[0].Source)
	clear()
	send("")
	require.Equal(t, []string{"unchanged", "unchanged", "failed:validation_failed", "failed:validation_failed"}, w.rows(), "repeatable")
	w.as(w.teacher).With("Content-Type", "text/csv").POST("/api/v1/imports/enrollments", "user_id,role\n").Expect(422).Field("body", "csv_column")
	w.as(w.teacher).POST("/api/v1/imports/enrollments", "{}").Expect(415)
	w.as(a).With("Content-Type", "text/csv").POST("/api/v1/imports/enrollments", lines).Expect(403)
}

func TestTodoAndCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	starts, opens := w.clock.Now().Add(-time.Hour), w.clock.Now().Add(24*time.Hour)
	c := w.course(func(c *contract.CourseState) { c.StartsAt, c.Title = &starts, "Biology" })
	m := part("Later", needs(contract.RequireView))
	m.UnlockAt = &opens
	w.curriculum(c, part("Now", needs(contract.RequireView)), m)
	w.enroll(w.student, c)
	other := w.course()
	w.as(w.teacher).POST(enrollments(other), map[string]any{"user_id": w.student.UserID, "invite": true}).Expect(201)
	var todo struct{ Items []httpapi.Todo }
	w.as(w.student).GET("/api/v1/me/todo").Expect(200).JSON(&todo)
	require.Equal(t, []string{enrollment.TodoAnswerInvitation, enrollment.TodoNextItem}, []string{todo.Items[0].Kind, todo.Items[1].Kind})
	require.Equal(t, "view", todo.Items[1].Item.Title)

	var dates struct{ Items []httpapi.Date }
	w.as(w.student).GET("/api/v1/me/calendar").Expect(200).JSON(&dates)
	require.Equal(t, []string{"course_starts", "module_unlocks", "answer_by"}, []string{dates.Items[0].Kind, dates.Items[1].Kind, dates.Items[2].Kind})
	w.as(w.student).GET("/api/v1/me/calendar?from=2030-01-01T00:00:00Z&to=2029-01-01T00:00:00Z").Expect(422)
	var address httpapi.CalendarAddress
	w.as(w.student).POST("/api/v1/me/calendar/token", nil).Expect(201).JSON(&address)
	feed := strings.TrimPrefix(address.URL, "https://lms.test")
	r := w.client.Anonymous().GET(feed).Expect(200)
	require.Contains(t, r.Header.Get("Content-Type"), "text/calendar")
	require.Contains(t, string(r.Body), "SUMMARY:Opens: Later (Biology)")
	require.Contains(t, string(r.Body), "UID:course_starts-"+c.ID.String()+"@lms")
	require.Equal(t, string(r.Body), string(w.as(w.student).With("Accept", "text/calendar").GET("/api/v1/me/calendar").Expect(200).Body))
	var stored int
	w.scan(&stored, `select count(*) from calendar_tokens where encode(token_hash, 'escape') like '%' || $1 || '%'`, feed)
	require.Zero(t, stored)
	// A new address ends the old one, and it can be revoked.
	w.as(w.student).POST("/api/v1/me/calendar/token", nil).Expect(201).JSON(&address)
	w.client.Anonymous().GET(feed).Expect(404)
	feed = strings.TrimPrefix(address.URL, "https://lms.test")
	w.client.Anonymous().GET(feed).Expect(200)
	w.as(w.student).DELETE("/api/v1/me/calendar/token").Expect(204)
	w.client.Anonymous().GET(feed).Expect(404)
}
