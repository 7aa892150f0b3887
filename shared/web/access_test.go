package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestAccess(t *testing.T) {
	t.Parallel()
	_, c, s, l := fixture(t)
	body := map[string]any{"title": "x"}
	student, teacher := testkit.User(uuid.New(), authz.RoleStudent), testkit.User(uuid.New(), authz.RoleInstructor)
	thingPath := "/api/v1/things/" + uuid.NewString()

	require.Contains(t, c.GET(thingPath).Expect(401).Code("unauthenticated").Header.Get("WWW-Authenticate"), "Bearer")
	c.WithToken("nonsense").GET(thingPath).Expect(401).Code("invalid_token")
	c.WithToken("nonsense").GET("/api/v1/things").Expect(401).Code("invalid_token")
	c.With("Authorization", "Basic YTpi").GET("/api/v1/things").Expect(401).Code("invalid_token")
	c.As(testkit.Service("course")).GET(thingPath).Expect(401)
	c.As(testkit.Service("course")).GET("/api/v1/things").Expect(401)

	c.As(student).POST("/api/v1/things", body).Expect(403).Code("forbidden")
	require.Contains(t, l.String(), "permission held nowhere")
	c.As(teacher).POST("/api/v1/things", body).Expect(201)
	c.As(testkit.PlatformAdmin()).POST("/api/v1/things", body).Expect(201)
	c.As(student).PUT("/api/v1/grade", nil).Expect(204)

	c.POST("/internal/things", body).Expect(401)
	c.As(teacher).POST("/internal/things", body).Expect(404).Code("not_found")
	c.As(testkit.Service("course")).POST("/internal/things", body).Expect(403)
	c.As(testkit.Service("enrollment")).POST("/internal/things", map[string]any{"title": "x", "newer": 1}).Expect(200)
	c.As(testkit.Service("enrollment")).POST("/internal/things?newer=1", body).Expect(200)
	require.Equal(t, "enrollment", s.actor.Principal.Service)
	c.As(testkit.Service("enrollment")).POST("/internal/things", map[string]any{}).Expect(422)
}

func TestImpersonationIsReadOnly(t *testing.T) {
	t.Parallel()
	_, c, s, _ := fixture(t)
	p := testkit.User(uuid.New(), authz.RoleInstructor)
	p.Impersonator, p.ReadOnly = uuid.New(), true
	c = c.As(p)
	c.GET("/api/v1/things/" + uuid.NewString()).Expect(200)
	c.POST("/api/v1/things", map[string]any{"title": "x"}).Expect(403).Code("impersonation_read_only")
	c.With("Content-Type", "text/plain").POST("/api/v1/hook/a", "x").Expect(403).Code("impersonation_read_only")
	c.POST("/api/v1/leave", nil).Expect(204)
	require.Equal(t, p.Impersonator, s.actor.Principal.Impersonator)
}

func TestLimitedTokens(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	p := testkit.User(uuid.New(), authz.RoleInstructor)
	p.Limited = []authz.Permission{authz.CourseRead}
	c = c.As(p)
	c.GET("/api/v1/things/" + uuid.NewString()).Expect(200)
	c.POST("/api/v1/things", map[string]any{"title": "x"}).Expect(403).Code("token_limited")
	c.PUT("/api/v1/grade", nil).Expect(403).Code("token_limited")
	c.POST("/api/v1/leave", nil).Expect(403).Code("token_limited")
}

func TestOnlyTheSidecarDelivers(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	c.POST("/events/user", `{}`).Expect(401)
	c.With("dapr-api-token", "wrong").POST("/events/user", `{}`).Expect(401)
	c.With("dapr-api-token", "app-secret").POST("/events/user", `{}`).Expect(200)
	c.With("dapr-api-token", "app-secret").With("dapr-caller-app-id", "course").POST("/events/user", `{}`).Expect(404)
}

func TestClientAddressIsTheGatewaysWord(t *testing.T) {
	t.Parallel()
	_, c, s, _ := fixture(t)
	c = c.As(testkit.User(uuid.New())).With("X-Forwarded-For", "203.0.113.9, 127.0.0.1")
	leave := func(c *testkit.Client) string {
		c.POST("/api/v1/leave", nil).Expect(204)
		return s.actor.IP
	}
	require.Equal(t, "192.0.2.1", leave(c), "a client's own header is nothing")
	require.Equal(t, "192.0.2.1", leave(c.With("dapr-caller-app-id", "gateway")))
	require.Equal(t, "192.0.2.1", leave(c.With("dapr-caller-app-id", "course").With("dapr-api-token", "app-secret")))
	require.Equal(t, "203.0.113.9", leave(c.With("dapr-caller-app-id", "gateway").With("dapr-api-token", "app-secret")))
}

func TestFrontDecidesWhatReachesTheRoutes(t *testing.T) {
	t.Parallel()
	r, c, _, l := fixture(t)
	r.Front(func(routes http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/healthz" {
				routes.ServeHTTP(w, req)
				return
			}
			web.Annotate(req.Context(), "/front/*", testkit.User(uuid.New()))
			web.WriteError(w, req, web.RequestID(req.Context()), apperr.NotFound("page"))
		})
	})
	c.GET("/healthz").Expect(200)
	c.GET("/api/v1/things").Expect(404)
	require.Contains(t, l.String(), `"route":"/front/*"`)
	require.Contains(t, l.String(), `"user_id"`)
}

func TestTwoCallerNamesAreNoGateway(t *testing.T) {
	t.Parallel()
	r, _, s, _ := fixture(t)
	tokens := testkit.NewTokens(t)
	r.SetVerifier(tokens.Verifier())
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/leave", nil)
	req.Header["Dapr-Caller-App-Id"] = []string{"gateway", "course"}
	req.Header.Set("Dapr-Api-Token", "app-secret")
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	req.Header.Set("Authorization", "Bearer "+tokens.For(testkit.User(uuid.New())))
	r.ServeHTTP(httptest.NewRecorder(), req)
	require.Equal(t, "192.0.2.1", s.actor.IP)
}
