package mockgateway

import (
	"testing"

	"lms/shared/testkit"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "payment"), ".")
}
