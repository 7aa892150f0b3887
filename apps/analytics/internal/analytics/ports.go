// Package analytics keeps every event, adds them up, and reports. What is kept is
// written at once, in the transaction that says an event was had; it is added up a
// moment later, in large batches, by one process at a time, and can be added up
// from the beginning at any time, to the same numbers (package tally).
package analytics

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/report"
	"lms/apps/analytics/internal/tally"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Store keeps events and what they add up to.
type Store interface {
	InTx(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, sc work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is one transaction.
type Tx interface {
	work.Unit
	History
	Tallies
	Reports
}

// History is the events themselves.
type History interface {
	// ShareIntake lets others keep events at the same time; StopIntake waits for
	// all of them and keeps them waiting. Both until the transaction ends.
	ShareIntake(ctx context.Context) error
	StopIntake(ctx context.Context) error
	// Arrived is the highest ord that was given out. With intake stopped all events
	// up to it are there or will never be.
	Arrived(ctx context.Context) (int64, error)
	// MakeMonths makes room for events of these months.
	MakeMonths(ctx context.Context, months []time.Time) error
	// Append keeps events; those that are there already are left as they are.
	Append(ctx context.Context, events []history.Event, at time.Time) error
	// Arrivals are the events after one ord up to another, in their order.
	Arrivals(ctx context.Context, after, upto int64, limit int) ([]history.Event, error)
	// OfPerson are events in which a person is.
	OfPerson(ctx context.Context, user uuid.UUID, limit int) ([]history.Event, error)
	// Rewrite puts events in the place of what is there under their ids.
	Rewrite(ctx context.Context, events []history.Event) error
	// Listed is a page of events, the newest first.
	Listed(ctx context.Context, f EventFilter, q page.Request) (page.Page[history.Event], error)
	// Pseudonyms of those of the ids that were forgotten.
	Pseudonyms(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]uuid.UUID, error)
	// Forget remembers that a person is to be known under another id.
	Forget(ctx context.Context, user, pseudonym uuid.UUID, at time.Time) error
}

// Tallies is what events add up to.
type Tallies interface {
	// HoldTallies waits for whoever changes them, and keeps all others waiting until
	// the transaction ends.
	HoldTallies(ctx context.Context) error
	// Place is the ord up to which events were added up.
	Place(ctx context.Context) (ord int64, at time.Time, err error)
	SetPlace(ctx context.Context, ord int64, at time.Time) error
	// Settle merges what some events add up to with what is there.
	Settle(ctx context.Context, b *tally.Book) error
	// Rename gives a person another id.
	Rename(ctx context.Context, user, pseudonym uuid.UUID) error

	// InRebuild makes all that follows be about the tallies that are made anew;
	// InPlace about those that reports read.
	InRebuild(ctx context.Context) error
	InPlace(ctx context.Context) error
	// HoldRebuild is HoldTallies for the ones that are made anew.
	HoldRebuild(ctx context.Context) error
	// BeginRebuild forgets what an earlier run has made.
	BeginRebuild(ctx context.Context, r Rebuild) error
	// TheRebuild is the run that is at work; NotFound if there is none.
	TheRebuild(ctx context.Context) (Rebuild, error)
	EndRebuild(ctx context.Context) error
	// IndexRebuild makes what reports will need to read what was made anew; while it
	// is made only the keys are there.
	IndexRebuild(ctx context.Context) error
	// Swap puts what was made anew in the place of what reports read.
	Swap(ctx context.Context) error
	// Analyze tells the planner how large the tallies are by now.
	Analyze(ctx context.Context) error
	// Differences are rows that are not the same in both, at most so many of each
	// table.
	Differences(ctx context.Context, limit int) ([]RowDifference, error)
}

// Reports is what reports ask.
type Reports interface {
	// Report gives the rows of a report one by one, until fn fails.
	Report(ctx context.Context, name report.Name, a report.Arguments, fn func(row []any) error) error
	// Courses are those that a caller may look into, of some org units.
	Courses(ctx context.Context, f CourseFilter) ([]uuid.UUID, error)
	CohortMembers(ctx context.Context, group uuid.UUID) (Cohort, error)
	// PersonSections are what is added up of a person.
	PersonSections(ctx context.Context, user uuid.UUID) (map[string][]byte, error)
}

// Rebuild is a run that adds everything up anew.
type Rebuild struct {
	ID        uuid.UUID
	Upto      int64
	StartedAt time.Time
}

// RowDifference is a row of a table as it is stored and as it is computed; nil
// where there is none.
type RowDifference struct {
	Tbl      string
	Stored   []byte
	Computed []byte
}

// CourseFilter says which courses are meant: those of OrgUnits and those named, or
// all; of these, those within.
type CourseFilter struct {
	All      bool
	OrgUnits []uuid.UUID
	Courses  []uuid.UUID
	// Within limits them to org units; nil for none.
	Within []uuid.UUID
}

// Cohort is a group with those who are in it.
type Cohort struct {
	TenantID  uuid.UUID
	OrgUnitID *uuid.UUID
	CourseID  *uuid.UUID
	Members   []uuid.UUID
}

// EventFilter says which events are listed.
type EventFilter struct {
	Types    []string
	UserID   *uuid.UUID
	From, To *time.Time
	// Courses and OrgUnits limit them to events of these; both nil for none.
	Courses  []uuid.UUID
	OrgUnits []uuid.UUID
	// Oldest first, for who reads on.
	Ascending bool
}

// Courses asks enrollment where a person teaches.
type Courses interface {
	Taught(ctx context.Context, actor authz.Principal) (map[uuid.UUID]string, error)
}

// People asks user for names, at the moment of showing them; they are not kept.
type People interface {
	Names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error)
}
