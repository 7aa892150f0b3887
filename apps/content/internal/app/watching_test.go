package app

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/library"
	"lms/shared/apperr"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// shownTo is a published video of ten minutes in a course of the student.
func (w *world) shownTo(student authz.Principal) (made, uuid.UUID) {
	w.t.Helper()
	course := uuid.New()
	w.enroll(student, course)
	c := w.uploaded("video", "v.mp4", "video/mp4", movie(600_000, 1000))
	w.place(c.ID, course)
	w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	return c, course
}

func (w *world) watched(p authz.Principal, c made, rate float64, position int64, pairs ...int64) httpapi.Watch {
	w.t.Helper()
	parts := []body{}
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, body{"from_ms": pairs[i], "to_ms": pairs[i+1]})
	}
	var out httpapi.Watch
	w.as(p).POST(c.path("/watch"), body{"intervals": parts, "position_ms": position, "playback_rate": rate}).Expect(http.StatusOK).JSON(&out)
	return out
}

func TestWhatIsWatchedCountsOnceAndAsFarAsItCanBeTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, course := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	got := w.watched(w.student, c, 1, 60_000, 0, 60_000)
	require.Equal(t, 10, *got.Percent)
	require.Equal(t, []httpapi.Interval{{FromMS: 0, ToMS: 60_000}}, got.Intervals)
	require.NoError(t, w.library.TellWatched(t.Context()))
	require.NotContains(t, w.types(c.ID), contract.TypeContentWatched, "it is collected for half a minute")

	w.clock.Advance(time.Minute)
	got = w.watched(w.student, c, 1, 60_000, 0, 60_000)
	require.EqualValues(t, 60_000, got.WatchedMS, "seen again is not seen more")

	got = w.watched(w.student, c, 1, 600_000, 60_000, 600_000)
	require.EqualValues(t, 65_000, got.WatchedMS, "no time has passed but for the grace")
	w.clock.Advance(30 * time.Second)
	got = w.watched(w.student, c, 2, 999_000_000, 120_000, 900_000)
	require.EqualValues(t, 65_000+65_000, got.WatchedMS, "half a minute at double speed")
	require.EqualValues(t, 600_000, got.PositionMS, "no further than the end")

	w.clock.Advance(time.Hour)
	got = w.watched(w.student, c, 1, 1000, 0, 300_000, 299_500, 599_500)
	require.Equal(t, 100, *got.Percent, "less than a second is missing")
	require.Len(t, got.Intervals, 1)

	w.as(w.student).GET(c.path("/watch")).Expect(http.StatusOK).JSON(&got)
	require.EqualValues(t, 1000, got.PositionMS)

	reports := said[internalapi.ProgressReport](w, internalapi.CallProgressReport)
	require.NotNil(t, reports[0].ViewedAt)
	require.Nil(t, reports[0].Watched)
	last100 := reports[len(reports)-1]
	require.Equal(t, 100, last100.Watched.Percent)
	require.Equal(t, *reports[0].ViewedAt, *last100.ViewedAt, "a report says all that is known")
	require.Equal(t, course, last100.CourseID)
	require.Len(t, reports, 4, "one when opened, then one per change of the percentage")

	// One event tells all of it.
	for range 2 {
		require.NoError(t, w.library.TellWatched(t.Context()))
	}
	told := last[contract.ContentWatched](w, c.ID)
	require.Equal(t, w.student.UserID, told.UserID)
	require.Equal(t, []contract.WatchedInterval{{FromMS: 0, ToMS: 599_500}}, told.Intervals)
	require.Equal(t, course, *told.CourseID)
	n := 0
	for _, kind := range w.types(c.ID) {
		if kind == contract.TypeContentWatched {
			n++
		}
	}
	require.Equal(t, 1, n)
}

func TestTwoReportsAtOnceShareTheTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	var wg sync.WaitGroup
	for i := range 8 {
		from := int64(i) * 70_000
		wg.Go(func() { w.watched(w.student, c, 1, from, from, from+60_000) })
	}
	wg.Wait()
	var got httpapi.Watch
	w.as(w.student).GET(c.path("/watch")).Expect(http.StatusOK).JSON(&got)
	require.LessOrEqual(t, got.WatchedMS, int64(60_000+8*5_000))
	require.GreaterOrEqual(t, got.WatchedMS, int64(60_000))
}

func TestANewFileBeginsAnewAndTakesNothingAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(5 * time.Minute)
	require.Equal(t, 50, *w.watched(w.student, c, 1, 300_000, 0, 300_000).Percent)
	file := movie(1_000_000, 2000)
	u := w.announced(c, "v2.mp4", "video/mp4", file, nil)
	require.Less(t, w.send(u.Upload, file), 300)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	got := w.watched(w.student, c, 1, 10_000, 0, 10_000)
	require.EqualValues(t, 10_000, got.WatchedMS)
	require.Equal(t, 50, *got.Percent)
}

func TestOpeningIsReportedOnceAndSaysWhenItIsPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course, other := uuid.New(), uuid.New()
	w.enroll(w.student, course)
	w.enroll(w.student, other)
	c := w.content("page", body{"body": "<p>text</p>"})
	w.place(c.ID, course)
	w.place(c.ID, other)
	w.as(w.student).GET(c.path("")).Expect(http.StatusNotFound)
	w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	w.friends.slow = true
	var shown httpapi.Content
	w.as(w.student).GET(c.path("?course_id=" + course.String())).Expect(http.StatusOK).JSON(&shown)
	require.True(t, shown.ProgressPending)
	require.Equal(t, "<p>text</p>", *shown.Body)
	for range 3 {
		shown = httpapi.Content{}
		w.as(w.student).GET(c.path("?course_id=" + course.String())).Expect(http.StatusOK).JSON(&shown)
		require.False(t, shown.ProgressPending)
	}
	w.library.Opened = library.NewOpenings(10) // another replica
	w.as(w.student).GET(c.path("?course_id=" + course.String())).Expect(http.StatusOK)
	require.Len(t, said[internalapi.ProgressReport](w, internalapi.CallProgressReport), 1)
	w.as(w.student).GET(c.path("?course_id=" + other.String())).Expect(http.StatusOK)
	require.Len(t, said[internalapi.ProgressReport](w, internalapi.CallProgressReport), 2, "each course on its own")
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusOK)
	require.Len(t, said[internalapi.ProgressReport](w, internalapi.CallProgressReport), 2, "staff have no progress")
}

func TestWhoMaySeeAContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, course := w.shownTo(w.student)
	for _, path := range []string{"", "/download", "/watch", "/captions/en"} {
		w.as(w.alien).GET(c.path(path)).Expect(http.StatusNotFound)
		w.client.GET(c.path(path)).Expect(http.StatusUnauthorized)
	}
	w.as(w.student).GET(c.path("/download?version=1")).Expect(http.StatusOK)
	w.as(w.student).GET(c.path("/download?version=2")).Expect(http.StatusNotFound)
	w.as(w.student).GET(c.path("/versions")).Expect(http.StatusForbidden)
	w.as(w.student).GET(c.path("/usages")).Expect(http.StatusForbidden)
	w.as(w.student).POST(c.path("/publish"), nil).Expect(http.StatusForbidden)

	// Locked: with the reasons, whatever was allowed before.
	locked := [2]uuid.UUID{w.student.UserID, c.ID}
	w.friends.contents[locked] = library.Verdict{Code: library.DeniedLocked, Reasons: []internalapi.LockReason{{Code: "sequential", Message: "First the other."}}}
	p := w.as(w.student).GET(c.path("/download")).Expect(http.StatusForbidden).Code("item_locked").Problem()
	require.NotEmpty(t, p.All["reasons"])
	w.friends.contents[locked] = library.Verdict{Code: library.DeniedSuspended}
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusForbidden).Code("suspended")
	delete(w.friends.contents, locked)

	// Staff of another course cannot look at it by naming their course.
	stranger := w.person(w.tenant, "", uuid.Nil)
	theirs := uuid.New()
	w.staff(stranger, theirs, authz.RoleInstructor)
	w.as(stranger).GET(c.path("/download?course_id=" + theirs.String())).Expect(http.StatusNotFound)
	w.place(c.ID, theirs)
	w.as(stranger).GET(c.path("/download?course_id=" + theirs.String())).Expect(http.StatusOK)

	// A draft is for staff.
	w.as(w.teacher).POST(c.path("/unpublish"), nil).Expect(http.StatusOK)
	w.as(w.student).GET(c.path("/download?course_id=" + course.String())).Expect(http.StatusNotFound)
	w.as(stranger).GET(c.path("/download")).Expect(http.StatusOK)

	// Who cannot be asked about is not let in.
	w.as(w.teacher).POST(c.path("/publish"), nil).Expect(http.StatusOK)
	w.friends.away = apperr.Unavailable("sidecar_unavailable", "away")
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusServiceUnavailable)
}

const vtt = "WEBVTT\n\n1\n00:01.000 --> 00:03.500 line:0\n<v Ada>A cell &amp; its <b>wall</b>\n\n00:00:04.000 --> 00:00:06.000\ndivides.\n"

func TestCaptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.shownTo(w.student)
	put := func(p authz.Principal, lang, text string) *httpResult {
		r := w.as(p).With("Content-Type", "text/vtt").PUT(c.path("/captions/"+lang), text)
		return &httpResult{r.Status, r.Header.Get("ETag")}
	}
	require.Equal(t, http.StatusCreated, put(w.teacher, "en", vtt).status)
	require.Equal(t, http.StatusCreated, put(w.teacher, "de", vtt).status)
	require.Equal(t, http.StatusNoContent, put(w.teacher, "en", vtt+"\n00:07.000 --> 00:08.000\nAgain.\n").status)
	require.Equal(t, http.StatusForbidden, put(w.student, "fr", vtt).status)
	require.Equal(t, http.StatusUnprocessableEntity, put(w.teacher, "x", vtt).status)
	w.as(w.teacher).With("Content-Type", "application/json").PUT(c.path("/captions/fr"), vtt).Expect(http.StatusUnsupportedMediaType)
	w.as(w.teacher).With("Content-Type", "text/vtt").With("If-Match", `"v9"`).PUT(c.path("/captions/en"), vtt).Expect(http.StatusPreconditionFailed)
	w.as(w.teacher).With("Content-Type", "text/vtt").PUT(w.content("pdf", nil).path("/captions/en"), vtt).Expect(http.StatusConflict).Code("not_a_recording")

	for name, tc := range map[string]struct{ text, line, code string }{
		"no header":      {"1\n00:01.000 --> 00:02.000\nx", "line 1", "signature"},
		"backwards":      {"WEBVTT\n\n00:02.000 --> 00:01.000\nx", "line 3", "order"},
		"out of order":   {"WEBVTT\n\n00:05.000 --> 00:06.000\nx\n\n00:01.000 --> 00:02.000\ny", "line 6", "order"},
		"not a time":     {"WEBVTT\n\n0:1 --> 0:2\nx", "line 3", "timing"},
		"no blank line":  {"WEBVTT\n\n00:01.000 --> 00:02.000\nx\n00:03.000 --> 00:04.000\ny", "line 5", "separator"},
		"no cue":         {"WEBVTT\n\nNOTE nothing", "line 1", "empty"},
		"another script": {"WEBVTT\xff\n", "line 1", "encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			w.as(w.teacher).With("Content-Type", "text/vtt").PUT(c.path("/captions/en"), tc.text).Expect(http.StatusUnprocessableEntity).Field(tc.line, tc.code)
		})
	}
	r := w.as(w.student).GET(c.path("/captions/de")).Expect(http.StatusOK)
	require.Equal(t, vtt, string(r.Body))
	require.Equal(t, "text/vtt; charset=utf-8", r.Header.Get("Content-Type"))
	w.as(w.student).With("If-None-Match", r.ETag()).GET(c.path("/captions/de")).Expect(http.StatusNotModified)
	state := last[contract.ContentUpdated](w, c.ID)
	require.Equal(t, []string{"de", "en"}, state.Captions)
	require.Contains(t, state.Text, "A cell & its wall\ndivides.")
	w.as(w.teacher).DELETE(c.path("/captions/de")).Expect(http.StatusNoContent)
	w.as(w.teacher).DELETE(c.path("/captions/de")).Expect(http.StatusNotFound)
	var shown httpapi.Content
	w.as(w.student).GET(c.path("")).Expect(http.StatusOK).JSON(&shown)
	require.Len(t, shown.Captions, 1)
	require.Equal(t, 3, shown.Captions[0].Cues)
}

type httpResult struct {
	status int
	tag    string
}

func TestOthersCopyContentsPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("word ", 60_000)
	for range 3 {
		w.content("page", body{"body": "<p>" + long + "</p>"})
	}
	gone := w.content("page", nil)
	w.as(w.teacher).With("If-Match", gone.tag).DELETE(gone.path("")).Expect(http.StatusNoContent)
	search := w.client.WithToken(w.tokens.For(authz.Principal{Service: "search"}))
	var all []internalapi.ContentDocument
	for cursor := ""; ; {
		var p internalapi.ContentPage
		search.GET("/internal/contents?limit=2&cursor=" + cursor).Expect(http.StatusOK).JSON(&p)
		all = append(all, p.Items...)
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	require.Len(t, all, 4)
	require.Equal(t, strings.TrimSpace(long), all[0].Text, "whole")
	require.Empty(t, all[0].Content.Text)
	require.EqualValues(t, 1, all[0].Seq)
	require.True(t, all[3].Content.Deleted)
	state := last[contract.ContentCreated](w, all[0].Content.ID)
	require.True(t, state.TextTruncated, "an event carries what fits")
	require.LessOrEqual(t, len(state.Text), contract.MaxContentText)
	var one internalapi.ContentDocument
	search.GET("/internal/contents/" + gone.ID.String()).Expect(http.StatusOK).JSON(&one)
	require.EqualValues(t, 2, one.Seq)
	w.as(w.teacher).GET("/internal/contents").Expect(http.StatusNotFound)
}
