// Package testkit is what tests of several services share: tokens, a client
// that reads every error as a problem document, and checks of a router.
package testkit

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/contracts"
	"lms/shared/contracts/access"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// CheckRoutes fails on a route that was mounted around the kit, has no access,
// names a permission that does not exist, lacks an entry in the OpenAPI
// document, or shows an internal path to clients.
func CheckRoutes(t *testing.T, r *web.Router) {
	t.Helper()
	known := map[string]web.RouteInfo{}
	perms := authz.Permissions()
	for _, rt := range r.Routes() {
		known[rt.Method+" "+rt.Path] = rt
		if p := rt.Access.Permission(); p != "" {
			require.Contains(t, perms, p, "%s %s needs a permission that is not declared", rt.Method, rt.Path)
		}
		internal := strings.HasPrefix(rt.Path, "/internal/")
		require.False(t, internal && !rt.Access.IsInternal(), "%s %s is internal by its path, but not by its access", rt.Method, rt.Path)
		require.False(t, rt.Public && internal, "%s %s is in the public document", rt.Method, rt.Path)
	}
	require.NoError(t, r.Walk(func(method, path string) error {
		rt, ok := known[method+" "+path]
		require.True(t, ok, "%s %s was mounted without an access", method, path)
		require.NotEqual(t, "unset", rt.Access.String(), "%s %s", method, path)
		return nil
	}))
	checkDocument(t, r, known)
	checkCallers(t, r, known)
}

// checkCallers holds the internal routes of a service against the table of who calls
// what, from which the sidecars' access policies are made.
func checkCallers(t *testing.T, r *web.Router, known map[string]web.RouteInfo) {
	t.Helper()
	if !slices.Contains(contracts.Services(), r.Service()) {
		return // a router of a test
	}
	rows := map[string][]string{}
	for _, row := range access.Routes() {
		if row.App == r.Service() {
			rows[row.Method+" "+row.Path] = row.Callers
		}
	}
	for key, rt := range known {
		if rt.Access.String() != "internal" {
			continue
		}
		require.Contains(t, rows, key, "nobody may call it: shared/contracts/access has no row for it")
		require.ElementsMatch(t, rows[key], rt.Access.Callers(), "%s: the route and shared/contracts/access name different callers", key)
	}
	for key := range rows {
		if _, path, _ := strings.Cut(key, " "); byTheKit(path) {
			continue
		}
		require.Contains(t, known, key, "shared/contracts/access has a row for a route that is not there")
	}
}

// byTheKit says whether a route is mounted by the kit, or stands for a reliable call.
func byTheKit(path string) bool {
	return slices.Contains([]string{
		"/readyz", "/internal/openapi.json", internalapi.PathEvents, internalapi.PathEventHeads, internalapi.PathOutbox, internalapi.PathUnpark,
		internalapi.PathDeadLetters, internalapi.PathRedrive, internalapi.PathReplay, internalapi.PathRecompute,
	}, path) || strings.HasPrefix(path, "/internal/calls/")
}

// CheckCalls holds the reliable calls that a service receives against the same table.
func CheckCalls(t *testing.T, service string, received map[string][]string) {
	t.Helper()
	rows := map[string][]string{}
	for _, c := range access.Calls() {
		if c.App == service {
			rows[c.Name] = c.Callers
		}
	}
	require.Equal(t, rows, received, "shared/contracts/access")
}

func checkDocument(t *testing.T, r *web.Router, known map[string]web.RouteInfo) {
	t.Helper()
	raw, err := json.Marshal(r.OpenAPI())
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string         `json:"operationId"`
			Access     string         `json:"x-access"`
			Permission string         `json:"x-permission"`
			Responses  map[string]any `json:"responses"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	for key, rt := range known {
		op, ok := doc.Paths[rt.Path][strings.ToLower(rt.Method)]
		if !rt.Public {
			require.False(t, ok, "%s is not for clients, but in the document", key)
			continue
		}
		require.True(t, ok, "%s is not in the OpenAPI document", key)
		require.Equal(t, rt.ID, op.ID, key)
		require.Equal(t, rt.Access.String(), op.Access, key)
		require.Equal(t, string(rt.Access.Permission()), op.Permission, key)
		require.Contains(t, op.Responses, "default", "%s does not document its errors", key)
	}
}
