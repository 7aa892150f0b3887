package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/authz"
	"lms/shared/testkit"
)

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	c.POST("/api/v1/users", strings.Repeat("a", 1<<20)).Expect(200)
	require.Len(t, w.sidecar.last(t).body, 1<<20)
	c.POST("/api/v1/users", strings.Repeat("a", 1<<20+1)).Expect(413).Code("body_too_large")
	// Without a length it is noticed on the way.
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/terms", io.MultiReader(strings.NewReader(strings.Repeat("a", 1<<20)), strings.NewReader("b")))
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, req)
	require.Equal(t, 413, rec.Code, rec.Body)
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.AddressRate, o.Config.UserRate, o.Config.SignInRate = 8, 3, 2 })
	c, _ := w.user(t)
	res := c.GET("/api/v1/users").Expect(200)
	require.Equal(t, `"user";q=3;w=60`, res.Header.Get("RateLimit-Policy"))
	require.Regexp(t, `^"user";r=2;t=\d+$`, res.Header.Get("RateLimit"))
	c.GET("/api/v1/users").Expect(200)
	c.GET("/api/v1/users").Expect(200)
	res = c.GET("/api/v1/users").Expect(429).Code("rate_limited")
	require.Regexp(t, `^"user";r=0;t=\d+$`, res.Header.Get("RateLimit"))
	require.Regexp(t, `^\d+$`, res.Header.Get("Retry-After"))
	require.Equal(t, "user", res.Problem().All["limit"])
	w.POST("/api/v1/auth/login", `{}`).Expect(200)
	w.POST("/api/v1/auth/login", `{}`).Expect(200)
	require.Equal(t, "sign-in", w.POST("/api/v1/auth/login", `{}`).Expect(429).Problem().All["limit"])
	require.Equal(t, `"address";q=8;w=60`, w.GET("/api/v1/terms").Expect(200).Header.Get("RateLimit-Policy"))
	require.Equal(t, "address", w.GET("/api/v1/terms").Expect(429).Problem().All["limit"])
}

func TestASlowServiceDoesNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.InFlight = 3 })
	release, busy := make(chan struct{}), make(chan struct{}, 10)
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		if app == "course" {
			busy <- struct{}{}
			<-release
		}
		reply("application/json", `{}`)(app, rw, r)
	})
	c, _ := w.user(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { c.GET("/api/v1/courses").Expect(200) })
		<-busy
	}
	c.GET("/api/v1/courses").Expect(503).Code("service_busy")
	c.GET("/api/v1/users").Expect(200)
	close(release)
	wg.Wait()
	c.GET("/api/v1/courses").Expect(200)
}

func TestTimeoutAndHangUp(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.Timeout = 20 * time.Millisecond })
	w.sidecar.answers(func(_ string, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c, _ := w.user(t)
	c.GET("/api/v1/users").Expect(503).Code("timeout")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/terms", nil))
	require.GreaterOrEqual(t, rec.Code, 400)
}

func TestErrorsOfServicesPassUnchanged(t *testing.T) {
	t.Parallel()
	w := start(t)
	c, _ := w.user(t)
	body := `{"type":"urn:lms:problem:course_full","title":"Conflict","status":409,"code":"course_full","seats":3,"request_id":"x"}`
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/problem+json")
		rw.WriteHeader(409)
		_, _ = io.WriteString(rw, body)
	})
	res := c.POST("/api/v1/courses", `{}`).Expect(409).Code("course_full")
	require.JSONEq(t, body, string(res.Body))
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Del("X-Request-Id") // no app has answered
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(500)
		_, _ = io.WriteString(rw, `{"errorCode":"ERR_DIRECT_INVOKE","message":"failed to invoke, id: course, err: secret address"}`)
	})
	before := w.sidecar.calls()
	res = c.GET("/api/v1/courses").Expect(503).Code("service_unavailable")
	require.NotContains(t, string(res.Body), "secret")
	require.Equal(t, before+2, w.sidecar.calls(), "a read is tried once more")
	c.POST("/api/v1/courses", `{}`).Expect(503)
	require.Equal(t, before+3, w.sidecar.calls(), "a write is not")
}

func TestASmallAnswerThatBreaksOffIsNone(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(rw, `{"id":`)
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	c, _ := w.user(t)
	c.POST("/api/v1/courses", `{}`).Expect(503).Code("service_unavailable")
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) { rw.Header().Del("X-Request-Id") })
	c.POST("/api/v1/courses", `{}`).Expect(503).Code("service_unavailable")
}

func TestAnAnswerThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(rw, strings.Repeat("a", 50000))
	})
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	_, p := w.user(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/users", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+w.tokens.For(p))
	res, err := http.DefaultClient.Do(req)
	if err == nil { // else the connection ended before the header was flushed
		_, err = io.ReadAll(res.Body)
		require.NoError(t, res.Body.Close())
	}
	require.Error(t, err)
}

func TestPublicReadsAreRenewedBeforeTheyAreOld(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	const path = "/api/v1/courses?q=go"
	w.sidecar.answers(reply("application/json", `{"n":1}`, "Cache-Control", "public", "ETag", `"v1"`))
	w.GET(path).Expect(200)
	now.Advance(400 * time.Millisecond)
	w.GET(path).Expect(200)
	require.Equal(t, 1, w.sidecar.calls())

	// Half a second old: one asks anew, and while it waits others are answered.
	asked, goOn := make(chan struct{}), make(chan struct{})
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		reply("application/json", `{"n":2}`, "Cache-Control", "public", "ETag", `"v2"`)("", rw, r)
	})
	now.Advance(200 * time.Millisecond)
	first := make(chan string, 1)
	go func() { first <- string(w.GET(path).Expect(200).Body) }()
	<-asked
	require.JSONEq(t, `{"n":1}`, string(w.GET(path).Expect(200).Body))
	close(goOn)
	require.JSONEq(t, `{"n":2}`, <-first)
	require.JSONEq(t, `{"n":2}`, string(w.GET(path).Expect(200).Body))
	require.Equal(t, 2, w.sidecar.calls())

	// A renewal that fails is noticed when the answer is too old, not before.
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Del("X-Request-Id")
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusInternalServerError)
		_, _ = rw.Write([]byte(`{"errorCode":"ERR_DIRECT_INVOKE","message":"nobody there"}`)) // a recorder
	})
	now.Advance(600 * time.Millisecond)
	require.JSONEq(t, `{"n":2}`, string(w.GET(path).Expect(200).Body))
	now.Advance(500 * time.Millisecond)
	w.GET(path).Expect(503).Code("service_unavailable")
}

func TestPublicReadsAreKeptForASecond(t *testing.T) {
	t.Parallel()
	now, opt := manual()
	w := start(t, opt)
	w.sidecar.answers(reply("application/json", `{"n":1}`, "Cache-Control", "public, max-age=60", "ETag", `"v1"`))
	for range 5 {
		res := w.GET("/api/v1/courses?q=go").Expect(200)
		require.JSONEq(t, `{"n":1}`, string(res.Body))
		require.Equal(t, `"v1"`, res.ETag())
	}
	require.Equal(t, 1, w.sidecar.calls())
	w.With("If-None-Match", `W/"v1"`).GET("/api/v1/courses?q=go").Expect(304)
	require.Equal(t, 1, w.sidecar.calls())
	// After a second it is asked for by its tag.
	now.Advance(time.Second)
	require.JSONEq(t, `{"n":1}`, string(w.GET("/api/v1/courses?q=go").Expect(200).Body))
	require.Equal(t, 2, w.sidecar.calls())
	require.Equal(t, `"v1"`, w.sidecar.last(t).header.Get("If-None-Match"))
	w.GET("/api/v1/courses?q=go").Expect(200)
	require.Equal(t, 2, w.sidecar.calls())
	w.sidecar.answers(reply("application/json", `{"n":2}`, "Cache-Control", "public", "ETag", `"v2"`))
	now.Advance(time.Second)
	require.JSONEq(t, `{"n":2}`, string(w.GET("/api/v1/courses?q=go").Expect(200).Body))
	// Another query, another language, another form: another answer.
	calls := w.sidecar.calls()
	w.GET("/api/v1/courses?q=rust").Expect(200)
	w.With("Accept-Language", "de").GET("/api/v1/courses?q=go").Expect(200)
	w.With("Accept", "text/csv").GET("/api/v1/courses?q=go").Expect(200)
	require.Equal(t, calls+3, w.sidecar.calls())
	// Who signs in gets an own answer.
	c, _ := w.user(t)
	c.GET("/api/v1/courses?q=go").Expect(200)
	c.GET("/api/v1/courses?q=go").Expect(200)
	require.Equal(t, calls+5, w.sidecar.calls())
}

func TestWhatIsNotPublicIsNotKept(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, headers := range [][]string{
		{"Cache-Control", "private"},
		{"Cache-Control", "public, no-store"},
		{"X-Nothing", "said"},
		{"Cache-Control", "public", "Vary", "Cookie"},
		{"Cache-Control", "public", "Vary", "*"},
		{"Cache-Control", "public", "Set-Cookie", "a=b"},
	} {
		w.sidecar.answers(reply("application/json", `{}`, headers...))
		before := w.sidecar.calls()
		path := "/api/v1/courses?n=" + uuid.NewString()
		w.GET(path).Expect(200)
		w.GET(path).Expect(200)
		require.Equal(t, before+2, w.sidecar.calls(), headers)
	}
	w.sidecar.answers(reply("application/json", `{}`, "Cache-Control", "public"))
	before := w.sidecar.calls()
	w.POST("/api/v1/courses", `{}`).Expect(200)
	w.POST("/api/v1/courses", `{}`).Expect(200)
	w.With("Range", "bytes=0-1").GET("/api/v1/courses").Expect(200)
	w.With("Range", "bytes=0-1").GET("/api/v1/courses").Expect(200)
	require.Equal(t, before+4, w.sidecar.calls())
	// The client's own condition still holds.
	w.sidecar.answers(reply("application/json", `{}`, "ETag", `"v5"`))
	w.With("If-None-Match", `"v5"`).GET("/api/v1/courses?x").Expect(304)
}

func TestManyPublicReadsAskOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	release := make(chan struct{})
	w.sidecar.answers(func(app string, rw http.ResponseWriter, r *http.Request) {
		<-release
		reply("application/json", `{}`, "Cache-Control", "public")(app, rw, r)
	})
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 30 {
		wg.Go(func() {
			w.GET("/api/v1/courses").Expect(200)
			good.Add(1)
		})
	}
	require.Eventually(t, func() bool { return w.sidecar.calls() == 1 }, 5*time.Second, time.Millisecond)
	close(release)
	wg.Wait()
	require.EqualValues(t, 30, good.Load())
	require.LessOrEqual(t, w.sidecar.calls(), 2)
}

func TestCORS(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.CORSOrigins = []string{"https://app.test"} })
	preflight := func(origin string) *testkit.Response {
		return w.With("Origin", origin).With("Access-Control-Request-Method", "PATCH").With("Access-Control-Request-Headers", "authorization,if-match").Do("OPTIONS", "/api/v1/courses/x", nil)
	}
	h := preflight("https://app.test").Header
	require.Equal(t, "https://app.test", h.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "PATCH", h.Get("Access-Control-Allow-Methods"))
	require.NotEmpty(t, h.Get("Access-Control-Allow-Headers"))
	require.Empty(t, preflight("https://evil.test").Header.Get("Access-Control-Allow-Origin"))
	require.Zero(t, w.sidecar.calls())
	res := w.With("Origin", "https://app.test").GET("/api/v1/terms").Expect(200)
	require.Equal(t, "https://app.test", res.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, res.Header.Values("Vary"), "Origin")
	require.Empty(t, w.With("Origin", "https://evil.test").GET("/api/v1/terms").Expect(200).Header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, start(t).With("Origin", "https://app.test").GET("/api/v1/terms").Expect(200).Header.Get("Access-Control-Allow-Origin"), "nobody by default")
}

func TestEventStreamsPassAtOnceAndEndWithTheSession(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.Services = edge.Services() })
	next := make(chan string)
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.WriteHeader(200)
		f, _ := rw.(http.Flusher)
		f.Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case s := <-next:
				_, _ = fmt.Fprintf(rw, "data: %s\n\n", s)
				f.Flush()
			}
		}
	})
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	_, p := w.user(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/notifications/stream", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+w.tokens.For(p))
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Empty(t, res.Header.Get("Content-Encoding"))
	require.Equal(t, "text/event-stream", w.sidecar.last(t).header.Get("Accept"))
	in := bufio.NewReader(res.Body)
	for i := range 3 {
		next <- fmt.Sprint(i)
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("data: %d\n", i), line)
		_, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	w.sidecar.signOut(p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, in)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream outlived its session")
	}
}

// Only routes that are declared as streams are without a time limit, whatever a
// client says that it accepts or a service says that it answers.
func TestOnlyDeclaredStreamsHaveNoTimeLimit(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.Services, o.Config.Timeout = edge.Services(), 200*time.Millisecond })
	begun, passed := make(chan struct{}), make(chan struct{})
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/terms" {
			<-r.Context().Done()
			return
		}
		close(begun)
		<-passed
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(rw, "data: late\n\n")
	})
	c, _ := w.user(t)
	c = c.With("Accept", "text/event-stream")
	late := make(chan string)
	go func() { late <- string(c.GET("/api/v1/notifications/stream").Body) }()
	<-begun
	c.GET("/api/v1/terms").Expect(503).Code("timeout")
	close(passed) // the limit has passed for both
	require.Equal(t, "data: late\n\n", <-late)
}

// One person's streams leave room for others'.
func TestAUserHasAFewStreams(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) { o.Config.Services = edge.Services() })
	open := make(chan struct{})
	w.sidecar.answers(func(_ string, rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.WriteHeader(200)
		f, _ := rw.(http.Flusher)
		f.Flush()
		open <- struct{}{}
		<-r.Context().Done()
	})
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	stream := func(p authz.Principal) (*http.Response, error) {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/notifications/stream", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.tokens.For(p))
		return http.DefaultClient.Do(req)
	}
	c, p := w.user(t)
	_, other := w.user(t)
	var first *http.Response
	for range 3 {
		res, err := stream(p)
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
		first = res
		<-open
	}
	c.GET("/api/v1/notifications/stream").Expect(429).Code("too_many_streams")
	res, err := stream(other)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	<-open
	require.NoError(t, first.Body.Close())
	require.Eventually(t, func() bool {
		res, err := stream(p)
		if err != nil || res.StatusCode != 200 {
			return false
		}
		<-open
		return true
	}, 10*time.Second, 10*time.Millisecond, "a stream that ended makes room")
}

func TestObjectsAreNotTheServices(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *edge.Options) {
		o.Objects = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(rw, r.URL.Path, n)
		})
	})
	res := w.PUT("/objects/a/b?signature=x", strings.Repeat("a", 3<<20)).Expect(200)
	require.Equal(t, fmt.Sprint("/objects/a/b", 3<<20), string(res.Body), "larger than a request may be, and streamed")
	require.Zero(t, w.sidecar.calls())
	start(t).GET("/objects/a").Expect(404)
}
