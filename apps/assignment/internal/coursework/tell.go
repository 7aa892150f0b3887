package coursework

import (
	"time"

	"github.com/google/uuid"

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
