// Package httpapi is the analytics service's side of the REST API: routes, bodies
// and their mapping to the domain. CSV, NDJSON and HTML are chosen by Accept or by
// the query parameter format.
package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/dashboard"
	"lms/apps/analytics/internal/xapi"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// API answers requests with the domain.
type API struct {
	Service    *analytics.Service
	Page       *dashboard.Page
	Statements xapi.Writer
}

const (
	reports = "/api/v1/reports"
	one     = reports + "/{name}"
)

// Media types besides JSON.
const (
	typeJSON   = "application/json"
	typeCSV    = "text/csv"
	typeNDJSON = "application/x-ndjson"
	typeHTML   = "text/html"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	op := operation("Reports")
	reads := web.NeedsInCourse(authz.ReportRead)
	web.Register(r, op(http.MethodGet, reports, "list-reports", "List the reports, with what each number in them means", reads), a.catalogue)
	get := op(http.MethodGet, one, "get-report", "Get a report", reads)
	get.Produces = []string{typeJSON, typeCSV, typeNDJSON}
	get.Description = "At most 1,000 rows; an export has all of them. `from` and `to` are times (RFC 3339) or dates, which are meant whole in `time_zone`."
	web.Stream(r, get, a.report)
	describe[Report](r, one, "Report")
	export := op(http.MethodPost, one+"/export", "export-report", "Write all rows of a report into a file, in the background", reads)
	export.Status = http.StatusAccepted
	web.Register(r, export, a.export)

	op = operation("Dashboards")
	board := op(http.MethodGet, "/api/v1/dashboards/{name}", "get-dashboard", "Get a dashboard: data for charts, or a page that draws them", reads)
	board.Produces = []string{typeJSON, typeHTML}
	board.Description = "`platform`, `org-unit` (with `org_unit_id`) or `course` (with `course_id`). Panels that one may not read are left out."
	web.Stream(r, board, a.dashboard)
	describe[Dashboard](r, "/api/v1/dashboards/{name}", "Dashboard")

	op = operation("Analytics")
	rebuild := op(http.MethodPost, "/api/v1/analytics/rebuild", "rebuild-analytics", "Add all events up anew, in the background", web.Needs(authz.OperationManage))
	rebuild.Status = http.StatusAccepted
	web.Register(r, rebuild, a.rebuild)
	web.Register(r, op(http.MethodGet, "/api/v1/analytics/events", "list-analytics-events", "List events as they were kept, the newest first", reads), a.events)

	statements := op(http.MethodGet, "/api/v1/xapi/statements", "list-xapi-statements", "List what learners did as xAPI 2.0 statements", reads)
	statements.Produces = []string{typeJSON}
	web.Stream(r, statements, a.statements)
	describe[StatementResult](r, "/api/v1/xapi/statements", "StatementResult")

	op = operation("Internal")
	web.Register(r, op(http.MethodPost, internalapi.PathSearches, "internal-searches", "Take what was searched for", web.Internal("search")), a.searches)
}

func operation(tag string) func(method, path, id, summary string, access web.Access) web.Op {
	return func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: tag, Access: access}
	}
}

// describe gives the schema of its JSON answer to a GET that writes the answer
// itself.
func describe[T any](r *web.Router, path, name string) {
	doc := r.OpenAPI()
	ok := doc.Paths[path].Get.Responses[strconv.Itoa(http.StatusOK)]
	ok.Content[typeJSON].Schema = doc.Components.Schemas.Schema(reflect.TypeFor[T](), true, name)
}

type searchesInput struct {
	Body internalapi.SearchBatch
}

func (a *API) searches(ctx context.Context, in *searchesInput) (*web.Resource[internalapi.Done], error) {
	return web.Res(internalapi.Done{}, 0), a.Service.Searched(ctx, in.Body)
}

func (a *API) rebuild(ctx context.Context, _ *web.Empty) (*web.JobAccepted, error) {
	job, err := a.Service.StartRebuild(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
