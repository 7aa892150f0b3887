// Package httpapi is the content service's side of the REST API: routes, bodies and
// their mapping to the domains.
package httpapi

import (
	"net/http"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/authz"
	"lms/shared/web"
)

// API answers requests with the domains.
type API struct {
	Library *library.Service
}

const content = "/api/v1/contents/{id}"

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.contentRoutes(r)
}

func (a *API) contentRoutes(r *web.Router) {
	op := operation("Contents")
	edits, reads := web.NeedsInCourse(authz.ContentEdit), web.NeedsInCourse(authz.ContentRead)
	web.Register(r, op(http.MethodGet, "/api/v1/contents", "list-contents", "List the contents of the library that I may see", reads), a.listContents)
	web.Register(r, created(op(http.MethodPost, "/api/v1/contents", "create-content", "Create a content as a draft", edits)), a.createContent)
	web.Register(r, op(http.MethodGet, content, "get-content", "Get a content, with the text of a page", web.SignedIn()), a.getContent)
	web.Register(r, op(http.MethodPatch, content, "update-content", "Change a content, or the text of a page", edits), a.updateContent)
	web.Register(r, op(http.MethodDelete, content, "delete-content", "Delete a content", edits), a.deleteContent)
	web.Register(r, op(http.MethodPost, content+"/publish", "publish-content", "Let learners see a content where it is placed", edits), a.publish)
	web.Register(r, op(http.MethodPost, content+"/unpublish", "unpublish-content", "Take a content back to draft", edits), a.unpublish)
	web.Register(r, op(http.MethodGet, content+"/versions", "list-content-versions", "List the versions of a content, the newest first", reads), a.listVersions)
	web.Register(r, op(http.MethodPost, content+"/versions/{number}/restore", "restore-content-version", "Show an older version again", edits), a.restoreVersion)
	web.Register(r, op(http.MethodGet, content+"/usages", "list-content-usages", "List the places of a content in courses", reads), a.listUsages)
}

func operation(tag string) func(method, path, id, summary string, access web.Access) web.Op {
	return func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: tag, Access: access}
	}
}

func created(op web.Op) web.Op {
	op.Status = http.StatusCreated
	return op
}

// wanted is the version of an If-Match that a route may do without.
func wanted(m *web.OptionalIfMatch) *int64 {
	if v, ok := m.Version(); ok {
		return &v
	}
	return nil
}

func required(m *web.IfMatch) *int64 {
	v := m.Version()
	return &v
}

// optional is a query parameter that may be absent.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
