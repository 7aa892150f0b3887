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

const (
	content = "/api/v1/contents/{id}"
	upload  = content + "/uploads/{upload_id}"
	caption = content + "/captions/{lang}"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.contentRoutes(r)
	a.fileRoutes(r)
	a.watchRoutes(r)
	a.internalRoutes(r)
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

func (a *API) fileRoutes(r *web.Router) {
	op := operation("Files")
	edits := web.NeedsInCourse(authz.ContentEdit)
	start := created(op(http.MethodPost, content+"/uploads", "start-upload", "Announce a file and get a signed address to send it to; in parts above 64 MiB", edits))
	start.Errors = []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	web.Register(r, start, a.startUpload)
	web.Register(r, op(http.MethodGet, upload, "get-upload", "See an upload: what has arrived, and addresses for what is missing", edits), a.getUpload)
	web.Register(r, op(http.MethodPost, upload+"/complete", "complete-upload", "Let the stored file be verified and become the current version; 202 with a job above 64 MiB", edits), a.completeUpload)
	web.Register(r, op(http.MethodDelete, upload, "abort-upload", "Give an upload up", edits), a.abortUpload)
	get := op(http.MethodGet, content+"/download", "download-content", "Get a signed address of the file, good for a minute", web.SignedIn())
	get.Errors = []int{http.StatusForbidden}
	web.Register(r, get, a.download)
}

func (a *API) watchRoutes(r *web.Router) {
	op := operation("Watching")
	edits := web.NeedsInCourse(authz.ContentEdit)
	web.Register(r, op(http.MethodGet, content+"/watch", "get-watch", "See how far I watched a recording", web.SignedIn()), a.getWatch)
	web.Register(r, op(http.MethodPost, content+"/watch", "report-watch", "Report what I watched of a recording, and where it stands", web.SignedIn()), a.watch)
	get := op(http.MethodGet, caption, "get-captions", "Get the captions in a language", web.SignedIn())
	get.Produces = []string{typeVTT}
	web.Stream(r, get, a.getCaption)
	put := op(http.MethodPut, caption, "put-captions", "Set the captions in a language, as WebVTT: 201 for new ones, 204 for others", edits)
	put.Accepts, put.Status = []string{typeVTT}, http.StatusNoContent
	web.Raw(r, put, a.putCaption)
	web.Register(r, op(http.MethodDelete, caption, "delete-captions", "Take the captions in a language away", edits), a.deleteCaption)
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
