package coursework

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// grading of a place, for a row that is not there yet.
func (st Standing) grading(course uuid.UUID) Grading {
	g := DefaultGrading(course)
	g.TenantID, g.OrgUnitID = st.TenantID, st.OrgUnitID
	return g
}

func (g Grading) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "course", ResourceID: g.CourseID, TenantID: g.TenantID, OrgUnitID: g.OrgUnitID, Changes: changes,
	}
}

// GradingSettings reads how a course counts: for everybody in it.
func (s *Service) GradingSettings(ctx context.Context, actor authz.Principal, course uuid.UUID) (Grading, error) {
	st, err := s.standing(ctx, actor, course)
	if err != nil {
		return Grading{}, err
	}
	return read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Grading, error) { return tx.Grading(ctx, course) })
}

// GradingSettingsFields are what staff set.
type GradingSettingsFields struct {
	Weighted   bool
	SchemeID   *uuid.UUID
	ShowTotals bool
}

// PutGradingSettings sets how a course counts; everybody's totals follow.
func (s *Service) PutGradingSettings(ctx context.Context, actor authz.Principal, course uuid.UUID, version int64, in GradingSettingsFields) (Grading, error) {
	out, err := s.changeGrading(ctx, actor, course, func(ctx context.Context, tx Tx, g *Grading, _ *SetPolicy) (map[string]work.Change, error) {
		if version != g.SettingsVersion {
			return nil, apperr.VersionMismatch()
		}
		if in.SchemeID != nil {
			if err := s.usable(ctx, tx, *g, *in.SchemeID); err != nil {
				return nil, err
			}
		}
		changes := map[string]work.Change{}
		note(changes, "weighted", g.Weighted, in.Weighted)
		note(changes, "scheme_id", idText(g.SchemeID), idText(in.SchemeID))
		note(changes, "show_totals", g.ShowTotals, in.ShowTotals)
		g.Weighted, g.SchemeID, g.ShowTotals = in.Weighted, in.SchemeID, in.ShowTotals
		g.SettingsVersion++
		g.Revision++
		return changes, nil
	}, "grading_settings.update")
	return out.Grading, err
}

// changeGrading is a change of how a course counts by somebody who may. fn may add a
// job to the answer, which a repeated request gets again.
func (s *Service) changeGrading(ctx context.Context, actor authz.Principal, course uuid.UUID, fn func(context.Context, Tx, *Grading, *SetPolicy) (map[string]work.Change, error), action string) (SetPolicy, error) {
	st, err := s.inCourse(ctx, actor, course, authz.GradeEdit)
	if err != nil {
		return SetPolicy{}, err
	}
	if err := s.grades(ctx, actor, course); err != nil {
		return SetPolicy{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (out SetPolicy, err error) {
		if out.Grading, err = tx.LockGrading(ctx, st.grading(course)); err != nil {
			return out, err
		}
		out.Grading.OrgUnitID = st.OrgUnitID // the course may have moved
		changes, err := fn(ctx, tx, &out.Grading, &out)
		if err != nil || len(changes) == 0 {
			if err == nil {
				out.Grading, err = tx.Grading(ctx, course)
			}
			return out, err
		}
		out.Grading.UpdatedAt = s.Now()
		if err := tx.SaveGrading(ctx, out.Grading); err != nil {
			return out, err
		}
		return out, tx.Audit(ctx, out.Grading.audit(action, changes))
	})
}

// grades asks enrollment whether the person may grade now: never from memory.
func (s *Service) grades(ctx context.Context, actor authz.Principal, course uuid.UUID) error {
	v, err := s.Access.May(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: course, Action: Grades})
	if err == nil && !v.Allowed {
		err = denied(v, "course")
	}
	return err
}

func note[T comparable](changes map[string]work.Change, field string, from, to T) {
	if from != to {
		changes[field] = work.Change{From: from, To: to}
	}
}

func idText(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// usable refuses a scheme that is neither the course's nor of an org unit above.
func (s *Service) usable(ctx context.Context, tx Tx, g Grading, id uuid.UUID) error {
	unknown := apperr.Invalid(apperr.Field{Path: "scheme_id", Code: "unknown_scheme", Message: "No such grading scheme for the course."})
	scheme, err := tx.Scheme(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return unknown
	}
	if err != nil {
		return err
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if scheme.CourseID != nil && *scheme.CourseID == g.CourseID {
		return nil
	}
	for _, unit := range policy.Ancestors(g.OrgUnitID) {
		if scheme.CourseID == nil && scheme.OrgUnitID == unit {
			return nil
		}
	}
	return unknown
}

// NewScheme is a grading scheme to make: of a course, or of an org unit.
type NewScheme struct {
	CourseID  *uuid.UUID
	OrgUnitID *uuid.UUID
	Name      string
	Grades    []grading.Grade
}

// CreateScheme makes a grading scheme.
func (s *Service) CreateScheme(ctx context.Context, actor authz.Principal, in NewScheme) (Scheme, error) {
	made := Scheme{ID: s.NewID(), CourseID: in.CourseID, Name: strings.TrimSpace(in.Name), CreatedBy: optionalID(actor.UserID), CreatedAt: s.Now()}
	if (in.CourseID == nil) == (in.OrgUnitID == nil) {
		return Scheme{}, apperr.Invalid(apperr.Field{Path: "course_id", Code: "pair", Message: "Either course_id or org_unit_id."})
	}
	if err := s.placeScheme(ctx, actor, in, &made); err != nil {
		return Scheme{}, err
	}
	var bad apperr.Fields
	bad.Require(made.Name != "" && len(made.Name) <= MaxTitle, "name", "length", "1 to 255 characters.")
	grades, err := grading.NewScheme(in.Grades)
	if err != nil {
		bad = append(bad, apperr.From(err).Fields...)
	}
	if err := bad.Err(); err != nil {
		return Scheme{}, err
	}
	made.Grades = grades
	return inTx(ctx, s, work.Tenant(made.TenantID), func(ctx context.Context, tx Tx) (Scheme, error) {
		if err := tx.InsertScheme(ctx, made); err != nil {
			return Scheme{}, err
		}
		return made, tx.Audit(ctx, work.AuditEntry{
			Action: "grading_scheme.create", ResourceType: "grading_scheme", ResourceID: made.ID, TenantID: made.TenantID, OrgUnitID: made.OrgUnitID,
			Changes: map[string]work.Change{"name": {To: made.Name}},
		})
	})
}

func (s *Service) placeScheme(ctx context.Context, actor authz.Principal, in NewScheme, made *Scheme) error {
	if in.CourseID != nil {
		st, err := s.inCourse(ctx, actor, *in.CourseID, authz.GradeEdit)
		made.TenantID, made.OrgUnitID = st.TenantID, st.OrgUnitID
		return err
	}
	policy, err := authz.Knowing(ctx, s.Authz, actor, *in.OrgUnitID)
	if err != nil {
		return err
	}
	tenant, known := policy.Tenant(*in.OrgUnitID)
	if !known || tenant != actor.TenantID && !actor.HasPlatformGrant() {
		return apperr.NotFound("org unit")
	}
	if !policy.Allows(actor, authz.GradeEdit, *in.OrgUnitID) {
		return apperr.Forbidden("This needs the permission "+string(authz.GradeEdit)+" in the org unit.").Detail("permission", authz.GradeEdit)
	}
	made.TenantID, made.OrgUnitID = tenant, *in.OrgUnitID
	return nil
}

// Schemes lists the grading schemes that a course may use, or that an org unit and
// those above it have.
func (s *Service) Schemes(ctx context.Context, actor authz.Principal, course *uuid.UUID, unit uuid.UUID, p page.Request) (page.Page[Scheme], error) {
	var none page.Page[Scheme]
	scope := work.ScopeOf(actor)
	f := SchemeFilter{CourseID: course}
	if course != nil {
		st, err := s.inCourse(ctx, actor, *course, authz.GradeRead)
		if err != nil {
			return none, err
		}
		unit, scope = st.OrgUnitID, work.Tenant(st.TenantID)
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return none, err
	}
	if tenant, known := policy.Tenant(unit); course == nil && (!known || tenant != actor.TenantID && !actor.HasPlatformGrant()) {
		return none, apperr.NotFound("org unit")
	}
	f.OrgUnits = policy.Ancestors(unit)
	return read(ctx, s, scope, func(ctx context.Context, tx Tx) (page.Page[Scheme], error) { return tx.ListSchemes(ctx, f, p) })
}

// SchemeByID reads a grading scheme of the caller's tenant.
func (s *Service) SchemeByID(ctx context.Context, actor authz.Principal, id uuid.UUID) (Scheme, error) {
	return read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Scheme, error) { return tx.Scheme(ctx, id) })
}
