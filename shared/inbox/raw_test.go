package inbox_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/inbox"
	"lms/shared/pg"
)

func raw(t *testing.T, b []byte) json.RawMessage {
	t.Helper()
	out, err := json.Marshal(base64.StdEncoding.EncodeToString(b))
	require.NoError(t, err)
	return out
}

// Bytes that are no JSON would never leave the sidecar: it cannot read them
// itself, and delivers nothing behind them. So it hands over bytes.
func TestWhatIsNoEventIsBuriedOnceAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	withEffects(t, f)
	nonsense := raw(t, []byte("no event at all"))
	good := raw(t, event("a", uuid.New(), 1, 1, 7))
	require.Equal(t, []string{"SUCCESS", "SUCCESS"}, f.deliver(t, nonsense, good))
	require.Len(t, effects(t, f, "facts"), 1, "raw bytes of an event are the event")

	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, nonsense))
	dead := deadLetters(t, f)
	require.Len(t, dead, 1, "the same bytes again are the same dead letter")
	require.Equal(t, 2, dead[0].Attempts)
	require.Equal(t, "no event at all", dead[0].Payload)
	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, raw(t, []byte("other nonsense"))))
	require.Len(t, deadLetters(t, f), 2)
}

// A component without bulk delivers one event at a time, raw ones in an
// envelope of the sidecar's.
func TestASingleRawEventIsTakenOutOfItsEnvelope(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) { in.Fact("facts", topic, []string{"a"}, record("facts")) })
	withEffects(t, f)
	envelope, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": uuid.NewString(), "type": "com.dapr.event.sent", "topic": topic, "datacontenttype": "application/octet-stream",
		"data_base64": base64.StdEncoding.EncodeToString(event("a", uuid.New(), 1, 1, 7)),
	})
	require.NoError(t, err)
	for _, body := range [][]byte{envelope, event("a", uuid.New(), 1, 2, 8)} {
		w := httptest.NewRecorder()
		f.h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events/"+topic, bytes.NewReader(body)))
		require.JSONEq(t, `{"status":"SUCCESS"}`, w.Body.String())
	}
	require.Len(t, effects(t, f, "facts"), 2)
	require.Empty(t, deadLetters(t, f))
}

// The database keeps valid UTF-8 only; a dead letter that cannot be written
// would come back for ever.
func TestADeadLetterIsKeptWhateverItsBytes(t *testing.T) {
	t.Parallel()
	f := setup(t, func(in *inbox.Inbox) {
		in.Fact("facts", topic, []string{"a"}, func(context.Context, *pg.Unit, []inbox.Event) error { return inbox.Permanent(errors.New("never")) })
	})
	broken := bytes.Replace(event("a", uuid.New(), 1, 1, 7), []byte("/lms/course"), []byte("/lms/\xff\xfe"), 1)
	require.Equal(t, []string{"SUCCESS"}, f.deliver(t, raw(t, broken)))
	require.Len(t, deadLetters(t, f), 1)
}
