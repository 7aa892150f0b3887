package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/page"
	"lms/shared/work"
)

// Store opens transactions.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is what a transaction can do: the kit's verbs and this service's rows.
type Tx interface {
	work.Unit
	AssignmentTx
}

// AssignmentTx is the rows of assignments.
type AssignmentTx interface {
	InsertAssignment(ctx context.Context, a Assignment) error
	// UpdateAssignment writes all but identity where the version is one less.
	UpdateAssignment(ctx context.Context, a Assignment) error
	// Assignment reads one that is not deleted; NotFound for none.
	Assignment(ctx context.Context, id uuid.UUID) (Assignment, error)
	// LockAssignment is Assignment for a change.
	LockAssignment(ctx context.Context, id uuid.UUID) (Assignment, error)
	ListAssignments(ctx context.Context, f AssignmentFilter, p page.Request) (page.Page[Assignment], error)
}

// AssignmentFilter selects assignments of a course.
type AssignmentFilter struct {
	CourseID uuid.UUID
	Query    string     // in the title
	GroupID  *uuid.UUID // of assignment_groups
	// Published: true leaves out drafts, false published ones; nil is both.
	Published *bool
	Sort      string
}

// Sorts of a list of assignments, with "-" in front for descending.
const (
	SortPosition = "position"
	SortDue      = "due_at"
	SortTitle    = "title"
	SortCreated  = "created_at"
)
