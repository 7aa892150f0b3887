package service_test

import (
	"testing"

	"lms/shared/service"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "records"})
	service.MountRecords(r, "example")
	testkit.CheckOpenAPI(t, r, "../contracts/openapi", "records", *update)
}
