package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"time"

	"lms/shared/apperr"
)

// problemType is the media type of every error answer (RFC 9457).
const problemType = "application/problem+json"

// problemBase starts the `type` of a problem; its code ends it.
const problemBase = "urn:lms:problem:"

// Problem is the document of every error answer, RFC 9457 with our members.
// Further members carry what the code needs, such as the reasons of a lock.
type Problem struct {
	Type      string         `json:"type" doc:"A URN that ends in the code"`
	Title     string         `json:"title" doc:"The status in words"`
	Status    int            `json:"status" doc:"The HTTP status"`
	Detail    string         `json:"detail,omitempty" doc:"One sentence for people; do not branch on it"`
	Instance  string         `json:"instance,omitempty" doc:"The path that was asked for"`
	Code      string         `json:"code" doc:"Stable; what clients branch on"`
	RequestID string         `json:"request_id,omitempty" doc:"Quote it when you ask for help"`
	Errors    []apperr.Field `json:"errors,omitempty" doc:"All invalid fields at once"`
	_         struct{}       `additionalProperties:"true"`
	extra     map[string]any
	retry     time.Duration
}

// NewProblem is the document of an error as a client may see it: the cause
// stays behind, an internal error shows nothing but that it happened.
func NewProblem(err *apperr.Error) *Problem {
	status := err.Kind.Status()
	p := &Problem{
		Type: problemBase + err.Code, Title: http.StatusText(status), Status: status,
		Detail: err.Message, Code: err.Code, Errors: err.Fields, extra: err.Details, retry: err.RetryAfter,
	}
	if err.Kind == apperr.KindInternal {
		p.Type, p.Code, p.Detail = problemBase+"internal_error", "internal_error", "Something went wrong on our side."
		p.Errors, p.extra = nil, nil
	}
	return p
}

// Error implements error, so that huma carries the problem to its writer.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

// setHeaders sets what goes with the status. A challenge that a handler has set
// itself stays.
func (p *Problem) setHeaders(h http.Header) {
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		challenge := `Bearer realm="lms"`
		if p.Code == "invalid_token" || p.Code == "token_expired" || p.Code == "session_ended" {
			challenge += `, error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retry+time.Second-1)/time.Second), 10))
	} else if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h.Set("Cache-Control", "no-store")
}

// MarshalJSON writes the members and, beside them, the details.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	b, err := json.Marshal((*plain)(p))
	if err != nil || len(p.extra) == 0 {
		return b, err
	}
	all := maps.Clone(p.extra)
	if err := json.Unmarshal(b, &all); err != nil { // the standard members win
		return nil, err
	}
	return json.Marshal(all)
}

// problem turns an error into what the client sees, and logs what it must not
// see.
func (x *exchange) problem(ctx context.Context, err error) *Problem {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		x.gone = true // the client hung up: nobody reads the answer
		err = apperr.Unavailable("client_closed_request", "The request was given up.")
	}
	var given *Problem
	if errors.As(err, &given) {
		return x.place(given)
	}
	e := apperr.From(err)
	switch {
	case x.gone:
	case e.Kind == apperr.KindInternal:
		x.router.log.LogAttrs(ctx, slog.LevelError, "request failed", x.failure(err)...)
	case e.Kind == apperr.KindUnavailable:
		x.router.log.LogAttrs(ctx, slog.LevelWarn, "request could not be served", x.failure(err)...)
	}
	return x.place(NewProblem(e))
}

// refuse is problem for an operation, whose answer huma writes.
func (x *exchange) refuse(ctx context.Context, err error) error {
	p := x.problem(ctx, err)
	p.setHeaders(x.Header())
	return p
}

func (x *exchange) failure(err error) []slog.Attr {
	return []slog.Attr{
		slog.String("error", err.Error()), slog.String("request_id", x.id),
		slog.String("method", x.req.Method), slog.String("route", x.pattern()),
	}
}

func (x *exchange) place(p *Problem) *Problem {
	c := *p
	c.RequestID, c.Instance = x.id, x.req.URL.EscapedPath()
	return &c
}

// fail writes the error answer; what was already sent cannot be taken back,
// then the connection is cut, so that the client does not take a part for the
// whole.
func (x *exchange) fail(ctx context.Context, err error) {
	p := x.problem(ctx, err)
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	x.writeProblem(p)
}

func (x *exchange) writeProblem(p *Problem) {
	b, err := json.Marshal(p)
	if err != nil { // details that do not marshal: a programming error
		x.router.log.Error("problem document", "error", err.Error(), "request_id", x.id)
		p.extra = nil
		b, _ = json.Marshal(p) // plain strings always marshal
	}
	h := x.Header()
	p.setHeaders(h)
	h.Set("Content-Type", problemType)
	h.Del("ETag")
	x.WriteHeader(p.Status)
	_, _ = x.Write(b) // the client is gone; nobody is left to tell
}

// WriteError answers a request with the problem document of err: for handlers
// that are no operation of a Router (the gateway's own).
func WriteError(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	var p *Problem
	if given := (*Problem)(nil); errors.As(err, &given) {
		c := *given
		p = &c
	} else {
		p = NewProblem(apperr.From(err))
	}
	p.RequestID, p.Instance = requestID, r.URL.EscapedPath()
	b, merr := json.Marshal(p)
	if merr != nil {
		p.extra = nil
		b, _ = json.Marshal(p) // plain strings always marshal
	}
	p.setHeaders(w.Header())
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the client is gone; nobody is left to tell
}
