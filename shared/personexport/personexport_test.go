package personexport_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/objects"
	"lms/shared/personexport"
)

func TestWhatAnAnswerCannotCarryLiesInAnObject(t *testing.T) {
	t.Parallel()
	store, err := objects.Open(t.Context(), "file://"+t.TempDir(), objects.Options{PublicURL: "http://lms.test", SigningKey: func(context.Context) ([]byte, error) { return make([]byte, 32), nil }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	in := internalapi.ExportPerson{RequestID: uuid.New(), UserID: uuid.New(), TenantID: uuid.New()}
	few := map[string]json.RawMessage{"attempts": json.RawMessage(`[1]`)}
	reply, err := personexport.Reply(t.Context(), store, "content", in, few)
	require.NoError(t, err)
	require.Equal(t, internalapi.ExportPersonReply{Sections: few}, reply)

	many := map[string]json.RawMessage{"attempts": json.RawMessage(`["` + strings.Repeat("x", 4<<20) + `"]`)}
	for range 2 { // a repeated call is answered alike
		reply, err = personexport.Reply(t.Context(), store, "content", in, many)
		require.NoError(t, err)
		require.Nil(t, reply.Sections)
	}
	r, err := store.NewReader(t.Context(), reply.ObjectKey)
	require.NoError(t, err)
	raw, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	var got map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, many, got)

	_, err = personexport.Reply(t.Context(), nil, "content", in, many)
	require.True(t, apperr.IsKind(err, apperr.KindTooLarge))
}
