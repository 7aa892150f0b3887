// Package logging makes the structured logger of a program: JSON lines (or
// text), with the request id, trace id and actor of the context, and without
// secrets or personal addresses.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/work"
)

// Options of a logger. The zero value logs JSON at level info.
type Options struct {
	Service string // added to every line as "service"
	Level   string // debug, info, warn, error
	Format  string // json or text
}

// New writes to w. An unknown level or format is an error, so that a typing
// mistake does not silence a service.
func New(w io.Writer, o Options) (*slog.Logger, error) {
	var level slog.Level
	if o.Level != "" {
		if err := level.UnmarshalText([]byte(o.Level)); err != nil {
			return nil, fmt.Errorf("log level %q is not one of debug, info, warn, error", o.Level)
		}
	}
	ho := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	var h slog.Handler
	switch o.Format {
	case "", "json":
		h = slog.NewJSONHandler(w, ho)
	case "text":
		h = slog.NewTextHandler(w, ho)
	default:
		return nil, fmt.Errorf("log format %q is not json or text", o.Format)
	}
	log := slog.New(contextHandler{h})
	if o.Service != "" {
		log = log.With("service", o.Service)
	}
	return log, nil
}

// Discard logs nothing; for tests.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// contextHandler adds what the context knows to each line.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	a := work.ActorFrom(ctx)
	if a.RequestID != "" && !has(r, "request_id") {
		r.AddAttrs(slog.String("request_id", a.RequestID))
	}
	if a.Principal.UserID != uuid.Nil {
		r.AddAttrs(slog.String("actor_id", a.Principal.UserID.String()))
	}
	if a.Principal.Service != "" {
		r.AddAttrs(slog.String("actor_service", a.Principal.Service))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// has saves a line that brings its own from naming the key twice.
func has(r slog.Record, key string) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key
		return !found
	})
	return found
}

func (h contextHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(as)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

// hidden are the words that make an attribute's key a secret or personal data.
// Logs carry ids, never names and addresses.
var hidden = []string{
	"password", "passwd", "secret", "secrets", "token", "tokens", "authorization", "cookie", "cookies", "credential",
	"credentials", "apikey", "dsn", "email", "emails", "mail", "phone", "recipient", "recipients", "otp", "totp",
}

// Sensitive says whether a key, such as "reset_token" or "userEmail", names
// something that must not be logged.
func Sensitive(key string) bool {
	return slices.ContainsFunc(keyWords(key), func(w string) bool { return slices.Contains(hidden, w) }) ||
		strings.Contains(strings.ToLower(key), "api_key") || strings.Contains(strings.ToLower(key), "database_url")
}

func redact(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindGroup && Sensitive(a.Key) {
		return slog.String(a.Key, "[redacted]")
	}
	return a
}

// keyWords splits a key at separators and at capitals that follow a small
// letter.
func keyWords(key string) []string {
	var words []string
	start, prev := 0, rune(0)
	for i, c := range key {
		separator := !unicode.IsLetter(c) && !unicode.IsDigit(c)
		if separator || unicode.IsUpper(c) && unicode.IsLower(prev) {
			words = append(words, strings.ToLower(key[start:i]))
			start = i
			if separator {
				start = i + 1
			}
		}
		prev = c
	}
	return append(words, strings.ToLower(key[start:]))
}
