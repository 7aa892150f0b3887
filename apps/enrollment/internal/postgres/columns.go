package postgres

import "lms/apps/enrollment/internal/enrollment"

// Columns are named once per table, in the order of their destinations.
const (
	// requiresColumn is what course says, or payment, whichever said so first.
	requiresColumn = `(c.requires_entitlement or exists (select from priced_courses k where k.course_id = c.id))`

	enrollmentColumns = `
e.id, e.tenant_id, e.course_id, e.user_id, e.state, e.source, e.reason, e.starts_at, e.ends_at, e.entitled_until,
e.access_ends_at, e.waitlist_number, e.answer_by, e.waived_prerequisites, e.waived_entitlement, e.entitled, e.external_source,
e.external_id, e.activated_at, e.completed_at, e.last_activity_at, e.expiry_told_at, e.required, e.met, e.next_item_id,
e.next_change_at, e.curriculum_seq, e.grade_current, e.grade_final, e.grade_letter, e.graded_at, e.grade_version,
e.state_changed_at, e.created_at, e.updated_at, e.version`

	courseColumns = `
c.id, c.tenant_id, c.org_unit_id, c.seq, c.code, c.title, c.language, c.status, c.deleted, c.visibility,
c.enrollment_mode, c.capacity, c.waitlist_enabled, c.enrollment_opens_at, c.enrollment_closes_at, c.starts_at, c.ends_at,
c.prerequisites, ` + requiresColumn + `, c.external_source, c.external_id, c.completion, c.curriculum_seq, c.seats_state,
c.updated_at`

	// briefColumns are what lists show of a course.
	briefColumns = `
c.id, c.tenant_id, c.org_unit_id, c.code, c.title, c.language, c.status, c.deleted, c.visibility, c.starts_at, c.ends_at,
` + requiresColumn + `, c.curriculum_seq`
)

func enrollmentFields(e *enrollment.Enrollment) []any {
	return []any{
		&e.ID, &e.TenantID, &e.CourseID, &e.UserID, &e.State, &e.Source, &e.Reason, &e.StartsAt, &e.EndsAt, &e.EntitledUntil,
		&e.AccessEndsAt, &e.WaitlistNumber, &e.AnswerBy, &e.WaivedPrerequisites, &e.WaivedEntitlement, &e.Entitled, &e.ExternalSource,
		&e.ExternalID, &e.ActivatedAt, &e.CompletedAt, &e.LastActivityAt, &e.ExpiryToldAt, &e.Required, &e.Met, &e.NextItemID,
		&e.NextChangeAt, &e.CurriculumSeq, &e.GradeCurrent, &e.GradeFinal, &e.GradeLetter, &e.GradedAt, &e.GradeVersion,
		&e.StateChangedAt, &e.CreatedAt, &e.UpdatedAt, &e.Version,
	}
}

func courseFields(c *enrollment.Course) []any {
	return []any{
		&c.ID, &c.TenantID, &c.OrgUnitID, &c.Seq, &c.Code, &c.Title, &c.Language, &c.Status, &c.Deleted, &c.Visibility,
		&c.EnrollmentMode, &c.Capacity, &c.WaitlistEnabled, &c.EnrollmentOpensAt, &c.EnrollmentClosesAt, &c.StartsAt, &c.EndsAt,
		&c.Prerequisites, &c.RequiresEntitlement, &c.ExternalSource, &c.ExternalID, &c.Completion, &c.CurriculumSeq, &c.SeatsState,
		&c.UpdatedAt,
	}
}

func briefFields(c *enrollment.Course) []any {
	return []any{
		&c.ID, &c.TenantID, &c.OrgUnitID, &c.Code, &c.Title, &c.Language, &c.Status, &c.Deleted, &c.Visibility, &c.StartsAt, &c.EndsAt,
		&c.RequiresEntitlement, &c.CurriculumSeq,
	}
}
