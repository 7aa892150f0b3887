// Package access says which service may call which route of which other. The
// access policies that sidecars enforce under mTLS follow from it, and tests hold
// the routes and reliable calls of each service against it, so that a route
// without a row, or a row without a route, is a failure.
package access

import (
	"net/http"
	"slices"
	"strings"

	"lms/shared/contracts"
	"lms/shared/contracts/internalapi"
)

// Gateway is the app that forwards what clients ask, and through whose sidecar
// the operator's command calls.
const Gateway = "gateway"

// Route is a route that services call, and which of them do.
type Route struct {
	App, Method, Path string
	Callers           []string
}

// Key names a route among those of all apps.
func (r Route) Key() string { return r.App + " " + r.Method + " " + r.Path }

// Apps are all services and the gateway.
func Apps() []string { return append(contracts.Services(), Gateway) }

// databases are the services that keep rows, and with them outbox and inbox.
func databases() []string {
	return []string{"user", "course", "enrollment", "content", "assignment", "payment", "analytics"}
}

// HasDatabase says whether a service has the routes that come with a database.
func HasDatabase(app string) bool { return slices.Contains(databases(), app) }

func except(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

// Routes are all routes that services, the gateway for itself and the operator's
// command call. What the gateway forwards is Forwarded.
func Routes() []Route {
	return slices.Concat(userRoutes(), forAuth(), authRoutes(), courseRoutes(), askedRoutes(), callRoutes(), kitRoutes(), keyedRoutes())
}

func get(app, path string, callers ...string) Route {
	return Route{App: app, Method: http.MethodGet, Path: path, Callers: callers}
}

func post(app, path string, callers ...string) Route {
	return Route{App: app, Method: http.MethodPost, Path: path, Callers: callers}
}

func userRoutes() []Route {
	return []Route{
		get("user", internalapi.PathAuthzSnapshot, except(contracts.Services(), "user")...),
		get("user", internalapi.PathActor, except(databases(), "user")...),
		post("user", internalapi.PathUserCards, "course", "enrollment", "assignment", "notification", "payment", "analytics"),
		post("user", internalapi.PathGroupMembers, "enrollment", "assignment"),
		get("user", internalapi.PathCourseGroups, "assignment"),
		post("user", internalapi.PathBootstrap, internalapi.OperatorApp),
	}
}

// forAuth is what user serves to auth alone.
func forAuth() []Route {
	routes := []Route{
		get("user", internalapi.PathUserSubject, "auth"),
		get("user", internalapi.PathIDPSecret, "auth"),
		get("user", internalapi.PathSigningKeys, "auth"),
		{App: "user", Method: http.MethodPut, Path: internalapi.PathSigningKeys, Callers: []string{"auth"}},
	}
	for _, path := range []string{
		internalapi.PathCredentialsVerify, internalapi.PathMFAVerify, internalapi.PathTOTPBegin, internalapi.PathTOTPConfirm, internalapi.PathTOTPRemove,
		internalapi.PathRecoveryCodes, internalapi.PathPasswordForgot, internalapi.PathPasswordReset, internalapi.PathPasswordChange,
		internalapi.PathEmailVerify, internalapi.PathEmailResend, internalapi.PathInvitationAccept,
		internalapi.PathClientsList, internalapi.PathClientsCreate, internalapi.PathClientsDelete, internalapi.PathClientsSecret,
		internalapi.PathClientsGrants, internalapi.PathClientsVerify,
		internalapi.PathTokensList, internalapi.PathTokensCreate, internalapi.PathTokensDelete, internalapi.PathTokensVerify,
		internalapi.PathIDPList, internalapi.PathIDPCreate, internalapi.PathIDPUpdate, internalapi.PathIDPDelete, internalapi.PathIDPPublic,
		internalapi.PathSSOResolve, internalapi.PathSecurityEvents, internalapi.PathImpersonate,
	} {
		routes = append(routes, post("user", path, "auth"))
	}
	return routes
}

func authRoutes() []Route {
	all := except(Apps(), "auth")
	return []Route{
		get("auth", internalapi.PathJWKS, all...),
		post("auth", internalapi.PathServiceTokens, append(all, internalapi.OperatorApp)...),
		post("auth", internalapi.PathExchangeToken, Gateway),
		get("auth", internalapi.PathUserSessionsOf, "user"),
		{App: "auth", Method: http.MethodDelete, Path: internalapi.PathUserSessionsOf, Callers: []string{"user"}},
		post("auth", internalapi.PathRotateKeys, internalapi.OperatorApp),
	}
}

// courseRoutes: who may list may read one, too. A policy covers what lies under a
// path with the path.
func courseRoutes() []Route {
	return []Route{
		get("course", internalapi.PathCourses, "search"),
		get("course", internalapi.PathCourse, "enrollment", "notification", "payment", "search"),
		get("course", internalapi.PathResourceUsages, "content", "assignment"),
		get("content", internalapi.PathContents, "search"),
		get("content", internalapi.PathContent, "search"),
	}
}

func askedRoutes() []Route {
	return []Route{
		post("enrollment", internalapi.PathAccess, "user", "course", "content", "assignment"),
		get("enrollment", internalapi.PathUserCourses, "course", "content", "assignment", "search", "analytics"),
		get("enrollment", internalapi.PathCourseMembers, "user", "assignment", "notification"),
		get("enrollment", internalapi.PathRefundFacts, "payment"),
		post("enrollment", internalapi.PathEntitlements, "payment"),
		post("analytics", internalapi.PathSearches, "search"),
	}
}

// Call is a reliable call, and who makes it.
type Call struct {
	App, Name string
	Callers   []string
}

// Calls are all reliable calls.
func Calls() []Call {
	calls := []Call{
		{"auth", internalapi.CallEndSessions, []string{"user"}},
		{"course", internalapi.CallSeatsState, []string{"enrollment"}},
		{"course", internalapi.CallResourceState, []string{"content", "assignment"}},
		{"course", internalapi.CallPriceSummary, []string{"payment"}},
		{"course", internalapi.CallPartSettled, []string{"content"}},
		{"assignment", internalapi.CallQuizColumn, []string{"content"}},
		{"assignment", internalapi.CallQuizScore, []string{"content"}},
		{"enrollment", internalapi.CallProgressReport, []string{"content", "assignment"}},
		{"enrollment", internalapi.CallCourseGrade, []string{"assignment"}},
		{"enrollment", internalapi.CallSeatHold, []string{"payment"}},
		{"enrollment", internalapi.CallSeatRelease, []string{"payment"}},
		{"enrollment", internalapi.CallCoursePriced, []string{"payment"}},
		{"enrollment", internalapi.CallEntitlement, []string{"payment"}},
	}
	for _, app := range []string{"content", "assignment"} {
		for _, name := range []string{internalapi.CallClonePart, internalapi.CallImportPart, internalapi.CallExportPart} {
			calls = append(calls, Call{app, name, []string{"course"}})
		}
	}
	for _, app := range []string{"course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics"} {
		for _, name := range []string{internalapi.CallPersonStatus, internalapi.CallErasePerson, internalapi.CallExportPerson} {
			calls = append(calls, Call{app, name, []string{"user"}})
		}
	}
	return calls
}

func callRoutes() []Route {
	var routes []Route
	for _, c := range Calls() {
		routes = append(routes, post(c.App, strings.Replace(internalapi.PathCalls, "{name}", c.Name, 1), c.Callers...))
	}
	return routes
}

// kitRoutes are those that every service has, and those that come with a
// database.
func kitRoutes() []Route {
	var routes []Route
	for _, app := range contracts.Services() {
		routes = append(routes, get(app, "/internal/openapi.json", Gateway), get(app, "/readyz", Gateway))
	}
	for _, app := range databases() {
		readers := []string{internalapi.OperatorApp}
		for _, consumer := range contracts.Services() {
			if contracts.MayConsume(consumer, app+".events") {
				readers = append(readers, consumer)
			}
		}
		routes = append(routes,
			get(app, internalapi.PathEvents, readers...), get(app, internalapi.PathEventHeads, readers...),
			get(app, internalapi.PathOutbox, internalapi.OperatorApp), post(app, internalapi.PathUnpark, internalapi.OperatorApp),
			post(app, internalapi.PathRecompute, internalapi.OperatorApp))
		routes = append(routes, letters(app)...)
	}
	return routes
}

// keyedRoutes are those of consumers without a database.
func keyedRoutes() []Route {
	return append(append(letters("notification"), letters("search")...), post("search", internalapi.PathRecompute, internalapi.OperatorApp))
}

func letters(app string) []Route {
	return []Route{
		get(app, internalapi.PathDeadLetters, internalapi.OperatorApp), post(app, internalapi.PathRedrive, internalapi.OperatorApp),
		post(app, internalapi.PathReplay, internalapi.OperatorApp),
	}
}
