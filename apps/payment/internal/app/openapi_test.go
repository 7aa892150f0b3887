package app

import (
	"testing"

	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/mockgateway"
	"lms/shared/testkit"
	"lms/shared/web"
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "payment"})
	(&httpapi.API{}).Mount(r)
	new(mockgateway.Pages).Mount(r)
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "payment", *update)
}
