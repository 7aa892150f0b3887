package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/history"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// model is what a plain reading of a history gives: events of each aggregate one
// after the other, the later one taking the earlier one's place, without batches,
// merging or a database.
type model struct {
	learners map[[2]uuid.UUID]*modelLearner
	items    map[[3]uuid.UUID]*modelItem
	acts     []modelAct
	attempts map[uuid.UUID]*contract.GradedState
	works    map[[2]uuid.UUID]*modelWork
	due      map[uuid.UUID]*time.Time
	courseOf map[uuid.UUID]uuid.UUID
	members  map[[2]uuid.UUID]bool
	courses  map[uuid.UUID]contract.CourseState
	money    []modelMoney
	changes  map[uuid.UUID][]contract.SubscriptionState
	searches []internalapi.SearchPerformed

	// By person, for what would else be looked for among all.
	coursesOf map[uuid.UUID][]uuid.UUID
	worksOf   map[uuid.UUID][]*modelWork
	actsOf    map[uuid.UUID][]modelAct
}

type modelLearner struct {
	state                                                   string
	required, met                                           int
	viewed, enrolled, started, completed, withdrawn, active *time.Time
	ends                                                    *time.Time
	current, final                                          *int64
}

type modelItem struct {
	first           time.Time
	completed       bool
	score, possible *int64
}

type modelAct struct {
	course, user uuid.UUID
	at           time.Time
}

type modelWork struct {
	course    uuid.UUID
	submitted *time.Time
	due       *time.Time
	late      int64
	withdrawn bool
	rank      [2]int64
	missing   bool
	grade     *contract.GradeState // the last
}

type modelMoney struct {
	contract.Commerce
	refund bool
}

func first(have **time.Time, at time.Time) {
	if *have == nil || at.Before(**have) {
		*have = &at
	}
}

func last(have **time.Time, at time.Time) {
	if *have == nil || at.After(**have) {
		*have = &at
	}
}

func read[T any](t require.TestingT, e history.Event) (v T) {
	require.NoError(t, json.Unmarshal(e.Data, &v))
	return v
}

func hundredths(h *contract.Hundredths) *int64 {
	if h == nil {
		return nil
	}
	n := int64(*h)
	return &n
}

func (m *model) learner(course, user uuid.UUID) *modelLearner {
	key := [2]uuid.UUID{course, user}
	if m.learners[key] == nil {
		m.learners[key] = &modelLearner{}
	}
	return m.learners[key]
}

func (m *model) did(course, user uuid.UUID, at time.Time) {
	m.acts = append(m.acts, modelAct{course, user, at})
	l := m.learner(course, user)
	first(&l.started, at)
	last(&l.active, at)
}

func (m *model) stands(e contract.EnrollmentState) *modelLearner {
	l := m.learner(e.CourseID, e.UserID)
	l.state, l.required, l.met, l.ends = e.State, e.Required, e.Met, e.EndsAt
	if e.State == "active" || e.State == "completed" {
		first(&l.enrolled, e.At)
	}
	return l
}

func (m *model) workOf(assignment, user, course uuid.UUID) *modelWork {
	key := [2]uuid.UUID{assignment, user}
	if m.works[key] == nil {
		m.works[key] = &modelWork{course: course}
	}
	return m.works[key]
}

func newModel(t require.TestingT, all []history.Event) *model {
	m := &model{
		learners: map[[2]uuid.UUID]*modelLearner{}, items: map[[3]uuid.UUID]*modelItem{}, attempts: map[uuid.UUID]*contract.GradedState{},
		works: map[[2]uuid.UUID]*modelWork{}, due: map[uuid.UUID]*time.Time{}, courseOf: map[uuid.UUID]uuid.UUID{}, members: map[[2]uuid.UUID]bool{},
		courses: map[uuid.UUID]contract.CourseState{}, changes: map[uuid.UUID][]contract.SubscriptionState{},
	}
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b history.Event) int {
		return cmp.Or(bytes.Compare(a.AggregateID[:], b.AggregateID[:]), cmp.Compare(a.Seq, b.Seq))
	})
	for _, e := range ordered {
		m.take(t, e)
	}
	m.coursesOf, m.worksOf, m.actsOf = map[uuid.UUID][]uuid.UUID{}, map[uuid.UUID][]*modelWork{}, map[uuid.UUID][]modelAct{}
	for k := range m.learners {
		m.coursesOf[k[1]] = append(m.coursesOf[k[1]], k[0])
	}
	for k, w := range m.works {
		m.worksOf[k[1]] = append(m.worksOf[k[1]], w)
	}
	for _, a := range m.acts {
		m.actsOf[a.user] = append(m.actsOf[a.user], a)
	}
	return m
}

func (m *model) take(t require.TestingT, e history.Event) {
	switch e.Type {
	case contract.TypeCoursePublished:
		c := read[contract.CourseState](t, e)
		m.courses[c.ID] = c
	case contract.TypeGroupMemberAdded:
		g := read[contract.GroupMemberAdded](t, e)
		m.members[[2]uuid.UUID{g.GroupID, g.UserID}] = true
	case contract.TypeGroupMemberRemoved:
		g := read[contract.GroupMemberRemoved](t, e)
		delete(m.members, [2]uuid.UUID{g.GroupID, g.UserID})
	case contract.TypeAssignmentPublished:
		a := read[contract.AssignmentState](t, e)
		m.due[a.AssignmentID], m.courseOf[a.AssignmentID] = a.DueAt, a.CourseID
	case history.TypeSearched:
		m.searches = append(m.searches, read[internalapi.SearchPerformed](t, e))
	case contract.TypePaymentSucceeded, contract.TypePaymentRefunded:
		m.money = append(m.money, modelMoney{read[contract.Commerce](t, e), e.Type == contract.TypePaymentRefunded})
	case contract.TypeSubscriptionStarted, contract.TypeSubscriptionRenewed:
		s := read[contract.SubscriptionState](t, e)
		m.changes[s.SubscriptionID] = append(m.changes[s.SubscriptionID], s)
	default:
		m.takeLearning(t, e)
	}
}

func (m *model) takeLearning(t require.TestingT, e history.Event) {
	switch e.Type {
	case contract.TypeCourseViewed:
		v := read[contract.CourseViewed](t, e)
		first(&m.learner(v.CourseID, v.UserID).viewed, v.ViewedAt)
	case contract.TypeEnrollmentActivated, contract.TypeEnrollmentWaitlisted:
		m.stands(read[contract.EnrollmentState](t, e))
	case contract.TypeEnrollmentWithdrawn:
		s := read[contract.EnrollmentState](t, e)
		last(&m.stands(s).withdrawn, s.At)
	case contract.TypeCourseCompleted:
		s := read[contract.EnrollmentState](t, e)
		first(&m.stands(s).completed, *s.CompletedAt)
	case contract.TypeProgressRecalculated, contract.TypeModuleCompleted:
		p := read[contract.ProgressRecalculated](t, e)
		l := m.learner(p.CourseID, p.UserID)
		l.required, l.met = p.Required, p.Met
		if p.Reason == "reset" && l.state == "completed" {
			l.state = "active"
		}
	case contract.TypeProgressChanged:
		m.progressed(read[contract.ProgressChanged](t, e))
	case contract.TypeContentWatched:
		w := read[contract.ContentWatched](t, e)
		m.did(*w.CourseID, w.UserID, w.To)
	case contract.TypeCourseGradeChanged:
		g := read[contract.CourseGradeChanged](t, e)
		l := m.learner(g.CourseID, g.UserID)
		l.current, l.final = hundredths(g.Current), hundredths(g.Final)
	case contract.TypeAttemptStarted:
		a := read[contract.AttemptState](t, e)
		m.did(a.CourseID, a.UserID, a.StartedAt)
	case contract.TypeAttemptSubmitted:
		if a := read[contract.AttemptSubmitted](t, e); a.By == "learner" {
			m.did(a.CourseID, a.UserID, *a.FinishedAt)
		}
	case contract.TypeQuizGraded:
		g := read[contract.GradedState](t, e)
		m.attempts[g.AttemptID] = &g
	default:
		m.takeWork(t, e)
	}
}

func (m *model) progressed(p contract.ProgressChanged) {
	l := m.learner(p.CourseID, p.UserID)
	l.required, l.met = p.Required, p.Met
	key := [3]uuid.UUID{p.CourseID, p.ItemID, p.UserID}
	it := m.items[key]
	if it == nil {
		it = &modelItem{first: p.At}
		m.items[key] = it
	}
	if p.At.Before(it.first) {
		it.first = p.At
	}
	it.completed, it.score, it.possible = p.CompletedAt != nil, hundredths(p.Score), hundredths(p.Possible)
	if p.Change != "scored" && p.Change != "excused" {
		m.did(p.CourseID, p.UserID, p.At)
	}
}

func (m *model) takeWork(t require.TestingT, e history.Event) {
	switch e.Type {
	case contract.TypeSubmissionSubmitted, contract.TypeSubmissionWithdrawn:
		s := read[contract.SubmissionState](t, e)
		w := m.workOf(s.AssignmentID, s.UserID, s.CourseID)
		if rank := [2]int64{int64(s.Attempt), e.Seq}; w.rank[0] < rank[0] || w.rank[0] == rank[0] && w.rank[1] < rank[1] {
			w.rank, w.submitted, w.due, w.late, w.withdrawn = rank, &s.SubmittedAt, s.DueAt, s.SecondsLate, e.Type == contract.TypeSubmissionWithdrawn
		}
		if e.Type == contract.TypeSubmissionSubmitted {
			m.did(s.CourseID, s.UserID, s.SubmittedAt)
		}
	case contract.TypeSubmissionMissing:
		s := read[contract.SubmissionMissing](t, e)
		w := m.workOf(s.AssignmentID, s.UserID, s.CourseID)
		w.missing = true
	case contract.TypeGraded, contract.TypeGradePosted:
		g := read[contract.GradeState](t, e)
		w := m.workOf(g.AssignmentID, g.UserID, g.CourseID)
		w.grade, w.missing = &g, g.Missing
	case contract.TypeSubmissionCommented:
		c := read[contract.SubmissionCommented](t, e)
		m.did(c.CourseID, c.AuthorID, c.At)
	}
}

// standing is how a work stands, and how late it is.
func (w *modelWork) standing() (string, int64) {
	judged := w.grade != nil && w.submitted != nil && !w.grade.SubmittedAt.Before(*w.submitted)
	switch {
	case w.grade != nil && w.grade.Excused:
		return "excused", 0
	case w.submitted != nil && !w.withdrawn:
		if judged {
			if w.grade.Late {
				return "late", w.grade.SecondsLate
			}
			return "on_time", 0
		}
		if w.late > 0 {
			return "late", w.late
		}
		return "on_time", 0
	case w.missing:
		return "missing", 0
	}
	return "open", 0
}
