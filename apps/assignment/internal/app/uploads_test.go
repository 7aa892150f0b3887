package app

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/httpapi"
	"lms/shared/objects"
	"lms/shared/work"
)

func TestUploadsThatAreNotAsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	complete := func(id uuid.UUID) *resp {
		return &resp{w.as(w.student).POST(path("assignments", a.ID, "uploads", id, "complete"), nil)}
	}
	// Nothing has arrived.
	up := w.announce(w.student, a, "a.pdf", []byte("%PDF-1.7 x"))
	complete(up.ID).Expect(409).Code("upload_incomplete")
	w.send(up, []byte("%PDF-1.7 x"))
	complete(up.ID).Expect(200)
	complete(up.ID).Expect(200) // twice is once
	w.as(w.learner()).POST(path("assignments", a.ID, "uploads", up.ID, "complete"), nil).Expect(404)

	// Bytes that name or declared type deny.
	for name, content := range map[string]string{
		"b.pdf": "MZ\x90\x00 not a document", "c.png": "%PDF-1.7 x", "d.docx": "plain words", "e.txt": "<!DOCTYPE html><script>alert(1)</script>",
	} {
		up := w.announce(w.student, a, name, []byte(content))
		w.send(up, []byte(content))
		complete(up.ID).Expect(422).Field("filename", "type_mismatch")
		complete(up.ID).Expect(404) // it is gone
	}
	lie := announced("f.dat", []byte("%PDF-1.7 x"))
	lie["media_type"] = "image/png"
	var lied httpapi.Upload
	w.as(w.student).POST(path("assignments", a.ID, "uploads"), lie).Expect(201).JSON(&lied)
	w.send(lied, []byte("%PDF-1.7 x"))
	complete(lied.ID).Expect(422).Field("filename", "type_mismatch")
}

// A store that does not check what it takes, as some do, is checked here.
func TestBytesThatAreNotThoseAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	for stored, code := range map[string]string{"short": "size_mismatch", "another text": "checksum_mismatch"} {
		up := w.announce(w.student, a, "a.txt", []byte("what I wrote"))
		var key string
		w.scan(&key, `select object_key from submission_files where id = $1`, up.ID)
		out, err := w.objects.NewWriter(t.Context(), key, "text/plain")
		require.NoError(t, err)
		_, err = io.WriteString(out, stored)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		r := w.as(w.student).POST(path("assignments", a.ID, "uploads", up.ID, "complete"), nil).Expect(422)
		require.Equal(t, code, r.Problem().Errors[0].Code)
		w.work()
		_, err = w.objects.Stat(t.Context(), key)
		require.Error(t, err, "it is deleted")
	}
}

func TestAnnouncementsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"file_extensions": []string{"PDF"}, "max_file_bytes": 10, "max_files": 1})
	post := func(change body) *resp {
		b := announced("a.pdf", []byte("x"))
		for k, v := range change {
			b[k] = v
		}
		return &resp{w.as(w.student).POST(path("assignments", a.ID, "uploads"), b)}
	}
	post(body{"size": 11}).Expect(422).Field("size", "file_too_large")
	post(body{"filename": "a.exe"}).Expect(422).Field("filename", "extension_not_allowed")
	post(body{"filename": "../a.pdf"}).Expect(422).Field("filename", "invalid")
	post(body{"filename": "a\r\nb.pdf"}).Expect(422).Field("filename", "invalid")
	post(body{"sha256": strings.Repeat("z", 64)}).Expect(422).Field("sha256", "invalid")
	post(body{"media_type": "not a type"}).Expect(422).Field("media_type", "invalid")
	post(body{"size": 0}).Expect(422)
	one, two := w.upload(w.student, a, "a.pdf", []byte("%PDF-1.7")), w.upload(w.student, a, "b.pdf", []byte("%PDF-1.7"))
	to := path("assignments", a.ID, "submissions")
	w.as(w.student).POST(to, body{"file_ids": []uuid.UUID{one, two}}).Expect(422).Field("file_ids", "too_many")
	w.as(w.student).POST(to, body{"file_ids": []uuid.UUID{one, one}}).Expect(422).Field("file_ids", "duplicate")
	w.as(w.learner()).POST(to, body{"file_ids": []uuid.UUID{one}}).Expect(422).Field("file_ids", "unknown_file")
	waiting := w.announce(w.student, a, "c.pdf", []byte("%PDF-1.7"))
	w.as(w.student).POST(to, body{"file_ids": []uuid.UUID{waiting.ID}}).Expect(422).Field("file_ids", "unknown_file")
}

// fetch follows a signed address.
func (w *world) fetch(signed objects.Signed) []byte {
	w.t.Helper()
	u, err := url.Parse(signed.URL)
	require.NoError(w.t, err)
	rec := httptest.NewRecorder()
	objects.FileHandler(w.objects).ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), signed.Method, u.RequestURI(), nil))
	require.Equal(w.t, 200, rec.Code, rec.Body.String())
	return rec.Body.Bytes()
}

func TestDownloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	file := w.upload(w.student, a, "words.txt", []byte("my words"))
	var s httpapi.Submission
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{file}}).Expect(201).JSON(&s)
	var d httpapi.Download
	r := w.as(w.teacher).GET(path("submissions", s.ID, "files", file)).Expect(200).JSON(&d)
	require.Equal(t, "my words", string(w.fetch(d.Signed)))
	require.LessOrEqual(t, d.ExpiresAt.Sub(w.clock.Now()), time.Minute)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	w.as(w.student).GET(path("submissions", s.ID, "files", file)).Expect(200)
	w.as(w.learner()).GET(path("submissions", s.ID, "files", file)).Expect(404)
	w.as(w.teacher).GET(path("submissions", s.ID, "files", uuid.New())).Expect(404)
	// Who is out gets no address any more, at once.
	delete(w.friends.learners, w.student.UserID)
	w.as(w.student).GET(path("submissions", s.ID, "files", file)).Expect(404)
}

func TestFilesThatNobodyHandsInAreDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	kept, lost := w.upload(w.student, a, "a.txt", []byte("a")), w.upload(w.student, a, "b.txt", []byte("b"))
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{kept}}).Expect(201)
	w.clock.Advance(24*time.Hour + time.Second)
	require.NoError(t, w.service.SweepFiles(t.Context()))
	w.work()
	var left []uuid.UUID
	w.scan(&left, `select array_agg(id) from submission_files`)
	require.Equal(t, []uuid.UUID{kept}, left)
	_, err := w.objects.Stat(t.Context(), w.tenant.String()+"/submissions/"+lost.String()+"/file")
	require.Error(t, err)
	_, err = w.objects.Stat(t.Context(), w.tenant.String()+"/submissions/"+kept.String()+"/file")
	require.NoError(t, err)
}

// archived packs an assignment's work and gives the files of the zip.
func (w *world) archived(a httpapi.Assignment) map[string]string {
	w.t.Helper()
	var job work.Job
	w.as(w.teacher).POST(path("assignments", a.ID, "submissions", "archive"), body{}).Expect(202).JSON(&job)
	w.work()
	var key string
	w.scan(&key, `select result->>'object_key' from job where id = $1`, job.ID)
	r, err := w.objects.NewReader(w.t.Context(), key)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(r)
	require.NoError(w.t, err)
	require.NoError(w.t, r.Close())
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(w.t, err)
	out := map[string]string{}
	for _, f := range z.File {
		rc, err := f.Open()
		require.NoError(w.t, err)
		content, err := io.ReadAll(rc)
		require.NoError(w.t, err)
		require.NoError(w.t, rc.Close())
		out[f.Name] = string(content)
	}
	return out
}

func TestArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(body{"submission_types": []string{"text", "file", "link"}})
	file := w.upload(w.student, a, "my essay.txt", []byte("words"))
	w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{file}, "text": "<p>Hi</p>", "links": []string{"https://x.org"}}).Expect(201)
	w.submit(w.learner(), a)
	files := w.archived(a)
	folder := w.student.UserID.String()[:8] + "-" + w.student.UserID.String()[24:] + "/attempt-1/"
	require.Equal(t, "words", files[folder+"1-my essay.txt"])
	require.Equal(t, "<p>Hi</p>", files[folder+"text.html"])
	require.Equal(t, "https://x.org\r\n", files[folder+"links.txt"])
	require.Len(t, files, 4)
	w.as(w.student).POST(path("assignments", a.ID, "submissions", "archive"), nil).Expect(403)

	hidden := w.published(body{"anonymous": true})
	file = w.upload(w.student, hidden, "by-sam.txt", []byte("words"))
	w.as(w.student).POST(path("assignments", hidden.ID, "submissions"), body{"file_ids": []uuid.UUID{file}}).Expect(201)
	for name := range w.archived(hidden) {
		require.NotContains(t, name, "sam")
		require.NotContains(t, name, w.student.UserID.String()[24:])
		require.True(t, strings.HasSuffix(name, "/attempt-1/file-1.txt"), name)
	}
}

// handingIn hands something in right before bytes are deleted.
type handingIn struct {
	coursework.Files
	do func()
}

func (h handingIn) Delete(ctx context.Context, key string) error {
	h.do()
	return h.Files.Delete(ctx, key)
}

// A file that was handed in keeps its bytes, whatever a sweep had read before.
func TestASweepAndAHandInAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	file := w.upload(w.student, a, "a.txt", []byte("a"))
	w.clock.Advance(24*time.Hour + time.Second)
	w.service.Files = handingIn{w.objects, func() {
		w.as(w.student).POST(path("assignments", a.ID, "submissions"), body{"file_ids": []uuid.UUID{file}}).Expect(422).Field("file_ids", "unknown_file")
	}}
	require.NoError(t, w.service.SweepFiles(t.Context()))
	w.work()
	_, err := w.objects.Stat(t.Context(), w.tenant.String()+"/submissions/"+file.String()+"/file")
	require.Error(t, err)
}
