//go:build bench

package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// largest is the largest file that content takes.
const largest = 5 << 30

// TestBenchUploads measures the upload of the largest video in parts, to the local
// driver through the gateway and to an S3 server, and how much memory our own
// processes held at most meanwhile. It needs about twice the size on the disk.
func TestBenchUploads(t *testing.T) {
	r := &report{t: t}
	defer r.print()
	t.Run("local", func(t *testing.T) { r.largeUpload(t, "local driver through the gateway", true) })
	t.Run("S3", func(t *testing.T) { r.largeUpload(t, "S3 (MinIO)", false, "--profile", onS3(t)) })
}

// onS3 is the embedded profile with its files on the S3 server of the reference
// profile, which lms up starts.
func onS3(t *testing.T) string {
	t.Helper()
	components := filepath.Join(system.Root(t), "components")
	dir := filepath.Join(t.TempDir(), "embedded")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(components, "embedded"))))
	raw, err := os.ReadFile(filepath.Join(components, "kafka", "objects.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "objects.yaml"), raw, 0o600))
	return dir
}

// largeUpload uploads through the gateway or beside it.
func (r *report) largeUpload(t *testing.T, where string, through bool, up ...string) {
	w := e2e.NewWorld(t, system.Start(t, up...))
	teacher := w.Invite(t, "Bench Teacher", w.Org, "instructor")
	f := newFilm(largest)
	id := teacher.DoKeyed(t, http.MethodPost, "/api/v1/contents", map[string]any{"org_unit_id": w.Org, "kind": "video", "title": "A film"}, http.StatusCreated).ID(t)
	path := "/api/v1/contents/" + id
	processes := [][2]string{{"gateway", "service"}, {"gateway", "sidecar"}, {"content", "service"}, {"content", "sidecar"}}
	for _, p := range processes {
		forgetPeak(t, w.Process(t, p[0], p[1]).PID)
	}

	var u struct {
		ID    string
		State string
		Found string
		Code  string
		Parts []struct {
			Number, Size int64
			Arrived      bool
			Upload       struct {
				Method, URL string
				Headers     map[string]string
			}
		}
		PartSize int64 `json:"part_size"`
	}
	teacher.DoKeyed(t, http.MethodPost, path+"/uploads", map[string]any{
		"filename": "film.mp4", "media_type": "video/mp4", "size": f.size, "sha256": f.sum(t),
	}, http.StatusCreated).JSON(t, &u)
	began := time.Now()
	upload := path + "/uploads/" + u.ID
	parts := 0
	for open := true; open; teacher.Read(t, upload).JSON(t, &u) {
		open = false
		for _, p := range u.Parts {
			if p.Arrived || p.Upload.URL == "" {
				continue
			}
			require.Equal(t, through, strings.HasPrefix(p.Upload.URL, w.URL), "whether the gateway takes the bytes: %s", p.Upload.URL)
			open, parts = true, parts+1
			req, err := http.NewRequestWithContext(t.Context(), p.Upload.Method, p.Upload.URL, f.from((p.Number-1)*u.PartSize, p.Size))
			require.NoError(t, err)
			req.ContentLength = p.Size
			for k, v := range p.Upload.Headers {
				req.Header.Set(k, v)
			}
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			raw, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Less(t, res.StatusCode, 300, "part %d: %s", p.Number, raw)
		}
		u.Parts = nil
	}
	sent := time.Since(began)
	began = time.Now()
	require.Eventually(t, func() bool {
		ans, err := teacher.Try(http.MethodPost, upload+"/complete", map[string]any{})
		require.NoError(t, err)
		require.Less(t, ans.Status, 300, "%s", ans.Body)
		ans.JSON(t, &u)
		require.NotEqual(t, "rejected", u.State, "%s", ans.Body)
		return u.State == "completed"
	}, 10*time.Minute, 500*time.Millisecond, "the upload is verified")
	verified := time.Since(began)
	teacher.DoKeyed(t, http.MethodPost, path+"/publish", map[string]any{})
	require.Equal(t, make([]byte, 100), f.tail(t, teacher, path))

	var peaks []string
	for _, p := range processes {
		peaks = append(peaks, fmt.Sprintf("%s %s %d MB", p[0], p[1], peak(t, w.Process(t, p[0], p[1]).PID)>>20))
	}
	r.add(fmt.Sprintf("a video of 5 GiB in %d parts, %s", parts, where),
		fmt.Sprintf("sent in %s (%.0f MB/s), verified in %s; resident at most: %s", sent.Round(time.Second), float64(f.size)/1e6/sent.Seconds(),
			verified.Round(time.Second), strings.Join(peaks, ", ")), "each ≤ 256 MB")
}

// film is an MP4 of a minute whose pictures are all nothing: it is large without
// being held anywhere.
type film struct {
	head []byte
	size int64
}

func newFilm(size int64) film {
	box := func(kind string, body []byte) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), kind...), body...)
	}
	header := make([]byte, 100)
	binary.BigEndian.PutUint32(header[12:], 1000) // ticks in a second
	binary.BigEndian.PutUint32(header[16:], 60_000)
	head := append(box("ftyp", []byte("isom\x00\x00\x02\x00isomiso2mp41")), box("moov", box("mvhd", header))...)
	data := size - int64(len(head))
	head = append(append(binary.BigEndian.AppendUint32(head, 1), "mdat"...), binary.BigEndian.AppendUint64(nil, uint64(data))...) // 1: the size follows in 64 bits
	return film{head: head, size: size}
}

type nothing struct{}

func (nothing) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (f film) from(at, size int64) io.Reader {
	if at > 0 { // parts are larger than the head
		return io.LimitReader(nothing{}, size)
	}
	return io.LimitReader(io.MultiReader(bytes.NewReader(f.head), nothing{}), size)
}

func (f film) sum(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	_, err := io.Copy(h, f.from(0, f.size))
	require.NoError(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

// tail reads the last hundred bytes as a viewer would.
func (f film) tail(t *testing.T, p e2e.Person, path string) []byte {
	t.Helper()
	var d struct{ URL string }
	p.Read(t, path+"/download").JSON(t, &d)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", f.size-100, f.size-1))
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusPartialContent, res.StatusCode, "%.200s", raw)
	return raw
}

// forgetPeak has a process's peak of resident memory begin anew.
func forgetPeak(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0))
}

// peak is how many bytes a process held resident at most.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			require.NoError(t, err)
			return n << 10
		}
	}
	require.Fail(t, "no VmHWM")
	return 0
}
