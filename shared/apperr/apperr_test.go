package apperr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
)

// What another service refuses is final unless the same request may succeed
// later: a reliable call is parked, an event buried, on the strength of this.
func TestWhichRefusalsAreFinal(t *testing.T) {
	t.Parallel()
	for status := 400; status < 500; status++ {
		final := true
		switch status {
		case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
			final = false
		}
		require.Equal(t, final, apperr.Deterministic(apperr.New(apperr.KindOf(status), "x", "")), "%d", status)
	}
	for status := 500; status < 600; status++ {
		require.False(t, apperr.Deterministic(apperr.New(apperr.KindOf(status), "x", "")), "%d", status)
	}
}

func TestFromFindsTheErrorAndHidesAllOthers(t *testing.T) {
	t.Parallel()
	conflict := apperr.Conflict("full", "Full.")
	require.Equal(t, conflict, apperr.From(fmt.Errorf("enroll: %w", conflict)))
	require.Equal(t, apperr.KindUnavailable, apperr.From(context.DeadlineExceeded).Kind)
	hidden := apperr.From(errors.New("password in DSN"))
	require.Equal(t, apperr.KindInternal, hidden.Kind)
	require.NotContains(t, hidden.Message, "password")
}
