package app

import (
	"testing"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "user"})
	(&httpapi.API{Service: &identity.Service{}, Snapshots: &identity.Snapshots{}}).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "user", *update)
}
