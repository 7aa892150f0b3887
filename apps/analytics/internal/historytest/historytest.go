// Package historytest makes histories of a school that never was, as its services
// would have told them: for tests that compare what analytics says with what a
// plain recomputation says, and for measurements.
package historytest

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// Options of a history.
type Options struct {
	Seed    uint64
	Events  int // about how many
	Courses int
	// Begins is when it begins; it goes on for Days.
	Begins time.Time
	Days   int
}

// School is who and what a history is about.
type School struct {
	Tenant  uuid.UUID
	Units   []uuid.UUID // of the tenant, itself the first one; each below the one before
	Courses []Course
	Cohorts []uuid.UUID
	People  []uuid.UUID
	Plans   []uuid.UUID
	Events  []history.Event // in the order in which they happened, by person
}

// Course is a course of it.
type Course struct {
	ID, Unit    uuid.UUID
	Code        string
	Staff       []uuid.UUID
	Module      uuid.UUID
	Items       []uuid.UUID
	Quiz        uuid.UUID
	Questions   []uuid.UUID
	Assignments []uuid.UUID
	EndsAt      *time.Time
}

type maker struct {
	*School
	o    Options
	rand *rand.Rand
	seqs map[uuid.UUID]int64
}

// Make makes a history. The same options make the same one.
func Make(o Options) *School {
	m := &maker{School: &School{}, o: o, rand: rand.New(rand.NewPCG(o.Seed, 1)), seqs: map[uuid.UUID]int64{}}
	m.Tenant = m.id()
	m.places()
	for range o.Courses {
		m.course()
	}
	for range 4 {
		m.cohort()
	}
	for len(m.Events) < o.Events {
		m.person()
	}
	return m.School
}

func (m *maker) id() (id uuid.UUID) {
	for i := range id {
		id[i] = byte(m.rand.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

func (m *maker) chance(percent int) bool { return m.rand.IntN(100) < percent }

func (m *maker) pick(ids []uuid.UUID) uuid.UUID { return ids[m.rand.IntN(len(ids))] }

// moment is a time of the history, after another one.
func (m *maker) after(t time.Time, within time.Duration) time.Time {
	return t.Add(time.Duration(m.rand.Int64N(int64(within/time.Second))) * time.Second)
}

func (m *maker) emit(at time.Time, course, unit, actor uuid.UUID, data events.Event) {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err) // plain values
	}
	id := data.AggregateID()
	m.seqs[id]++
	m.Events = append(m.Events, history.Event{
		ID: m.id(), Type: data.EventType(), Time: at, AggregateID: id, Seq: m.seqs[id], TenantID: m.Tenant, OrgUnitID: unit, CourseID: course, ActorID: actor, Data: raw,
	})
}

func (m *maker) places() {
	var parent *uuid.UUID
	for i := range 3 {
		id := m.id()
		if i == 0 {
			id = m.Tenant
		}
		m.emit(m.o.Begins, uuid.Nil, id, uuid.Nil, events.OrgUnitCreated{OrgUnitState: events.OrgUnitState{ID: id, TenantID: m.Tenant, ParentID: parent, Name: "Unit"}})
		m.Units, parent = append(m.Units, id), &id
	}
	for range 3 {
		p := events.PlanState{PlanID: m.id(), TenantID: m.Tenant, Name: "Plan", Kind: events.PlanOneOff, State: "active"}
		m.Plans = append(m.Plans, p.PlanID)
		m.emit(m.o.Begins, uuid.Nil, m.Tenant, uuid.Nil, events.PlanCreated{PlanState: p})
	}
}

func (m *maker) course() {
	c := Course{ID: m.id(), Unit: m.pick(m.Units), Code: "C-" + m.id().String()[:6], Module: m.id(), Quiz: m.id()}
	state := events.CourseState{
		ID: c.ID, TenantID: m.Tenant, OrgUnitID: c.Unit, Code: c.Code, Title: "Course " + c.Code, Status: events.CoursePublished, Language: "en",
	}
	if m.chance(50) {
		ends := m.after(m.o.Begins.AddDate(0, 0, m.o.Days), 60*24*time.Hour)
		c.EndsAt, state.EndsAt = &ends, &ends
	}
	for range 2 {
		teacher := m.id()
		if len(m.Courses) > 0 && m.chance(50) {
			teacher = m.pick(m.Courses[m.rand.IntN(len(m.Courses))].Staff)
		}
		c.Staff = append(c.Staff, teacher)
		state.Staff = append(state.Staff, events.CourseStaff{UserID: teacher, Role: "instructor", Active: true})
	}
	if c.Staff[0] == c.Staff[1] {
		c.Staff, state.Staff = c.Staff[:1], state.Staff[:1]
	}
	m.emit(m.o.Begins, c.ID, c.Unit, c.Staff[0], events.CoursePublishedEvent{CourseState: state})
	part := events.CurriculumPart{ID: c.Module, Title: "Module", Published: true}
	for i := range 6 {
		item := events.CurriculumItem{ID: m.id(), Kind: events.ItemPage, Title: "Item", Published: true, Visible: true}
		if i%2 == 0 {
			item.Requirement = &events.ItemRequirement{Kind: events.RequireView}
		}
		part.Items = append(part.Items, item)
		c.Items = append(c.Items, item.ID)
	}
	m.emit(m.o.Begins, c.ID, c.Unit, c.Staff[0], events.CurriculumChanged{CurriculumState: events.CurriculumState{
		CourseID: c.ID, TenantID: m.Tenant, OrgUnitID: c.Unit, Version: 1, ChangedAt: m.o.Begins, Modules: []events.CurriculumPart{part},
	}})
	m.emit(m.o.Begins, c.ID, c.Unit, c.Staff[0], events.QuizPublished{QuizState: events.QuizState{QuizID: c.Quiz, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, Title: "Quiz", Published: true, Points: 500}})
	for range 4 {
		q := events.QuestionChanged{QuestionID: m.id(), TenantID: m.Tenant, OrgUnitID: c.Unit, Kind: "single", Title: "Question", Number: 1}
		c.Questions = append(c.Questions, q.QuestionID)
		m.emit(m.o.Begins, uuid.Nil, c.Unit, c.Staff[0], q)
	}
	for range 2 {
		due := m.after(m.o.Begins, time.Duration(m.o.Days)*24*time.Hour)
		a := events.AssignmentState{AssignmentID: m.id(), TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, Title: "Essay", Points: 10000, DueAt: &due, Published: true}
		c.Assignments = append(c.Assignments, a.AssignmentID)
		m.emit(m.o.Begins, c.ID, c.Unit, c.Staff[0], events.AssignmentPublished{AssignmentState: a})
	}
	m.Courses = append(m.Courses, c)
}

func (m *maker) cohort() {
	g := events.GroupState{ID: m.id(), TenantID: m.Tenant, OrgUnitID: m.pick(m.Units), Kind: events.GroupCohort, Name: "Cohort"}
	m.Cohorts = append(m.Cohorts, g.ID)
	m.emit(m.o.Begins, uuid.Nil, g.OrgUnitID, uuid.Nil, events.GroupCreated{GroupState: g})
}

// person lives through some courses.
func (m *maker) person() {
	user := m.id()
	m.People = append(m.People, user)
	born := m.after(m.o.Begins, time.Duration(m.o.Days)*12*time.Hour)
	m.emit(born, uuid.Nil, m.Tenant, user, events.UserCreated{UserState: events.UserState{
		ID: user, TenantID: m.Tenant, OrgUnitID: m.Tenant, Status: events.UserActive, Name: "Somebody", Email: "somebody@example.test", CreatedAt: born,
	}})
	if m.chance(60) {
		g := m.pick(m.Cohorts)
		m.emit(born, uuid.Nil, m.Tenant, uuid.Nil, events.GroupMemberAdded{GroupID: g, UserID: user, TenantID: m.Tenant, Kind: events.GroupCohort, At: born})
		if m.chance(10) {
			m.emit(born, uuid.Nil, m.Tenant, uuid.Nil, events.GroupMemberRemoved{GroupID: g, UserID: user, TenantID: m.Tenant, Kind: events.GroupCohort, At: born})
		}
	}
	for i := range m.rand.IntN(5) {
		at := m.after(born.AddDate(0, 0, i*7), 24*time.Hour)
		m.emit(at, uuid.Nil, m.Tenant, user, events.UserSignedIn{UserID: user, TenantID: m.Tenant, Day: at.Format(time.DateOnly), SignedInAt: at, Method: "password"})
	}
	first := m.rand.IntN(len(m.Courses))
	for i := range min(1+m.rand.IntN(3), len(m.Courses)) {
		m.learn(user, m.Courses[(first+i)%len(m.Courses)], m.after(born, 20*24*time.Hour))
	}
	if m.chance(25) {
		m.pay(user, born)
	}
	m.search(born)
}

func (m *maker) search(at time.Time) {
	s := internalapi.SearchPerformed{At: m.after(at, 48*time.Hour), TenantID: m.Tenant, Term: []string{"biology", "kants kritik", "mitochondria", "=1+1"}[m.rand.IntN(4)], Results: int64(m.rand.IntN(3))}
	batch, err := history.Searches(internalapi.SearchBatch{BatchID: m.id(), Searches: []internalapi.SearchPerformed{s}})
	if err != nil {
		panic(err) // plain values
	}
	m.Events = append(m.Events, batch...)
}

func (m *maker) pay(user uuid.UUID, at time.Time) {
	c := m.Courses[m.rand.IntN(len(m.Courses))]
	money := events.Commerce{
		TenantID: m.Tenant, OrgUnitID: c.Unit, UserID: user, PlanID: m.pick(m.Plans), CourseID: c.ID, Currency: []string{"EUR", "USD"}[m.rand.IntN(2)],
		Amount: 1000 + m.rand.Int64N(50_000), At: at,
	}
	money.Tax = money.Amount / 6
	order := events.OrderState{Commerce: money, OrderID: m.id(), OrderKind: events.OrderPurchase, State: "paid"}
	m.emit(at, c.ID, c.Unit, user, events.PaymentSucceeded{OrderState: order, PaymentID: m.id()})
	if m.chance(20) {
		order.At = m.after(at, 20*24*time.Hour)
		m.emit(order.At, c.ID, c.Unit, user, events.PaymentRefunded{OrderState: order, RefundID: m.id()})
	}
	if m.chance(50) {
		return
	}
	sub := events.SubscriptionState{Commerce: money, SubscriptionID: m.id(), State: "trialing", PeriodUnit: []string{"week", "month", "year", "day"}[m.rand.IntN(4)], PeriodCount: 1 + m.rand.IntN(3)}
	m.emit(sub.At, c.ID, c.Unit, user, events.SubscriptionStarted{SubscriptionState: sub})
	for _, state := range []string{"active", "past_due", "active", "ended"} {
		sub.At, sub.State = m.after(sub.At, 30*24*time.Hour), state
		m.emit(sub.At, c.ID, c.Unit, user, events.SubscriptionRenewed{SubscriptionState: sub})
		if m.chance(30) {
			break
		}
	}
}
