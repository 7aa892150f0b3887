package dapr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"

	"lms/shared/apperr"
)

// target is what is kept per app: its breaker, and its header value, which is
// not allocated anew for each request.
type target struct {
	header  []string
	breaker *gobreaker.TwoStepCircuitBreaker[any]
}

// errBusy and errCanceled are what a breaker is told of an outcome.
var (
	errBusy     = errors.New("the other side is not well")
	errCanceled = errors.New("the caller gave up")
)

// target gives the app its circuit breaker: half of at least ten calls within
// ten seconds failed → calls fail fast for two seconds, then three are let
// through to see. The sidecar's own breakers are kept per path and hardly ever
// trip where paths carry ids.
func (c *Client) target(app string) *target {
	if t, ok := c.targets.Load(app); ok {
		return t.(*target)
	}
	t, _ := c.targets.LoadOrStore(app, &target{
		header: []string{app},
		breaker: gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
			Name: app, MaxRequests: 3, Interval: 10 * time.Second, BucketPeriod: time.Second, Timeout: 2 * time.Second,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.Requests >= 10 && n.TotalFailures*2 >= n.Requests },
			IsExcluded:  func(err error) bool { return errors.Is(err, errCanceled) },
			OnStateChange: func(app string, from, to gobreaker.State) {
				c.o.Log.Warn("circuit breaker changed", "target", app, "from", from.String(), "to", to.String())
				c.o.Metrics.Breaker(app, to == gobreaker.StateOpen)
			},
		}),
	})
	return t.(*target)
}

// InvokeURL is the URL of a path of another app, for requests that go through
// Transport. path starts with a slash.
func (c *Client) InvokeURL(app, path string) string { return "http://" + app + path }

// Transport sends requests for InvokeURLs through the sidecar: what the gateway
// proxies with, and what Invoke is made of. It takes the request's header map
// over (adds to it), so the request must be the caller's own, as it is in
// httputil.ReverseProxy. It neither retries nor adds a service token, and sets
// no deadline: the request's context does. A failure of the sidecar, of the way
// or of the breaker is an *apperr.Error; what the app itself answered is a
// response, whatever its status.
func (c *Client) Transport() http.RoundTripper { return roundTripper{c} }

type roundTripper struct{ c *Client }

func (rt roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	c, app, began := rt.c, req.URL.Host, time.Now()
	t := c.target(app)
	done, err := t.breaker.Allow()
	if err != nil {
		closeBody(req)
		c.o.Metrics.DaprCall("invoke", app, "breaker_open", 0)
		return nil, serviceAway(app, err)
	}
	req.Header["Dapr-App-Id"] = t.header
	if c.o.APIToken != "" {
		req.Header["Dapr-Api-Token"] = []string{c.o.APIToken}
	}
	resp, err := c.http.RoundTrip(req)
	switch {
	case err != nil:
		err = transportError(req.Context(), app, err)
	case len(resp.Header[answeredHeader]) == 0:
		err = notAnswered(resp, app)
	}
	done(outcome(resp, err))
	result := "ok"
	if err != nil {
		result, resp = apperr.Code(err), nil
	} else if resp.StatusCode >= 500 {
		result = "server_error"
	}
	c.o.Metrics.DaprCall("invoke", app, result, time.Since(began))
	return resp, err
}

// answeredHeader is in every answer that an app of ours gives, and in none that
// a sidecar makes up.
const answeredHeader = "X-Request-Id"

// closeBody keeps RoundTripper's promise that the body is closed in any case.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// outcome is what the breaker counts. A 500 of the app is a bug in one route
// and no reason to refuse the others.
func outcome(resp *http.Response, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errCanceled
	case apperr.IsKind(err, apperr.KindUnavailable):
		return errBusy
	case err == nil && (resp.StatusCode == 502 || resp.StatusCode == 503 || resp.StatusCode == 504):
		return errBusy
	}
	return nil
}

// notAnswered is the outcome of an answer that is the sidecar's and not the app's:
// "no such app" or "not allowed", as JSON with an errorCode; or a success that
// never was. daprd 1.18 keeps one handler for all calls that it makes to its app:
// a call beside others whose connection breaks notes its failure in a neighbour's
// place and passes for a 200 without headers and body (dapr/README.md).
func notAnswered(resp *http.Response, app string) error {
	start, err := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	_ = resp.Body.Close()
	var e struct {
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	if err == nil && len(start) > 0 {
		err = json.Unmarshal(start, &e)
	}
	cause := fmt.Errorf("the sidecar and not the app answered %d %s: %s", resp.StatusCode, e.ErrorCode, e.Message)
	if resp.StatusCode == http.StatusForbidden && e.ErrorCode != "" {
		return apperr.Forbidden("This service may not make that call.").With(cause)
	}
	return serviceAway(app, errors.Join(cause, err))
}

// transportError tells "no sidecar" from "too slow" and from "given up".
func transportError(ctx context.Context, app string, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return apperr.Unavailable("timeout", "The "+app+" service took too long. Try again.").With(err)
	case errors.As(err, &op) && op.Op == "dial":
		return sidecarAway(err)
	}
	return serviceAway(app, err)
}

func sidecarAway(cause error) *apperr.Error {
	return apperr.Unavailable("sidecar_unavailable", "The service's sidecar cannot be reached. Try again.").With(cause)
}

func serviceAway(app string, cause error) *apperr.Error {
	return apperr.Unavailable("service_unavailable", "The "+app+" service cannot be reached. Try again.").Detail("service", app).With(cause)
}
