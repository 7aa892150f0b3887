package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-pdf/fpdf"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// Media is the path of files: an instructor uploads a PDF and, in pieces, a video
// by signed addresses and places them in a course; a learner who was locked out
// reads the one and watches the other, and completes the course. All of it can be
// read in the events.
func Media(t testing.TB, w *World) {
	MediaUsed(t, w)
	MediaTold(t, w)
}

// MediaUsed is that path without its events: watching is told after half a minute.
func MediaUsed(t testing.TB, w *World) {
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{"name": "Faculty of Media", "parent_id": w.Org}, http.StatusCreated).ID(t)
	teacher := w.Invite(t, "Mia Teacher", faculty, "instructor")
	script, film := pages(t, 4), recording(60_000, 66<<20)
	pdf := upload(t, teacher.API, in(faculty), "pdf", "script.pdf", "application/pdf", script)
	video := upload(t, teacher.API, in(faculty), "video", "film.mp4", "video/mp4", film)

	student := w.Register(t, "Wat Cher")
	require.Equal(t, http.StatusNotFound, status(t, student.API, http.MethodGet, "/api/v1/contents/"+pdf+"/download"))
	c := w.Publish(t, teacher.API, faculty, map[string]any{"modules": []any{
		map[string]any{"key": "read", "title": "Read", "items": []any{placed(pdf, "The script")}},
		map[string]any{"title": "Watch", "prerequisites": []string{"read"}, "items": []any{placed(video, "The film")}},
	}}, nil)
	student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)

	locked := student.Do(t, http.MethodGet, "/api/v1/contents/"+video+"/download?course_id="+c.ID, nil, http.StatusForbidden)
	require.Equal(t, "item_locked", locked.Code(t))
	require.Equal(t, script, download(t, student.API, "/api/v1/contents/"+pdf+"/download?course_id="+c.ID, ""))
	require.Equal(t, "completed", readProgress(t, student.API, c).Modules[0].State, "one reads one's own write")

	require.Equal(t, film[:100], download(t, student.API, "/api/v1/contents/"+video+"/download", "bytes=0-99"))
	watched := student.DoKeyed(t, http.MethodPost, "/api/v1/contents/"+video+"/watch", map[string]any{
		"course_id": c.ID, "intervals": []any{map[string]any{"from_ms": 0, "to_ms": 3000}}, "position_ms": 3000,
	}).Map(t)
	require.InDelta(t, 3000, watched["position_ms"], 0)
	require.InDelta(t, 5, watched["percent"], 0, "three seconds of a minute")
	completed(t, student.API, c)

	refused := teacher.DoKeyed(t, http.MethodDelete, "/api/v1/contents/"+pdf, nil, http.StatusPreconditionRequired)
	require.Equal(t, "precondition_required", refused.Code(t))
	tag := teacher.Read(t, "/api/v1/contents/"+pdf).Header.Get("ETag")
	inUse, err := teacher.Try(http.MethodDelete, "/api/v1/contents/"+pdf, nil, "If-Match", tag)
	require.NoError(t, err)
	require.Equal(t, "in_use", inUse.Code(t))
}

// MediaTold is what the events tell of MediaUsed.
func MediaTold(t testing.TB, w *World) {
	for _, wanted := range []string{"lms.content.created.v1", "lms.content.published.v1", "lms.content.watched.v1"} {
		require.Eventually(t, func() bool {
			out, err := w.TryLms("events", "content.events", "--json")
			return err == nil && strings.Contains(out, `"`+wanted+`"`)
		}, 90*time.Second, 500*time.Millisecond, "content.events tells of %s", wanted)
	}
}

// PlacedPDF is a published PDF in a published course of its own.
func (w *World) PlacedPDF(t testing.TB, teacher *system.API, org string) (c Course, content string) {
	t.Helper()
	content = upload(t, teacher, in(org), "pdf", "script.pdf", "application/pdf", pages(t, 4))
	c = w.Publish(t, teacher, org, map[string]any{"modules": []any{map[string]any{"title": "Read", "items": []any{placed(content, "The script")}}}}, nil)
	return c, content
}

func placed(content, title string) map[string]any {
	return map[string]any{"kind": "content", "title": title, "resource_id": content, "requirement": map[string]any{"kind": "view"}}
}

func status(t testing.TB, s *system.API, method, path string) int {
	t.Helper()
	ans, err := s.Try(method, path, nil)
	require.NoError(t, err)
	return ans.Status
}

// signedAddress is a request that anybody may make who has it.
type signedAddress struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

func (r signedAddress) do(t testing.TB, body []byte, header ...string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, bytes.NewReader(body))
	require.NoError(t, err)
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 300, "%s: %s", r.Method, raw)
	return raw
}

// Film is a published video of a minute that was made for a course, with captions
// in English.
func Film(t testing.TB, teacher *system.API, course string) (content string) {
	t.Helper()
	content = upload(t, teacher, map[string]any{"course_id": course}, "video", "film.mp4", "video/mp4", recording(60_000, 1000))
	ans, err := teacher.Try(http.MethodPut, "/api/v1/contents/"+content+"/captions/en", []byte("WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n"), "Content-Type", "text/vtt")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, ans.Status, "%s", ans.Body)
	return content
}

func in(org string) map[string]any { return map[string]any{"org_unit_id": org} }

// upload makes a published content of a file.
func upload(t testing.TB, s *system.API, home map[string]any, kind, name, mediaType string, file []byte) string {
	t.Helper()
	home["kind"], home["title"] = kind, name
	id := s.DoKeyed(t, http.MethodPost, "/api/v1/contents", home, http.StatusCreated).ID(t)
	sum := sha256.Sum256(file)
	var u struct {
		ID       string         `json:"id"`
		Upload   *signedAddress `json:"upload"`
		PartSize int            `json:"part_size"`
		Parts    []struct {
			Number int            `json:"number"`
			Size   int            `json:"size"`
			Upload *signedAddress `json:"upload"`
		} `json:"parts"`
	}
	path := "/api/v1/contents/" + id
	s.DoKeyed(t, http.MethodPost, path+"/uploads", map[string]any{
		"filename": name, "media_type": mediaType, "size": len(file), "sha256": hex.EncodeToString(sum[:]),
	}, http.StatusCreated).JSON(t, &u)
	if u.Upload != nil {
		u.Upload.do(t, file)
	}
	for _, p := range u.Parts {
		from := (p.Number - 1) * u.PartSize
		p.Upload.do(t, file[from:from+p.Size])
	}
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodPost, path+"/uploads/"+u.ID+"/complete", map[string]any{})
		require.False(t, err == nil && ans.Status == http.StatusUnprocessableEntity, "%s", ans.Body)
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 200*time.Millisecond, "the upload of %s is verified", name)
	s.DoKeyed(t, http.MethodPost, path+"/publish", map[string]any{})
	return id
}

func download(t testing.TB, s *system.API, path, wanted string) []byte {
	t.Helper()
	var d signedAddress
	s.Read(t, path).JSON(t, &d)
	if wanted == "" {
		return d.do(t, nil)
	}
	return d.do(t, nil, "Range", wanted)
}

func pages(t testing.TB, n int) []byte {
	t.Helper()
	doc := fpdf.New("P", "mm", "A4", "")
	for range n {
		doc.AddPage()
	}
	var b bytes.Buffer
	require.NoError(t, doc.Output(&b))
	return b.Bytes()
}

// recording is an MP4 of a length with as much media data as is wanted.
func recording(ms uint32, data int) []byte {
	box := func(kind string, body []byte) []byte {
		return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), []byte(kind), body)
	}
	header := make([]byte, 100)
	binary.BigEndian.PutUint32(header[12:], 1000)
	binary.BigEndian.PutUint32(header[16:], ms)
	return slices.Concat(box("ftyp", []byte("isom\x00\x00\x02\x00isomiso2mp41")), box("moov", box("mvhd", header)), box("mdat", make([]byte, data)))
}
