package enrollment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Action is what a person wants to do in a course.
type Action string

// The actions.
const (
	See    Action = "see"
	Submit Action = "submit"
	Grade  Action = "grade"
	Teach  Action = "teach"
)

// permissions that staff and admins need for an action; learners need none to
// see and to submit.
func (a Action) permission() (authz.Permission, bool) {
	switch a {
	case See, Submit:
		return authz.CourseRead, true
	case Grade:
		return authz.GradeEdit, true
	case Teach:
		return authz.CurriculumEdit, true
	}
	return "", false
}

// Ask is a question about access.
type Ask struct {
	UserID     uuid.UUID
	CourseID   uuid.UUID
	ItemID     *uuid.UUID
	ResourceID *uuid.UUID
	Action     Action
	Grants     []authz.Grant
	Limited    []authz.Permission
}

// Codes of a verdict that does not allow.
const (
	DeniedUnknown    = "not_found"
	DeniedNotActive  = "not_enrolled"
	DeniedReadOnly   = "read_only"
	DeniedItemLocked = "item_locked"
	DeniedForbidden  = "forbidden"
	DeniedSuspended  = "suspended"
	DeniedInactive   = "person_inactive"
)

// Verdict answers an Ask.
type Verdict struct {
	Allowed      bool
	Code         string
	Reasons      []Reason
	As           string // learner, staff, admin
	Role         string
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	EnrollmentID *uuid.UUID
	State        State
	ReadOnly     bool
	Since        *time.Time
	Until        *time.Time
	ItemID       *uuid.UUID
}

// Ways to stand to a course.
const (
	AsLearner = "learner"
	AsStaff   = "staff"
	AsAdmin   = "admin"
)

// Access says whether a person may do something in a course, or with an item of
// it, and why not (rule 11). It is asked by other services. A course that is not
// known here is asked of course once.
func (s *Service) Access(ctx context.Context, ask Ask) (v Verdict, err error) {
	perm, ok := ask.Action.permission()
	if !ok {
		return v, apperr.Invalid(apperr.Field{Path: "action", Code: "unknown", Message: "is see, submit, grade or teach"})
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return v, err
	}
	err = s.withCourse(ctx, ask.CourseID, func(doubt func(error) error) error {
		look, err := s.Store.Look(ctx, work.AllTenants(), ask.CourseID, ask.UserID)
		if err != nil {
			return doubt(err)
		}
		v, err = s.verdict(ctx, policy, perm, ask, look)
		return err
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return Verdict{Code: DeniedUnknown}, nil
	}
	return v, err
}

func (s *Service) verdict(ctx context.Context, policy *authz.Policy, perm authz.Permission, ask Ask, look Look) (Verdict, error) {
	c, role := look.Course, look.Role
	v := Verdict{TenantID: c.TenantID, OrgUnitID: c.OrgUnitID}
	who := authz.Principal{UserID: ask.UserID, Grants: ask.Grants, Limited: ask.Limited}
	switch {
	case c.Deleted:
		v.Code = DeniedUnknown
		return v, nil
	case look.Person != nil && look.Person.Status != PersonActive:
		v.Code = DeniedInactive
		return v, nil
	case role != "" && policy.AllowsInCourse(authz.Principal{UserID: ask.UserID, Limited: ask.Limited}, perm, c.OrgUnitID, role):
		v.Allowed, v.As, v.Role = true, AsStaff, role
		return v, nil
	case policy.Allows(who, perm, c.OrgUnitID):
		v.Allowed, v.As = true, AsAdmin
		return v, nil
	case ask.Action == Grade || ask.Action == Teach:
		if role != "" || policy.Allows(who, authz.CourseRead, c.OrgUnitID) {
			v.Code = DeniedForbidden
			return v, nil
		}
	}
	if look.Learner == nil || !c.Readable() {
		v.Code = DeniedUnknown
		return v, nil
	}
	return s.learnerVerdict(ctx, ask, *look.Learner, v)
}

func (s *Service) learnerVerdict(ctx context.Context, ask Ask, l Learner, v Verdict) (Verdict, error) {
	now := s.Now()
	e, c := l.Enrollment, l.Course
	v.As, v.EnrollmentID, v.State = AsLearner, &e.ID, e.Effective(c, now)
	v.Since, v.Until = e.ActivatedAt, e.Until(c)
	member := v.State.Learning() || v.State == Upcoming || v.State == Concluded
	v.ReadOnly = member && (!v.State.Learning() || !c.Published())
	switch {
	case ask.Action == Grade || ask.Action == Teach:
		v.Code = DeniedForbidden
	case v.State == Suspended:
		v.Code = DeniedSuspended
	case !member:
		v.Code = DeniedNotActive
	case ask.Action == Submit && v.ReadOnly:
		v.Code = DeniedReadOnly
	case ask.ItemID != nil || ask.ResourceID != nil:
		return s.itemVerdict(ctx, ask, l, v, now)
	default:
		v.Allowed = true
	}
	return v, nil
}

// itemVerdict: of several places of a resource one that is open suffices.
func (s *Service) itemVerdict(ctx context.Context, ask Ask, l Learner, v Verdict, now time.Time) (Verdict, error) {
	view, err := s.viewOf(ctx, work.AllTenants(), &l, now)
	if err != nil {
		return v, err
	}
	var locked *progress.ItemView
	for _, mv := range view.Modules {
		for i := range mv.Items {
			iv := &mv.Items[i]
			if !matches(ask, iv.Item) {
				continue
			}
			if iv.Open {
				v.Allowed, v.ItemID, v.Code = true, &iv.Item.ID, ""
				if iv.Since != nil {
					v.Since = iv.Since
				}
				return v, nil
			}
			if locked == nil {
				locked = iv
			}
		}
	}
	v.Code = DeniedUnknown
	if locked != nil {
		v.Code, v.ItemID, v.Reasons = DeniedItemLocked, &locked.Item.ID, Explain(locked.Reasons)
	}
	return v, nil
}

func matches(ask Ask, it *progress.Item) bool {
	if ask.ItemID != nil && *ask.ItemID != it.ID {
		return false
	}
	return ask.ResourceID == nil || *ask.ResourceID == it.ResourceID
}
