package objects_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestALargeUploadTakesNoMemory: receiving, joining and verifying together allocate
// a small part of what passes through.
func TestALargeUploadTakesNoMemory(t *testing.T) { //nolint:paralleltest // it counts all allocations of the process
	const part, count = 32 << 20, 8
	w, ctx := files(t), t.Context()
	key := newKey("v1")
	h := sha256.New()
	_, err := io.Copy(h, io.LimitReader(zeros{}, part*count))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := 1; n <= count; n++ {
		put, err := w.PresignPart(ctx, key, "", n, part, time.Minute)
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(ctx, put.Method, put.URL, io.LimitReader(zeros{}, part))
		require.NoError(t, err)
		req.ContentLength = part
		for k, v := range put.Headers {
			req.Header.Set(k, v)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNoContent, res.StatusCode)
	}
	require.NoError(t, w.JoinParts(ctx, key, "", count, "video/mp4"))
	_, err = w.Verify(ctx, key, part*count, hex.EncodeToString(h.Sum(nil)))
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d MiB through, %d KiB allocated in all", part*count>>20, allocated>>10)
	require.Less(t, allocated, uint64(16<<20))
}
