package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"lms/shared/authz"
	"lms/shared/logging"
	"lms/shared/work"
)

func TestLinesCarryTheContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New(&out, logging.Options{Service: "course", Level: "debug"})
	require.NoError(t, err)
	user := uuid.New()
	ctx := work.WithActor(context.Background(), work.Actor{RequestID: "r1", Principal: authz.Principal{UserID: user}})
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	log.With("k", "v").DebugContext(ctx, "hello")

	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{
		"level": "DEBUG", "msg": "hello", "service": "course", "k": "v", "request_id": "r1",
		"actor_id": user.String(), "trace_id": "01000000000000000000000000000000",
	}, line)
}

func TestSecretsAndAddressesAreHidden(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := logging.New(&out, logging.Options{Format: "text"})
	require.NoError(t, err)
	log.Info("m", "user_email", "a@b.c", "refreshToken", "t0p", "Authorization", "Bearer t0p", "DATABASE_URL", "t0p",
		slog.Group("in", "password", "t0p", "id", 7), "tokenizer", "kept")
	require.NotContains(t, out.String(), "t0p")
	require.NotContains(t, out.String(), "a@b.c")
	require.Contains(t, out.String(), "in.id=7")
	require.Contains(t, out.String(), "tokenizer=kept")
}

func TestBadOptionsAreErrors(t *testing.T) {
	t.Parallel()
	_, err := logging.New(&bytes.Buffer{}, logging.Options{Level: "loud"})
	require.ErrorContains(t, err, `log level "loud"`)
	_, err = logging.New(&bytes.Buffer{}, logging.Options{Format: "xml"})
	require.ErrorContains(t, err, `log format "xml"`)
}
