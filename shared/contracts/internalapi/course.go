package internalapi

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Paths and call names that the course service serves.
const (
	// PathCourse answers CourseDocument; 404 for a course that never was. A deleted
	// one is answered with Course.Deleted set.
	PathCourse = "/internal/courses/{id}"
	// PathCourses answers CoursePage; query: cursor, limit (≤ 200), updated_since.
	PathCourses = "/internal/courses"
	// PathResourceUsages answers ResourceUsages: where a resource is placed.
	PathResourceUsages = "/internal/resources/{id}/usages"

	CallSeatsState    = "seats-state"    // enrollment; key: the course's id
	CallResourceState = "resource-state" // content, assignment; key: the resource's id
	CallPriceSummary  = "price-summary"  // payment; key: the course's id
)

// CourseDocument is all that is known of a course. Seq is the sequence number of
// the newest event of the course that the answer includes: a copy made from it is
// as new as that event.
type CourseDocument struct {
	Course     events.CourseState     `json:"course"`
	Curriculum events.CurriculumState `json:"curriculum"`
	Seq        int64                  `json:"seq"`
}

// CoursePage is a page of all courses in the order of their ids.
type CoursePage struct {
	Items      []CourseDocument `json:"items"`
	NextCursor string           `json:"next_cursor,omitempty"`
}

// SeatsState is what enrollment says about the seats of a course (rule 32).
type SeatsState struct {
	CourseID uuid.UUID `json:"course_id"`
	State    string    `json:"state"` // open, few, full
}

// ResourceState is what content or assignment says about one of its resources.
// It is told from the resource's creation on, since only known resources may be
// placed in a curriculum.
type ResourceState struct {
	ResourceID uuid.UUID `json:"resource_id"`
	TenantID   uuid.UUID `json:"tenant_id"`
	// CourseID is set for what belongs to one course (quiz, assignment).
	CourseID  *uuid.UUID `json:"course_id,omitempty"`
	Kind      string     `json:"kind"` // content, quiz, assignment
	Title     string     `json:"title"`
	Published bool       `json:"published"`
	// Deleted detaches every item from the resource.
	Deleted bool `json:"deleted,omitempty"`
	// Points are the possible points, nil where there are none.
	Points *events.Hundredths `json:"points,omitempty"`
}

// PriceSummary is what payment says about the price of a course; a nil Price
// says that there is no plan for it any more.
type PriceSummary struct {
	CourseID uuid.UUID           `json:"course_id"`
	Price    *events.CoursePrice `json:"price,omitempty"`
}

// Applied answers a reliable call that has nothing more to say.
type Applied struct {
	// Courses are those whose snapshot changed.
	Courses []uuid.UUID `json:"courses,omitempty"`
}

// ResourceUsages says in which courses and items a resource is placed.
type ResourceUsages struct {
	ResourceID uuid.UUID       `json:"resource_id"`
	Usages     []ResourceUsage `json:"usages"`
}

// ResourceUsage is one place of a resource.
type ResourceUsage struct {
	CourseID     uuid.UUID `json:"course_id"`
	CourseTitle  string    `json:"course_title"`
	CourseStatus string    `json:"course_status"`
	ModuleID     uuid.UUID `json:"module_id"`
	ItemID       uuid.UUID `json:"item_id"`
	ItemTitle    string    `json:"item_title"`
	PlacedAt     time.Time `json:"placed_at"`
}
