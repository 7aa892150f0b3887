package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicAssignment is the topic of every event of the assignment service.
const TopicAssignment = "assignment.events"

func exampleAssignmentID(last byte) uuid.UUID {
	id := uuid.MustParse("0198a2d0-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleAssignment(published bool) AssignmentState {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	due, cutoff := at.AddDate(0, 0, 14), at.AddDate(0, 0, 21)
	return AssignmentState{
		AssignmentID: exampleAssignmentID(1), TenantID: exampleAssignmentID(2), OrgUnitID: exampleAssignmentID(3), CourseID: exampleAssignmentID(4),
		Title: "Lab report", GradingType: "points", Points: 2000, DueAt: &due, AvailableFrom: &at, CutoffAt: &cutoff,
		SubmissionTypes: []string{"file", "text"}, Published: published, At: at,
	}
}

func exampleSubmission() SubmissionState {
	a := exampleAssignment(true)
	return SubmissionState{
		SubmissionID: exampleAssignmentID(5), AssignmentID: a.AssignmentID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID,
		Title: a.Title, UserID: exampleAssignmentID(6), MemberIDs: []uuid.UUID{exampleAssignmentID(6)}, Attempt: 1,
		SubmittedAt: a.DueAt.Add(time.Hour), DueAt: a.DueAt, SecondsLate: 3600, At: a.DueAt.Add(time.Hour),
	}
}

func exampleGrade(posted bool) GradeState {
	s := exampleSubmission()
	entered, score, grader := Hundredths(1750), Hundredths(1550), exampleAssignmentID(7)
	return GradeState{
		GradeID: exampleAssignmentID(8), AssignmentID: s.AssignmentID, TenantID: s.TenantID, OrgUnitID: s.OrgUnitID, CourseID: s.CourseID,
		Title: s.Title, UserID: s.UserID, GraderID: &grader, Entered: &entered, Deduction: 200, Score: &score, Possible: 2000,
		Late: true, SecondsLate: s.SecondsLate, Posted: posted, SubmittedAt: &s.SubmittedAt, At: s.SubmittedAt.AddDate(0, 0, 2),
	}
}

func assignmentEvents() []Definition {
	a, s, g := exampleAssignment(true), exampleSubmission(), exampleGrade(true)
	previous := Hundredths(1400)
	hidden := exampleGrade(false)
	hidden.Entered, hidden.Score, hidden.Deduction = nil, nil, 0
	state := func(summary string, e Event) Definition {
		return Definition{Topic: TopicAssignment, Summary: summary, State: true, Example: e}
	}
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicAssignment, Summary: summary, Example: e}
	}
	return []Definition{
		state("An assignment was created.", AssignmentCreated{exampleAssignment(false)}),
		state("An assignment was changed.", AssignmentUpdated{a, []string{"due_at", "points"}}),
		state("An assignment was published.", AssignmentPublished{a}),
		state("An assignment was unpublished.", AssignmentUnpublished{exampleAssignment(false)}),
		state("An assignment was deleted.", AssignmentDeleted{exampleAssignment(false)}),
		fact("A person's work is due soon and was not handed in.", AssignmentDueSoon{
			AssignmentID: a.AssignmentID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title,
			UserID: s.UserID, DueAt: *a.DueAt, At: a.DueAt.AddDate(0, 0, -1),
		}),
		fact("A person, a group or a cohort got other dates, or lost them.", OverrideChanged{
			AssignmentID: a.AssignmentID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title,
			Kind: "user", SubjectID: s.UserID, DueAt: a.CutoffAt, At: a.At,
		}),
		fact("Work was handed in.", SubmissionSubmitted{s, 2}),
		fact("A person's work is missing: due and not handed in.", SubmissionMissing{
			GradeID: g.GradeID, AssignmentID: a.AssignmentID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID,
			Title: a.Title, UserID: s.UserID, DueAt: *a.DueAt, At: a.DueAt.Add(time.Minute),
		}),
		fact("Work that was handed in was taken back.", SubmissionWithdrawn{s}),
		fact("Somebody commented on work.", SubmissionCommented{s, exampleAssignmentID(9), exampleAssignmentID(7), true, []uuid.UUID{s.UserID}}),
		fact("A grade was given or changed; for staff.", Graded{exampleGrade(false)}),
		fact("A grade became visible to the learner.", GradePosted{g}),
		fact("A grade that the learner sees has changed.", GradeChanged{g, &previous}),
		fact("A grade was hidden from the learner.", GradeHidden{hidden}),
		fact("Work became late, or what lateness takes has changed.", LatenessChanged{g, 0, 0}),
		state("A person's totals in a course changed.", exampleCourseGrade()),
	}
}
