package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/telemetry"
	"lms/shared/testkit"
	"lms/shared/web"
)

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func bench(b *testing.B, method, path, body string) {
	b.Helper()
	tokens := testkit.NewTokens(b)
	tel, err := telemetry.New(b.Context(), telemetry.Options{Service: "thing"})
	require.NoError(b, err)
	r := web.NewRouter(web.Options{
		Service: "thing", Verifier: tokens.Verifier(), Authz: testkit.Policy(),
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Metrics: tel.Metrics,
	})
	things(r, &seen{})
	token := "Bearer " + tokens.For(testkit.User(uuid.New(), authz.RoleInstructor))
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
		req.Header["Authorization"] = []string{token}
		if body != "" {
			req.Header["Content-Type"] = []string{"application/json"}
		}
		r.ServeHTTP(&discard{http.Header{}}, req)
	}
}

func BenchmarkGet(b *testing.B) {
	bench(b, "GET", "/api/v1/things/0197a8a2-6b5c-7e7f-8a50-1f1d3b9a2c11", "")
}

func BenchmarkPost(b *testing.B) { bench(b, "POST", "/api/v1/things", `{"title":"x"}`) }

// sink keeps the compiler from leaving out what is measured.
var sink *discard

// BenchmarkRequestAlone is what the harness itself costs.
func BenchmarkRequestAlone(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(b.Context(), "GET", "/api/v1/things/0197a8a2-6b5c-7e7f-8a50-1f1d3b9a2c11", strings.NewReader(""))
		req.Header["Authorization"] = []string{"x"}
		sink = &discard{http.Header{}}
	}
}
