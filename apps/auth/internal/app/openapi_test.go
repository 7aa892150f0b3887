package app

import (
	"testing"

	"lms/apps/auth/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "auth"})
	httpapi.Mount(r, httpapi.Options{})
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "auth", *update)
}
