package dapr

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/apperr"
	"lms/shared/work"
)

// Call is one invocation of another app.
type Call struct {
	App    string
	Method string // GET by default
	Path   string // "/internal/users/cards"
	Query  url.Values
	Header http.Header
	Body   any // sent as JSON; []byte and json.RawMessage as they are
	Out    any // where a 2xx answer's JSON goes; *[]byte takes it as it is
	// OutHeader, if given, takes the answer's headers.
	OutHeader *http.Header
	// Timeout bounds all tries together; the client's default if zero.
	Timeout time.Duration
	// Idempotent allows sending it again (three tries) when the other side was
	// away. GET and HEAD always are.
	Idempotent bool
	// Anonymous sends no service token.
	Anonymous bool
}

// Invoke calls another app. It returns the HTTP status, and for a status of 400
// or more the *apperr.Error that the other side meant (kind, code, fields,
// details). A 304 is no error and leaves Out alone.
func (c *Client) Invoke(ctx context.Context, call Call) (int, error) {
	if call.Method == "" {
		call.Method = http.MethodGet
	}
	body, err := encode(call.Body)
	if err != nil {
		return 0, apperr.Internal(fmt.Errorf("dapr: body for %s%s: %w", call.App, call.Path, err))
	}
	ctx, cancel := c.bounded(ctx, call.Timeout)
	defer cancel()
	ctx, span := c.o.Tracer.Start(ctx, "invoke "+call.App, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("peer.service", call.App), attribute.String("http.request.method", call.Method)))
	defer span.End()

	tries := uint(1)
	if call.Idempotent || call.Method == http.MethodGet || call.Method == http.MethodHead {
		tries = 3
	}
	var status int
	err = again(ctx, tries, func() error {
		var err error
		status, err = c.invokeOnce(ctx, call, body, true)
		return err
	})
	if err != nil {
		span.RecordError(err)
	}
	return status, err
}

// again tries fn while it fails as Unavailable and there is time left. What it
// returns is fn's own last error.
func again(ctx context.Context, tries uint, fn func() error) error {
	if tries <= 1 {
		return fn()
	}
	var last error
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		if last = fn(); last != nil && !apperr.IsKind(last, apperr.KindUnavailable) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, backoff.WithMaxTries(tries), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 3, MaxInterval: time.Second,
	}))
	return last
}

func (c *Client) invokeOnce(ctx context.Context, call Call, body []byte, renew bool) (int, error) {
	req, token, err := c.request(ctx, call, body)
	if err != nil {
		return 0, err
	}
	resp, err := c.Transport().RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if call.OutHeader != nil {
		*call.OutHeader = resp.Header
	}
	if resp.StatusCode == http.StatusNotModified {
		return resp.StatusCode, nil
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxAnswer+1))
	if err != nil {
		return resp.StatusCode, transportError(ctx, call.App, err)
	}
	if int64(len(answer)) > c.o.MaxAnswer {
		return resp.StatusCode, apperr.Internal(fmt.Errorf("dapr: %s %s%s answered more than %d bytes", call.Method, call.App, call.Path, c.o.MaxAnswer))
	}
	if resp.StatusCode == http.StatusUnauthorized && token != "" && c.o.Rejected != nil && renew {
		c.o.Rejected(token)
		return c.invokeOnce(ctx, call, body, false)
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, decodeProblem(resp, call, answer)
	}
	return resp.StatusCode, decode(call, answer)
}

// request builds the request; token is the service token it carries.
func (c *Client) request(ctx context.Context, call Call, body []byte) (req *http.Request, token string, err error) {
	u := c.InvokeURL(call.App, call.Path)
	if len(call.Query) > 0 {
		u += "?" + call.Query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err = http.NewRequestWithContext(ctx, call.Method, u, reader)
	if err != nil {
		return nil, "", apperr.Internal(fmt.Errorf("dapr: %w", err))
	}
	for k, v := range call.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	c.o.Propagator.Inject(ctx, propagation.HeaderCarrier(req.Header))
	if id := work.ActorFrom(ctx).RequestID; id != "" && req.Header.Get("X-Request-Id") == "" {
		req.Header.Set("X-Request-Id", id)
	}
	if !call.Anonymous && c.o.Token != nil && req.Header.Get("Authorization") == "" {
		if token, err = c.o.Token(ctx); err != nil {
			return nil, "", err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, token, nil
}

func encode(v any) ([]byte, error) {
	switch b := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return b, nil
	case json.RawMessage:
		return b, nil
	}
	return json.Marshal(v)
}

// decode ignores fields it does not know: the other side may be newer.
func decode(call Call, answer []byte) error {
	switch out := call.Out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = answer
		return nil
	}
	if len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, call.Out); err != nil {
		return apperr.Internal(fmt.Errorf("dapr: answer of %s %s%s: %w", call.Method, call.App, call.Path, err))
	}
	return nil
}

// problem members that are not details.
var problemMembers = []string{"type", "title", "status", "detail", "instance", "code", "errors", "request_id", "trace_id", "retry_after"}

// decodeProblem turns an RFC 9457 answer back into the error it was made from.
func decodeProblem(resp *http.Response, call Call, answer []byte) error {
	e := apperr.New(apperr.KindOf(resp.StatusCode), "", "")
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	e.Cause = fmt.Errorf("%s %s%s answered %d", call.Method, call.App, call.Path, resp.StatusCode)
	var p struct {
		Detail string         `json:"detail"`
		Title  string         `json:"title"`
		Code   string         `json:"code"`
		Errors []apperr.Field `json:"errors"`
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(answer, &p) == nil {
		e.Code, e.Message, e.Fields = p.Code, p.Detail, p.Errors
		if e.Message == "" {
			e.Message = p.Title
		}
		e.Details = members(answer)
	}
	if e.Code == "" {
		e.Code = fallbackCode(e.Kind)
		e.Message = "The " + call.App + " service refused the request."
	}
	return e
}

func fallbackCode(k apperr.Kind) string {
	switch k {
	case apperr.KindUnavailable:
		return "service_unavailable"
	case apperr.KindInternal:
		return "internal_error"
	}
	return "refused_by_service"
}

func members(answer []byte) map[string]any {
	var all map[string]any
	if json.Unmarshal(answer, &all) != nil {
		return nil
	}
	for _, m := range problemMembers {
		delete(all, m)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
