package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
	"lms/shared/work"
)

func (w *world) job(r *testkit.Response, owner authz.Principal) work.Job {
	w.t.Helper()
	var j work.Job
	r.Expect(http.StatusAccepted).JSON(&j)
	require.Equal(w.t, "/api/v1/jobs/course/"+j.ID.String(), r.Header.Get("Location"))
	return w.finished(owner, j.ID)
}

func (w *world) result(owner authz.Principal, j work.Job, out any) {
	w.t.Helper()
	require.Equal(w.t, work.JobSucceeded, j.State, j.Error)
	raw, err := w.jobs.Result(w.t.Context(), j.ID, owner.UserID)
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(raw, out))
}

func TestCopyOfACourse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	library, quiz := uuid.New(), uuid.New()
	c, cur := w.published(body{"starts_at": at, "ends_at": at.AddDate(0, 3, 0), "external_id": "1", "external_source": "sis"})
	w.resource(internalapi.ResourceState{ResourceID: library, Kind: events.ItemContent, Published: true})
	w.resource(internalapi.ResourceState{ResourceID: quiz, Kind: events.ItemQuiz, CourseID: &c.ID, Published: true})
	items := c.path("/modules/" + cur.Modules[1].ID.String() + "/items")
	teacher := w.as(w.teacher)
	teacher.POST(items, body{"kind": "content", "title": "Video", "resource_id": library, "unlock_at": at}).Expect(http.StatusCreated)
	teacher.POST(items, body{"kind": "quiz", "title": "Quiz", "resource_id": quiz}).Expect(http.StatusCreated)
	teacher.PUT(c.path("/staff/"+w.assistant.UserID.String()), body{"role": "teaching_assistant"}).Expect(http.StatusOK)
	teacher.POST(c.path("/announcements"), body{"title": "Hi", "body": "<p>x</p>"}).Expect(http.StatusCreated)
	teacher.With("If-Match", `"v3"`).PUT(c.path("/completion-settings"), body{
		"mode": "selected_modules", "required_modules": []uuid.UUID{cur.Modules[1].ID}, "certificate": body{"enabled": true},
	}).Expect(http.StatusOK)

	w.as(w.student).POST(c.path("/copy"), body{"code": "COPY"}).Expect(http.StatusForbidden)
	teacher.POST(c.path("/copy"), body{"code": "", "parts": []string{"secrets"}}).Expect(http.StatusUnprocessableEntity).Field("code", "required").Field("parts[0]", "enum")
	teacher.POST(c.path("/copy"), body{"code": "X", "org_unit_id": w.other}).Expect(http.StatusNotFound)
	w.parts.replies[internalapi.CallClonePart] = func(json.RawMessage) internalapi.PartReply {
		return internalapi.PartReply{State: internalapi.PartFailed, Code: "unwanted", Message: "Not today."}
	}
	j := w.job(teacher.POST(c.path("/copy"), body{
		"code": "COPY", "title": "The copy", "starts_at": at.AddDate(0, 0, 7), "parts": []string{"settings", "curriculum", "staff", "announcements"},
	}), w.teacher)
	var done catalog.TransferResult
	w.result(w.teacher, j, &done)
	require.Equal(t, 5, done.Items)
	require.Equal(t, map[string]string{"unwanted": catalog.NotePlaceholder, "": catalog.NoteDone}, w.rows(w.teacher, j.ID))

	var got httpapi.Course
	path := "/api/v1/courses/" + done.CourseID.String()
	teacher.GET(path).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, "The copy", got.Title)
	require.Equal(t, events.CourseDraft, got.Status)
	require.Equal(t, at.AddDate(0, 0, 7), *got.StartsAt)
	require.Empty(t, got.ExternalID)
	var copied httpapi.Curriculum
	teacher.GET(path + "/curriculum").Expect(http.StatusOK).JSON(&copied)
	require.NotEqual(t, cur.Modules[0].ID, copied.Modules[0].ID)
	video, placeholder := copied.Modules[1].Items[1], copied.Modules[1].Items[2]
	require.Equal(t, library, *video.ResourceID, "a content of the library is used in both")
	require.Equal(t, at.AddDate(0, 0, 7), *video.UnlockAt)
	require.Nil(t, placeholder.ResourceID, "a quiz belongs to one course")
	var settings httpapi.Completion
	teacher.GET(path + "/completion-settings").Expect(http.StatusOK).JSON(&settings)
	require.Equal(t, []uuid.UUID{copied.Modules[1].ID}, settings.RequiredModules)
	var staff struct{ Items []httpapi.StaffMember }
	teacher.GET(path + "/staff").Expect(http.StatusOK).JSON(&staff)
	require.Len(t, staff.Items, 2)
	var announcements struct{ Items []httpapi.Announcement }
	teacher.GET(path + "/announcements").Expect(http.StatusOK).JSON(&announcements)
	require.Equal(t, "draft", announcements.Items[0].State)
	require.Equal(t, events.TypeCourseCreated, w.types(done.CourseID)[0])
	require.Equal(t, "copied", last[events.CurriculumChanged](w, done.CourseID).Reason)

	// A job that is run again after a crash makes nothing twice.
	again, _, err := w.service.RunCopy(t.Context(), w.teacher, catalog.CopyRequest{SourceID: c.ID, NewID: done.CourseID, OrgUnitID: w.unit, Code: "COPY", Parts: []string{"settings"}})
	require.NoError(t, err)
	require.Equal(t, done.CourseID, again.CourseID)
	j = w.job(teacher.POST(c.path("/copy"), body{"code": "copy"}), w.teacher)
	require.Equal(t, work.JobFailed, j.State)
	require.NotEmpty(t, j.Error)
}

func (w *world) upload(p authz.Principal, raw []byte) uuid.UUID {
	w.t.Helper()
	sum := sha256.Sum256(raw)
	var up httpapi.Upload
	w.as(p).POST("/api/v1/imports/uploads", body{"filename": "a.zip", "size": len(raw), "sha256": hex.EncodeToString(sum[:])}).
		Expect(http.StatusCreated).JSON(&up)
	require.Equal(w.t, http.MethodPut, up.Upload.Method)
	u, err := w.service.Upload(w.t.Context(), p, up.ID)
	require.NoError(w.t, err)
	dst, err := w.objects.NewWriter(w.t.Context(), u.Key, "application/octet-stream")
	require.NoError(w.t, err)
	_, err = dst.Write(raw)
	require.NoError(w.t, err)
	require.NoError(w.t, dst.Close())
	return up.ID
}

func TestExportAndImportAgain(t *testing.T) {
	t.Parallel()
	for _, format := range []string{catalog.FormatCartridge, catalog.FormatOLX} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c, cur := w.published(body{"description": "About it"})
			w.as(w.teacher).POST(c.path("/modules/"+cur.Modules[1].ID.String()+"/items"), body{"kind": "assignment", "title": "Essay", "requirement": body{"kind": "submit"}}).Expect(http.StatusCreated)
			w.as(w.student).POST(c.path("/exports"), body{"format": format}).Expect(http.StatusForbidden)
			j := w.job(w.as(w.teacher).POST(c.path("/exports"), body{"format": format}), w.teacher)
			var file struct {
				Key string `json:"object_key"`
			}
			w.result(w.teacher, j, &file)
			require.Equal(t, catalog.NotePlaceholder, w.rows(w.teacher, j.ID)["no_resource"])
			r, err := w.objects.NewReader(t.Context(), file.Key)
			require.NoError(t, err)
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())

			up := w.upload(w.teacher, raw)
			dry := w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "AGAIN", "dry_run": true}), w.teacher)
			var done catalog.TransferResult
			w.result(w.teacher, dry, &done)
			require.True(t, done.DryRun)
			require.Equal(t, 4, done.Items)
			require.Equal(t, uuid.Nil, done.CourseID)
			j = w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "AGAIN"}), w.teacher)
			w.result(w.teacher, j, &done)
			require.Equal(t, catalog.NotePlaceholder, w.rows(w.teacher, j.ID)["no_resource"])
			var got httpapi.Course
			path := "/api/v1/courses/" + done.CourseID.String()
			w.as(w.teacher).GET(path).Expect(http.StatusOK).JSON(&got)
			require.Equal(t, "A course", got.Title)
			require.Equal(t, "About it", got.Description)
			var back httpapi.Curriculum
			w.as(w.teacher).GET(path + "/curriculum").Expect(http.StatusOK).JSON(&back)
			require.Equal(t, "A", back.Modules[0].Title)
			require.Equal(t, "https://example.org/x", back.Modules[0].Items[1].URL)
			require.Equal(t, []uuid.UUID{back.Modules[0].ID}, back.Modules[1].Prerequisites)
			require.Equal(t, "submit", back.Modules[1].Items[1].Requirement.Kind)
			require.Equal(t, "imported", last[events.CurriculumChanged](w, done.CourseID).Reason)

			// Into a draft that exists; a published course keeps what learners see.
			j = w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "course_id": c.ID}), w.teacher)
			require.Equal(t, work.JobFailed, j.State)
			draft := w.course(w.teacher, nil)
			j = w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "course_id": draft.ID}), w.teacher)
			w.result(w.teacher, j, &done)
			require.Equal(t, draft.ID, done.CourseID)
		})
	}
}

func TestImportsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(w.student).POST("/api/v1/imports/uploads", body{"filename": "a", "size": 1, "sha256": hex.EncodeToString(make([]byte, 32))}).Expect(http.StatusForbidden)
	w.as(w.teacher).POST("/api/v1/imports/uploads", body{"filename": "a", "size": int64(1) << 40, "sha256": hex.EncodeToString(make([]byte, 32))}).
		Expect(http.StatusUnprocessableEntity).Field("size", "range")
	up := w.upload(w.teacher, bytes.Repeat([]byte("rubbish "), 100))
	other := w.person(w.tenant, authz.RoleInstructor, w.unit)
	w.as(other).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "X"}).
		Expect(http.StatusUnprocessableEntity).Field("upload_id", "unknown_upload")
	w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "code": "X"}).Expect(http.StatusUnprocessableEntity).Field("org_unit_id", "pair")
	w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.tenant, "code": "X"}).Expect(http.StatusForbidden)
	j := w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "X"}), w.teacher)
	require.Equal(t, work.JobFailed, j.State)
	require.Contains(t, j.Error, "neither")
	for _, format := range []string{catalog.FormatCartridge, catalog.FormatOLX} {
		j = w.job(w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "X", "format": format}), w.teacher)
		require.Equal(t, work.JobFailed, j.State)
	}
	w.clock.Advance(25 * time.Hour)
	old, err := w.service.OldUploads(t.Context())
	require.NoError(t, err)
	require.Len(t, old, 1)
	require.NoError(t, w.background.Sweep(t.Context()))
	old, err = w.service.OldUploads(t.Context())
	require.NoError(t, err)
	require.Empty(t, old)
}
