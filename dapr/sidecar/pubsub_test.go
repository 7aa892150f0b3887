package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bulkEntry is one entry of a bulk publish as the relay sends it: a whole
// CloudEvent, ordered by the aggregate's id.
func bulkEntry(id, aggregate string) map[string]any {
	return map[string]any{
		"entryId":     id,
		"contentType": "application/cloudevents+json",
		"metadata":    map[string]string{"partitionKey": aggregate},
		"event": map[string]any{
			"specversion": "1.0", "id": id, "source": "lms/course", "subject": aggregate,
			"type": "lms.course.updated.v1", "datacontenttype": "application/json",
			"data": map[string]any{"title": "Mathematics"},
		},
	}
}

func (s *sidecar) publishBulk(component, topic string, entries []map[string]any) answer {
	s.t.Helper()
	return s.call(request{method: http.MethodPost, path: "/v1.0/publish/bulk/" + component + "/" + topic, body: entries})
}

func TestBulkEventsArriveOnceAndInOrder(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	app := newSubscriber("events-course", "course.events", recommended)
	home.start("enrollment", sidecarOptions{app: app})
	course := home.start("course", sidecarOptions{})

	const aggregates, each = 10, 50
	for n := range each {
		var entries []map[string]any
		for a := range aggregates {
			entries = append(entries, bulkEntry(fmt.Sprintf("%d-%03d", a, n), fmt.Sprintf("course-%d", a)))
		}
		got := course.publishBulk("events-course", "course.events", entries)
		require.Equal(t, http.StatusNoContent, got.status, string(got.body))
	}
	require.Eventually(t, func() bool { return app.distinct() == aggregates*each }, patience, 10*time.Millisecond)

	last := map[string]string{}
	for _, event := range app.seen() {
		require.Greater(t, event.ID, last[event.Subject], "events of one aggregate are in order and come once")
		last[event.Subject] = event.ID
	}
	require.Less(t, app.batches, aggregates*each, "events come in batches")
	require.Equal(t, map[string]int{appToken: app.batches}, app.tokens, "every delivery carries the app's token")
}

func TestEventsPublishedBeforeTheConsumerExistedArrive(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	course := home.start("course", sidecarOptions{})
	got := course.publishBulk("events-course", "course.events", []map[string]any{bulkEntry("early", "course-1")})
	require.Equal(t, http.StatusNoContent, got.status, string(got.body))

	app := newSubscriber("events-course", "course.events", recommended)
	home.start("search", sidecarOptions{app: app})
	require.Eventually(t, func() bool { return app.distinct() == 1 }, patience, 10*time.Millisecond)
}

func TestEntryThatIsToBeRetriedComesAgainAlone(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{partitions: 1})
	app := newSubscriber("events-course", "course.events", recommended)
	var refusals atomic.Int32
	app.refuse = func(id string) bool { return id == "b" && refusals.Add(1) <= 3 }
	home.start("enrollment", sidecarOptions{app: app})
	course := home.start("course", sidecarOptions{})

	got := course.publishBulk("events-course", "course.events", []map[string]any{
		bulkEntry("a", "course-1"), bulkEntry("b", "course-2"), bulkEntry("c", "course-3"),
	})
	require.Equal(t, http.StatusNoContent, got.status, string(got.body))
	require.Eventually(t, func() bool { return app.distinct() == 3 }, patience, 10*time.Millisecond)
	require.Len(t, app.seen(), 3, "what was accepted does not come again")
	require.Equal(t, int32(4), refusals.Load())
}

func TestTopicsAreScoped(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	everyApp := withoutScopes(t)
	event := []map[string]any{bulkEntry("x", "course-1")}
	for _, c := range []struct {
		name, app, component, topic string
		resources                   []string
		status                      int
	}{
		{"the owner publishes", "course", "events-course", "course.events", nil, http.StatusNoContent},
		{"a consumer does not", "enrollment", "events-course", "course.events", nil, http.StatusForbidden},
		{"the owner has no other topic", "course", "events-course", "user.events", nil, http.StatusForbidden},
		{"an app that is not named does not even have the component", "gateway", "events-course", "course.events", nil, http.StatusNotFound},
		{"nor may it publish where the component is loaded", "stranger", "events-course", "course.events", everyApp, http.StatusForbidden},
		{"nor another service", "payment", "events-course", "course.events", everyApp, http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			it := *home
			it.t = t
			s := it.start(c.app, sidecarOptions{resources: c.resources})
			got := s.publishBulk(c.component, c.topic, event)
			require.Equal(t, c.status, got.status, string(got.body))
			single := s.call(request{method: http.MethodPost, path: "/v1.0/publish/" + c.component + "/" + c.topic, body: event[0]["event"]})
			require.Equal(t, c.status, single.status, string(single.body))
		})
	}
}

func TestSubscriptionsAreScoped(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	allowed := newSubscriber("events-course", "course.events", recommended)
	home.start("notification", sidecarOptions{app: allowed})
	everyApp := withoutScopes(t)
	denied := map[string]*subscriber{}
	for _, app := range []string{"user", "stranger"} {
		denied[app] = newSubscriber("events-course", "course.events", recommended)
		s := home.start(app, sidecarOptions{app: denied[app], resources: everyApp})
		require.Eventually(t, func() bool {
			return strings.Contains(s.output.String(), "is not allowed")
		}, patience, 10*time.Millisecond, "the sidecar says that it refuses the subscription")
	}
	course := home.start("course", sidecarOptions{})
	got := course.publishBulk("events-course", "course.events", []map[string]any{bulkEntry("x", "course-1")})
	require.Equal(t, http.StatusNoContent, got.status, string(got.body))
	require.Eventually(t, func() bool { return allowed.distinct() == 1 }, patience, 10*time.Millisecond)
	for app, s := range denied {
		require.Empty(t, s.seen(), app)
	}
}

// withoutScopes returns resource folders in which every app loads every
// component, so that only the topic scopes are left to deny.
func withoutScopes(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	list := regexp.MustCompile(`(?s)\nscopes:.*$`)
	paths, err := filepath.Glob(repository(t, "components", "embedded", "events-*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		open := list.ReplaceAll(raw, []byte("\n"))
		require.NotEqual(t, raw, open)
		require.NoError(t, os.WriteFile(filepath.Join(folder, filepath.Base(path)), open, 0o600))
	}
	return []string{folder, repository(t, "dapr")}
}
