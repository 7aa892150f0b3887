// Package httpapi is the assignment service's side of the REST API: routes, bodies
// and their mapping to the domain.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/authz"
	"lms/shared/objects"
	"lms/shared/web"
)

// Presigner signs uploads and downloads; *objects.Store is one.
type Presigner interface {
	PresignPut(ctx context.Context, key string, size int64, contentType, sha256Hex string, ttl time.Duration) (objects.Signed, error)
	PresignGet(ctx context.Context, key string, d objects.Download) (objects.Signed, error)
}

// API answers requests with the domain.
type API struct {
	Service *coursework.Service
	Files   Presigner // nil: files cannot be taken
	Now     func() time.Time
}

const (
	course     = "/api/v1/courses/{id}"
	one        = "/api/v1/assignments/{id}"
	submission = "/api/v1/submissions/{id}"
	rubric     = "/api/v1/rubrics/{id}"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.assignmentRoutes(r)
	a.policyRoutes(r)
	a.groupRoutes(r)
	a.gradebookRoutes(r)
	a.submissionRoutes(r)
	a.gradeRoutes(r)
	a.rubricRoutes(r)
}

func (a *API) assignmentRoutes(r *web.Router) {
	op := operation("Assignments")
	edits := web.NeedsInCourse(authz.AssignmentEdit)
	web.Register(r, op(http.MethodGet, course+"/assignments", "list-assignments", "List a course's assignments: learners see what is published", web.SignedIn()), a.listAssignments)
	web.Register(r, created(op(http.MethodPost, course+"/assignments", "create-assignment", "Create an assignment as a draft", edits)), a.createAssignment)
	web.Register(r, locked(op(http.MethodGet, one, "get-assignment", "Get an assignment, with one's own dates", web.SignedIn())), a.getAssignment)
	web.Register(r, conflicts(op(http.MethodPatch, one, "update-assignment", "Change an assignment; grades are judged again where that changes lateness or possible points", edits)), a.updateAssignment)
	web.Register(r, conflicts(op(http.MethodDelete, one, "delete-assignment", "Delete an assignment; one in use only with detach", edits)), a.deleteAssignment)
	web.Register(r, op(http.MethodPost, one+"/publish", "publish-assignment", "Show an assignment to learners", edits), a.publish)
	web.Register(r, conflicts(op(http.MethodPost, one+"/unpublish", "unpublish-assignment", "Take an assignment back from learners", edits)), a.unpublish)
	web.Register(r, op(http.MethodGet, one+"/overrides", "list-overrides", "List who has other dates", web.NeedsInCourse(authz.SubmissionRead)), a.listOverrides)
	for _, kind := range []struct{ kind, path, param, what string }{
		{coursework.OverrideUser, "/overrides/{subject_id}", "override", "a person"},
		{coursework.OverrideGroup, "/group-overrides/{subject_id}", "group-override", "a group or cohort"},
	} {
		web.Register(r, op(http.MethodPut, one+kind.path, "put-"+kind.param, "Give "+kind.what+" other dates or attempts", edits), a.putOverride(kind.kind))
		web.Register(r, op(http.MethodDelete, one+kind.path, "delete-"+kind.param, "Take the other dates of "+kind.what+" away", edits), a.deleteOverride(kind.kind))
	}
}

func (a *API) submissionRoutes(r *web.Router) {
	op := operation("Submissions")
	upload := conflicts(created(op(http.MethodPost, one+"/uploads", "create-submission-upload", "Get a signed address to send a file to", web.SignedIn())))
	web.Register(r, upload, a.createUpload)
	complete := conflicts(op(http.MethodPost, one+"/uploads/{upload_id}/complete", "complete-submission-upload", "Say that the file was sent: its bytes are verified", web.SignedIn()))
	complete.Timeout = verifyTimeout
	web.Register(r, complete, a.completeUpload)
	submit := conflicts(created(op(http.MethodPost, one+"/submissions", "submit", "Hand work in", web.SignedIn())))
	submit.Description = "409 `window_not_open`, `window_closed`, `assignment_locked`, `attempts_used_up`, `no_group`; 403 `item_locked`, `read_only`, `learners_only`."
	web.Register(r, submit, a.submit)
	web.Register(r, op(http.MethodGet, one+"/submissions", "list-submissions", "List submissions: staff see all, learners their own", web.SignedIn()), a.listSubmissions)
	web.Register(r, accepted(op(http.MethodPost, one+"/submissions/archive", "archive-submissions", "Pack what was handed in into a zip, in the background", web.NeedsInCourse(authz.SubmissionRead))), a.archive)
	web.Register(r, op(http.MethodGet, submission, "get-submission", "Get a submission", web.SignedIn()), a.getSubmission)
	web.Register(r, conflicts(op(http.MethodPost, submission+"/withdraw", "withdraw-submission", "Take back what one handed in, while it is open and not graded", web.SignedIn())), a.withdraw)
	web.Register(r, op(http.MethodGet, submission+"/files/{file_id}", "get-submission-file", "Get a signed address of a file, good for a minute", web.SignedIn()), a.getFile)
	web.Register(r, op(http.MethodGet, submission+"/comments", "list-submission-comments", "List comments: learners see graders' words once grades are shown", web.SignedIn()), a.listComments)
	web.Register(r, created(op(http.MethodPost, submission+"/comments", "add-submission-comment", "Comment on a submission", web.SignedIn())), a.addComment)
	web.Register(r, op(http.MethodGet, submission+"/history", "get-submission-history", "See what happened, the newest first: learners see their attempts, staff also grades", web.SignedIn()), a.getHistory)
}

func (a *API) gradeRoutes(r *web.Router) {
	op := operation("Grades")
	grades := web.NeedsInCourse(authz.GradeEdit)
	web.Register(r, op(http.MethodGet, one+"/grades", "list-grades", "List where people stand in an assignment", web.NeedsInCourse(authz.GradeRead)), a.listGrades)
	web.Register(r, op(http.MethodGet, one+"/grades/{user_id}", "get-grade", "See where a person stands: staff anybody, learners themselves", web.SignedIn()), a.getGrade)
	put := op(http.MethodPut, one+"/grades/{user_id}", "put-grade", "Enter a grade, with or without a submission: it replaces what was entered", grades)
	put.Description = "A score above `points` and `extra_points` is refused: 422, field code `score_above_possible`. Where names are hidden the id is the alias that lists show."
	web.Register(r, put, a.putGrade)
	web.Register(r, op(http.MethodDelete, one+"/grades/{user_id}", "delete-grade", "Take back what was entered", grades), a.deleteGrade)
	web.Register(r, op(http.MethodPost, one+"/grades/bulk", "bulk-grade", "Enter many grades: all or none, or row by row", grades), a.bulkGrade)
	web.Register(r, op(http.MethodPost, one+"/grades/post", "post-grades", "Show grades to their learners", grades), a.setPosted(a.postGrades))
	web.Register(r, op(http.MethodPost, one+"/grades/hide", "hide-grades", "Hide grades from their learners", grades), a.setPosted(a.hideGrades))
	web.Register(r, op(http.MethodGet, "/api/v1/me/to-grade", "list-to-grade", "See what waits for me to grade", web.SignedIn()), a.toGrade)
}

func (a *API) rubricRoutes(r *web.Router) {
	op := operation("Rubrics")
	edits := web.NeedsInCourse(authz.AssignmentEdit)
	web.Register(r, op(http.MethodGet, "/api/v1/rubrics", "list-rubrics", "List a course's rubrics", web.NeedsInCourse(authz.SubmissionRead)), a.listRubrics)
	web.Register(r, created(op(http.MethodPost, "/api/v1/rubrics", "create-rubric", "Create a rubric in a course", edits)), a.createRubric)
	web.Register(r, op(http.MethodGet, rubric, "get-rubric", "Get a rubric, or an earlier revision", web.SignedIn()), a.getRubric)
	web.Register(r, op(http.MethodPatch, rubric, "update-rubric", "Change a rubric: other criteria are a new revision, which no assignment takes by itself", edits), a.updateRubric)
	web.Register(r, conflicts(op(http.MethodDelete, rubric, "delete-rubric", "Delete a rubric that is not used", edits)), a.deleteRubric)
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

func conflicts(op web.Op) web.Op {
	op.Errors = append(op.Errors, http.StatusConflict)
	return op
}

func locked(op web.Op) web.Op {
	op.Errors = append(op.Errors, http.StatusForbidden)
	op.Description = "403 `item_locked` says in `reasons` what is missing."
	return op
}

// optional is a query parameter that may be absent.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// flag is a query parameter that is true, false, or absent.
func flag(v string) *bool {
	if v == "" {
		return nil
	}
	is := v == "true"
	return &is
}

// wanted is the version of an If-Match that a route may do without.
func wanted(m *web.OptionalIfMatch) *int64 {
	if v, ok := m.Version(); ok {
		return &v
	}
	return nil
}

// utc is a time as PostgreSQL keeps it.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}

// list is never null.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// set writes a value that was given.
func set[T any](dst, v *T) {
	if v != nil {
		*dst = *v
	}
}

func setText(dst *string, v string) {
	if v != "" {
		*dst = v
	}
}
