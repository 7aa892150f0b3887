package edge

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"lms/shared/apperr"
)

// cache keeps answers that a service marked public, to requests without
// credentials, for a second; after that each is asked for again by its ETag.
// What depends on the caller never gets here.
type cache struct {
	now func() time.Time

	mu      sync.Mutex
	bytes   int
	order   *list.List // of *kept, the last used first
	byKey   map[string]*list.Element
	flights map[string]*flight
}

// Bounds of the cache.
const (
	freshFor = time.Second
	// One of those who ask renews an answer when it is half as old as it may
	// become, so that nobody has to wait for a new one of what many read.
	renewAfter   = freshFor / 2
	maxKeptBody  = 256 << 10
	maxKeptBytes = 32 << 20
)

type kept struct {
	key    string
	status int
	header http.Header
	body   []byte
	until  time.Time
}

// flight is a question to a service that several callers wait for.
type flight struct {
	done chan struct{}
	got  *kept // nil: not for sharing
	err  error
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, order: list.New(), byKey: map[string]*list.Element{}, flights: map[string]*flight{}}
}

// cacheable says whether a request could be answered for anybody. A client
// that wants no cache does not get one.
func (g *Gateway) cacheable(r *http.Request, rt *Route, c *caller) bool {
	return r.Method == http.MethodGet && c.anonymous() && !rt.Cookies && !rt.Basic && r.Header.Get("Authorization") == "" &&
		r.Header.Get("Range") == "" && r.Header.Get("Idempotency-Key") == "" && len(r.URL.RawQuery) <= 1024
}

// cacheKey has all of the request that a public answer may depend on.
func cacheKey(r *http.Request) string {
	return strings.Join([]string{r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Accept"), r.Header.Get("Accept-Language")}, "\n")
}

// throughCache answers from the cache, or asks the service: once for all who
// wait for the same.
func (g *Gateway) throughCache(w http.ResponseWriter, r *http.Request, rt *Route, out *http.Request) error {
	key := cacheKey(r)
	old, fl, leads := g.cache.enter(key)
	switch {
	case fl == nil:
		return g.serveKept(w, r, rt, old)
	case leads:
		return g.lead(w, r, rt, out, key, old, fl)
	}
	select {
	case <-r.Context().Done():
		return context.Cause(r.Context()) //nolint:wrapcheck // the client is gone
	case <-fl.done:
	}
	switch {
	case fl.err != nil:
		return fl.err
	case fl.got != nil:
		return g.serveKept(w, r, rt, fl.got)
	}
	// Not public: everybody for themselves.
	res, err := g.send(out)
	if err != nil {
		return err
	}
	defer closeAnswer(res)
	return g.relay(w, r, rt, res)
}

// enter gives a fresh answer (no flight), or a flight to wait for, or one to
// lead, with the answer that it renews if there is one.
func (c *cache) enter(key string) (old *kept, fl *flight, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		old = e.Value.(*kept) //nolint:forcetypeassert // only put fills the list
		left := old.until.Sub(c.now())
		if left > freshFor-renewAfter || left > 0 && c.flights[key] != nil {
			return old, nil, false
		}
	}
	if fl, ok := c.flights[key]; ok {
		return nil, fl, false
	}
	fl = &flight{done: make(chan struct{})}
	c.flights[key] = fl
	return old, fl, true
}

func (c *cache) land(key string, fl *flight, got *kept, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fl.got, fl.err = got, err
	delete(c.flights, key)
	close(fl.done)
	if got != nil {
		c.put(got)
	} else if e, ok := c.byKey[key]; ok && err == nil {
		c.drop(e) // no longer public
	}
}

// abandon ends a flight that brought nothing, while what it was to renew is
// still good.
func (c *cache) abandon(key string, fl *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	close(fl.done)
}

func (c *cache) put(k *kept) {
	if e, ok := c.byKey[k.key]; ok {
		c.drop(e)
	}
	c.byKey[k.key] = c.order.PushFront(k)
	c.bytes += k.size()
	for c.bytes > maxKeptBytes {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := c.order.Remove(e).(*kept) //nolint:forcetypeassert // only put fills the list
	delete(c.byKey, k.key)
	c.bytes -= k.size()
}

func (k *kept) size() int { return len(k.body) + len(k.key) + 1024 }

// lead asks the service, shares what is public, and answers its own client.
func (g *Gateway) lead(w http.ResponseWriter, r *http.Request, rt *Route, out *http.Request, key string, old *kept, fl *flight) error {
	landed := false
	land := func(got *kept, err error) {
		if !landed {
			landed = true
			g.cache.land(key, fl, got, err)
		}
	}
	defer land(nil, nil) // whatever happens, nobody waits for ever
	// The answer is for everybody who waits: this client's own condition and
	// hang-up are not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(out.Context()), g.config.Timeout)
	defer cancel()
	ask := out.Clone(ctx)
	ask.Header.Del("If-None-Match")
	ask.Header.Del("If-Modified-Since")
	if old != nil && old.header.Get("Etag") != "" {
		ask.Header.Set("If-None-Match", old.header.Get("Etag"))
	}
	res, err := g.send(ask)
	if err != nil {
		if old != nil && g.now().Before(old.until) {
			landed = true
			g.cache.abandon(key, fl)
			return g.serveKept(w, r, rt, old)
		}
		land(nil, shared(err))
		return err
	}
	defer closeAnswer(res)
	if res.StatusCode == http.StatusNotModified && old != nil {
		again := *old
		again.until = g.now().Add(freshFor)
		land(&again, nil)
		return g.serveKept(w, r, rt, &again)
	}
	if !public(res) {
		land(nil, nil)
		return g.relay(w, r, rt, res)
	}
	start, err := io.ReadAll(io.LimitReader(res.Body, maxKeptBody+1))
	if err != nil {
		return answerBroken(rt, err)
	}
	if len(start) > maxKeptBody {
		land(nil, nil)
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(start), res.Body), res.Body}
		return g.relay(w, r, rt, res)
	}
	got := &kept{key: key, status: res.StatusCode, header: http.Header{}, body: start, until: g.now().Add(freshFor)}
	answerHeaders(got.header, res.Header, rt)
	land(got, nil)
	return g.serveKept(w, r, rt, got)
}

// shared is the failure that those who waited get to see: a hang-up of the
// leading client is not theirs.
func shared(err error) error {
	if apperr.IsKind(err, apperr.KindUnavailable) {
		return err
	}
	return nil
}

// public says whether an answer is for everybody and may be kept.
func public(res *http.Response) bool {
	cc := strings.ToLower(res.Header.Get("Cache-Control"))
	if res.StatusCode != http.StatusOK || len(res.Header["Set-Cookie"]) > 0 || !strings.Contains(cc, "public") ||
		strings.Contains(cc, "no-store") || strings.Contains(cc, "private") {
		return false
	}
	for _, v := range res.Header["Vary"] {
		for name := range strings.SplitSeq(v, ",") {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "accept", "accept-language", "accept-encoding", "origin", "authorization":
			default:
				return false
			}
		}
	}
	return true
}

func (g *Gateway) serveKept(w http.ResponseWriter, r *http.Request, rt *Route, k *kept) error {
	h := w.Header()
	for name, values := range k.header {
		if name == "Vary" {
			h[name] = append(h[name], values...)
			continue
		}
		h[name] = values
	}
	if matches(r.Header.Get("If-None-Match"), k.header.Get("Etag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return g.write(w, r, rt, k.status, bytes.NewReader(k.body))
}

// matches is the weak comparison of a list of tags with one.
func matches(header, tag string) bool {
	if header == "" || tag == "" {
		return false
	}
	tag = strings.TrimPrefix(tag, "W/")
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
