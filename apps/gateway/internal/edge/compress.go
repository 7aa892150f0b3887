package edge

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"lms/shared/web"
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

// plain is the body of an answer for a client that cannot read what the service
// compressed, and as it came for others.
func plain(h http.Header, r *http.Request, res *http.Response) (io.Reader, error) {
	if r.Method == http.MethodHead || res.Header.Get("Content-Encoding") != "gzip" || web.AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		return res.Body, nil
	}
	h.Del("Content-Encoding")
	return gzip.NewReader(res.Body) //nolint:wrapcheck // the caller names the service
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
