package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/testkit"
	"lms/shared/web"
	"lms/shared/work"
)

type thing struct {
	ID    uuid.UUID `json:"id"`
	Title string    `json:"title"`
}

type createThing struct {
	Body struct {
		Title   string     `json:"title" minLength:"1" maxLength:"20"`
		Level   string     `json:"level,omitempty" enum:"low,high"`
		Count   int8       `json:"count,omitempty" minimum:"0"`
		Owner   *uuid.UUID `json:"owner,omitempty"`
		Email   string     `json:"email,omitempty" format:"email"`
		Modules []struct {
			Title string `json:"title" minLength:"2"`
		} `json:"modules,omitempty" maxItems:"3"`
	}
}

type patchThing struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title patch.Field[string]    `json:"title" minLength:"1"`
		Owner patch.Field[uuid.UUID] `json:"owner"`
		Tags  patch.Field[[]string]  `json:"tags"`
		Inner patch.Field[thing]     `json:"inner"`
	}
}

type seen struct {
	mu    sync.Mutex
	idem  []work.Idempotency
	actor work.Actor
	patch patchThing
}

// fixture is a router with one operation of each sort.
func fixture(t testing.TB) (*web.Router, *testkit.Client, *seen, *logs) {
	t.Helper()
	tokens := testkit.NewTokens(t)
	l := &logs{}
	r := web.NewRouter(web.Options{
		Service: "thing", Verifier: tokens.Verifier(), Authz: testkit.Policy(), AppToken: "app-secret",
		Log: slog.New(slog.NewJSONHandler(l, nil)),
	})
	s := &seen{}
	things(r, s)
	odds(r, s)
	r.ServeOpenAPI()
	return r, testkit.Server(t, r, tokens), s, l
}

func things(r *web.Router, s *seen) {
	web.Register(r, web.Op{Method: "GET", Path: "/api/v1/things/{id}", ID: "get-thing", Summary: "Get", Access: web.SignedIn()},
		func(ctx context.Context, in *web.ByID) (*web.Resource[thing], error) {
			return web.Res(thing{ID: in.ID, Title: "x"}, 7), nil
		})
	web.Register(r, web.Op{Method: "GET", Path: "/api/v1/things", ID: "list-things", Summary: "List", Access: web.Public()},
		func(_ context.Context, in *struct {
			web.Page
			Q string `query:"q"`
		},
		) (*web.List[thing], error) {
			p := page.Page[string]{Items: []string{"a", "b"}, NextCursor: "next/1"}
			if in.Cursor != "" {
				p = page.Page[string]{}
			}
			return web.ListOf(p, func(s string) thing { return thing{Title: fmt.Sprint(s, in.Request().Limit)} }), nil
		})
	web.Register(r, web.Op{Method: "POST", Path: "/api/v1/things", ID: "create-thing", Summary: "Create", Status: 201, Access: web.Needs(authz.CourseCreate)},
		func(ctx context.Context, in *createThing) (*web.Resource[thing], error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			k, _ := work.IdempotencyFrom(ctx)
			s.idem = append(s.idem, k)
			return web.Created(thing{Title: in.Body.Title}, 1, "/api/v1/things/1"), nil
		})
	web.Register(r, web.Op{Method: "PATCH", Path: "/api/v1/things/{id}", ID: "patch-thing", Summary: "Change", Access: web.SignedIn()},
		func(_ context.Context, in *patchThing) (*web.Resource[thing], error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.patch = *in
			return web.Res(thing{ID: in.ID}, in.Version()+1), nil
		})
	web.Register(r, web.Op{Method: "DELETE", Path: "/api/v1/things/{id}", ID: "delete-thing", Summary: "Delete", Access: web.SignedIn()},
		func(context.Context, *struct {
			web.ByID
			web.OptionalIfMatch
		},
		) (*web.Empty, error) {
			return nil, nil
		})
	web.Register(r, web.Op{Method: "POST", Path: "/api/v1/things/{id}/buy", ID: "buy-thing", Summary: "Buy", Status: 202, NeedsKey: true, Access: web.SignedIn()},
		func(ctx context.Context, in *web.ByID) (*web.JobAccepted, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			k, _ := work.IdempotencyFrom(ctx)
			s.idem = append(s.idem, k)
			return web.Accepted(work.Job{ID: in.ID, Kind: "buy"}), nil
		})
}

func odds(r *web.Router, s *seen) {
	web.Register(r, web.Op{Method: "GET", Path: "/api/v1/fail/{how}", ID: "fail", Summary: "Fail", Access: web.Public()},
		func(ctx context.Context, in *struct {
			How string `path:"how"`
		},
		) (*web.Empty, error) {
			switch in.How {
			case "unknown":
				return nil, errors.New("secret cause")
			case "panic":
				panic("secret panic")
			case "conflict":
				return nil, apperr.Conflict("course_full", "No seat is left.").Detail("seats", 0).Detail("status", "nope")
			case "challenge":
				web.SetHeader(ctx, "WWW-Authenticate", "Basic")
				web.SetHeader(ctx, "Cache-Control", "private")
				return nil, apperr.Unauthenticated("invalid_client", "No.")
			case "later":
				return nil, apperr.New(apperr.KindRateLimited, "slow_down", "Slow down.").After(1500 * time.Millisecond)
			case "fields":
				return nil, apperr.Invalid(apperr.Field{Path: "a.b", Code: "c", Message: "d"})
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, apperr.NotFound("thing")
		})
	web.Stream(r, web.Op{Method: "GET", Path: "/api/v1/report", ID: "report", Summary: "Report", Access: web.Public(), Produces: []string{"text/csv"}},
		func(_ context.Context, in *struct {
			Fail bool `query:"fail"`
		}, w http.ResponseWriter, _ *http.Request,
		) error {
			if in.Fail {
				return apperr.Forbidden("No.")
			}
			w.Header().Set("Content-Type", "text/csv")
			_, err := io.WriteString(w, "a,b\n")
			return err
		})
	long(r)
	web.Raw(r, web.Op{Method: "POST", Path: "/api/v1/hook/{name}", ID: "hook", Summary: "Hook", Access: web.Public(), Accepts: []string{"text/plain"}, MaxBody: 10, AnyQuery: true},
		func(w http.ResponseWriter, req *http.Request) error {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, "%s:%s:%s", web.PathParam(req, "name"), b, web.RawBody(req.Context()))
			return err
		})
	web.Register(r, web.Op{Method: "POST", Path: "/internal/things", ID: "internal-things", Summary: "Ask", Access: web.Internal("enrollment", "gateway")},
		func(ctx context.Context, in *createThing) (*web.Resource[thing], error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.actor = work.ActorFrom(ctx)
			return web.Res(thing{Title: in.Body.Title}, 0), nil
		})
	web.Register(r, web.Op{Method: "POST", Path: "/api/v1/leave", ID: "leave", Summary: "Leave", Access: web.SignedIn().WhileImpersonating()},
		func(ctx context.Context, _ *web.Empty) (*web.Empty, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.actor = work.ActorFrom(ctx)
			return nil, nil
		})
	web.Register(r, web.Op{Method: "PUT", Path: "/api/v1/grade", ID: "grade", Summary: "Grade", Access: web.NeedsInCourse(authz.GradeEdit)},
		func(context.Context, *web.Empty) (*web.Empty, error) { return nil, nil })
	r.Handle("POST", "/events/user", web.Sidecar(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	r.Handle("GET", "/healthz", web.System(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	r, _, _, _ := fixture(t)
	testkit.CheckRoutes(t, r)
}

func TestResource(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	c = c.As(testkit.User(uuid.New()))
	id := uuid.New()
	res := c.GET("/api/v1/things/" + id.String()).Expect(200)
	require.Equal(t, `"v7"`, res.ETag())
	require.Equal(t, "private, no-cache", res.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	require.JSONEq(t, `{"id":"`+id.String()+`","title":"x"}`, string(res.Body))
	for _, tag := range []string{`"v7"`, `W/"v7"`, `"v1", W/"v7"`, `*`} {
		res = c.With("If-None-Match", tag).GET("/api/v1/things/" + id.String()).Expect(304)
		require.Empty(t, res.Body)
		require.Equal(t, `"v7"`, res.ETag())
	}
	c.With("If-None-Match", `"v6"`).GET("/api/v1/things/" + id.String()).Expect(200)
	c.GET("/api/v1/things/not-an-id").Expect(404).Code("not_found")
	require.Empty(t, c.Do("HEAD", "/api/v1/things/"+id.String(), nil).Expect(200).Header.Get("Location"))
}

func TestList(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	res := c.GET("/api/v1/things?q=go&limit=7").Expect(200)
	require.JSONEq(t, `{"items":[{"id":"00000000-0000-0000-0000-000000000000","title":"a7"},{"id":"00000000-0000-0000-0000-000000000000","title":"b7"}],"next_cursor":"next/1"}`, string(res.Body))
	require.Equal(t, `</api/v1/things?cursor=next%2F1&limit=7&q=go>; rel="next"`, res.Header.Get("Link"))
	res = c.GET("/api/v1/things?cursor=x").Expect(200)
	require.JSONEq(t, `{"items":[]}`, string(res.Body))
	require.Empty(t, res.Header.Get("Link"))
	c.GET("/api/v1/things?limit=201").Expect(422).Field("query.limit", "too_large")
	c.GET("/api/v1/things?limit=0").Expect(422).Field("query.limit", "too_small")
	c.GET("/api/v1/things?limit=x").Expect(422).Field("query.limit", "invalid_type")
	c.GET("/api/v1/things?limt=5").Expect(422).Field("query.limt", "unknown_parameter")
	c.GET("/api/v1/things?q=a&q=b").Expect(422).Field("query.q", "repeated")
	c.GET("/api/v1/things?q=%00").Expect(422).Field("query.q", "invalid_character")
	c.GET("/api/v1/things?q=%ff").Expect(422).Field("query.q", "invalid_character")
	c.GET("/api/v1/things?q=%zz").Expect(400).Code("bad_query")
	c.GET("/api/v1/things/%00").Expect(400).Code("bad_path")
}

func TestBodyIsReadStrictly(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	c = c.As(testkit.User(uuid.New(), authz.RoleInstructor))
	post := func(body string) *testkit.Response { return c.POST("/api/v1/things", body) }
	res := post(`{"title":"x"}`).Expect(201)
	require.Equal(t, "/api/v1/things/1", res.Header.Get("Location"))
	require.Equal(t, `"v1"`, res.ETag())
	post(`{"title":"x","title":"y"}`).Expect(400).Code("duplicate_key")
	post(`{"title":"x"} {}`).Expect(400).Code("invalid_json")
	post(`{"title":"x`).Expect(400).Code("invalid_json")
	c.Do("POST", "/api/v1/things", nil).Expect(400).Code("body_required")
	p := post(`{"Title":"x","nope":1,"level":"mid","count":-1,"owner":"x","email":"x y <","modules":[{"title":"a"},{},{"title":5},{"title":"ab"}]}`).Expect(422).Code("validation_failed")
	for field, code := range map[string]string{
		"title": "required", "Title": "unknown_field", "nope": "unknown_field", "level": "not_allowed", "count": "too_small", "owner": "invalid_format",
		"email": "invalid_format", "modules": "too_many", "modules[0].title": "too_short", "modules[1].title": "required", "modules[2].title": "invalid_type",
	} {
		p.Field(field, code)
	}
	require.NotContains(t, string(p.Body), "x y", "values are not echoed")
	post(`{"title":"x","count":300}`).Expect(422).Field("count", "invalid_value")
	post(`{"title":"`+strings.Repeat("ä", 21)+`"}`).Expect(422).Field("title", "too_long")
	post(`[]`).Expect(422).Field("body", "invalid_type")
	post(`{"title":"` + strings.Repeat("a", 1<<20) + `"}`).Expect(413).Code("body_too_large")
	c.With("Content-Type", "text/plain").POST("/api/v1/things", `{"title":"x"}`).Expect(415).Code("unsupported_media_type")
	c.With("Content-Type", "application/merge-patch+json").POST("/api/v1/things", `{"title":"x"}`).Expect(415)
	c.With("Content-Type", "application/json; charset=latin1").POST("/api/v1/things", `{"title":"x"}`).Expect(415)
	c.With("Content-Type", "application/json; charset=UTF-8").POST("/api/v1/things", `{"title":"x"}`).Expect(201)
}

func TestBodyLimitHoldsWithoutALength(t *testing.T) {
	t.Parallel()
	r, _, _, _ := fixture(t)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/hook/a", io.MultiReader(strings.NewReader(strings.Repeat("a", 11))))
	req.Header.Set("Content-Type", "text/plain")
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	require.Equal(t, 413, rec.Code)
}

func TestMergePatch(t *testing.T) {
	t.Parallel()
	_, c, s, _ := fixture(t)
	c = c.As(testkit.User(uuid.New()))
	path := "/api/v1/things/" + uuid.NewString()
	c.PATCH(path, `{}`).Expect(428).Code("precondition_required")
	c.With("If-Match", "nonsense").PATCH(path, `{}`).Expect(412).Code("version_mismatch")
	c = c.With("If-Match", `"v3"`)
	require.Equal(t, `"v4"`, c.PATCH(path, `{}`).Expect(200).ETag())
	require.False(t, s.patch.Body.Title.Set)
	c.PATCH(path, `{"title":"x","owner":null,"tags":["a"],"inner":{"id":"`+uuid.NewString()+`","title":"y"}}`).Expect(200)
	require.Equal(t, patch.Of("x"), s.patch.Body.Title)
	require.True(t, s.patch.Body.Owner.Set && s.patch.Body.Owner.Null)
	require.Equal(t, []string{"a"}, s.patch.Body.Tags.Value)
	require.Equal(t, "y", s.patch.Body.Inner.Value.Title)
	c.With("Content-Type", "application/json").PATCH(path, `{"inner":null,"tags":null}`).Expect(200)
	c.PATCH(path, `{"title":"","owner":"x","tags":"a","inner":{"title":1}}`).Expect(422).
		Field("title", "too_short").Field("owner", "invalid_format").Field("tags", "invalid_type").Field("inner.title", "invalid_type").Field("inner.id", "required")
	c.With("If-Match", `W/"v3"`).PATCH(path, `{}`).Expect(200)
	c.DELETE(path).Expect(204)
	c.With("If-Match", `"x"`).DELETE(path).Expect(412)
}

func TestErrorsBecomeProblems(t *testing.T) {
	t.Parallel()
	_, c, _, l := fixture(t)
	p := c.GET("/api/v1/fail/conflict").Expect(409).Code("course_full").Problem()
	require.EqualValues(t, 0, p.All["seats"])
	require.EqualValues(t, 409, p.All["status"], "details never replace a standard member")
	require.Equal(t, "/api/v1/fail/conflict", p.Instance)
	require.Equal(t, "2", c.GET("/api/v1/fail/later").Expect(429).Header.Get("Retry-After"))
	res := c.GET("/api/v1/fail/challenge").Expect(401)
	require.Equal(t, []string{"Basic"}, res.Header.Values("WWW-Authenticate"))
	require.Equal(t, []string{"no-store"}, res.Header.Values("Cache-Control"))
	c.GET("/api/v1/fail/fields").Expect(422).Field("a.b", "c")
	for _, how := range []string{"unknown", "panic"} {
		res := c.With("X-Request-Id", "request-"+how).GET("/api/v1/fail/" + how).Expect(500).Code("internal_error")
		require.NotContains(t, string(res.Body), "secret")
		require.Equal(t, "request-"+how, res.Problem().RequestID)
		require.Contains(t, l.String(), "request-"+how)
	}
	require.Contains(t, l.String(), "secret cause")
	require.Contains(t, l.String(), "secret panic")
	require.Contains(t, l.String(), "web_test.go", "a panic is logged with its stack")
	c.GET("/api/v1/nothing").Expect(404).Code("not_found")
	res = c.Do("PUT", "/api/v1/things", nil).Expect(405).Code("method_not_allowed")
	require.Equal(t, "GET, POST", res.Header.Get("Allow"))
	c.Do("BREW", "/api/v1/things", nil).Expect(405)
}

func TestDeadlineIsUnavailable(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "thing", Timeout: 5 * time.Millisecond})
	odds(r, &seen{})
	testkit.Server(t, r, nil).GET("/api/v1/fail/slow").Expect(503).Code("timeout")
}

func TestHangUpIsNotAFailure(t *testing.T) {
	t.Parallel()
	r, _, _, l := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/fail/slow", nil)
	r.ServeHTTP(httptest.NewRecorder(), req)
	require.Contains(t, l.String(), `"status":499`)
	require.NotContains(t, l.String(), "ERROR")
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	for given, kept := range map[string]bool{"0123456789abcdef": true, "a.b_c-D1": true, "short": false, "": false, "has space": false, strings.Repeat("a", 65): false, "line\nbreak": false} {
		got := c.With("X-Request-Id", given).GET("/healthz").Header.Get("X-Request-Id")
		require.Equal(t, kept, got == given, given)
		require.NotEmpty(t, got)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	_, c, s, _ := fixture(t)
	p := testkit.User(uuid.New(), authz.RoleInstructor)
	c = c.As(p)
	last := func() work.Idempotency { return s.idem[len(s.idem)-1] }
	c.POST("/api/v1/things", `{"title":"x"}`).Expect(201)
	require.Zero(t, last())
	k := c.With("Idempotency-Key", "k1")
	k.POST("/api/v1/things", `{"title":"x"}`).Expect(201)
	first := last()
	require.Equal(t, "user:"+p.UserID.String(), first.Caller)
	require.Equal(t, "POST /api/v1/things", first.Route)
	require.Equal(t, "k1", first.Key)
	k.POST("/api/v1/things", `{"title":"x"}`).Expect(201)
	require.Equal(t, first, last())
	k.POST("/api/v1/things", `{"title":"y"}`).Expect(201)
	require.NotEqual(t, first.BodyHash, last().BodyHash)
	c.With("Idempotency-Key", "a\tb").POST("/api/v1/things", `{"title":"x"}`).Expect(400).Code("bad_idempotency_key")
	c.With("Idempotency-Key", strings.Repeat("a", 256)).POST("/api/v1/things", `{"title":"x"}`).Expect(400)

	one, two := "/api/v1/things/"+uuid.NewString()+"/buy", "/api/v1/things/"+uuid.NewString()+"/buy"
	c.POST(one, nil).Expect(400).Code("idempotency_key_required")
	c.With("Idempotency-Key", web.GeneratedKeyPrefix+"x").POST(one, nil).Expect(400).Code("idempotency_key_required")
	res := k.POST(one, nil).Expect(202)
	require.True(t, strings.HasPrefix(res.Header.Get("Location"), "/api/v1/jobs/thing/"))
	a := last()
	k.POST(two, nil).Expect(202)
	require.Equal(t, a.Route, last().Route)
	require.NotEqual(t, a.BodyHash, last().BodyHash, "one key, two resources: the second must not get the first one's answer")
}

func TestRawAndStream(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	res := c.With("Content-Type", "text/plain").POST("/api/v1/hook/a%2Fb", "hello").Expect(200)
	require.Equal(t, "a/b:hello:hello", string(res.Body))
	c.With("Content-Type", "text/plain").POST("/api/v1/hook/a", "hello world").Expect(413)
	c.POST("/api/v1/hook/a", "hello").Expect(415)
	res = c.GET("/api/v1/report").Expect(200)
	require.Equal(t, "a,b\n", string(res.Body))
	require.Equal(t, "text/csv", res.Header.Get("Content-Type"))
	c.GET("/api/v1/report?fail=true").Expect(403)
	c.GET("/api/v1/report?fail=maybe").Expect(422).Field("query.fail", "invalid_type")
}

func TestAccessLogIsOneLineWithoutPersonalData(t *testing.T) {
	t.Parallel()
	_, c, _, l := fixture(t)
	c.GET("/healthz").Expect(200)
	require.Empty(t, l.String(), "probes are not logged")
	c.GET("/api/v1/things?q=jane.doe").Expect(200)
	require.Equal(t, 1, strings.Count(l.String(), "\n"))
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(l.String()), &line))
	require.Equal(t, "/api/v1/things", line["route"])
	require.EqualValues(t, 200, line["status"])
	require.NotContains(t, l.String(), "jane")
	require.NotContains(t, l.String(), "192.0.2.1")
}

func TestRegisterRefusesWhatIsIncomplete(t *testing.T) {
	t.Parallel()
	h := func(context.Context, *web.Empty) (*web.Empty, error) { return nil, nil }
	ok := web.Op{Method: "GET", Path: "/a", ID: "a", Summary: "A", Access: web.Public()}
	for name, change := range map[string]func(*web.Op){
		"method": func(o *web.Op) { o.Method = "" }, "path": func(o *web.Op) { o.Path = "" }, "id": func(o *web.Op) { o.ID = "" },
		"summary": func(o *web.Op) { o.Summary = "" }, "access": func(o *web.Op) { o.Access = web.Access{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			op := ok
			change(&op)
			require.Panics(t, func() { web.Register(web.NewRouter(web.Options{Service: "x"}), op, h) })
		})
	}
	r := web.NewRouter(web.Options{Service: "x"})
	web.Register(r, ok, h)
	require.Panics(t, func() { web.Register(r, ok, h) }, "an id twice")
}

type hiddenKey struct {
	Key string `path:"key"`
}

// A parameter in an embedded struct that is not exported can never be filled: it
// would be empty in every request.
func TestRegisterRefusesParametersThatNobodyCanFill(t *testing.T) {
	t.Parallel()
	op := web.Op{Method: "GET", Path: "/a/{key}", ID: "a", Summary: "A", Access: web.Public()}
	require.NotPanics(t, func() {
		web.Register(web.NewRouter(web.Options{Service: "x"}), op, func(context.Context, *hiddenKey) (*web.Empty, error) { return nil, nil })
	})
	require.PanicsWithValue(t, "web: GET /a/{key}: hiddenKey.Key is embedded and not exported: nobody can fill it", func() {
		web.Register(web.NewRouter(web.Options{Service: "x"}), op, func(context.Context, *struct {
			hiddenKey
			Other string `query:"other"`
		},
		) (*web.Empty, error) {
			return nil, nil
		})
	})
}
