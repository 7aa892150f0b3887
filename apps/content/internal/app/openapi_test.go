package app

import (
	"testing"

	"lms/apps/content/internal/httpapi"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "content"})
	(&httpapi.API{}).Mount(r)
	(&httpapi.QuizAPI{}).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "content", *update)
}
