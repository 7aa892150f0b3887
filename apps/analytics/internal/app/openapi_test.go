package app

import (
	"testing"

	"lms/apps/analytics/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "analytics"})
	(&httpapi.API{}).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "analytics", *update)
}
