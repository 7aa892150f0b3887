// Package apperr is the one typed error that crosses layers. Domain, store and
// client code return *Error; the HTTP edge alone turns it into an RFC 9457
// problem document, the event edge into "dead letter" or "retry".
package apperr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Kind classifies an error by what the caller can do about it. It has exactly
// one HTTP status, see Status.
type Kind int

// The kinds. The zero value is KindInternal, so that a forgotten kind never
// tells a client that it did something wrong.
const (
	KindInternal             Kind = iota // 500: our fault; the cause is logged, never shown
	KindMalformed                        // 400: the request cannot be read
	KindUnauthenticated                  // 401
	KindPaymentRequired                  // 402
	KindForbidden                        // 403: may know it, may not do it
	KindNotFound                         // 404: also what the caller may not know of
	KindConflict                         // 409
	KindPreconditionFailed               // 412
	KindTooLarge                         // 413
	KindUnsupportedMedia                 // 415
	KindInvalid                          // 422: readable, but breaks a rule; Fields say which
	KindPreconditionRequired             // 428
	KindRateLimited                      // 429
	KindUnavailable                      // 503: try again later
)

var statuses = map[Kind]int{
	KindInternal: http.StatusInternalServerError, KindMalformed: http.StatusBadRequest,
	KindUnauthenticated: http.StatusUnauthorized, KindPaymentRequired: http.StatusPaymentRequired,
	KindForbidden: http.StatusForbidden, KindNotFound: http.StatusNotFound,
	KindConflict: http.StatusConflict, KindPreconditionFailed: http.StatusPreconditionFailed,
	KindTooLarge: http.StatusRequestEntityTooLarge, KindUnsupportedMedia: http.StatusUnsupportedMediaType,
	KindInvalid: http.StatusUnprocessableEntity, KindPreconditionRequired: http.StatusPreconditionRequired,
	KindRateLimited: http.StatusTooManyRequests, KindUnavailable: http.StatusServiceUnavailable,
}

// Status is the HTTP status of the kind.
func (k Kind) Status() int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// KindOf is the kind that an HTTP status stands for; statuses that no kind has
// become KindUnavailable (408, 425, 502, 504: the same request may succeed),
// KindInvalid (other 4xx) or KindInternal.
func KindOf(status int) Kind {
	for k, s := range statuses {
		if s == status {
			return k
		}
	}
	switch {
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return KindUnavailable
	case status >= 400 && status < 500:
		return KindInvalid
	}
	return KindInternal
}

// Field is one invalid field of a request. Path is its JSON path, such as
// "modules[0].title"; Code is stable, Message is for people.
type Field struct {
	Path    string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error is what failed, as a caller may know it. Code is stable and documented;
// Message is one sentence for people. Cause is for the log alone.
type Error struct {
	Kind       Kind
	Code       string
	Message    string
	Fields     []Field
	Details    map[string]any
	RetryAfter time.Duration
	Cause      error
}

// Error implements error. The cause is part of it, since this text goes to
// logs; clients get Code and Message only.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code)
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s %s", f.Path, f.Code)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// With returns a copy with a cause for the log.
func (e *Error) With(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Detail returns a copy with a member that clients see in the problem document.
func (e *Error) Detail(key string, value any) *Error {
	c := *e
	c.Details = maps.Clone(e.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// After returns a copy that tells the client when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// New is an error of a kind with a stable code.
func New(k Kind, code, message string) *Error {
	return &Error{Kind: k, Code: code, Message: message}
}

// Invalid is a 422 that names all fields that break a rule.
func Invalid(fields ...Field) *Error {
	return &Error{Kind: KindInvalid, Code: "validation_failed", Message: "The request breaks a rule; see errors.", Fields: fields}
}

// Malformed is a 400: what was sent cannot be read.
func Malformed(code, message string) *Error { return New(KindMalformed, code, message) }

// NotFound is a 404 for something that is not there, or that the caller may
// not know of. what is a noun: "course".
func NotFound(what string) *Error {
	return New(KindNotFound, "not_found", "No such "+what+".")
}

// Unauthenticated is a 401.
func Unauthenticated(code, message string) *Error { return New(KindUnauthenticated, code, message) }

// Forbidden is a 403.
func Forbidden(message string) *Error { return New(KindForbidden, "forbidden", message) }

// Conflict is a 409 with a code that clients branch on.
func Conflict(code, message string) *Error { return New(KindConflict, code, message) }

// VersionMismatch is the 412 of a lost update.
func VersionMismatch() *Error {
	return New(KindPreconditionFailed, "version_mismatch", "It was changed in the meantime. Read it again and repeat the change.")
}

// Unavailable is a 503: something this service needs is away.
func Unavailable(code, message string) *Error { return New(KindUnavailable, code, message) }

// Internal hides a cause behind a bare 500.
func Internal(cause error) *Error {
	return &Error{Kind: KindInternal, Code: "internal_error", Message: "Something went wrong on our side.", Cause: cause}
}

// From finds the *Error in err. A deadline that passed is Unavailable, a
// request that its client gave up stays recognisable by errors.Is; all else is
// Internal. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Unavailable("timeout", "It took too long. Try again.").With(err)
	}
	return Internal(err)
}

// Code is the stable code of err, or "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}
	return From(err).Code
}

// IsKind says whether err is of the kind.
func IsKind(err error, k Kind) bool { return err != nil && From(err).Kind == k }

// Deterministic says whether the same request would fail in the same way
// again: what may be kept as the answer to an idempotency key, and what a
// consumer must not retry. 408, 409, 425 and 429 are not, nor is a 401 or any
// 5xx.
func Deterministic(err error) bool {
	if err == nil {
		return false
	}
	switch From(err).Kind {
	case KindMalformed, KindForbidden, KindNotFound, KindTooLarge, KindUnsupportedMedia, KindInvalid, KindPaymentRequired, KindPreconditionFailed, KindPreconditionRequired:
		return true
	}
	return false
}

// Fields collects the invalid fields of a request, so that all are told at
// once.
type Fields []Field

// Add notes one invalid field.
func (f *Fields) Add(path, code, message string) {
	*f = append(*f, Field{Path: path, Code: code, Message: message})
}

// Require notes the field when ok is false.
func (f *Fields) Require(ok bool, path, code, message string) {
	if !ok {
		f.Add(path, code, message)
	}
}

// Err is the Invalid error of all noted fields, or nil when there are none.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return Invalid(f...)
}
