package app

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/historytest"
	"lms/apps/analytics/internal/period"
	"lms/apps/analytics/internal/report"
	"lms/shared/authz"
	"lms/shared/inbox"
)

// lived delivers a history in a random order, some of it twice, and adds it up in
// between as the service does.
func (w *world) lived(s *historytest.School) {
	w.t.Helper()
	order := rand.New(rand.NewPCG(7, uint64(len(s.Events))))
	all := slices.Clone(s.Events)
	for range len(all) / 10 {
		all = append(all, all[order.IntN(len(all))])
	}
	order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, part := range slices.Collect(slices.Chunk(all, 500)) {
		var batch []inbox.Event
		for _, e := range part {
			if e.Type == history.TypeSearched {
				w.searched(e)
				continue
			}
			batch = append(batch, w.cloud(inbox.Event{
				ID: e.ID, Type: e.Type, Time: e.Time, AggregateID: e.AggregateID, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: e.OrgUnitID, CourseID: e.CourseID, ActorID: e.ActorID, Data: e.Data,
			}))
		}
		w.deliver(batch...)
		if i%3 == 0 {
			w.addUp()
		}
	}
	w.addUp()
}

// inSchool is a world whose tenant and units are those of a history.
func inSchool(t testing.TB, o historytest.Options) (*world, *historytest.School) {
	t.Helper()
	s := historytest.Make(o)
	w := newWorldIn(t, s.Tenant, s.Units)
	w.lived(s)
	return w, s
}

// TestReportsAreWhatAPlainRecomputationSays: each report, unlimited and limited in
// every way, number for number.
func TestReportsAreWhatAPlainRecomputationSays(t *testing.T) {
	t.Parallel()
	begins := time.Date(2026, 2, 20, 5, 0, 0, 0, time.UTC)
	w, s := inSchool(t, historytest.Options{Seed: 11, Events: 6_000, Courses: 8, Begins: begins, Days: 60})
	m := newModel(t, s.Events)
	compareAll(t, w, s, m)
	_, found := w.recompute(false)
	require.Empty(t, found)
}

// limit is one way to limit a report.
type limit struct {
	name string
	q    url.Values
	a    asked
}

func limits(s *historytest.School, m *model) []limit {
	below := map[uuid.UUID]bool{}
	for _, c := range s.Courses {
		if slices.Contains(s.Units[1:], c.Unit) {
			below[c.ID] = true
		}
	}
	group := map[uuid.UUID]bool{}
	for key := range m.members {
		if key[0] == s.Cohorts[0] {
			group[key[1]] = true
		}
	}
	course := s.Courses[1].ID
	return []limit{
		{"everything", url.Values{}, asked{}},
		{"one course", url.Values{"course_id": {course.String()}}, asked{courses: map[uuid.UUID]bool{course: true}}},
		{"a unit and those below", url.Values{"org_unit_id": {s.Units[1].String()}}, asked{courses: below}},
		{"a cohort", url.Values{"cohort_id": {s.Cohorts[0].String()}}, asked{users: group}},
		{"a course and a cohort", url.Values{"course_id": {course.String()}, "cohort_id": {s.Cohorts[0].String()}}, asked{courses: map[uuid.UUID]bool{course: true}, users: group}},
	}
}

func compareAll(t *testing.T, w *world, s *historytest.School, m *model) {
	t.Helper()
	for _, r := range report.Catalogue() {
		for _, l := range limits(s, m) {
			if r.NeedsCourse && l.a.courses == nil || r.NeedsCourse && l.q.Get("course_id") == "" || !r.Cohort && l.a.users != nil || r.About == report.AboutSearches && l.name != "everything" {
				continue
			}
			if r.Name == report.Cohorts && l.q.Get("org_unit_id") != "" {
				continue // limits groups as well; see TestCohortsOfAUnit
			}
			for _, zone := range []string{"Europe/Berlin", "Asia/Kathmandu"} {
				w.compare(t, s, m, r, l, zone)
			}
		}
	}
}

func (w *world) compare(t *testing.T, s *historytest.School, m *model, r report.Report, l limit, zone string) {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	require.NoError(t, err)
	a, q := l.a, url.Values{"time_zone": {zone}}
	maps.Copy(q, l.q)
	a.school, a.now = s, w.clock.Now()
	if r.Time != report.Now {
		// Both ends of daylight saving's first night, by dates of the zone.
		a.from, a.to = time.Date(2026, 3, 9, 0, 0, 0, 0, loc), time.Date(2026, 4, 6, 0, 0, 0, 0, loc)
		q.Set("from", "2026-03-09")
		q.Set("to", "2026-04-05")
	}
	if r.Time == report.Buckets || r.Time == report.AtTheEnd {
		q.Set("interval", "week")
		if r.Name == report.ActiveLearners {
			q.Set("interval", "day")
		}
		a.buckets, err = period.Cut(a.from, a.to, period.Interval(q.Get("interval")), loc)
		require.NoError(t, err)
	}
	var got struct {
		Rows      []row
		Truncated bool
	}
	w.as(w.root).GET("/api/v1/reports/" + string(r.Name) + "?" + q.Encode()).Expect(200).JSON(&got)
	if got.Truncated {
		got.Rows = w.exported(t, r, q)
	}
	want, have := texts(t, m.reports()[r.Name](a)), texts(t, got.Rows)
	slices.Sort(want)
	slices.Sort(have)
	require.Equal(t, want, have, "%s, %s, %s", r.Name, l.name, zone)
	if l.name == "everything" {
		require.NotEmpty(t, got.Rows, r.Name)
	}
}

// exported are all rows of a report, as an export writes them.
func (w *world) exported(t *testing.T, r report.Report, q url.Values) (rows []row) {
	t.Helper()
	from, to, err := report.Bounds(q.Get("from"), q.Get("to"), q.Get("time_zone"))
	require.NoError(t, err)
	in := analytics.Exporting{Report: r.Name, Query: report.Query{From: from, To: to, Interval: period.Interval(q.Get("interval")), TimeZone: q.Get("time_zone")}}
	for name, into := range map[string]**uuid.UUID{"course_id": &in.Query.CourseID, "org_unit_id": &in.Query.OrgUnitID, "cohort_id": &in.Query.CohortID} {
		if id, err := uuid.Parse(q.Get(name)); err == nil {
			*into = &id
		}
	}
	require.NoError(t, w.service.Export(t.Context(), w.root, in, func(report.Report) error { return nil }, func(values []any) error {
		raw, err := report.Object(r.Columns, values)
		require.NoError(t, err)
		var one row
		require.NoError(t, json.Unmarshal(raw, &one))
		rows = append(rows, one)
		return nil
	}))
	return rows
}

func texts(t *testing.T, rows []row) []string {
	t.Helper()
	out := make([]string, len(rows))
	for i, r := range rows {
		raw, err := json.Marshal(r)
		require.NoError(t, err)
		out[i] = string(raw)
	}
	return out
}

// TestWhoMayReadWhat: instructors their courses, org admins their subtree, nobody
// what is another tenant's.
func TestWhoMayReadWhat(t *testing.T) {
	t.Parallel()
	w, s := inSchool(t, historytest.Options{Seed: 3, Events: 1_500, Courses: 6, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 30})
	courses := func(p authz.Principal) map[string]bool {
		var got struct{ Rows []row }
		w.as(p).GET("/api/v1/reports/course-funnel?from=2026-01-01&to=2026-12-31").Expect(200).JSON(&got)
		out := map[string]bool{}
		for _, r := range got.Rows {
			out[r["course_id"].(string)] = true
		}
		return out
	}
	require.Len(t, courses(w.root), 6)
	require.Len(t, courses(w.admin), 6)
	below := map[string]bool{}
	for _, c := range s.Courses {
		if slices.Contains(s.Units[1:], c.Unit) {
			below[c.ID.String()] = true
		}
	}
	require.Equal(t, below, courses(w.head))
	own := s.Courses[2].ID
	w.friends.taught[w.teacher.UserID] = map[uuid.UUID]string{own: authz.RoleInstructor, s.Courses[3].ID: authz.RoleTeachingAssistant}
	require.Equal(t, map[string]bool{own.String(): true}, courses(w.teacher), "an assistant reads no reports")
	require.Empty(t, courses(w.alienated))

	get := func(p authz.Principal, path string, status int) {
		t.Helper()
		w.as(p).GET("/api/v1/" + path).Expect(status)
	}
	get(w.learner, "reports", 403)
	get(w.learner, "reports/course-funnel", 403)
	get(w.learner, "analytics/events", 403)
	get(w.teacher, "reports/course-funnel?course_id="+own.String(), 200)
	get(w.teacher, "reports/course-funnel?course_id="+s.Courses[0].ID.String(), 404)
	get(w.alienated, "reports/course-funnel?course_id="+own.String(), 404)
	get(w.alienated, "reports/course-funnel?org_unit_id="+s.Units[0].String(), 404)
	w.as(w.alienated).POST("/api/v1/reports/course-funnel/export", map[string]any{"format": "csv", "org_unit_id": s.Units[0]}).Expect(404)
	get(w.teacher, "reports/course-funnel?org_unit_id="+s.Courses[2].Unit.String(), 200)
	get(w.head, "reports/course-funnel?org_unit_id="+uuid.NewString(), 404)
	get(w.teacher, "reports/revenue", 403)
	get(w.teacher, "reports/search-terms", 403)
	get(w.head, "reports/search-terms", 403)
	get(w.admin, "reports/search-terms", 200)
	get(w.alienated, "reports/course-funnel?cohort_id="+s.Cohorts[0].String(), 404)
	get(w.root, "reports/nonsense", 404)
	get(w.root, "reports/item-difficulty", 422)
	get(w.root, "reports/course-funnel?interval=day", 422)
	get(w.root, "reports/at-risk?from=2026-01-01", 422)
	get(w.root, "reports/active-learners?time_zone=Mars/Olympus", 422)
	get(w.root, "reports/active-learners?from=yesterday", 422)
	get(w.root, "reports/active-learners?from=2001-01-01&interval=day", 422)
	w.as(w.admin).POST("/api/v1/analytics/rebuild", map[string]any{}).Expect(403)

	// Whoever sees a part sees no more of the raw events than that.
	var list struct {
		Items []struct {
			CourseID *uuid.UUID `json:"course_id"`
			TenantID uuid.UUID  `json:"tenant_id"`
		} `json:"items"`
	}
	w.as(w.teacher).GET("/api/v1/analytics/events?limit=200").Expect(200).JSON(&list)
	require.NotEmpty(t, list.Items)
	for _, e := range list.Items {
		require.Equal(t, own, *e.CourseID)
	}
	w.as(w.alienated).GET("/api/v1/analytics/events?limit=200").Expect(200).JSON(&list)
	require.Empty(t, list.Items)
}

// TestFilesHaveAllRowsAndNoFormulas.
func TestFilesHaveAllRowsAndNoFormulas(t *testing.T) {
	t.Parallel()
	w, _ := inSchool(t, historytest.Options{Seed: 5, Events: 2_000, Courses: 4, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 30})
	csv := string(w.as(w.root).GET("/api/v1/reports/search-terms?format=csv").Expect(200).Body)
	require.Contains(t, csv, "\n'=1+1,", "no spreadsheet computes it")
	require.True(t, strings.HasPrefix(csv, "term,searches,without_result\n"))
	for _, format := range []string{"csv", "ndjson"} {
		job := w.as(w.root).POST("/api/v1/reports/at-risk/export", map[string]any{"format": format}).Expect(202)
		w.work()
		var id uuid.UUID
		require.NoError(t, json.Unmarshal([]byte(`"`+job.Header.Get("Location")[strings.LastIndex(job.Header.Get("Location"), "/")+1:]+`"`), &id))
		raw, err := w.jobs.Result(t.Context(), id, w.root.UserID)
		require.NoError(t, err)
		var result struct {
			ObjectKey string `json:"object_key"`
			Rows      int
		}
		require.NoError(t, json.Unmarshal(raw, &result))
		file, err := w.objects.NewReader(t.Context(), result.ObjectKey)
		require.NoError(t, err)
		lines := 0
		dec := json.NewDecoder(file)
		if format == "ndjson" {
			for dec.More() {
				var r row
				require.NoError(t, dec.Decode(&r))
				require.NotEmpty(t, r["reasons"])
				lines++
			}
			require.Equal(t, result.Rows, lines)
		}
		require.NoError(t, file.Close())
		var got struct{ Rows []row }
		w.as(w.root).GET("/api/v1/reports/at-risk").Expect(200).JSON(&got)
		require.Len(t, got.Rows, result.Rows)
	}
}

// TestARebuildGoesOnWhileEventsArrive, and a second one takes the first one's place.
func TestARebuildGoesOnWhileEventsArrive(t *testing.T) {
	t.Parallel()
	w, s := inSchool(t, historytest.Options{Seed: 9, Events: 1_000, Courses: 3, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 30})
	first, err := w.service.BeginRebuild(t.Context())
	require.NoError(t, err)
	more := historytest.Make(historytest.Options{Seed: 10, Events: 300, Courses: 2, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 30})
	w.lived(more)
	for again := true; again; {
		again, _, _, _, err = w.service.RebuildStep(t.Context(), first.ID)
		require.NoError(t, err)
	}
	w.deliver(w.cloud(inbox.Event{ID: uuid.New(), Type: s.Events[0].Type, Time: s.Events[0].Time, AggregateID: uuid.New(), Seq: 1, TenantID: s.Tenant, Data: s.Events[0].Data}))
	found, err := w.service.FinishRebuild(t.Context(), first.ID, true)
	require.NoError(t, err)
	require.Empty(t, found, "what arrived meanwhile is in both")
	second, err := w.service.BeginRebuild(t.Context())
	require.NoError(t, err)
	_, err = w.service.BeginRebuild(t.Context())
	require.NoError(t, err)
	_, _, _, _, err = w.service.RebuildStep(t.Context(), second.ID)
	require.ErrorContains(t, err, "Another rebuild")
	w.as(w.root).POST("/api/v1/analytics/rebuild", map[string]any{}).Expect(202)
	w.work()
	_, found = w.recompute(false)
	require.Empty(t, found)
}
