package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

func TestAPersonIsExportedAndForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	w.watched(w.student, c, 1, 1000, 0, 60_000)

	raw, err := w.call("user", internalapi.CallExportPerson, w.student.UserID.String(), internalapi.ExportPerson{UserID: w.student.UserID})
	require.NoError(t, err)
	var export internalapi.ExportPersonReply
	require.NoError(t, json.Unmarshal(raw, &export))
	require.Contains(t, string(export.Sections["watches"]), c.ID.String())
	require.Contains(t, string(export.Sections["content_views"]), c.ID.String())

	raw, err = w.call("user", internalapi.CallErasePerson, w.student.UserID.String(), internalapi.ErasePerson{UserID: w.student.UserID, Pseudonym: uuid.New()})
	require.NoError(t, err)
	var reply internalapi.ErasePersonReply
	require.NoError(t, json.Unmarshal(raw, &reply))
	require.Contains(t, reply.Erased, "watches")
	require.Empty(t, reply.Kept)
	w.clock.Advance(time.Hour)
	require.NoError(t, w.library.TellWatched(t.Context()))
	require.NotContains(t, w.types(c.ID), "lms.content.watched.v1", "nothing is told of who was forgotten")

	// An author becomes a pseudonym; what they were sending is given up.
	file := pdf(t, 1)
	open := w.content("pdf", nil)
	u := w.announced(open, "a.pdf", "application/pdf", file, nil)
	require.Less(t, w.send(u.Upload, file), 300)
	pseudonym := uuid.New()
	raw, err = w.call("user", internalapi.CallErasePerson, w.teacher.UserID.String(), internalapi.ErasePerson{UserID: w.teacher.UserID, Pseudonym: pseudonym})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &reply))
	require.Equal(t, "content_authorship", reply.Kept[0].Category)
	var shown httpapi.Content
	w.as(w.admin).GET(c.path("")).Expect(http.StatusOK).JSON(&shown)
	require.Equal(t, pseudonym, shown.CreatedBy)
	require.Equal(t, pseudonym, shown.File.CreatedBy)
	w.as(w.admin).POST(upl(open, u, "/complete"), nil).Expect(http.StatusConflict).Code("upload_ended")
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Len(t, w.stored(), 1)

	_, err = w.call("course", internalapi.CallErasePerson, "x", internalapi.ErasePerson{UserID: w.admin.UserID, Pseudonym: uuid.New()})
	require.True(t, apperr.IsKind(err, apperr.KindForbidden) || apperr.IsKind(err, apperr.KindNotFound), "only user may ask: %v", err)
}

func TestAMergedPersonGoesOnWhereTheOtherStood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, course := w.shownTo(w.student)
	w.as(w.student).GET(c.path("/download")).Expect(http.StatusOK)
	w.clock.Advance(time.Minute)
	w.watched(w.student, c, 1, 42_000, 0, 42_000)
	heir := w.person(w.tenant, "", uuid.Nil)
	w.enroll(heir, course)
	_, err := w.call("user", internalapi.CallPersonStatus, w.student.UserID.String(), internalapi.PersonStatus{
		UserID: w.student.UserID, Status: internalapi.PersonMerged, MergedInto: &heir.UserID,
	})
	require.NoError(t, err)
	var got httpapi.Watch
	w.as(heir).GET(c.path("/watch")).Expect(http.StatusOK).JSON(&got)
	require.EqualValues(t, 42_000, got.PositionMS)
	_, err = w.call("user", internalapi.CallPersonStatus, heir.UserID.String(), internalapi.PersonStatus{UserID: heir.UserID, Status: internalapi.PersonActive})
	require.NoError(t, err)
}
