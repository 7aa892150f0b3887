package edge

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// minCompressed is from how many bytes on compressing pays; it fits one packet.
const minCompressed = 1400

// mayCompress says whether an answer may be compressed at all.
func mayCompress(h http.Header, status int) bool {
	if status == http.StatusPartialContent || len(h["Content-Encoding"]) > 0 || len(h["Content-Range"]) > 0 {
		return false
	}
	if strings.Contains(h.Get("Cache-Control"), "no-transform") {
		return false
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch kind = strings.TrimSpace(kind); kind {
	case "application/json", "application/problem+json", "application/openapi+json", "application/xml", "application/x-ndjson", "image/svg+xml":
		return true
	}
	return strings.HasPrefix(kind, "text/")
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := strings.ReplaceAll(strings.TrimSpace(params), " ", "")
		zero := strings.HasPrefix(q, "q=") && strings.Trim(q[2:], "0.") == ""
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return !zero
		case "*":
			any = !zero
		}
	}
	return any
}

// newZipper is for the pool: each keeps a window of some hundred kilobytes.
func newZipper() any {
	z, err := gzip.NewWriterLevel(io.Discard, 4)
	if err != nil {
		panic(err) // only a level that does not exist fails
	}
	return z
}

func (g *Gateway) compress(w http.ResponseWriter, status int, buf []byte, n int, body io.Reader) error {
	h := w.Header()
	h["Content-Encoding"] = []string{"gzip"}
	// Other bytes, the same resource: the tag becomes a weak one (RFC 9110,
	// 8.8.3). Services take it in If-Match all the same.
	if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h["Etag"] = []string{"W/" + tag}
	}
	h.Del("Accept-Ranges")
	w.WriteHeader(status)
	z := g.zippers.Get().(*gzip.Writer) //nolint:forcetypeassert // the pool makes nothing else
	z.Reset(w)
	err := pour(z, buf, n, body, nil)
	if err == nil {
		err = z.Close()
	}
	z.Reset(io.Discard)
	g.zippers.Put(z)
	return cut(err)
}
