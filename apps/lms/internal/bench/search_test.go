//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/demo"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// TestBenchSearch measures finding through the whole system, in the demo catalogue.
// What an engine does with 100,000 documents is measured where it lives
// (apps/search/internal/bleveindex, opensearch).
func TestBenchSearch(t *testing.T) {
	r := &report{t: t}
	defer r.print()
	w := e2e.NewWorld(t, system.Start(t))
	teacher := w.Invite(t, "Bench Teacher", w.Org, "instructor")
	size, err := demo.SizeOf("medium")
	require.NoError(t, err)
	catalogue := demo.Make(size, 1).Courses
	courses := make([]e2e.Course, len(catalogue))
	fourAtATime(len(catalogue), func(i int) {
		c := catalogue[i]
		courses[i] = w.Publish(t, teacher.API, w.Org, e2e.ThreeModules(), map[string]any{
			"title": c.Title, "description": c.Description, "language": c.Language, "level": c.Level, "tags": c.Tags,
		})
	})
	find := func(text string) string { return "/api/v1/search?q=" + url.QueryEscape(text) }
	last := catalogue[len(catalogue)-1].Title
	require.Eventually(t, func() bool {
		ans, err := teacher.Try(http.MethodGet, find(last), nil)
		return err == nil && strings.Contains(string(ans.Body), courses[len(courses)-1].ID)
	}, time.Minute, 100*time.Millisecond)

	students := make([]e2e.Person, readers)
	fourAtATime(readers, func(i int) { students[i] = w.Invite(t, "Bench Student", w.Org) })
	for _, c := range []struct {
		name, aim string
		path      func(i int) string
	}{
		{"searches for a title", "≥ 1,000", func(i int) string { return find(catalogue[i%len(catalogue)].Title) }},
		{"searches for a word, with facets", "", func(i int) string {
			return find(strings.Fields(catalogue[i%len(catalogue)].Title)[0]) + "&facets=level&facets=tag"
		}},
		{"suggestions", "", func(i int) string {
			return "/api/v1/search/suggest?q=" + url.QueryEscape(catalogue[i%len(catalogue)].Title[:3])
		}},
	} {
		res := run(t, readers, []string{w.URL}, func(base string, conn, i int) *http.Request { return get(base+c.path(i), students[conn].Token) }, nil)[0]
		r.add(c.name+", 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), c.aim)
	}
	res := run(t, readers, []string{w.URL}, func(base string, _, i int) *http.Request {
		return get(base+find(catalogue[i%len(catalogue)].Title), "")
	}, nil)[0]
	r.add("visitors' searches, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), "")
	visible(t, r, teacher, courses)
}

// visible measures from the answer to a change to the moment at which it is found.
func visible(t *testing.T, r *report, teacher e2e.Person, courses []e2e.Course) {
	const changes = 60
	took := make([]time.Duration, changes)
	for i := range took {
		path, word := "/api/v1/courses/"+courses[i%len(courses)].ID, strings.ReplaceAll(uuid.NewString(), "-", "")
		tag := teacher.Read(t, path).Header.Get("ETag")
		ans, err := teacher.Try(http.MethodPatch, path, map[string]any{"description": word}, "If-Match", tag)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
		began := time.Now()
		require.Eventually(t, func() bool {
			ans, err := teacher.Try(http.MethodGet, "/api/v1/search?q="+word, nil)
			return err == nil && strings.Contains(string(ans.Body), courses[i%len(courses)].ID)
		}, time.Minute, 5*time.Millisecond)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	r.add("change to found", fmt.Sprintf("p50 %s, p99 %s", round(took[changes/2]), round(took[changes*99/100])), "p99 ≤ 2 s")
}
