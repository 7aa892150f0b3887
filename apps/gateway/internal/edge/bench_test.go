package edge_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/testkit"
	"lms/shared/web"
)

// instant answers at once, so that what is measured is the gateway alone.
type instant struct {
	p    authz.Principal
	body string
}

func (i instant) Transport() http.RoundTripper { return i }

func (i instant) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(i.body))}, nil
}

func (instant) Invoke(context.Context, dapr.Call) (int, error) { return 200, nil }

func (i instant) GetState(context.Context, string, string) (dapr.State, error) {
	end := time.Now().Add(time.Hour)
	b, err := json.Marshal(internalapi.SessionDocument{Subject: i.p.UserID, Epoch: 1, ExpiresAt: end, Sessions: []internalapi.SessionRecord{{ID: i.p.SessionID, ExpiresAt: end, IdleExpiresAt: end}}})
	return dapr.State{Value: b, ETag: "1"}, err
}

func BenchmarkProxy(b *testing.B) {
	tokens := testkit.NewTokens(b)
	p := testkit.User(uuid.New(), authz.RoleStudent)
	c := defaults()
	c.AddressRate, c.UserRate = 1<<30, 1<<30
	g, err := edge.New(edge.Options{Config: c, PublicURL: "https://lms.test", Sidecar: instant{p, `{"items":[` + strings.Repeat(`{"id":1},`, 100) + `{}]}`}, Verifier: tokens.Verifier()})
	require.NoError(b, err)
	r := web.NewRouter(web.Options{Service: "gateway", Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	r.Front(func(http.Handler) http.Handler { return g })
	token := "Bearer " + tokens.For(p)
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(b.Context(), "GET", "/api/v1/courses/0197a8a2-6b5c-7e7f-8a50-1f1d3b9a2c11/progress", nil)
		req.Header["Authorization"] = []string{token}
		req.Header["Accept"] = []string{"application/json"}
		r.ServeHTTP(httptest.NewRecorder(), req)
	}
}
