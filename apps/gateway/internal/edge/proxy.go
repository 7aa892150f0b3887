package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lms/shared/apperr"
	"lms/shared/web"
)

// forwardTo sends the request to its service and the answer to the client.
func (g *Gateway) forwardTo(w http.ResponseWriter, r *http.Request, rt *Route, c *caller) error {
	hold := g.holds[rt.Service]
	stream := rt.Stream && r.Method == http.MethodGet
	if stream {
		hold = g.streams
		leave, err := g.perUser.enter(c)
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := hold.enter(rt.Service); err != nil {
		return err
	}
	defer hold.leave()
	ctx, cancel := g.bounded(r.Context(), rt, stream)
	defer cancel()
	if stream {
		end := g.watch(ctx, cancel, c)
		defer end()
	}
	out, err := g.request(ctx, r, rt, c)
	if err != nil {
		return err
	}
	if !stream && g.cacheable(r, rt, c) {
		return g.throughCache(w, r, rt, out)
	}
	if !stream && !rt.NoCompression {
		out.Header["Accept-Encoding"] = g.zip // for what grows long: two sidecars carry it
	}
	res, err := g.send(out)
	if err != nil {
		return err
	}
	defer closeAnswer(res)
	return g.relay(w, r, rt, res)
}

func (g *Gateway) bounded(ctx context.Context, rt *Route, stream bool) (context.Context, context.CancelFunc) {
	if stream {
		return context.WithCancel(ctx)
	}
	limit := rt.Timeout
	if limit == 0 {
		limit = g.config.Timeout
	}
	return context.WithTimeout(ctx, limit)
}

// request is what the service gets to see.
func (g *Gateway) request(ctx context.Context, r *http.Request, rt *Route, c *caller) (*http.Request, error) {
	h, err := g.outgoing(r, rt, c)
	if err != nil {
		return nil, err
	}
	out := (&http.Request{
		Method: r.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Host: rt.Service,
		URL:           &url.URL{Scheme: "http", Host: rt.Service, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		ContentLength: r.ContentLength, Body: r.Body,
	}).WithContext(ctx)
	if r.ContentLength == 0 || r.Body == nil {
		out.Body = http.NoBody
	}
	return out, nil
}

// retryAfter is the pause before the one repetition of a read that did not
// reach its service: long enough for a sidecar to look up a new address.
const retryAfter = 100 * time.Millisecond

// send invokes the service. A read that found nobody is tried once more, so
// that a service that restarts is not seen by who only reads.
func (g *Gateway) send(out *http.Request) (*http.Response, error) {
	header := out.Header.Clone() // the transport adds to what it is given
	res, err := g.transport.RoundTrip(out)
	if err == nil {
		return res, nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge
	}
	if out.Method != http.MethodGet && out.Method != http.MethodHead || out.Body != http.NoBody || !apperr.IsKind(err, apperr.KindUnavailable) || apperr.Code(err) == "timeout" {
		return nil, err //nolint:wrapcheck // already an apperr
	}
	select {
	case <-out.Context().Done():
		return nil, err //nolint:wrapcheck // already an apperr
	case <-time.After(retryAfter):
	}
	again := out.Clone(out.Context())
	again.Header = header
	return g.transport.RoundTrip(again) //nolint:wrapcheck // already an apperr
}

func closeAnswer(res *http.Response) {
	_ = res.Body.Close() // nothing is written to it
}

// relay sends a service's answer to the client as it comes.
func (g *Gateway) relay(w http.ResponseWriter, r *http.Request, rt *Route, res *http.Response) error {
	answerHeaders(w.Header(), res.Header, rt)
	g.pageHeaders(w.Header())
	if rt.Stream && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return g.relayEvents(w, res)
	}
	if res.StatusCode == http.StatusOK && r.Method == http.MethodGet && matches(r.Header.Get("If-None-Match"), res.Header.Get("Etag")) {
		w.WriteHeader(http.StatusNotModified) // the cache had asked without the condition
		return nil
	}
	body, err := plain(w.Header(), r, res)
	if err != nil {
		return answerBroken(rt, err)
	}
	return g.write(w, r, rt, res.StatusCode, body)
}

// pageHeaders keeps answers to one caller out of shared caches, whatever a
// service forgot to say.
func (g *Gateway) pageHeaders(h http.Header) {
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = []string{"no-store"}
	}
}

// write sends a body, compressed where that pays. The start is read before the
// header goes out, so that small answers carry their length.
func (g *Gateway) write(w http.ResponseWriter, r *http.Request, rt *Route, status int, body io.Reader) error {
	bufp := g.buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool makes nothing else
	defer g.buffers.Put(bufp)
	buf := *bufp
	h := w.Header()
	if r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		w.WriteHeader(status)
		return nil
	}
	n, err := fill(body, buf[:minCompressed])
	whole := errors.Is(err, io.EOF)
	if err != nil && !whole {
		return answerBroken(rt, err)
	}
	compressible := !rt.NoCompression && mayCompress(h, status)
	if compressible && !slices.Contains(h["Vary"], "Accept-Encoding") {
		h.Add("Vary", "Accept-Encoding")
	}
	if whole {
		h["Content-Length"] = []string{strconv.Itoa(n)}
		w.WriteHeader(status)
		_, _ = w.Write(buf[:n]) // the client is gone; nobody is left to tell
		return nil
	}
	if compressible && web.AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		return g.compress(w, status, buf, n, body)
	}
	w.WriteHeader(status)
	return cut(pour(w, buf, n, body, nil))
}

// fill reads until b is full. io.EOF says that the body ended before; unlike
// io.ReadFull's, another error is the body's own, such as an end in the middle.
func fill(body io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = body.Read(b[n:])
		n += more
	}
	if n == len(b) {
		return n, nil // what is wrong shows at the next read
	}
	return n, err //nolint:wrapcheck // the caller names the service
}

func answerBroken(rt *Route, err error) error {
	return apperr.Unavailable("service_unavailable", "The "+rt.Service+" service did not finish its answer. Try again.").
		Detail("service", rt.Service).With(err)
}

// pour writes buf[:n] and what follows in body.
func pour(w io.Writer, buf []byte, n int, body io.Reader, each func() error) error {
	for {
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return fmt.Errorf("to the client: %w", err)
			}
			if each != nil {
				if err := each(); err != nil {
					return err
				}
			}
		}
		var err error
		if n, err = body.Read(buf); err != nil && n == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("from the service: %w", err)
		}
	}
}

// cut ends the connection after a failure in the middle of an answer: the
// client must not take a part for the whole.
func cut(err error) error {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// eventWait is how long a client may take to take an event in: who does not read
// keeps nobody's place.
const eventWait = 30 * time.Second

// relayEvents passes server-sent events on as they come, for as long as the
// caller's session lives.
func (g *Gateway) relayEvents(w http.ResponseWriter, res *http.Response) error {
	rc := http.NewResponseController(w)
	if err := supported(rc.SetReadDeadline(time.Time{})); err != nil {
		return apperr.Internal(err)
	}
	if err := supported(rc.SetWriteDeadline(time.Time{})); err != nil {
		return apperr.Internal(err)
	}
	h := w.Header()
	h["Cache-Control"] = []string{"no-store, no-transform"}
	h["X-Accel-Buffering"] = []string{"no"}
	w.WriteHeader(res.StatusCode)
	if err := rc.Flush(); err != nil {
		return cut(err)
	}
	bufp := g.buffers.Get().(*[]byte) //nolint:forcetypeassert // the pool makes nothing else
	defer g.buffers.Put(bufp)
	// However it ends, the client connects again and goes on from its last id.
	_ = pour(timed{w, rc}, *bufp, 0, res.Body, rc.Flush) // see above
	return nil
}

// timed gives each write, and the flush that follows, a time of its own.
type timed struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (t timed) Write(b []byte) (int, error) {
	if err := supported(t.rc.SetWriteDeadline(time.Now().Add(eventWait))); err != nil {
		return 0, err
	}
	return t.ResponseWriter.Write(b) //nolint:wrapcheck // pour does
}

func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil // a server in a test
	}
	return err
}

// watch ends a stream when the process stops, when its access token expires,
// or when its session ends, which it looks for as often as a request would. The
// returned function waits for the watcher.
func (g *Gateway) watch(ctx context.Context, cancel context.CancelFunc, c *caller) func() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(keptFor)
		defer tick.Stop()
		for g.streamGoesOn(ctx, tick.C, c) {
			continue
		}
		cancel()
	}()
	return func() { cancel(); <-done }
}

func (g *Gateway) streamGoesOn(ctx context.Context, tick <-chan time.Time, c *caller) bool {
	select {
	case <-ctx.Done():
		return false
	case <-g.draining:
		return false
	case <-tick:
	}
	if c.anonymous() {
		return true
	}
	return g.now().Before(c.claims.Expires()) && (c.exchanged || g.sessions.check(ctx, c.principal, c.claims.Epoch) == nil)
}
