package postgres

import (
	"testing"

	"lms/shared/testkit"
)

func TestEveryQuizStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "content"), ".")
}
