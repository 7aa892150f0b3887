package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "course"), ".")
}

var _ = context.Background
var _ = require.NoError
