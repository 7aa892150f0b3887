package app

import (
	"flag"
	"testing"

	"lms/apps/course/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

var update = flag.Bool("update", false, "write the documents that follow from the code") //nolint:gochecknoglobals // a flag

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "course"})
	(&httpapi.API{}).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "course", *update)
}
