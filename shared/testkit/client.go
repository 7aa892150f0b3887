package testkit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// Client sends requests to a handler in this process.
type Client struct {
	t       testing.TB
	handler http.Handler
	tokens  *Tokens
	token   string
	header  http.Header
}

// Server is a client of h; tokens mints what As needs.
func Server(t testing.TB, h http.Handler, tokens *Tokens) *Client {
	t.Helper()
	return &Client{t: t, handler: h, tokens: tokens, header: http.Header{}}
}

// As is the client signed in as p.
func (c *Client) As(p authz.Principal) *Client {
	c.t.Helper()
	return c.WithToken(c.tokens.For(p))
}

// WithToken is the client with a raw access token.
func (c *Client) WithToken(raw string) *Client {
	d := c.clone()
	d.token = raw
	return d
}

// Anonymous is the client without a token.
func (c *Client) Anonymous() *Client { return c.WithToken("") }

// With is the client with one more header on every request.
func (c *Client) With(name, value string) *Client {
	d := c.clone()
	d.header.Set(name, value)
	return d
}

func (c *Client) clone() *Client {
	d := *c
	d.header = c.header.Clone()
	return &d
}

// GET asks for a path.
func (c *Client) GET(path string) *Response { c.t.Helper(); return c.Do(http.MethodGet, path, nil) }

// POST sends body as JSON; nil sends none.
func (c *Client) POST(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPost, path, body)
}

// PUT sends body as JSON.
func (c *Client) PUT(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPut, path, body)
}

// PATCH sends body as a JSON merge patch.
func (c *Client) PATCH(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPatch, path, body)
}

// DELETE deletes a path.
func (c *Client) DELETE(path string) *Response {
	c.t.Helper()
	return c.Do(http.MethodDelete, path, nil)
}

// Do sends a request. A body that is a string or bytes goes as it is, anything
// else as JSON.
func (c *Client) Do(method, path string, body any) *Response {
	c.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		require.NoError(c.t, err)
		r = bytes.NewReader(raw)
	}
	req := httptest.NewRequestWithContext(c.t.Context(), method, path, r)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, req)
	return &Response{t: c.t, what: method + " " + path, Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
}

// Response is an answer; an error answer that is no problem document fails the
// test wherever it shows up.
type Response struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   []byte
}

// Problem is a problem document as a client reads it.
type Problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Instance  string         `json:"instance"`
	Code      string         `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []apperr.Field `json:"errors"`
	All       map[string]any `json:"-"` // every member
}

// Expect requires the status.
func (r *Response) Expect(status int) *Response {
	r.t.Helper()
	require.Equal(r.t, status, r.Status, "%s: %s", r.what, r.Body)
	if status >= http.StatusBadRequest {
		r.Problem()
	}
	return r
}

// Code requires the code of the problem.
func (r *Response) Code(code string) *Response {
	r.t.Helper()
	require.Equal(r.t, code, r.Problem().Code, "%s: %s", r.what, r.Body)
	return r
}

// Field requires that the problem names an invalid field with a code.
func (r *Response) Field(path, code string) *Response {
	r.t.Helper()
	for _, f := range r.Problem().Errors {
		if f.Path == path && f.Code == code {
			return r
		}
	}
	require.Failf(r.t, "field not named", "%s: want %s %s in %s", r.what, path, code, r.Body)
	return r
}

// Problem reads and checks the problem document of an error answer.
func (r *Response) Problem() Problem {
	r.t.Helper()
	var p Problem
	require.Equal(r.t, "application/problem+json", r.Header.Get("Content-Type"), "%s: %s", r.what, r.Body)
	require.NoError(r.t, json.Unmarshal(r.Body, &p), "%s: %s", r.what, r.Body)
	require.NoError(r.t, json.Unmarshal(r.Body, &p.All))
	require.Equal(r.t, r.Status, p.Status, "%s: status of the document", r.what)
	require.NotEmpty(r.t, p.Code, "%s: code", r.what)
	require.NotEmpty(r.t, p.Title, "%s: title", r.what)
	require.True(r.t, strings.HasSuffix(p.Type, p.Code), "%s: type %s", r.what, p.Type)
	require.NotEmpty(r.t, p.RequestID, "%s: request_id", r.what)
	return p
}

// JSON reads the body.
func (r *Response) JSON(out any) *Response {
	r.t.Helper()
	require.NoError(r.t, json.Unmarshal(r.Body, out), "%s: %s", r.what, r.Body)
	return r
}

// ETag is the answer's entity tag, which must be there.
func (r *Response) ETag() string {
	r.t.Helper()
	tag := r.Header.Get("ETag")
	require.NotEmpty(r.t, tag, "%s: no ETag", r.what)
	return tag
}
