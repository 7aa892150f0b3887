package tally

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
)

// Keys of rows that have more than one.
type (
	// Pair is a course and a user, a group and a user, an assignment and a user.
	Pair struct{ A, B uuid.UUID }
	// Triple is a course, an item and a user.
	Triple struct{ A, B, C uuid.UUID }
	// DayKey is a UTC day, a course and a user.
	DayKey struct {
		Day          string
		Course, User uuid.UUID
	}
	// ChangeKey is a subscription and the seq of its change.
	ChangeKey struct {
		ID  uuid.UUID
		Seq int64
	}
	// TermKey is a tenant, a term and a quarter of an hour.
	TermKey struct {
		Tenant uuid.UUID
		Term   string
		Slot   int64 // Unix seconds
	}
)

// Book is what some events add up to.
type Book struct {
	Courses       map[uuid.UUID]*Course
	OrgUnits      map[uuid.UUID]*OrgUnit
	People        map[uuid.UUID]*Person
	Cohorts       map[uuid.UUID]*Cohort
	Members       map[Pair]*CohortMember
	Learners      map[Pair]*Learner
	Items         map[Triple]*LearnerItem
	Activities    map[DayKey]*Activity
	Quizzes       map[uuid.UUID]*Quiz
	Questions     map[uuid.UUID]*Question
	Attempts      map[uuid.UUID]*Attempt
	Assignments   map[uuid.UUID]*Assignment
	Works         map[Pair]*Work
	Plans         map[uuid.UUID]*Plan
	Payments      map[uuid.UUID]*Payment
	Subscriptions map[ChangeKey]*SubscriptionChange
	Terms         map[TermKey]*SearchTerm
}

// NewBook is a book without events.
func NewBook() *Book {
	return &Book{
		Courses: map[uuid.UUID]*Course{}, OrgUnits: map[uuid.UUID]*OrgUnit{}, People: map[uuid.UUID]*Person{}, Cohorts: map[uuid.UUID]*Cohort{},
		Members: map[Pair]*CohortMember{}, Learners: map[Pair]*Learner{}, Items: map[Triple]*LearnerItem{}, Activities: map[DayKey]*Activity{},
		Quizzes: map[uuid.UUID]*Quiz{}, Questions: map[uuid.UUID]*Question{}, Attempts: map[uuid.UUID]*Attempt{},
		Assignments: map[uuid.UUID]*Assignment{}, Works: map[Pair]*Work{}, Plans: map[uuid.UUID]*Plan{}, Payments: map[uuid.UUID]*Payment{},
		Subscriptions: map[ChangeKey]*SubscriptionChange{}, Terms: map[TermKey]*SearchTerm{},
	}
}

// merger is a row of type R.
type merger[R any] interface {
	*R
	Merge(*R)
}

func put[K comparable, R any, M merger[R]](rows map[K]*R, key K, row R) {
	if have, ok := rows[key]; ok {
		M(have).Merge(&row)
		return
	}
	rows[key] = &row
}

// Merge takes over what another book adds up to; that one is not to be used any more.
func (b *Book) Merge(o *Book) {
	takeOver(b.Courses, o.Courses)
	takeOver(b.OrgUnits, o.OrgUnits)
	takeOver(b.People, o.People)
	takeOver(b.Cohorts, o.Cohorts)
	takeOver(b.Members, o.Members)
	takeOver(b.Learners, o.Learners)
	takeOver(b.Items, o.Items)
	takeOver(b.Activities, o.Activities)
	takeOver(b.Quizzes, o.Quizzes)
	takeOver(b.Questions, o.Questions)
	takeOver(b.Attempts, o.Attempts)
	takeOver(b.Assignments, o.Assignments)
	takeOver(b.Works, o.Works)
	takeOver(b.Plans, o.Plans)
	takeOver(b.Payments, o.Payments)
	takeOver(b.Subscriptions, o.Subscriptions)
	takeOver(b.Terms, o.Terms)
}

func takeOver[K comparable, R any, M merger[R]](rows, other map[K]*R) {
	for k, row := range other {
		if have, ok := rows[k]; ok {
			M(have).Merge(row)
		} else {
			rows[k] = row
		}
	}
}

// Add adds an event as it was kept. A type that nothing is counted of adds
// nothing.
func (b *Book) Add(e history.Event) error {
	count, ok := counted[e.Type]
	if !ok {
		return nil
	}
	if err := count(b, e); err != nil {
		return fmt.Errorf("count %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// add counts an event of one type, whose data is a T.
func add[T any](count func(*Book, history.Event, T)) func(*Book, history.Event) error {
	return func(b *Book, e history.Event) error {
		var data T
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		count(b, e, data)
		return nil
	}
}

// quarters is how many quarters of an hour half a day has: the bits of AM and PM.
const quarters = 48

// act notes that a person did something in a course at a time.
func (b *Book) act(tenant, course, user uuid.UUID, at time.Time) {
	if user == uuid.Nil {
		return
	}
	at = at.UTC()
	a := Activity{Day: at.Format(time.DateOnly), CourseID: course, UserID: user, TenantID: tenant, Events: 1}
	if slot := at.Hour()*4 + at.Minute()/15; slot < quarters {
		a.AM = 1 << slot
	} else {
		a.PM = 1 << (slot - quarters)
	}
	put(b.Activities, DayKey{a.Day, course, user}, a)
	if course != uuid.Nil {
		l := b.learner(tenant, course, user)
		l.LastActivityAt, l.StartedAt = &at, &at
		b.learn(l)
	}
}

func (b *Book) learner(tenant, course, user uuid.UUID) Learner {
	return Learner{CourseID: course, UserID: user, TenantID: tenant}
}

func (b *Book) learn(l Learner) { put(b.Learners, Pair{l.CourseID, l.UserID}, l) }
