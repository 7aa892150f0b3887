package opensearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	osclient "github.com/opensearch-project/opensearch-go/v4"

	"lms/shared/apperr"
)

// Timeouts of one request.
const (
	askTimeout    = 5 * time.Second
	searchTimeout = 10 * time.Second // somebody waits for it
	writeTimeout  = 30 * time.Second
)

// refusal is what the cluster says when it refuses.
type refusal struct {
	status int
	kind   string // index_not_found_exception, …
	reason string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.kind, r.reason) }

// indexNotFound is the kind of a refusal.
const indexNotFound = "index_not_found_exception"

// refused says whether an error is a refusal of a kind.
func refused(err error, kind string) bool {
	var r *refusal
	return errors.As(err, &r) && r.kind == kind
}

func away(cause error) error {
	return apperr.Unavailable("search_unavailable", "The search is not available at the moment. Try again.").With(cause)
}

// do makes a request. A cluster that cannot be reached, is too busy or is not ready
// is KindUnavailable.
func (e *Engine) do(ctx context.Context, method, path string, in []byte, out any) error {
	timeout := askTimeout
	if method != http.MethodGet && method != http.MethodHead {
		timeout = writeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(in))
	if err != nil {
		return fmt.Errorf("request to the cluster: %w", err)
	}
	if len(in) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if e.user != "" {
		password, err := e.signIn(ctx)
		if err != nil {
			return away(err)
		}
		req.SetBasicAuth(e.user, password)
	}
	res, err := e.client.Stream(req)
	if err != nil {
		return away(err)
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return away(err)
	}
	if res.StatusCode == http.StatusUnauthorized {
		e.secret.Store(nil)
	}
	if res.StatusCode >= http.StatusBadRequest {
		err := refusalOf(res.StatusCode, raw)
		if refused(err, indexNotFound) {
			e.lost()
			return away(err)
		}
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return apperr.Internal(fmt.Errorf("answer of the cluster: %w", err))
	}
	return nil
}

// signIn is the password.
func (e *Engine) signIn(ctx context.Context) (string, error) {
	if known := e.secret.Load(); known != nil {
		return *known, nil
	}
	password, err := e.password(ctx)
	if err != nil {
		return "", fmt.Errorf("password of the cluster: %w", err)
	}
	e.secret.Store(&password)
	return password, nil
}

func refusalOf(status int, raw []byte) error {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	r := &refusal{status: status, reason: string(raw[:min(len(raw), 500)])}
	if json.Unmarshal(raw, &answer) == nil {
		var cause struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		}
		if json.Unmarshal(answer.Error, &cause) == nil {
			r.kind, r.reason = cause.Type, cause.Reason
		}
	}
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError || status == http.StatusUnauthorized {
		return away(r)
	}
	return r
}

func (e *Engine) ask(ctx context.Context, method, path string, in, out any) error {
	var raw []byte
	if in != nil {
		var err error
		if raw, err = json.Marshal(in); err != nil {
			return apperr.Internal(err)
		}
	}
	return e.do(ctx, method, path, raw, out)
}

// Options of New.
type Options struct {
	Addresses []string
	User      string // "" where nobody has to sign in
	// Password is read when it is first needed, and again after a refusal.
	Password func(ctx context.Context) (string, error)
	Prefix   string // of the names of indexes
}

func newClient(o Options) (*osclient.Client, error) {
	c, err := osclient.NewClient(osclient.Config{
		Addresses: o.Addresses,
		// Only reads and idempotent writes are sent; those that fail are repeated by
		// whoever asked.
		MaxRetries: 1, RetryOnStatus: []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
	})
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	return c, nil
}
