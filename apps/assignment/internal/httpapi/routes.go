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
	course = "/api/v1/courses/{id}"
	one    = "/api/v1/assignments/{id}"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.assignmentRoutes(r)
}

func (a *API) assignmentRoutes(r *web.Router) {
	op := operation("Assignments")
	edits := web.NeedsInCourse(authz.AssignmentEdit)
	web.Register(r, op(http.MethodGet, course+"/assignments", "list-assignments", "List a course's assignments: learners see what is published", web.SignedIn()), a.listAssignments)
	web.Register(r, created(op(http.MethodPost, course+"/assignments", "create-assignment", "Create an assignment as a draft", edits)), a.createAssignment)
	web.Register(r, op(http.MethodGet, one, "get-assignment", "Get an assignment, with one's own dates", web.SignedIn()), a.getAssignment)
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

// optional is a query parameter that may be absent.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// utc is a time as PostgreSQL keeps it.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}
