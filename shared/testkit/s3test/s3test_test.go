package s3test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMinIOIsBuilt compiles the server before anybody waits for it.
func TestMinIOIsBuilt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	program, err := Build(ctx, t.Logf)
	require.NoError(t, err)
	info, err := os.Stat(program)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&0o100)
}
