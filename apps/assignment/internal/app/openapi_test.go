package app

import (
	"testing"

	"lms/apps/assignment/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "assignment"})
	(&httpapi.API{}).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "assignment", *update)
}
