package historytest

import (
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// learn takes a person through a course.
func (m *maker) learn(user uuid.UUID, c Course, at time.Time) {
	m.emit(at, c.ID, c.Unit, user, events.CourseViewed{CourseID: c.ID, TenantID: m.Tenant, OrgUnitID: c.Unit, UserID: user, Day: at.Format(time.DateOnly), ViewedAt: at})
	if m.chance(25) {
		return // only looked
	}
	at = m.after(at, 3*24*time.Hour)
	e := events.EnrollmentState{
		EnrollmentID: m.id(), TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, CourseCode: c.Code, UserID: user, Source: "self",
		State: events.EnrollmentStateActive, Required: len(c.Items), At: at,
	}
	if m.chance(15) {
		waiting := e
		waiting.State = events.EnrollmentStateWaitlisted
		m.emit(at, c.ID, c.Unit, user, events.EnrollmentWaitlisted{EnrollmentState: waiting, Number: 1})
		if m.chance(40) {
			return
		}
		e.At = m.after(at, 5*24*time.Hour)
	}
	m.emit(e.At, c.ID, c.Unit, user, events.EnrollmentActivated{EnrollmentState: e})
	m.work(user, c, &e)
	m.coursework(user, c, e)
	switch {
	case e.Met == e.Required:
		done := m.after(e.At, time.Hour)
		e.State, e.CompletedAt, e.At = events.EnrollmentStateCompleted, &done, done
		m.emit(done, c.ID, c.Unit, user, events.CourseCompleted{EnrollmentState: e})
		if m.chance(50) {
			m.emit(done, c.ID, c.Unit, user, events.CertificateIssued{CertificateState: events.CertificateState{
				CertificateID: m.id(), EnrollmentID: e.EnrollmentID, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, UserID: user, Name: "Somebody", IssuedAt: done,
			}})
		}
		if m.chance(5) {
			p := m.progress(e, m.after(done, 24*time.Hour))
			p.Met = 0
			m.emit(p.At, c.ID, c.Unit, c.Staff[0], events.ProgressRecalculated{ProgressState: p, Reason: "reset"})
		}
	case m.chance(15):
		e.State, e.At = events.EnrollmentStateWithdrawn, m.after(e.At, 10*24*time.Hour)
		m.emit(e.At, c.ID, c.Unit, user, events.EnrollmentWithdrawn{EnrollmentState: e, Reason: "self"})
		if m.chance(30) {
			e.State, e.At = events.EnrollmentStateActive, m.after(e.At, 10*24*time.Hour)
			m.emit(e.At, c.ID, c.Unit, user, events.EnrollmentActivated{EnrollmentState: e, Again: true})
		}
	}
}

func (m *maker) progress(e events.EnrollmentState, at time.Time) events.ProgressState {
	return events.ProgressState{
		EnrollmentID: e.EnrollmentID, TenantID: e.TenantID, OrgUnitID: e.OrgUnitID, CourseID: e.CourseID, UserID: e.UserID, Required: e.Required, Met: e.Met, At: at,
	}
}

// work goes through the items, some of them more than once.
func (m *maker) work(user uuid.UUID, c Course, e *events.EnrollmentState) {
	steps := m.rand.IntN(len(c.Items) + 2)
	for i, item := range c.Items {
		if i >= steps {
			break
		}
		for range 1 + m.rand.IntN(3) {
			e.At = m.after(e.At, 4*24*time.Hour)
			p := events.ProgressChanged{
				ProgressState: m.progress(*e, e.At), ItemID: item, ModuleID: c.Module, ItemKind: events.ItemPage,
				Change: []string{"viewed", "watched", "done", "submitted", "scored", "excused"}[m.rand.IntN(6)],
			}
			if p.Change == "scored" {
				score, possible := events.Hundredths(m.rand.IntN(1000)), events.Hundredths(1000)
				p.Score, p.Possible = &score, &possible
			}
			if m.chance(70) {
				at := e.At
				p.CompletedAt = &at
			}
			m.emit(e.At, c.ID, c.Unit, user, p)
		}
		e.Met = min(i+1, e.Required)
		if m.chance(20) {
			m.emit(e.At, c.ID, c.Unit, user, events.ModuleCompleted{ProgressState: m.progress(*e, e.At), ModuleID: c.Module, CompletedAt: e.At})
		}
		if m.chance(20) {
			until, course := m.after(e.At, time.Hour), c.ID
			m.emit(until, c.ID, c.Unit, user, events.ContentWatched{ContentID: m.id(), TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: &course, UserID: user, From: e.At, To: until})
		}
	}
}

// coursework is a quiz, the assignments, and the course grade.
func (m *maker) coursework(user uuid.UUID, c Course, e events.EnrollmentState) {
	at := m.after(e.At, 24*time.Hour)
	if m.chance(60) {
		m.quiz(user, c, at)
	}
	for _, a := range c.Assignments {
		if m.chance(70) {
			m.assignment(user, c, a, at)
		}
	}
	if m.chance(70) {
		total := m.id()
		for range 1 + m.rand.IntN(2) {
			at = m.after(at, 24*time.Hour)
			current, final := events.Hundredths(m.rand.IntN(10_500)), events.Hundredths(m.rand.IntN(10_000))
			m.emit(at, c.ID, c.Unit, uuid.Nil, events.CourseGradeChanged{TotalID: total, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, UserID: user, Current: &current, Final: &final, At: at})
		}
	}
}

func (m *maker) quiz(user uuid.UUID, c Course, at time.Time) {
	a := events.AttemptState{AttemptID: m.id(), TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, QuizID: c.Quiz, UserID: user, Number: 1, State: "in_progress", StartedAt: at}
	m.emit(at, c.ID, c.Unit, user, events.AttemptStarted{AttemptState: a})
	if m.chance(10) {
		return
	}
	finished := m.after(at, time.Hour)
	a.FinishedAt, a.State = &finished, "submitted"
	m.emit(finished, c.ID, c.Unit, user, events.AttemptSubmitted{AttemptState: a, By: []string{"learner", "staff"}[m.rand.IntN(2)]})
	for range 1 + m.rand.IntN(2) {
		g := events.GradedState{AttemptState: a, Possible: events.Hundredths(len(c.Questions) * 100)}
		g.State = "graded"
		var sum events.Hundredths
		for _, q := range c.Questions {
			points := events.Hundredths(m.rand.IntN(3) * 50)
			grade := events.QuestionGrade{QuestionID: q, Version: 1 + m.rand.IntN(2), Points: &points, Possible: 100, Class: []string{"wrong", "partial", "correct"}[points/50]}
			if m.chance(10) {
				grade.Class, grade.Points = "manual", nil
			} else {
				sum += points
			}
			g.Questions = append(g.Questions, grade)
		}
		g.Score = &sum
		m.emit(finished, c.ID, c.Unit, c.Staff[0], events.QuizGraded{GradedState: g})
	}
}

func (m *maker) assignment(user uuid.UUID, c Course, a uuid.UUID, at time.Time) {
	gradeID := m.id()
	if m.chance(20) {
		m.emit(at, c.ID, c.Unit, uuid.Nil, events.SubmissionMissing{GradeID: gradeID, AssignmentID: a, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, UserID: user, DueAt: at, At: at})
		if m.chance(60) {
			return
		}
	}
	s := events.SubmissionState{AssignmentID: a, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, UserID: user, MemberIDs: []uuid.UUID{user}}
	for n := range 1 + m.rand.IntN(2) {
		at = m.after(at, 5*24*time.Hour)
		s.SubmissionID, s.Attempt, s.SubmittedAt, s.At, s.SecondsLate = m.id(), n+1, at, at, 0
		if m.chance(30) {
			s.SecondsLate = 1 + m.rand.Int64N(200_000)
		}
		m.emit(at, c.ID, c.Unit, user, events.SubmissionSubmitted{SubmissionState: s})
		if m.chance(5) {
			m.emit(at, c.ID, c.Unit, user, events.SubmissionWithdrawn{SubmissionState: s})
		}
	}
	if m.chance(25) {
		return // waits for a grade
	}
	submitted := s.SubmittedAt
	g := events.GradeState{
		GradeID: gradeID, AssignmentID: a, TenantID: m.Tenant, OrgUnitID: c.Unit, CourseID: c.ID, UserID: user, GraderID: &c.Staff[0],
		Possible: 10_000, Late: s.SecondsLate > 0, SecondsLate: s.SecondsLate, SubmittedAt: &submitted, Excused: m.chance(5),
	}
	for range 1 + m.rand.IntN(2) {
		score := events.Hundredths(m.rand.IntN(10_000))
		g.Score, g.At = &score, m.after(at, 6*24*time.Hour)
		if m.chance(10) {
			g.Late, g.SecondsLate = !g.Late, m.rand.Int64N(1000)
		}
		m.emit(g.At, c.ID, c.Unit, c.Staff[0], events.Graded{GradeState: g})
	}
	if m.chance(50) {
		m.emit(g.At, c.ID, c.Unit, c.Staff[0], events.GradePosted{GradeState: g})
	}
	if m.chance(10) {
		m.emit(m.after(at, time.Hour), c.ID, c.Unit, user, events.SubmissionCommented{SubmissionState: s, CommentID: m.id(), AuthorID: user})
	}
}
