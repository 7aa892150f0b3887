package app

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	contract "lms/shared/contracts/events"
	"lms/shared/objects"
	"lms/shared/testkit/s3test"
	"lms/shared/work"
)

// TestUploads runs one suite on a folder and on a real S3 server.
func TestUploads(t *testing.T) { //nolint:paralleltest // S3's credentials are in the environment
	s3test.Env(t)
	server := s3test.Start(t)
	worlds := map[string]func(t *testing.T) *world{
		"files": func(t *testing.T) *world { t.Helper(); return newWorld(t) },
		"s3": func(t *testing.T) *world {
			t.Helper()
			store, err := objects.Open(t.Context(), server.Bucket(t), objects.Options{})
			require.NoError(t, err)
			return newWorldWith(t, store)
		},
	}
	t.Run("all", func(t *testing.T) { // the server ends after all of them
		for name, make := range worlds {
			for what, test := range map[string]func(*testing.T, *world){
				"a file becomes a version":            becomesVersion,
				"what is not as announced is refused": refusals,
				"in pieces, with a break":             piecewise,
				"twice at once":                       twiceAtOnce,
				"aborted and expired":                 abortedAndExpired,
				"renditions":                          renditions,
				"what a deleted content leaves":       nothingStays,
			} {
				t.Run(name+"/"+what, func(t *testing.T) {
					t.Parallel()
					test(t, make(t))
				})
			}
		}
	})
}

// announced starts an upload.
func (w *world) announced(c made, filename, kind string, file []byte, more body) httpapi.Upload {
	w.t.Helper()
	b := body{"filename": filename, "media_type": kind, "size": len(file), "sha256": sum(file)}
	for k, v := range more {
		b[k] = v
	}
	var u httpapi.Upload
	w.as(w.teacher).POST(c.path("/uploads"), b).Expect(http.StatusCreated).JSON(&u)
	return u
}

// send makes a signed request.
func (w *world) send(l *httpapi.Link, file []byte) int {
	w.t.Helper()
	require.NotNil(w.t, l)
	req, err := http.NewRequestWithContext(w.t.Context(), l.Method, l.URL, bytes.NewReader(file))
	require.NoError(w.t, err)
	for k, v := range l.Headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, res.Body.Close())
	return res.StatusCode
}

func (w *world) fetch(url string, headers ...string) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	require.NoError(w.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, res.Body.Close())
	return res, raw
}

func upl(c made, u httpapi.Upload, more string) string {
	return c.path("/uploads/" + u.ID.String() + more)
}

// uploaded is a content with a file.
func (w *world) uploaded(kind, filename, mediaType string, file []byte) made {
	w.t.Helper()
	c := w.content(kind, nil)
	u := w.announced(c, filename, mediaType, file, nil)
	require.Less(w.t, w.send(u.Upload, file), 300)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK)
	return c
}

// stored are the keys in the object store.
func (w *world) stored() (keys []string) {
	w.t.Helper()
	require.NoError(w.t, w.objects.List(w.t.Context(), "", func(o objects.Info) error { keys = append(keys, o.Key); return nil }))
	return keys
}

func becomesVersion(t *testing.T, w *world) {
	file := pdf(t, 12)
	c := w.content("pdf", nil)
	u := w.announced(c, "Bài giảng.pdf", "application/pdf", file, nil)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusConflict).Code("upload_incomplete")
	require.Less(t, w.send(u.Upload, file), 300)
	for range 2 { // who was not answered asks again
		var done httpapi.Upload
		w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK).JSON(&done)
		require.Equal(t, "completed", done.State)
		require.Equal(t, 1, *done.Version)
	}
	var shown httpapi.Content
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusOK).JSON(&shown)
	require.Equal(t, 12, *shown.File.Pages)
	require.Equal(t, "application/pdf", shown.File.MediaType)
	require.Equal(t, int64(len(file)), shown.File.Size)
	require.Len(t, w.stored(), 1, "only what stays")

	var d httpapi.Download
	w.as(w.teacher).GET(c.path("/download")).Expect(http.StatusOK).JSON(&d)
	require.WithinDuration(t, time.Now().Add(time.Minute), d.ExpiresAt, 5*time.Second)
	res, raw := w.fetch(d.URL)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, file, raw)
	require.Equal(t, `attachment; filename*=utf-8''B%C3%A0i%20gi%E1%BA%A3ng.pdf`, res.Header.Get("Content-Disposition"))
	res, raw = w.fetch(d.URL, "Range", "bytes=0-3")
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	require.Equal(t, "%PDF", string(raw))
	w.as(w.teacher).GET(c.path("/download?inline=true")).Expect(http.StatusOK).JSON(&d)
	res, _ = w.fetch(d.URL)
	require.True(t, strings.HasPrefix(res.Header.Get("Content-Disposition"), "inline"))

	// A second file is a second version; the first can still be had.
	second := pdf(t, 3)
	u = w.announced(c, "v2.pdf", "application/pdf", second, nil)
	require.Less(t, w.send(u.Upload, second), 300)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK)
	w.as(w.teacher).GET(c.path("/download")).Expect(http.StatusOK).JSON(&d)
	require.Equal(t, 2, d.Version)
	w.as(w.teacher).GET(c.path("/download?version=1")).Expect(http.StatusOK).JSON(&d)
	_, raw = w.fetch(d.URL)
	require.Equal(t, file, raw)
	require.Equal(t, 3, *last[contract.ContentUpdated](w, c.ID).File.Pages)

	// A document's words go to the search.
	note := docx(t, "Mitosis and meiosis")
	doc := w.uploaded("document", "note.docx", docxType, note)
	require.Equal(t, "Mitosis and meiosis", last[contract.ContentUpdated](w, doc.ID).Text)
}

func refusals(t *testing.T, w *world) {
	file := pdf(t, 1)
	c := w.content("pdf", nil)
	start := func(more body) body {
		b := body{"filename": "a.pdf", "media_type": "application/pdf", "size": len(file), "sha256": sum(file)}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	w.as(w.teacher).POST(c.path("/uploads"), start(body{"size": 1 << 30})).Expect(http.StatusRequestEntityTooLarge).Code("file_too_large")
	w.as(w.teacher).POST(c.path("/uploads"), start(body{"media_type": "text/html"})).Expect(http.StatusUnsupportedMediaType).Code("media_type_not_allowed")
	w.as(w.teacher).POST(c.path("/uploads"), start(body{"sha256": strings.Repeat("z", 64)})).Expect(http.StatusUnprocessableEntity).Field("sha256", "pattern")
	w.as(w.teacher).POST(c.path("/uploads"), start(body{"filename": "../a.pdf"})).Expect(http.StatusUnprocessableEntity).Field("filename", "pattern")
	w.as(w.teacher).POST(w.content("page", nil).path("/uploads"), start(nil)).Expect(http.StatusConflict).Code("no_file")
	w.as(w.assistant).POST(c.path("/uploads"), start(nil)).Expect(http.StatusForbidden)
	w.as(w.student).POST(c.path("/uploads"), start(nil)).Expect(http.StatusNotFound)

	// Other bytes do not even get in, where the store checks.
	u := w.announced(c, "a.pdf", "application/pdf", file, nil)
	other := bytes.Clone(file)
	other[20]++
	require.GreaterOrEqual(t, w.send(u.Upload, other), 400)
	require.GreaterOrEqual(t, w.send(u.Upload, file[:len(file)-1]), 400)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusConflict).Code("upload_incomplete")

	// A store that does not check is caught when the upload is complete.
	for name, tc := range map[string]struct {
		kind, media string
		announced   []byte
		stored      []byte
		code        string
	}{
		"other bytes":            {"pdf", "application/pdf", file, other, "checksum_mismatch"},
		"cut off":                {"pdf", "application/pdf", file, file[:100], "size_mismatch"},
		"a lying type":           {"pdf", "application/pdf", movie(1000, 10), nil, "content_type_mismatch"},
		"a page that is run":     {"document", "text/plain", []byte("<!DOCTYPE html><script>alert(1)</script>"), nil, "content_type_mismatch"},
		"a program":              {"video", "video/mp4", append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 100)...), nil, "content_type_mismatch"},
		"a bomb":                 {"document", "application/zip", zipped(t, map[string][]byte{"zeros": make([]byte, 30<<20)}), nil, "archive_unsafe"},
		"a broken archive":       {"document", "application/zip", zipped(t, map[string][]byte{"a": []byte("a")})[:60], nil, "archive_unsafe"},
		"an archive as a letter": {"document", docxType, zipped(t, map[string][]byte{"a.txt": []byte("a")}), nil, "content_type_mismatch"},
	} {
		c := w.content(tc.kind, nil)
		u := w.announced(c, "a.bin", tc.media, tc.announced, nil)
		if tc.stored == nil {
			tc.stored = tc.announced
		}
		key := w.tenant.String() + "/contents/" + c.ID.String() + "/u-" + u.ID.String()
		out, err := w.objects.NewWriter(t.Context(), key, tc.media)
		require.NoError(t, err)
		_, err = out.Write(tc.stored)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		for range 2 {
			w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusUnprocessableEntity).Code(tc.code)
		}
		require.Equal(t, tc.code, last[contract.UploadRejected](w, c.ID).Code, name)
		var seen httpapi.Upload
		w.as(w.teacher).GET(upl(c, u, "")).Expect(http.StatusOK).JSON(&seen)
		require.Equal(t, "rejected", seen.State)
		require.Nil(t, seen.Upload)
	}
	require.Empty(t, w.stored(), "nothing is left behind")
}

func piecewise(t *testing.T, w *world) {
	const size = 70 << 20
	file := movie(754_000, size)
	c := w.content("video", nil)
	key := "upload-" + uuid.NewString()
	b := body{"filename": "v.mp4", "media_type": "video/mp4", "size": len(file), "sha256": sum(file)}
	var u, again httpapi.Upload
	w.as(w.teacher).With("Idempotency-Key", key).POST(c.path("/uploads"), b).Expect(http.StatusCreated).JSON(&u)
	w.as(w.teacher).With("Idempotency-Key", key).POST(c.path("/uploads"), b).Expect(http.StatusCreated).JSON(&again)
	require.Equal(t, u.ID, again.ID)
	require.Len(t, u.Parts, 5)
	require.Nil(t, u.Upload)
	piece := func(p httpapi.Part) []byte {
		from := int64(p.Number-1) * u.PartSize
		return file[from : from+p.Size]
	}
	for _, i := range []int{4, 1} {
		require.Less(t, w.send(u.Parts[i].Upload, piece(u.Parts[i])), 300)
	}
	p := w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusConflict).Code("upload_incomplete").Problem()
	require.Equal(t, []any{1.0, 3.0, 4.0}, p.All["missing_parts"])

	// After a break: what is there need not be sent again.
	var rest httpapi.Upload
	w.as(w.teacher).GET(upl(c, u, "")).Expect(http.StatusOK).JSON(&rest)
	for _, p := range rest.Parts {
		require.Equal(t, p.Number == 2 || p.Number == 5, p.Arrived)
		require.Equal(t, p.Arrived, p.Upload == nil)
		if !p.Arrived {
			require.Less(t, w.send(p.Upload, piece(p)), 300)
		}
	}
	r := w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusAccepted)
	var accepted httpapi.Upload
	r.JSON(&accepted)
	require.Equal(t, "/api/v1/jobs/content/"+accepted.Job.ID.String(), r.Header.Get("Location"))
	j := w.finished(w.teacher, accepted.Job.ID)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	var done httpapi.Upload
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK).JSON(&done)
	require.Equal(t, "completed", done.State)
	var shown httpapi.Content
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusOK).JSON(&shown)
	require.EqualValues(t, 754_000, *shown.File.DurationMS)
	require.Len(t, w.stored(), 1)

	// A large file that is not what was announced fails in the job, with its code.
	b["sha256"] = sum([]byte("other"))
	u = httpapi.Upload{}
	w.as(w.teacher).POST(c.path("/uploads"), b).Expect(http.StatusCreated).JSON(&u)
	for _, p := range u.Parts {
		require.Less(t, w.send(p.Upload, piece(p)), 300)
	}
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusAccepted).JSON(&accepted)
	require.Equal(t, work.JobFailed, w.finished(w.teacher, accepted.Job.ID).State)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusUnprocessableEntity).Code("checksum_mismatch")
	require.Len(t, w.stored(), 1)
}

func twiceAtOnce(t *testing.T, w *world) {
	file := pdf(t, 2)
	c := w.content("pdf", nil)
	u := w.announced(c, "a.pdf", "application/pdf", file, nil)
	require.Less(t, w.send(u.Upload, file), 300)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 8 {
		client := w.as(w.teacher)
		wg.Go(func() {
			r := client.POST(upl(c, u, "/complete"), nil)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.Status]++
		})
	}
	wg.Wait()
	require.Equal(t, 8, statuses[http.StatusOK]+statuses[http.StatusConflict], statuses)
	require.GreaterOrEqual(t, statuses[http.StatusOK], 1)
	var versions struct{ Items []httpapi.File }
	w.as(w.teacher).GET(c.path("/versions")).Expect(http.StatusOK).JSON(&versions)
	require.Len(t, versions.Items, 1, "one effect")

	// Two files at once are two versions.
	other := pdf(t, 3)
	first, second := w.announced(c, "a.pdf", "application/pdf", file, nil), w.announced(c, "b.pdf", "application/pdf", other, nil)
	require.Less(t, w.send(first.Upload, file), 300)
	require.Less(t, w.send(second.Upload, other), 300)
	for _, u := range []httpapi.Upload{first, second} {
		client := w.as(w.teacher)
		wg.Go(func() { client.POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK) })
	}
	wg.Wait()
	w.as(w.teacher).GET(c.path("/versions")).Expect(http.StatusOK).JSON(&versions)
	require.Len(t, versions.Items, 3)
}

func abortedAndExpired(t *testing.T, w *world) {
	file := pdf(t, 1)
	c := w.content("pdf", nil)
	gone := w.announced(c, "a.pdf", "application/pdf", file, nil)
	require.Less(t, w.send(gone.Upload, file), 300)
	for range 2 {
		w.as(w.teacher).DELETE(upl(c, gone, "")).Expect(http.StatusNoContent)
	}
	require.Empty(t, w.stored())
	w.as(w.teacher).POST(upl(c, gone, "/complete"), nil).Expect(http.StatusConflict).Code("upload_ended")

	// The address is still good: what comes by it goes, too.
	require.Less(t, w.send(gone.Upload, file), 300)
	require.Len(t, w.stored(), 1)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Less(t, w.send(gone.Upload, file), 300)
	w.clock.Advance(2 * time.Hour)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Empty(t, w.stored(), "and once more when no address is good any more")

	late := w.announced(c, "a.pdf", "application/pdf", file, nil)
	require.Less(t, w.send(late.Upload, file), 300)
	large := w.announced(w.content("video", nil), "v.mp4", "video/mp4", movie(1, 65<<20), nil)
	require.Less(t, w.send(large.Parts[0].Upload, movie(1, 65<<20)[:large.PartSize]), 300)
	w.clock.Advance(25 * time.Hour)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Empty(t, w.stored())
	var seen httpapi.Upload
	w.as(w.teacher).GET(upl(c, late, "")).Expect(http.StatusOK).JSON(&seen)
	require.Equal(t, "expired", seen.State)
	w.clock.Advance(8 * 24 * time.Hour)
	require.NoError(t, w.library.Sweep(t.Context()))
	w.as(w.teacher).GET(upl(c, late, "")).Expect(http.StatusNotFound)

	done := w.uploaded("pdf", "b.pdf", "application/pdf", file)
	require.Len(t, w.stored(), 1)

	// What no row knows goes after two days; what is known stays.
	out, err := w.objects.NewWriter(t.Context(), w.tenant.String()+"/contents/"+done.ID.String()+"/f-unknown", "text/plain")
	require.NoError(t, err)
	require.NoError(t, out.Close())
	w.clock.Set(time.Now().Add(-time.Hour))
	require.NoError(t, w.library.Reconcile(t.Context()))
	require.Len(t, w.stored(), 2, "too young")
	w.clock.Set(time.Now().Add(72 * time.Hour))
	require.NoError(t, w.library.Reconcile(t.Context()))
	require.Len(t, w.stored(), 1)
}

func renditions(t *testing.T, w *world) {
	file, small := movie(60_000, 100_000), movie(60_000, 1000)
	c := w.content("video", nil)
	w.as(w.teacher).POST(c.path("/uploads"), body{"filename": "s.mp4", "media_type": "video/mp4", "size": len(small), "sha256": sum(small), "rendition": "360p"}).
		Expect(http.StatusConflict).Code("no_version")
	c = w.uploaded("video", "v.mp4", "video/mp4", file)
	for range 2 { // a second one replaces the first
		u := w.announced(c, "s.mp4", "video/mp4", small, body{"rendition": "360p"})
		require.Less(t, w.send(u.Upload, small), 300)
		w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusOK)
	}
	var shown httpapi.Content
	w.as(w.teacher).GET(c.path("")).Expect(http.StatusOK).JSON(&shown)
	require.Len(t, shown.Renditions, 1)
	require.Equal(t, "360p", shown.Renditions[0].Label)
	require.Equal(t, 1, shown.File.Number, "the version is the same")
	var d httpapi.Download
	w.as(w.teacher).GET(c.path("/download?rendition=360p")).Expect(http.StatusOK).JSON(&d)
	_, raw := w.fetch(d.URL)
	require.Equal(t, small, raw)
	w.as(w.teacher).GET(c.path("/download?rendition=720p")).Expect(http.StatusNotFound)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Len(t, w.stored(), 2, "the replaced one is gone")
}

func nothingStays(t *testing.T, w *world) {
	c := w.uploaded("pdf", "a.pdf", "application/pdf", pdf(t, 1))
	w.as(w.teacher).With("If-Match", w.as(w.teacher).GET(c.path("")).ETag()).DELETE(c.path("")).Expect(http.StatusNoContent)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Len(t, w.stored(), 1, "a download may still run")
	w.clock.Advance(2 * time.Minute)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Empty(t, w.stored())

	// An upload into a content that was deleted meanwhile becomes nothing.
	file := pdf(t, 1)
	c = w.content("pdf", nil)
	u := w.announced(c, "a.pdf", "application/pdf", file, nil)
	require.Less(t, w.send(u.Upload, file), 300)
	w.as(w.teacher).With("If-Match", c.tag).DELETE(c.path("")).Expect(http.StatusNoContent)
	w.as(w.teacher).POST(upl(c, u, "/complete"), nil).Expect(http.StatusNotFound)
	w.clock.Advance(26 * time.Hour)
	require.NoError(t, w.library.Sweep(t.Context()))
	require.Empty(t, w.stored())
}

// TestWithoutAStoreThereAreNoFiles: pages work, files are refused with a reason.
func TestWithoutAStoreThereAreNoFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.library.Files = noFiles()
	w.content("page", nil)
	file := pdf(t, 1)
	w.as(w.teacher).POST(w.content("pdf", nil).path("/uploads"), body{"filename": "a.pdf", "media_type": "application/pdf", "size": len(file), "sha256": sum(file)}).
		Expect(http.StatusServiceUnavailable).Code("objects_unavailable")
	require.Error(t, w.library.Files.Delete(context.Background(), "a"))
}
