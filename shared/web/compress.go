package web

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// AcceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func AcceptsGzip(header string) bool {
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

// newZipper is for a pool: each keeps a window of some hundred kilobytes. The
// fastest level, since the time of a long answer is what it is for.
func newZipper() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // only a level that does not exist fails
	}
	return z
}

// zipped compresses a long answer before two sidecars carry it: they take it in
// pieces of a few kilobytes and flush each, so that its bytes are most of what it
// costs. The checksum at its end also tells a client that got a part from one that
// got all.
type zipped struct {
	*exchange
	z *gzip.Writer // nil until the first byte
}

// Write implements http.ResponseWriter.
func (w *zipped) Write(b []byte) (int, error) {
	if w.z == nil {
		h := w.Header()
		h.Set("Content-Encoding", "gzip")
		h.Del("Content-Length")
		w.z = w.router.zippers.Get().(*gzip.Writer) //nolint:forcetypeassert // the pool makes nothing else
		w.z.Reset(w.exchange)
	}
	return w.z.Write(b) //nolint:wrapcheck // a writer's error is the writer's
}

// end writes what is left after a handler that was done; after one that failed the
// answer stays without an end.
func (w *zipped) end(err error) error {
	if w.z == nil {
		return err
	}
	if err == nil {
		err = w.z.Close()
	}
	w.z.Reset(io.Discard)
	w.router.zippers.Put(w.z)
	return err //nolint:wrapcheck // the handler's, or a writer's error
}

// compressing calls a handler with a writer that compresses, if the caller takes it.
func (x *exchange) compressing(fn func(w http.ResponseWriter) error) error {
	x.Header().Add("Vary", "Accept-Encoding")
	if !AcceptsGzip(x.req.Header.Get("Accept-Encoding")) {
		return fn(x)
	}
	w := &zipped{exchange: x}
	return w.end(fn(w))
}
