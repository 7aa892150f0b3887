package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// API is a client of the gateway, signed in or not.
type API struct {
	URL    string
	Token  string
	client *http.Client
}

// Answer is what the gateway said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// API is a client without credentials.
func (s *System) API() *API { return NewAPI(s.URL) }

// NewAPI is a client of a gateway.
func NewAPI(url string) *API {
	return &API{URL: url, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// As is the client with an access token.
func (a *API) As(token string) *API { return &API{URL: a.URL, Token: token, client: a.client} }

// Try sends a request; an error means that there was no answer. header pairs
// follow the body.
func (a *API) Try(method, path string, body any, header ...string) (Answer, error) {
	var r io.Reader
	if raw, ok := body.([]byte); ok {
		r = bytes.NewReader(raw)
	} else if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, a.URL+path, r)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := a.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: raw}, err
}

// Do sends a request and requires one of the statuses (any 2xx if none is
// given).
func (a *API) Do(t testing.TB, method, path string, body any, statuses ...int) Answer {
	t.Helper()
	ans, err := a.Try(method, path, body)
	require.NoError(t, err, "%s %s", method, path)
	ans.require(t, method+" "+path, statuses...)
	return ans
}

// DoKeyed is Do with an Idempotency-Key, repeated until there is an answer that
// is neither a 5xx, a 429 nor missing: what a careful client does.
func (a *API) DoKeyed(t testing.TB, method, path string, body any, statuses ...int) Answer {
	t.Helper()
	key := uuid.NewString()
	var ans Answer
	var err error
	require.Eventually(t, func() bool {
		ans, err = a.Try(method, path, body, "Idempotency-Key", key)
		return err == nil && ans.Status < 500 && ans.Status != http.StatusTooManyRequests &&
			ans.Status != http.StatusUnauthorized && !strings.Contains(string(ans.Body), "idempotency_in_progress")
	}, time.Minute, 100*time.Millisecond, "%s %s is answered in the end", method, path)
	ans.require(t, method+" "+path, statuses...)
	return ans
}

func (a Answer) require(t testing.TB, what string, statuses ...int) {
	t.Helper()
	if len(statuses) == 0 {
		require.True(t, a.Status >= 200 && a.Status < 300, "%s: %d %s", what, a.Status, a.Body)
		return
	}
	require.Contains(t, statuses, a.Status, "%s: %s", what, a.Body)
}

// JSON reads the body.
func (a Answer) JSON(t testing.TB, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.Body, into), "%s", a.Body)
}

// Map reads the body as an object.
func (a Answer) Map(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	a.JSON(t, &m)
	return m
}

// ID is the member id of the body.
func (a Answer) ID(t testing.TB) string {
	t.Helper()
	id, ok := a.Map(t)["id"].(string)
	require.True(t, ok, "no id: %s", a.Body)
	return id
}

// Code is the stable code of a problem document.
func (a Answer) Code(t testing.TB) string {
	t.Helper()
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), "%s", a.Body)
	return fmt.Sprint(a.Map(t)["code"])
}

// Read is a GET repeated until it is answered by a 200.
func (a *API) Read(t testing.TB, path string) (ans Answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		ans, err = a.Try(http.MethodGet, path, nil)
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "GET %s is answered", path)
	return ans
}
