// Package httpapi is the course service's side of the REST API: routes, bodies and
// their mapping to the domain.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/authz"
	"lms/shared/objects"
	"lms/shared/page"
	"lms/shared/web"
)

// Presigner signs uploads; *objects.Store is one.
type Presigner interface {
	PresignPut(ctx context.Context, key string, size int64, contentType, sha256Hex string, ttl time.Duration) (objects.Signed, error)
}

// API answers requests with the domain.
type API struct {
	Service *catalog.Service
	Uploads Presigner
}

const (
	course       = "/api/v1/courses/{id}"
	module       = course + "/modules/{module_id}"
	item         = module + "/items/{item_id}"
	announcement = "/api/v1/announcements/{id}"
	category     = "/api/v1/categories/{id}"
	template     = "/api/v1/course-templates/{id}"
	term         = "/api/v1/terms/{id}"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.courseRoutes(r)
	a.curriculumRoutes(r)
	a.peopleRoutes(r)
	a.shelfRoutes(r)
	a.transferRoutes(r)
	a.internalRoutes(r)
}

func (a *API) courseRoutes(r *web.Router) {
	op := operation("Courses")
	edits := web.NeedsInCourse(authz.CourseUpdate)
	publishes := web.NeedsInCourse(authz.CoursePublish)
	web.Register(r, op(http.MethodGet, "/api/v1/courses", "list-courses", "List courses that I may see", web.Public()), a.listCourses)
	web.Register(r, created(op(http.MethodPost, "/api/v1/courses", "create-course", "Create a course as a draft", web.Needs(authz.CourseCreate))), a.createCourse)
	web.Register(r, op(http.MethodGet, course, "get-course", "Get a course", web.Public()), a.getCourse)
	web.Register(r, op(http.MethodPatch, course, "update-course", "Change a course", edits), a.updateCourse)
	web.Register(r, op(http.MethodDelete, course, "delete-course", "Delete a course that is not published", web.NeedsInCourse(authz.CourseDelete)), a.deleteCourse)
	web.Register(r, op(http.MethodPost, course+"/publish", "publish-course", "Publish a draft", publishes), a.transition(catalog.Publish))
	web.Register(r, op(http.MethodPost, course+"/unpublish", "unpublish-course", "Take a course back to draft", publishes), a.transition(catalog.Unpublish))
	web.Register(r, op(http.MethodPost, course+"/archive", "archive-course", "Archive a course: it becomes read-only", publishes), a.transition(catalog.Archive))
	web.Register(r, op(http.MethodPost, course+"/restore", "restore-course", "Take an archived course back to draft", publishes), a.transition(catalog.Restore))
	web.Register(r, op(http.MethodGet, course+"/completion-settings", "get-completion-settings", "See when a course is complete", web.SignedIn()), a.getCompletion)
	web.Register(r, op(http.MethodPut, course+"/completion-settings", "put-completion-settings", "Say when a course is complete", edits), a.putCompletion)
	web.Register(r, op(http.MethodGet, course+"/versions", "list-curriculum-versions", "List the versions of the published curriculum", web.NeedsInCourse(authz.CourseRead)), a.listVersions)
	web.Register(r, op(http.MethodGet, course+"/versions/{number}", "get-curriculum-version", "Get one version of the published curriculum", web.NeedsInCourse(authz.CourseRead)), a.getVersion)
}

func (a *API) curriculumRoutes(r *web.Router) {
	op := operation("Curriculum")
	edits := web.NeedsInCourse(authz.CurriculumEdit)
	get := op(http.MethodGet, course+"/curriculum", "get-curriculum", "Get the curriculum as one document", web.Public())
	get.Produces = []string{"application/json"}
	web.Stream(r, get, a.getCurriculum)
	documentCurriculum(r)
	put := op(http.MethodPut, course+"/curriculum", "put-curriculum", "Replace the curriculum as a whole", edits)
	put.Produces = []string{"application/json"}
	web.Stream(r, put, a.putCurriculum)
	documentCurriculum(r)
	web.Register(r, op(http.MethodGet, course+"/modules", "list-modules", "List the modules of a course in order", web.Public()), a.listModules)
	web.Register(r, created(op(http.MethodPost, course+"/modules", "add-module", "Add a module", edits)), a.addModule)
	web.Register(r, op(http.MethodPost, course+"/modules/reorder", "reorder-modules", "Put the modules into an order", edits), a.orderModules)
	web.Register(r, op(http.MethodGet, module, "get-module", "Get a module with its items", web.Public()), a.getModule)
	web.Register(r, op(http.MethodPatch, module, "update-module", "Change a module, or move it", edits), a.updateModule)
	web.Register(r, op(http.MethodDelete, module, "remove-module", "Remove a module with its items", edits), a.removeModule)
	web.Register(r, op(http.MethodPost, module+"/relock", "relock-module", "Lock a module again for those who do not meet its conditions any more", edits), a.relockModule)
	web.Register(r, op(http.MethodGet, module+"/items", "list-items", "List the items of a module in order", web.Public()), a.listItems)
	web.Register(r, created(op(http.MethodPost, module+"/items", "add-item", "Add an item to a module", edits)), a.addItem)
	web.Register(r, op(http.MethodPost, module+"/items/reorder", "reorder-items", "Put the items of a module into an order", edits), a.orderItems)
	web.Register(r, op(http.MethodGet, item, "get-item", "Open an item: with the text of a page, the address of a link", web.SignedIn()), a.getItem)
	web.Register(r, op(http.MethodPatch, item, "update-item", "Change an item, or move it", edits), a.updateItem)
	web.Register(r, op(http.MethodDelete, item, "remove-item", "Remove an item", edits), a.removeItem)
}

func (a *API) peopleRoutes(r *web.Router) {
	op := operation("Courses")
	staffs := web.NeedsInCourse(authz.CourseStaff)
	web.Register(r, op(http.MethodGet, course+"/staff", "list-course-staff", "List the staff of a course", web.SignedIn()), a.listStaff)
	web.Register(r, op(http.MethodPut, course+"/staff/{user_id}", "put-course-staff", "Give a person a role in the course", staffs), a.putStaff)
	web.Register(r, op(http.MethodDelete, course+"/staff/{user_id}", "remove-course-staff", "Take a person's role in the course away", staffs), a.removeStaff)

	op = operation("Announcements")
	announces := web.NeedsInCourse(authz.CourseAnnounce)
	web.Register(r, op(http.MethodGet, course+"/announcements", "list-announcements", "List the announcements of a course", web.SignedIn()), a.listAnnouncements)
	web.Register(r, created(op(http.MethodPost, course+"/announcements", "create-announcement", "Write an announcement", announces)), a.createAnnouncement)
	web.Register(r, op(http.MethodGet, announcement, "get-announcement", "Get an announcement", web.SignedIn()), a.getAnnouncement)
	web.Register(r, op(http.MethodPatch, announcement, "update-announcement", "Change an announcement", announces), a.updateAnnouncement)
	web.Register(r, op(http.MethodDelete, announcement, "delete-announcement", "Delete an announcement", announces), a.deleteAnnouncement)
}

func (a *API) shelfRoutes(r *web.Router) {
	op := operation("Catalogue")
	web.Register(r, op(http.MethodGet, "/api/v1/categories", "list-categories", "List categories by name", web.SignedIn()), a.listCategories)
	web.Register(r, created(op(http.MethodPost, "/api/v1/categories", "create-category", "Create a category", web.Needs(authz.CategoryManage))), a.createCategory)
	web.Register(r, op(http.MethodGet, category, "get-category", "Get a category", web.SignedIn()), a.getCategory)
	web.Register(r, op(http.MethodPatch, category, "update-category", "Rename or move a category", web.Needs(authz.CategoryManage)), a.updateCategory)
	web.Register(r, op(http.MethodDelete, category, "delete-category", "Delete a category that is not used", web.Needs(authz.CategoryManage)), a.deleteCategory)
	web.Register(r, op(http.MethodGet, "/api/v1/terms", "list-terms", "List terms, the latest first", web.SignedIn()), a.listTerms)
	web.Register(r, created(op(http.MethodPost, "/api/v1/terms", "create-term", "Create a term", web.Needs(authz.TermManage))), a.createTerm)
	web.Register(r, op(http.MethodGet, term, "get-term", "Get a term", web.SignedIn()), a.getTerm)
	web.Register(r, op(http.MethodPatch, term, "update-term", "Change a term", web.Needs(authz.TermManage)), a.updateTerm)
	web.Register(r, op(http.MethodDelete, term, "delete-term", "Delete a term that is not used", web.Needs(authz.TermManage)), a.deleteTerm)
	web.Register(r, op(http.MethodGet, "/api/v1/course-templates", "list-course-templates", "List course templates by name", web.Needs(authz.CourseCreate)), a.listTemplates)
	web.Register(r, created(op(http.MethodPost, "/api/v1/course-templates", "create-course-template", "Keep a course as a template", web.Needs(authz.TemplateManage))), a.createTemplate)
	web.Register(r, op(http.MethodGet, template, "get-course-template", "Get a course template", web.Needs(authz.CourseCreate)), a.getTemplate)
	web.Register(r, op(http.MethodDelete, template, "delete-course-template", "Delete a course template", web.Needs(authz.TemplateManage)), a.deleteTemplate)
}

func (a *API) transferRoutes(r *web.Router) {
	op := operation("Import and export")
	exports := web.NeedsInCourse(authz.CourseExport)
	imports := web.NeedsInCourse(authz.CourseImport)
	web.Register(r, accepted(op(http.MethodPost, course+"/copy", "copy-course", "Copy a course in the background", exports)), a.copyCourse)
	web.Register(r, accepted(op(http.MethodPost, course+"/exports", "export-course", "Write a course into a package in the background", exports)), a.exportCourse)
	web.Register(r, created(op(http.MethodPost, "/api/v1/imports/uploads", "create-import-upload", "Get a signed address to upload a package to", imports)), a.createUpload)
	web.Register(r, accepted(op(http.MethodPost, "/api/v1/imports/courses", "import-course", "Make a course from an uploaded package in the background", imports)), a.importCourse)
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

func accepted(op web.Op) web.Op {
	op.Status = http.StatusAccepted
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

// shared marks an answer that is the same for everybody, so that the gateway may
// keep it for a moment for callers without credentials.
func shared(ctx context.Context, public bool) {
	if public && web.Actor(ctx).Anonymous() {
		web.SetHeader(ctx, "Cache-Control", "public, max-age=0, must-revalidate")
	}
}

// cut pages a list that is at hand as a whole.
func cut[T any](all []T, p web.Page) (page.Page[T], error) {
	from := 0
	if _, err := page.Decode(p.Cursor, &from); err != nil {
		return page.Page[T]{}, err
	}
	req := p.Request()
	from = min(max(from, 0), len(all))
	to := min(from+req.Size(), len(all))
	out := page.Page[T]{Items: all[from:to]}
	if to < len(all) {
		out.NextCursor = page.Encode(to)
	}
	return out, nil
}
