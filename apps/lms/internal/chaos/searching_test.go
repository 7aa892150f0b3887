//go:build chaos

package chaos_test

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
	"lms/shared/localpg"
)

// TestSearchEngine takes either search engine away while courses are made, renamed
// and archived.
func TestSearchEngine(t *testing.T) {
	t.Run("16 bleve", func(t *testing.T) {
		s := start(t)
		s.engineDown(t, engine{name: "bleve", service: "search", kind: "service", lose: func() {
			// The engine is in the service: its files are what can be lost.
			require.NoError(t, os.RemoveAll(s.setting(t, "search", "LMS_SEARCH_FOLDER")))
			s.Kill(t, "search", "service")
		}})
	})
	t.Run("16 opensearch", func(t *testing.T) {
		t.Setenv("LMS_SEARCH_ENGINE", "opensearch")
		s := start(t)
		s.engineDown(t, engine{name: "opensearch", service: "opensearch", kind: "store", lose: func() {
			urls := s.setting(t, "search", "LMS_SEARCH_OPENSEARCH_URLS")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, urls+"/lms-search*", nil)
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode)
		}})
	})
}

// engine is a search engine, and the process that it is in.
type engine struct {
	name, service, kind string
	lose                func() // what it keeps
}

// engineOutage is how long the engine answers nobody.
const engineOutage = 30 * time.Second

// engineDown lets the engine stand still, kills it, and loses what it keeps, while
// writes go on. It fails when a write is refused, when the index does not come to what
// the owners say, or when an index that is made anew is another one than that.
func (s *school) engineDown(t *testing.T, e engine) {
	courses := s.courses(t, 60, nil)
	titles := s.renaming(t, courses, 1, nil)
	await(t, healing, "all are found", func() bool { return s.notFound(t, titles) == 0 })

	resume := s.Pause(t, e.service, e.kind)
	began := time.Now()
	for id, title := range s.renaming(t, courses[10:], 3, nil) {
		titles[id] = title
	}
	for _, id := range s.courses(t, 10, map[string]any{"title": "Made without an engine"}) {
		titles[id] = "Made without an engine"
	}
	for _, id := range courses[:10] {
		s.archive(t, id)
		delete(titles, id)
	}
	s.enrollInAll(t, s.people(t, 1)[0], courses[10:])
	refused := t.Failed()
	ans, err := s.Teacher.Try(http.MethodGet, "/api/v1/search?q=Round", nil)
	said := err != nil || ans.Status >= http.StatusInternalServerError // nothing, and nothing wrong
	<-time.After(time.Until(began.Add(engineOutage)))
	resume()
	caughtUp := await(t, 2*healing, "what was written meanwhile is found", func() bool { return s.notFound(t, titles) == 0 && s.gone(t, courses[:10]) })

	for id, title := range s.renaming(t, courses[10:], 4, func(int) { s.Kill(t, e.service, e.kind) }) {
		titles[id] = title
	}
	s.AwaitReady(t)
	afterKills := await(t, 3*healing, "what was written between kills is found", func() bool { return s.notFound(t, titles) == 0 })
	left := s.indexDifferences(t)

	e.lose()
	for id, title := range s.renaming(t, courses[10:], 2, nil) {
		titles[id] = title
	}
	s.AwaitReady(t)
	refilled := await(t, 2*healing, "a lost index is made anew", func() bool { return s.notFound(t, titles) == 0 })

	job := s.Admin.DoKeyed(t, http.MethodPost, "/api/v1/search/rebuild", map[string]any{}, http.StatusAccepted).ID(t)
	for id, title := range s.renaming(t, courses[10:], 2, nil) {
		titles[id] = title
	}
	await(t, time.Minute, "the rebuild ends", func() bool {
		var j struct{ State string }
		s.Admin.Read(t, "/api/v1/jobs/search/"+job).JSON(t, &j)
		require.NotEqual(t, "failed", j.State)
		return j.State == "succeeded"
	})
	await(t, healing, "what was written meanwhile is found", func() bool { return s.notFound(t, titles) == 0 })
	rebuilt := s.indexDifferences(t)
	s.reconciled(t)
	planted := s.plantInCourse(t, courses[20])
	measured(t, "16 search engine down: "+e.name, "every write succeeds; the index and one made anew are what the owners say", !refused && said && left == 0 && rebuilt == 0 && planted == 1,
		"%s without engine, 220 writes, refused: %v, no search answered: %v; %s after it all was found, after 4 kills in %s, after losing all it keeps in %s; %d documents differed, %d of the index made anew; of one difference planted %d found",
		engineOutage, refused, said, caughtUp.Round(100*time.Millisecond), afterKills.Round(100*time.Millisecond), refilled.Round(100*time.Millisecond), left, rebuilt, planted)
}

// archive takes a course out of what people find.
func (s *school) archive(t testing.TB, course string) {
	t.Helper()
	must(t, s.Teacher.API, http.MethodPost, "/api/v1/courses/"+course+"/archive", map[string]any{})
}

// found are the courses that a search gives, with their titles.
func (s *school) found(t testing.TB, query string) (map[string]string, bool) {
	t.Helper()
	out := map[string]string{}
	for cursor := ""; ; {
		ans, err := s.Teacher.Try(http.MethodGet, "/api/v1/search?type=course&limit=200&q="+url.QueryEscape(query)+cursor, nil)
		if err != nil || ans.Status >= http.StatusInternalServerError {
			return nil, false
		}
		require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
		var page struct {
			Items []struct{ ID, Title string } `json:"items"`
			Next  string                       `json:"next_cursor"`
		}
		ans.JSON(t, &page)
		for _, i := range page.Items {
			out[i.ID] = i.Title
		}
		if page.Next == "" {
			return out, true
		}
		cursor = "&cursor=" + page.Next
	}
}

// notFound counts the courses that are not found as they are called, all if nobody
// answers.
func (s *school) notFound(t testing.TB, titles map[string]string) int {
	t.Helper()
	found, ok := s.found(t, "")
	if !ok {
		return len(titles)
	}
	return wrong(found, titles)
}

// gone says that none of some courses is found.
func (s *school) gone(t testing.TB, courses []string) bool {
	t.Helper()
	found, ok := s.found(t, "")
	for _, id := range courses {
		if _, there := found[id]; there {
			return false
		}
	}
	return ok
}

// indexDifferences counts how often the index is not what the owners say.
func (s *school) indexDifferences(t testing.TB) int {
	t.Helper()
	out, err := s.TryLms("recompute", "--check", "search")
	if err == nil {
		return 0
	}
	t.Log(out, err)
	return max(1, strings.Count(out, "search_"))
}

// indexed compares the index with what the owners say, once what is on its way has
// arrived.
func (s *school) indexed(t testing.TB) (found []string) {
	t.Helper()
	if !slices.Contains(serviceNames(t), "search") {
		return nil
	}
	for end := time.Now().Add(healing); ; <-time.After(time.Second) {
		out, err := s.TryLms("recompute", "--check", "search")
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return []string{"index: " + out + err.Error()}
		}
	}
}

// plantInCourse changes a title behind the back of everybody: the index, which was not
// told, is found to differ.
func (s *school) plantInCourse(t testing.TB, course string) int {
	t.Helper()
	server, err := localpg.Attach(installation.Home{Dir: s.Home}.Postgres())
	require.NoError(t, err)
	owner, err := pgx.Connect(t.Context(), server.OwnerDSN("course"))
	require.NoError(t, err)
	defer func() { require.NoError(t, owner.Close(t.Context())) }()
	_, err = owner.Exec(t.Context(), "set lms.tenant = '*'")
	require.NoError(t, err)
	_, err = owner.Exec(t.Context(), "update courses set title = 'Planted' where id = $1", course)
	require.NoError(t, err)
	return s.indexDifferences(t)
}
