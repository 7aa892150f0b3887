package e2e

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// soon is how long it may take until what happened can be found.
const soon = 2 * time.Second

// Search is the path of finding: a course is found within two seconds by a misspelt
// word in another inflection, by its organisation alone; what it shows by those who
// are enrolled; archived it is gone. What happens while search is away is found when
// it is back, and the index is then what its sources say.
func Search(t testing.TB, w *World) {
	teacher := w.Invite(t, "Sea Archer", w.Org, "instructor")
	student := w.Invite(t, "Stu Dent", w.Org)
	elsewhere := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Another university"}, http.StatusCreated).ID(t)
	stranger := w.Invite(t, "Stran Ger", elsewhere, "instructor")

	page := teacher.DoKeyed(t, http.MethodPost, "/api/v1/contents", map[string]any{
		"org_unit_id": w.Org, "kind": "page", "title": "Reading list", "body": "<p>The <em>benthic</em> zone.</p>", "language": "en",
	}, http.StatusCreated).ID(t)
	teacher.DoKeyed(t, http.MethodPost, "/api/v1/contents/"+page+"/publish", map[string]any{})
	c := w.Publish(t, teacher.API, w.Org, map[string]any{"modules": []any{map[string]any{"title": "Read", "items": []any{placed(page, "List")}}}}, map[string]any{
		"title": "Ecologies of <deep> rivers", "description": "How streams live.", "language": "en", "tags": []string{"water"}, "level": "beginner",
	})
	published := time.Now()
	w.awaitFound(t, student.API, "ecologie riverz", c.ID)
	require.LessOrEqual(t, time.Since(published), soon+time.Second, "from the answer to the publishing on; the polling takes its share")
	require.Empty(t, w.found(t, stranger.API, "ecologie riverz"))
	require.Empty(t, w.found(t, w.API(), "ecologie riverz"))

	hit := w.found(t, student.API, "rivers")[0]
	require.Equal(t, "Ecologies of &lt;deep&gt; <mark>rivers</mark>", hit.Highlights["title"])
	var suggested struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	student.Read(t, "/api/v1/search/suggest?q=ecol").JSON(t, &suggested)
	require.Len(t, suggested.Items, 1)
	require.Equal(t, c.ID, suggested.Items[0].ID)

	require.Empty(t, w.found(t, student.API, "benthic"), "contents are for those who are enrolled")
	student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)
	w.awaitFound(t, student.API, "benthic", page)

	synonyms := w.Admin.Read(t, "/api/v1/search/synonyms")
	ans, err := w.Admin.Try(http.MethodPut, "/api/v1/search/synonyms", map[string]any{"groups": [][]string{{"river", "waterway"}}}, "If-Match", synonyms.Header.Get("ETag"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
	w.awaitFound(t, student.API, "waterway ecology", c.ID)

	w.archive(t, teacher.API, c.ID)
	w.awaitNothing(t, student.API, "ecologie riverz")
	w.awaitNothing(t, student.API, "benthic")

	w.Kill(t, "search", "service")
	missed := w.Publish(t, teacher.API, w.Org, ThreeModules(), map[string]any{"title": "Told while nobody listened", "language": "en"})
	w.AwaitReady(t)
	w.awaitFound(t, student.API, "telling nobody listening", missed.ID)

	job := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/search/rebuild", map[string]any{}, http.StatusAccepted)
	require.Eventually(t, func() bool {
		ans, err := w.Admin.Try(http.MethodGet, job.Header.Get("Location"), nil)
		return err == nil && ans.Status == http.StatusOK && ans.Map(t)["state"] == "succeeded"
	}, time.Minute, 100*time.Millisecond, "the index is made anew")
	w.awaitFound(t, student.API, "telling nobody listening", missed.ID)
	require.Eventually(t, func() bool {
		_, err := w.TryLms("recompute", "--check", "search")
		return err == nil
	}, time.Minute, time.Second, "the index says what its sources say")
}

// foundItem is a result of a search.
type foundItem struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Title      string            `json:"title"`
	Highlights map[string]string `json:"highlights"`
}

func (w *World) found(t testing.TB, as *system.API, text string) []foundItem {
	t.Helper()
	var out struct {
		Items []foundItem `json:"items"`
	}
	as.Read(t, "/api/v1/search?q="+url.QueryEscape(text)).JSON(t, &out)
	return out.Items
}

func (w *World) awaitFound(t testing.TB, as *system.API, text, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		items := w.found(t, as, text)
		return len(items) > 0 && items[0].ID == id
	}, time.Minute, 50*time.Millisecond, "%q is found", text)
}

func (w *World) awaitNothing(t testing.TB, as *system.API, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.found(t, as, text)) == 0 }, time.Minute, 50*time.Millisecond, "%q is gone", text)
}

func (w *World) archive(t testing.TB, as *system.API, course string) {
	t.Helper()
	path := "/api/v1/courses/" + course
	ans, err := as.Try(http.MethodPost, path+"/archive", map[string]any{}, "If-Match", as.Read(t, path).Header.Get("ETag"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
}
