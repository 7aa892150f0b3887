package coursework

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// Seen is an assignment as one person sees it.
type Seen struct {
	Assignment
	Staff bool
	// Dates are the viewer's own (rule 21); for staff those of everybody.
	Dates grading.Dates
	// Mine is where a learner stands; nil before anything happened.
	Mine *Grade
}

// CreateAssignment makes a draft in a course. course is told of it at once, and the
// answer waits a moment for that: only known resources may be placed in a curriculum.
func (s *Service) CreateAssignment(ctx context.Context, actor authz.Principal, course uuid.UUID, edit func(*AssignmentFields)) (Assignment, error) {
	st, err := s.inCourse(ctx, actor, course, authz.AssignmentEdit)
	if err != nil {
		return Assignment{}, err
	}
	var told uuid.UUID
	made, err := inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Assignment, error) {
		fields := s.DefaultFields()
		edit(&fields)
		now := s.Now()
		a := Assignment{
			ID: s.NewID(), TenantID: st.TenantID, OrgUnitID: st.OrgUnitID, CourseID: course, AssignmentFields: fields,
			CreatedBy: optionalID(actor.UserID), CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err := s.settleIn(ctx, tx, &a, AssignmentFields{}); err != nil {
			return Assignment{}, err
		}
		if err := tx.InsertAssignment(ctx, a); err != nil {
			return Assignment{}, err
		}
		if err := tx.Audit(ctx, a.audit("assignment.create", map[string]work.Change{"title": {To: a.Title}})); err != nil {
			return Assignment{}, err
		}
		if err := tx.Emit(ctx, events.AssignmentCreated{AssignmentState: a.state(now)}, a.meta()); err != nil {
			return Assignment{}, err
		}
		told, err = s.callCourse(ctx, tx, a)
		return a, err
	})
	if err == nil {
		s.Calls.Settled(ctx, told, settleWithin) // made it is in any case
	}
	return made, err
}

// settleIn is settle with what the fields refer to: a rubric is pinned to the
// revision that is named, or its newest.
func (s *Service) settleIn(ctx context.Context, tx Tx, a *Assignment, before AssignmentFields) error {
	if err := s.settle(&a.AssignmentFields); err != nil {
		return err
	}
	if a.SchemeID != nil && !equal(before.SchemeID, a.SchemeID) {
		if err := s.usable(ctx, tx, Grading{CourseID: a.CourseID, OrgUnitID: a.OrgUnitID}, *a.SchemeID); err != nil {
			return err
		}
	}
	if a.RubricID == nil {
		a.RubricRevision = nil
		return nil
	}
	if before.RubricID != nil && *before.RubricID == *a.RubricID && before.RubricRevision != nil && a.RubricRevision != nil && *before.RubricRevision == *a.RubricRevision {
		return nil
	}
	revision := 0
	if a.RubricRevision != nil && (before.RubricID == nil || *before.RubricID == *a.RubricID || *a.RubricRevision != *before.RubricRevision) {
		revision = *a.RubricRevision
	}
	r, err := tx.Rubric(ctx, *a.RubricID, revision)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && r.CourseID != a.CourseID {
		return apperr.Invalid(apperr.Field{Path: "rubric_id", Code: "unknown_rubric", Message: "No such rubric, or revision of it, in the course."})
	}
	a.RubricRevision = &r.Revision
	return err
}

// Assignments lists a course's assignments: all to staff, to learners what is
// published.
func (s *Service) Assignments(ctx context.Context, actor authz.Principal, f AssignmentFilter, p page.Request) (page.Page[Assignment], error) {
	st, err := s.standing(ctx, actor, f.CourseID)
	if err != nil {
		return page.Page[Assignment]{}, err
	}
	if !st.Staff {
		published := true
		f.Published = &published
	}
	return read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (page.Page[Assignment], error) {
		return tx.ListAssignments(ctx, f, p)
	})
}

// Assignment is one assignment: a draft only for staff, a locked one only for them
// too (403 `item_locked`).
func (s *Service) Assignment(ctx context.Context, actor authz.Principal, id uuid.UUID) (Seen, error) {
	a, ext, err := s.extended(ctx, work.ScopeOf(actor), id)
	if err != nil {
		return Seen{}, err
	}
	st, err := s.sees(ctx, actor, a)
	if err != nil {
		return Seen{}, err
	}
	if st.Staff {
		return Seen{Assignment: a, Staff: true, Dates: a.Dates()}, nil
	}
	mine, err := read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (*Grade, error) { return tx.Grade(ctx, id, actor.UserID) })
	return Seen{Assignment: a, Dates: ext.dates(a, actor.UserID), Mine: mine}, err
}

// find reads an assignment among those of the caller's tenant.
func (s *Service) find(ctx context.Context, actor authz.Principal, id uuid.UUID) (Assignment, error) {
	return read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Assignment, error) { return tx.Assignment(ctx, id) })
}

// staffOf finds an assignment for somebody who needs a permission in its course:
// 404 for who may not know of it.
func (s *Service) staffOf(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission) (Assignment, Standing, error) {
	a, err := s.find(ctx, actor, id)
	if err != nil {
		return Assignment{}, Standing{}, err
	}
	st, err := s.inCourse(ctx, actor, a.CourseID, perm)
	if apperr.IsKind(err, apperr.KindNotFound) || apperr.IsKind(err, apperr.KindForbidden) && !a.Published && !st.Staff {
		err = apperr.NotFound("assignment")
	}
	return a, st, err
}

// sees decides whether the caller may open the assignment.
func (s *Service) sees(ctx context.Context, actor authz.Principal, a Assignment) (Standing, error) {
	st, err := s.standing(ctx, actor, a.CourseID)
	switch {
	case apperr.IsKind(err, apperr.KindNotFound):
		return st, apperr.NotFound("assignment")
	case err != nil || st.Staff:
		return st, err
	case !a.Published:
		return st, apperr.NotFound("assignment")
	}
	_, err = s.unlocked(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: a.CourseID, ResourceID: &a.ID, Action: See})
	return st, err
}

// unlocked asks whether the curriculum lets a person at an assignment. One that no
// curriculum shows is held back by none.
func (s *Service) unlocked(ctx context.Context, ask Ask) (Verdict, error) {
	v, err := s.Access.May(ctx, ask)
	if err != nil || v.Allowed {
		return v, err
	}
	if v.Code != DeniedUnknown {
		return v, denied(v, "assignment")
	}
	placed, err := s.Access.Placed(ctx, *ask.ResourceID)
	if err != nil {
		return v, err
	}
	if placed {
		return v, apperr.NotFound("assignment")
	}
	ask.ResourceID = nil
	if v, err = s.Access.May(ctx, ask); err != nil || v.Allowed {
		return v, err
	}
	return v, denied(v, "assignment")
}

// UpdateAssignment changes an assignment. What changes lateness or possible points
// is judged again for everybody, in the background (rule 19).
func (s *Service) UpdateAssignment(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, edit func(*AssignmentFields)) (Assignment, error) {
	return s.change(ctx, actor, id, version, func(ctx context.Context, tx Tx, a Assignment) (Assignment, error) {
		before := a.AssignmentFields
		edit(&a.AssignmentFields)
		if err := s.settleIn(ctx, tx, &a, before); err != nil {
			return Assignment{}, err
		}
		changes, err := differences(before, a.AssignmentFields)
		if err != nil || len(changes) == 0 {
			return a, err
		}
		if err := allowedWithWork(ctx, tx, a.ID, changes); err != nil {
			return Assignment{}, err
		}
		if _, moved := changes["due_at"]; moved {
			a.DueSoonToldFor, a.MissingCheckedAt = nil, nil
		}
		now := s.Now()
		a.Version++
		a.UpdatedAt = now
		if err := tx.UpdateAssignment(ctx, a); err != nil {
			return Assignment{}, err
		}
		changed := slices.Sorted(maps.Keys(changes))
		delete(changes, "description")
		if err := tx.Audit(ctx, a.audit("assignment.update", changes)); err != nil {
			return Assignment{}, err
		}
		if err := tx.Emit(ctx, events.AssignmentUpdated{AssignmentState: a.state(now), Changed: changed}, a.meta()); err != nil {
			return Assignment{}, err
		}
		if judged(changes) {
			_, points := changes["points"]
			_, kind := changes["grading_type"]
			if err := s.judgeLater(ctx, tx, a, Judging{Cause: CauseDates, Report: points || kind}); err != nil {
				return Assignment{}, err
			}
		}
		return a, s.tellCourse(ctx, tx, a)
	})
}

// judged says whether a change can change what the rules make of grades.
func judged(changes map[string]work.Change) bool {
	for _, field := range []string{"due_at", "points", "grading_type", "submission_types", "posting"} {
		if _, ok := changes[field]; ok {
			return true
		}
	}
	return false
}

// allowedWithWork refuses what would tear apart work that was handed in, or tell
// whose it is.
func allowedWithWork(ctx context.Context, tx Tx, id uuid.UUID, changes map[string]work.Change) error {
	_, groups := changes["group_set_id"]
	_, names := changes["anonymous"]
	if !groups && !names {
		return nil
	}
	has, err := tx.HasWork(ctx, id)
	if err == nil && has {
		err = apperr.Conflict("has_submissions", "Work was handed in already: group work and anonymity stay as they are.")
	}
	return err
}

// differences are the fields that differ, by their names in JSON.
func differences(before, after AssignmentFields) (map[string]work.Change, error) {
	from, err := fieldsOf(before)
	if err != nil {
		return nil, err
	}
	to, err := fieldsOf(after)
	if err != nil {
		return nil, err
	}
	out := map[string]work.Change{}
	for name, value := range to {
		if string(from[name]) != string(value) {
			out[name] = work.Change{From: from[name], To: value}
		}
	}
	return out, nil
}

func fieldsOf(f AssignmentFields) (map[string]json.RawMessage, error) {
	f.SubmissionTypes, f.FileExtensions = ordered(f.SubmissionTypes), ordered(f.FileExtensions)
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	return out, json.Unmarshal(raw, &out)
}

// PublishAssignment shows an assignment to learners.
func (s *Service) PublishAssignment(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (Assignment, error) {
	return s.setPublished(ctx, actor, id, version, true)
}

// UnpublishAssignment takes it back; not once something was handed in (409
// `has_submissions`).
func (s *Service) UnpublishAssignment(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (Assignment, error) {
	return s.setPublished(ctx, actor, id, version, false)
}

func (s *Service) setPublished(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, published bool) (Assignment, error) {
	want := int64(0)
	if version != nil {
		want = *version
	}
	return s.change(ctx, actor, id, want, func(ctx context.Context, tx Tx, a Assignment) (Assignment, error) {
		if a.Published == published {
			return a, nil
		}
		now := s.Now()
		action, event := "assignment.publish", events.Event(nil)
		a.Published, a.Version, a.UpdatedAt = published, a.Version+1, now
		if published {
			if a.PublishedAt == nil {
				a.PublishedAt = &now
			}
			event = events.AssignmentPublished{AssignmentState: a.state(now)}
		} else {
			has, err := tx.HasWork(ctx, id)
			if err != nil {
				return Assignment{}, err
			}
			if has {
				return Assignment{}, apperr.Conflict("has_submissions", "Work was handed in or graded: the assignment stays published.")
			}
			action, event = "assignment.unpublish", events.AssignmentUnpublished{AssignmentState: a.state(now)}
		}
		if err := tx.UpdateAssignment(ctx, a); err != nil {
			return Assignment{}, err
		}
		if err := tx.Audit(ctx, a.audit(action, map[string]work.Change{"published": {From: !published, To: published}})); err != nil {
			return Assignment{}, err
		}
		if err := tx.Emit(ctx, event, a.meta()); err != nil {
			return Assignment{}, err
		}
		return a, s.tellCourse(ctx, tx, a)
	})
}

// DeleteAssignment deletes an assignment: one that a curriculum shows, or to which
// something was handed in, only with detach (409 `in_use`). Its items in the
// curriculum lose it then; grades and history stay as they were.
func (s *Service) DeleteAssignment(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, detach bool) error {
	var placed bool
	if !detach {
		if _, _, err := s.staffOf(ctx, actor, id, authz.AssignmentEdit); err != nil {
			return err
		}
		var err error
		if placed, err = s.Access.Placed(ctx, id); err != nil {
			return err
		}
	}
	_, err := s.change(ctx, actor, id, version, func(ctx context.Context, tx Tx, a Assignment) (Assignment, error) {
		if !detach {
			has, err := tx.HasWork(ctx, id)
			if err != nil {
				return Assignment{}, err
			}
			if placed || has {
				return Assignment{}, apperr.Conflict("in_use", "The assignment is in use. Delete it with detach=true.").
					Detail("in_curriculum", placed).Detail("has_submissions", has)
			}
		}
		now := s.Now()
		a.Published, a.DeletedAt, a.UpdatedAt, a.Version = false, &now, now, a.Version+1
		if err := tx.UpdateAssignment(ctx, a); err != nil {
			return Assignment{}, err
		}
		if err := tx.Audit(ctx, a.audit("assignment.delete", map[string]work.Change{"title": {From: a.Title}})); err != nil {
			return Assignment{}, err
		}
		if err := tx.Emit(ctx, events.AssignmentDeleted{AssignmentState: a.state(now)}, a.meta()); err != nil {
			return Assignment{}, err
		}
		return a, s.tellCourse(ctx, tx, a)
	})
	return err
}

// change locks an assignment for a change by somebody who may edit it; version 0
// is any.
func (s *Service) change(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, fn func(context.Context, Tx, Assignment) (Assignment, error)) (Assignment, error) {
	_, st, err := s.staffOf(ctx, actor, id, authz.AssignmentEdit)
	if err != nil {
		return Assignment{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Assignment, error) {
		a, err := tx.LockAssignment(ctx, id)
		if err != nil {
			return Assignment{}, err
		}
		if version != 0 && version != a.Version {
			return Assignment{}, apperr.VersionMismatch()
		}
		a.OrgUnitID = st.OrgUnitID // the course may have moved
		return fn(ctx, tx, a)
	})
}

// tellCourse says to course what the curriculum shows of the assignment.
func (s *Service) tellCourse(ctx context.Context, tx Tx, a Assignment) error {
	_, err := s.callCourse(ctx, tx, a)
	return err
}

func (s *Service) callCourse(ctx context.Context, tx Tx, a Assignment) (uuid.UUID, error) {
	state := internalapi.ResourceState{
		ResourceID: a.ID, TenantID: a.TenantID, CourseID: &a.CourseID, Kind: events.ItemAssignment, Title: a.Title,
		Published: a.Published, Deleted: a.DeletedAt != nil,
	}
	if a.GradingType != GradeNotGraded {
		state.Points = &a.Points
	}
	return tx.Call(ctx, work.Call{To: "course", Name: internalapi.CallResourceState, Key: a.ID.String(), TenantID: a.TenantID, Body: state})
}
