package coursework

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// meta places an event of an assignment.
func (a Assignment) meta() work.Meta {
	return work.Meta{TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID}
}

func (a Assignment) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "assignment", ResourceID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, Changes: changes,
	}
}

// state is the assignment as events tell it.
func (a Assignment) state(now time.Time) events.AssignmentState {
	return events.AssignmentState{
		AssignmentID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, GroupID: a.GroupID, Title: a.Title,
		GradingType: a.GradingType, Points: a.Points, DueAt: a.DueAt, AvailableFrom: a.AvailableFrom, CutoffAt: a.CutoffAt, LockAt: a.LockAt,
		SubmissionTypes: a.SubmissionTypes, GroupWork: a.GroupSetID != nil, Published: a.Published, At: now,
	}
}

// optionalID makes nil of the zero id.
func optionalID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// state is the submission as events tell it.
func (sub Submission) state(a Assignment, now time.Time) events.SubmissionState {
	return events.SubmissionState{
		SubmissionID: sub.ID, AssignmentID: sub.AssignmentID, TenantID: sub.TenantID, OrgUnitID: a.OrgUnitID, CourseID: sub.CourseID,
		Title: a.Title, UserID: sub.UserID, GroupID: sub.GroupID, MemberIDs: sub.MemberIDs, Attempt: sub.Attempt,
		SubmittedAt: sub.SubmittedAt, DueAt: sub.DueAt, SecondsLate: sub.SecondsLate, At: now,
	}
}

func (sub Submission) audit(action string, a Assignment, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "submission", ResourceID: sub.ID, TenantID: sub.TenantID, OrgUnitID: a.OrgUnitID, Changes: changes,
	}
}

func (g Grade) audit(action string, a Assignment, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "grade", ResourceID: g.ID, TenantID: g.TenantID, OrgUnitID: a.OrgUnitID, Changes: changes,
	}
}

// state is the grade as events tell it.
func (g Grade) state(a Assignment, now time.Time) events.GradeState {
	status, by := g.Standing(a, now)
	return events.GradeState{
		GradeID: g.ID, AssignmentID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, Title: a.Title, UserID: g.UserID,
		GraderID: g.GraderID, Entered: g.EnteredScore, Deduction: g.Deduction, Score: g.Counts(), Possible: a.Points, Grade: g.EnteredGrade,
		Excused: g.ExcusedAt != nil, Late: status == grading.Late, SecondsLate: by, Missing: status == grading.Missing,
		Posted: g.PostedAt != nil, SubmittedAt: g.SubmittedAt, At: now,
	}
}
