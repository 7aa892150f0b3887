package events_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/events"
	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// analytics takes what it is told, and refuses what the test wants it to.
type analytics struct {
	told    [][]internalapi.SearchPerformed
	largest int
	refuse  func(internalapi.SearchBatch) error
}

func (a *analytics) Invoke(_ context.Context, call dapr.Call) (int, error) {
	batch := *call.Body.(*internalapi.SearchBatch)
	if a.refuse != nil {
		if err := a.refuse(batch); err != nil {
			return 0, err
		}
	}
	raw, err := json.Marshal(batch)
	if err != nil {
		return 0, err
	}
	a.largest = max(a.largest, len(raw))
	a.told = append(a.told, batch.Searches)
	return http.StatusOK, nil
}

func TestABatchThatIsRefusedDoesNotKeepBackTheNext(t *testing.T) {
	t.Parallel()
	a := &analytics{}
	p := events.NewPerformed(a, uuid.New, slog.New(slog.DiscardHandler))
	p.Note(search.Performed{Terms: "refused"})
	a.refuse = func(internalapi.SearchBatch) error { return apperr.Unavailable("service_unavailable", "away") }
	require.NoError(t, p.Tell(t.Context()), "it is told later")
	a.refuse = func(b internalapi.SearchBatch) error {
		if b.Searches[0].Term == "refused" {
			return apperr.New(apperr.KindTooLarge, "body_too_large", "The body is too large.")
		}
		return nil
	}
	require.Error(t, p.Tell(t.Context()))
	p.Note(search.Performed{Terms: "the next"})
	require.NoError(t, p.Tell(t.Context()))
	require.Len(t, a.told, 1)
	require.Equal(t, "the next", a.told[0][0].Term)
}

func TestTheLongestSearchesFitIntoARequest(t *testing.T) {
	t.Parallel()
	a := &analytics{}
	p := events.NewPerformed(a, uuid.New, slog.New(slog.DiscardHandler))
	const all = 2500
	for range all {
		p.Note(search.Performed{TenantID: uuid.New(), Terms: strings.Repeat("<", 500), Results: 1 << 40})
	}
	require.NoError(t, p.Tell(t.Context()))
	told := 0
	for _, list := range a.told {
		told += len(list)
	}
	require.Equal(t, all, told)
	require.Less(t, a.largest, 1<<20, "what a route takes unless it says otherwise")
}
