package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// TestALockedQuizTellsNothingOfWhatItAsks: not alone, and not in the list.
func TestALockedQuizTellsNothingOfWhatItAsks(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(body{"instructions": "<p>Mind the mitochondria</p>"})
	c.as(c.ada).GET(e.path("")).Expect(http.StatusOK)
	c.quizzes.locked[e.ID] = quiz.Verdict{Code: internalapi.DeniedItemLocked, Reasons: []internalapi.LockReason{{Code: "sequential"}}}
	r := c.as(c.ada).GET(e.path("")).Expect(http.StatusForbidden).Code("item_locked")
	require.NotContains(t, string(r.Body), "mitochondria")
	require.Contains(t, string(r.Body), "sequential", "it says why")
	list := c.as(c.ada).GET("/api/v1/courses/" + c.course.String() + "/quizzes").Expect(http.StatusOK)
	require.NotContains(t, string(list.Body), "mitochondria")
	require.Contains(t, string(c.as(c.instructor).GET("/api/v1/courses/"+c.course.String()+"/quizzes").Expect(http.StatusOK).Body), "mitochondria")
}

// TestADownloadAsksAnew also of staff of the course that a content was made for.
func TestADownloadAsksAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.uploaded("pdf", "a.pdf", "application/pdf", pdf(t, 1))
	course, helper := uuid.New(), w.person(w.tenant, "", uuid.Nil)
	w.staff(helper, course, "instructor")
	require.NoError(t, w.tamper(`update contents set course_id = $1 where id = $2`, course, c.ID))
	w.as(helper).GET(c.path("")).Expect(http.StatusOK)
	require.False(t, w.friends.fresh, "a look may be two seconds old")
	w.as(helper).GET(c.path("/download")).Expect(http.StatusOK)
	require.True(t, w.friends.fresh)
}

func TestCaptionsAskForThePermissionBeforeTheForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content(contract.ContentVideo, nil)
	for p, want := range map[*authz.Principal]apperr.Kind{&w.alien: apperr.KindNotFound, &w.teacher: apperr.KindInvalid} {
		_, _, err := w.library.PutCaption(t.Context(), *p, c.ID, "no language", "no captions", nil)
		require.True(t, apperr.IsKind(err, want), "%v", err)
	}
	// A request that is repeated with its key is answered alike.
	ctx := work.WithIdempotency(t.Context(), work.Idempotency{Caller: "x", Route: "PUT captions", Key: uuid.NewString()})
	for range 2 {
		out, made, err := w.library.PutCaption(ctx, w.teacher, c.ID, "en", "WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n", nil)
		require.NoError(t, err)
		require.True(t, made)
		require.EqualValues(t, 1, out.Version)
	}
}

// TestWhatCannotBeRemovedLetsTheOthersPass: a store that refuses one object.
func TestWhatCannotBeRemovedLetsTheOthersPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.Now()
	for i, key := range []string{"../refused", "fine"} {
		require.NoError(t, w.tamper(`insert into discarded_objects (key, tenant_id, token, due_at, until) values ($1, $2, '', $3, $3)`, key, w.tenant, now.Add(time.Duration(i-10)*time.Minute)))
	}
	require.Error(t, w.library.Sweep(t.Context()))
	require.Equal(t, "../refused", value[string](w, `select string_agg(key, ',') from discarded_objects`))
	require.NoError(t, w.library.Sweep(t.Context()), "it is tried again later")
	w.clock.Advance(10 * time.Minute)
	require.Error(t, w.library.Sweep(t.Context()))
}

// TestWhatWasWatchedOfAnOldVersionIsToldAsThat.
func TestWhatWasWatchedOfAnOldVersionIsToldAsThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(5 * time.Minute)
	w.watched(w.student, c, 1, 300_000, 0, 300_000)
	file := movie(1_000_000, 2000)
	u := w.announced(c, "v2.mp4", "video/mp4", file, nil)
	require.Less(t, w.send(u.Upload, file), 300)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	w.watched(w.student, c, 1, 10_000, 0, 10_000)
	told := last[contract.ContentWatched](w, c.ID)
	require.EqualValues(t, 300_000, told.WatchedMS)
	require.EqualValues(t, 600_000, *told.DurationMS, "of the first version")
	w.clock.Advance(time.Minute)
	require.NoError(t, w.library.TellWatched(t.Context()))
	told = last[contract.ContentWatched](w, c.ID)
	require.EqualValues(t, 10_000, told.WatchedMS)
	require.EqualValues(t, 1_000_000, *told.DurationMS)
}
