package app

import (
	"testing"

	"lms/apps/notification/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "notification"})
	httpapi.Mount(r, httpapi.Options{})
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "notification", *update)
}
