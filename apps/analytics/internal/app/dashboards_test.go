package app

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"lms/apps/analytics/internal/historytest"
	"lms/shared/authz"
)

// TestDashboards are the same numbers as data and as a page; the page loads
// nothing, runs nothing, and has a table behind every chart.
func TestDashboards(t *testing.T) {
	t.Parallel()
	w, s := inSchool(t, historytest.Options{Seed: 21, Events: 3_000, Courses: 5, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 30})
	course, unit := s.Courses[0].ID, s.Units[1]
	w.friends.taught[w.teacher.UserID] = map[uuid.UUID]string{course: authz.RoleInstructor}
	for path, p := range map[string]authz.Principal{
		"platform?x=": w.root, "org-unit?org_unit_id=" + unit.String(): w.head, "course?course_id=" + course.String(): w.teacher,
	} {
		path = strings.TrimSuffix(path, "?x=")
		var board struct {
			Panels []struct {
				Name  string
				Rows  []row
				Chart struct {
					Shape  string
					Labels []string
					Series []struct{ Values []float64 }
				}
			}
		}
		w.as(p).GET("/api/v1/dashboards/" + path).Expect(200).JSON(&board)
		require.GreaterOrEqual(t, len(board.Panels), 8, path)
		for _, panel := range board.Panels {
			for _, line := range panel.Chart.Series {
				require.Len(t, line.Values, len(panel.Chart.Labels), "%s %s", path, panel.Name)
			}
		}
		page := w.as(p).With("Accept", "text/html").GET("/api/v1/dashboards/" + path).Expect(200)
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
		charts, tables := inspect(t, page.Body)
		require.Positive(t, charts, path)
		require.GreaterOrEqual(t, tables, charts, "a table behind each chart")
	}
	w.as(w.root).GET("/api/v1/dashboards/course").Expect(422)
	w.as(w.root).GET("/api/v1/dashboards/nonsense").Expect(404)
	w.as(w.learner).GET("/api/v1/dashboards/platform").Expect(403)
	w.as(w.alienated).GET("/api/v1/dashboards/course?course_id=" + course.String()).Expect(404)
}

// inspect reads a page: every image has words and is within the page, and there is
// no script and no address.
func inspect(t *testing.T, body []byte) (charts, tables int) {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(body))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attrs := map[string]string{}
		for _, a := range n.Attr {
			attrs[a.Key] = a.Val
			require.False(t, strings.HasPrefix(a.Key, "on"), "no handlers")
		}
		switch n.Data {
		case "script", "link", "iframe", "object", "form":
			require.Fail(t, "on a page that runs and loads nothing", n.Data)
		case "img":
			charts++
			require.NotEmpty(t, attrs["alt"])
			require.True(t, strings.HasPrefix(attrs["src"], "data:image/svg+xml;base64,"))
		case "table":
			tables++
		}
	}
	return charts, tables
}

// TestStatementsAreReadPageByPage in the order that is asked for, by verb, person and
// course.
func TestStatementsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	w, s := inSchool(t, historytest.Options{Seed: 23, Events: 900, Courses: 2, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 20})
	type result struct {
		Statements []struct {
			ID    uuid.UUID
			Actor struct{ Account struct{ Name uuid.UUID } }
			Verb  struct{ ID string }
			Object,
			Ignored struct{ ID string }
			Timestamp time.Time
		}
		More string
	}
	read := func(q url.Values) (all result) {
		path := "/api/v1/xapi/statements?" + q.Encode()
		for path != "" {
			var r result
			ans := w.as(w.root).GET(path).Expect(200)
			require.Equal(t, "2.0.0", ans.Header.Get("X-Experience-Api-Version"))
			ans.JSON(&r)
			all.Statements = append(all.Statements, r.Statements...)
			path = r.More
		}
		return all
	}
	all := read(url.Values{"ascending": {"true"}, "limit": {"50"}})
	seen := map[uuid.UUID]bool{}
	for i, st := range all.Statements {
		require.False(t, seen[st.ID])
		seen[st.ID] = true
		require.True(t, i == 0 || !st.Timestamp.Before(all.Statements[i-1].Timestamp))
	}
	require.Greater(t, len(all.Statements), 100)
	person := all.Statements[0].Actor.Account.Name
	mine := read(url.Values{"agent": {`{"objectType":"Agent","account":{"homePage":"https://lms.test","name":"` + person.String() + `"}}`}})
	require.NotEmpty(t, mine.Statements)
	for _, st := range mine.Statements {
		require.Equal(t, person, st.Actor.Account.Name)
	}
	registered := read(url.Values{"verb": {"http://adlnet.gov/expapi/verbs/registered"}, "activity": {"https://lms.test/xapi/activities/courses/" + s.Courses[0].ID.String()}})
	require.NotEmpty(t, registered.Statements)
	for _, st := range registered.Statements {
		require.Equal(t, "http://adlnet.gov/expapi/verbs/registered", st.Verb.ID)
		require.Contains(t, st.Object.ID, s.Courses[0].ID.String())
	}
	require.Empty(t, read(url.Values{"verb": {"http://example.org/danced"}}).Statements)
	w.as(w.root).GET("/api/v1/xapi/statements?activity=http://elsewhere.test/1").Expect(422)
	w.as(w.learner).GET("/api/v1/xapi/statements").Expect(403)
}
