// Package client is a small client of the REST API for the commands of lms: it
// waits when it is told to, repeats what may be repeated under one
// Idempotency-Key, and turns problem documents into errors.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Client speaks to one gateway.
type Client struct {
	url   string
	token string
	http  *http.Client
}

// New makes a client without credentials.
func New(url string) *Client {
	return &Client{url: url, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
	}}
}

// As is the client with an access token.
func (c *Client) As(token string) *Client { return &Client{url: c.url, token: token, http: c.http} }

// Problem is an RFC 9457 answer.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

// Error implements error.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%s (%d %s)", p.Detail, p.Status, p.Code)
	for _, f := range p.Errors {
		text += "; " + f.Field + ": " + f.Message
	}
	return text
}

// tries is how often a request is made at most.
const tries = 8

// Do sends a request and reads the answer into out, if that is not nil. header
// is pairs of name and value. It returns the answer's ETag.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, header ...string) (etag string, err error) {
	var raw []byte
	if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return "", fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	key := uuid.NewString()
	for try := 1; ; try++ {
		etag, wait, err := c.once(ctx, method, path, key, raw, out, header)
		if err == nil || wait == 0 || try == tries {
			return etag, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(wait):
		}
	}
}

// once makes one try; wait is how long to wait before the next, 0 for never.
func (c *Client) once(ctx context.Context, method, path, key string, raw []byte, out any, header []string) (string, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(raw))
	if err != nil {
		return "", 0, err
	}
	if raw != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost {
		req.Header.Set("Idempotency-Key", key)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", 200 * time.Millisecond, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read to its end, or is given up
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return "", 200 * time.Millisecond, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 400 {
		return "", waitFor(res), fmt.Errorf("%s %s: %w", method, path, problem(res.StatusCode, answer))
	}
	if out != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, out); err != nil {
			return "", 0, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return res.Header.Get("ETag"), 0, nil
}

func waitFor(res *http.Response) time.Duration {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode < 500 {
		return 0
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		return min(time.Duration(s)*time.Second, 10*time.Second)
	}
	return 300 * time.Millisecond
}

func problem(status int, answer []byte) error {
	p := &Problem{Status: status}
	if err := json.Unmarshal(answer, p); err != nil || p.Code == "" {
		p.Code, p.Detail = http.StatusText(status), "the answer is no problem document"
	}
	return p
}

// Login signs in with a password and returns the access token.
func (c *Client) Login(ctx context.Context, email, password string) (string, error) {
	var t struct {
		AccessToken string `json:"access_token"`
		MFARequired bool   `json:"mfa_required"`
	}
	if _, err := c.Do(ctx, http.MethodPost, "/api/v1/auth/login", map[string]string{"email": email, "password": password}, &t); err != nil {
		return "", err
	}
	if t.MFARequired {
		return "", fmt.Errorf("%s signs in with a second factor: use the API", email)
	}
	return t.AccessToken, nil
}
