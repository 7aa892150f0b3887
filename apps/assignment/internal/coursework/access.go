package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// Action is what a person wants to do in a course.
type Action string

// The actions that enrollment judges.
const (
	See    Action = "see"
	Submit Action = "submit"
	Grades Action = "grade"
)

// Ask is a question to enrollment. With ResourceID it is about an assignment: is
// it unlocked?
type Ask struct {
	Actor      authz.Principal
	UserID     uuid.UUID
	CourseID   uuid.UUID
	ResourceID *uuid.UUID
	Action     Action
	// Fresh asks anew, also where an answer is remembered.
	Fresh bool
}

// Verdict answers an Ask.
type Verdict struct {
	Allowed   bool
	Code      string // why not, as enrollment says it
	Message   string
	Reasons   any    // with item_locked: what is missing
	Staff     bool   // teaches or administers the course, does not learn in it
	Role      string // the role's key in the course's staff
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	ReadOnly  bool
}

// Codes of a Verdict that does not allow.
const (
	DeniedUnknown    = "not_found"
	DeniedItemLocked = "item_locked"
)

// Access asks enrollment who may do what. Only a positive answer to See may be
// remembered, for two seconds; Submit and Grades are asked each time.
type Access interface {
	May(ctx context.Context, ask Ask) (Verdict, error)
	// Teaches are the courses in whose staff a person is, with the role.
	Teaches(ctx context.Context, user uuid.UUID) (map[uuid.UUID]string, error)
	// Placed says whether the curriculum shows the assignment anywhere, published
	// or not.
	Placed(ctx context.Context, assignment uuid.UUID) (bool, error)
	// Learners pages through the ids of those who learn in a course; the next
	// cursor is "" at the end.
	Learners(ctx context.Context, course uuid.UUID, cursor string) (ids []uuid.UUID, next string, err error)
}

// Card is a person as others may see them.
type Card struct {
	ID       uuid.UUID
	Name     string
	SortName string
}

// CourseGroup is one group of a set, with its members.
type CourseGroup struct {
	ID      uuid.UUID
	SetID   uuid.UUID
	Name    string
	Members []uuid.UUID
}

// Directory asks user.
type Directory interface {
	// Cards are those of whom it knows.
	Cards(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Card, error)
	// GroupMembers are the members of each of some groups or cohorts.
	GroupMembers(ctx context.Context, groups []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error)
	// CourseGroups are the groups of all sets of a course.
	CourseGroups(ctx context.Context, course uuid.UUID) ([]CourseGroup, error)
}

// Text makes HTML harmless.
type Text interface {
	HTML(raw string) string
	Plain(raw string) string
}

// Standing is how a person stands to a course.
type Standing struct {
	Verdict
	policy *authz.Policy
	actor  authz.Principal
}

// Has says whether the person holds a permission in the course.
func (s Standing) Has(perm authz.Permission) bool {
	return s.Staff && s.policy.AllowsInCourse(s.actor, perm, s.OrgUnitID, s.Role)
}

// standing asks how the caller stands to a course: NotFound for who may not know
// of it.
func (s *Service) standing(ctx context.Context, actor authz.Principal, course uuid.UUID) (Standing, error) {
	v, err := s.Access.May(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: course, Action: See})
	if err != nil {
		return Standing{}, err
	}
	if !v.Allowed {
		return Standing{}, denied(v, "course")
	}
	policy, err := authz.Knowing(ctx, s.Authz, actor, v.OrgUnitID)
	if err != nil {
		return Standing{}, err
	}
	return Standing{Verdict: v, policy: policy, actor: actor}, nil
}

// inCourse decides whether the caller holds a permission in a course: 404 for who
// may not know of it, 403 for who may not do it. The standing is given with a 403,
// too.
func (s *Service) inCourse(ctx context.Context, actor authz.Principal, course uuid.UUID, perm authz.Permission) (Standing, error) {
	st, err := s.standing(ctx, actor, course)
	if err != nil {
		return Standing{}, err
	}
	if !st.Has(perm) {
		return st, apperr.Forbidden("This needs the permission "+string(perm)+" in the course.").Detail("permission", perm)
	}
	return st, nil
}

// denied turns a verdict into the error that clients branch on.
func denied(v Verdict, what string) error {
	if v.Code == DeniedUnknown || v.Code == "" {
		return apperr.NotFound(what)
	}
	msg := v.Message
	if msg == "" {
		msg = "You may not do this in the course."
	}
	e := apperr.New(apperr.KindForbidden, v.Code, msg)
	if v.Reasons != nil {
		e = e.Detail("reasons", v.Reasons)
	}
	return e
}
