package catalog

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// NewCourse asks for a course in an org unit, perhaps made from a template. Edit
// sets what differs from the defaults, or from the template.
type NewCourse struct {
	OrgUnitID  uuid.UUID
	TemplateID *uuid.UUID
	Edit       func(*Settings)
}

// CreateCourse makes a draft. Its creator becomes its instructor, unless they
// administer the org unit anyway. Codes are unique in a tenant, external
// ids in a tenant and source (409).
func (s *Service) CreateCourse(ctx context.Context, actor authz.Principal, in NewCourse) (Course, error) {
	policy, tenant, err := s.allowedIn(ctx, actor, in.OrgUnitID, authz.CourseCreate)
	if err != nil {
		return Course{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Course, error) {
		var pkg *Package
		settings := DefaultSettings()
		if in.TemplateID != nil {
			t, err := tx.Template(ctx, *in.TemplateID)
			if err != nil || t.TenantID != tenant {
				return Course{}, orUnknown(err, "template_id", "unknown_template", "No such template in this organisation.")
			}
			pkg = &t.Package
			pkg.apply(&settings)
		}
		in.Edit(&settings)
		c, err := s.insertCourse(ctx, tx, policy, actor, in.OrgUnitID, tenant, s.NewID(), settings)
		if err != nil {
			return Course{}, err
		}
		if pkg != nil {
			if c, _, _, err = s.fill(ctx, tx, c, *pkg, "created_from_template", actor.UserID); err != nil {
				return Course{}, err
			}
		}
		return c, nil
	})
}

// insertCourse checks and writes a new draft with its staff, event and audit.
func (s *Service) insertCourse(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, unit, tenant, id uuid.UUID, settings Settings) (Course, error) {
	if u, ok := policy.OrgUnit(unit); ok && u.Archived {
		return Course{}, apperr.Conflict("org_unit_archived", "The org unit is archived.")
	}
	now := s.Now()
	c := Course{
		ID: id, TenantID: tenant, OrgUnitID: unit, OrgUnitPath: pathOf(policy, unit, nil), Settings: settings,
		Status: events.CourseDraft, Seats: events.SeatsOpen, Completion: DefaultCompletion(),
		CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1, CurriculumVersion: 1, CurriculumChangedAt: now,
	}
	if err := s.settle(ctx, tx, policy, actor, &c, Settings{}); err != nil {
		return Course{}, err
	}
	if err := tx.InsertCourse(ctx, c); err != nil {
		return Course{}, err
	}
	docs, err := Curriculum{CourseID: c.ID}.Documents(c.CurriculumVersion)
	if err != nil {
		return Course{}, err
	}
	empty := Curriculum{CourseID: c.ID}
	if err := tx.SaveCurriculum(ctx, c, empty, empty, docs); err != nil {
		return Course{}, err
	}
	if onlyTeaches(policy, actor, unit) {
		m := StaffMember{CourseID: c.ID, TenantID: tenant, UserID: actor.UserID, Role: authz.RoleInstructor, Active: true, AddedBy: actor.UserID, AddedAt: now}
		if err := tx.PutStaff(ctx, m); err != nil {
			return Course{}, err
		}
	}
	changes, err := changesOf(Settings{}, c.Settings)
	if err != nil {
		return Course{}, err
	}
	if err := tx.Audit(ctx, c.audit("course.create", changes)); err != nil {
		return Course{}, err
	}
	return c, s.emit(ctx, tx, c, func(st events.CourseState) events.Event { return events.CourseCreated{CourseState: st} })
}

// onlyTeaches says that the caller's rights in the unit do not go beyond teaching:
// they cannot delete courses there.
func onlyTeaches(policy *authz.Policy, actor authz.Principal, unit uuid.UUID) bool {
	return actor.UserID != uuid.Nil && !policy.Allows(actor, authz.CourseDelete, unit)
}

// settle normalises and checks settings and what they refer to. before are the
// settings as they were.
func (s *Service) settle(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, c *Course, before Settings) error {
	c.Normalise()
	if err := c.Check(c.ID); err != nil {
		return err
	}
	if !equalID(before.PricePlanID, c.PricePlanID) && !policy.Allows(actor, authz.PlanManage, c.OrgUnitID) {
		return apperr.Forbidden("Changing the price plan of a course needs the permission " + string(authz.PlanManage) + ".")
	}
	if err := s.settleCategory(ctx, tx, c); err != nil {
		return err
	}
	if err := s.settleTerm(ctx, tx, c, before); err != nil {
		return err
	}
	if slices.Equal(before.PrerequisiteCourses, c.PrerequisiteCourses) {
		return nil
	}
	return s.settlePrerequisites(ctx, tx, *c)
}

func (s *Service) settleCategory(ctx context.Context, tx Tx, c *Course) error {
	c.CategoryName = ""
	if c.CategoryID == nil {
		return nil
	}
	category, err := tx.Category(ctx, *c.CategoryID)
	if err != nil || category.TenantID != c.TenantID {
		return orUnknown(err, "category_id", "unknown_category", "No such category in this organisation.")
	}
	c.CategoryName = category.Name
	return nil
}

// settleTerm checks the term. A course that gets a term and has no dates of its own
// takes the term's.
func (s *Service) settleTerm(ctx context.Context, tx Tx, c *Course, before Settings) error {
	if c.TermID == nil || equalID(before.TermID, c.TermID) {
		return nil
	}
	term, err := tx.Term(ctx, *c.TermID)
	if err != nil || term.TenantID != c.TenantID {
		return orUnknown(err, "term_id", "unknown_term", "No such term in this organisation.")
	}
	if c.StartsAt == nil && c.EndsAt == nil {
		c.StartsAt, c.EndsAt = term.StartsAt, term.EndsAt
	}
	return nil
}

// settlePrerequisites refuses courses that are not of the tenant, and circles: in a
// circle nobody could ever enroll.
func (s *Service) settlePrerequisites(ctx context.Context, tx Tx, c Course) error {
	if len(c.PrerequisiteCourses) == 0 {
		return nil
	}
	if err := tx.LockPrerequisites(ctx, c.TenantID); err != nil {
		return err
	}
	known, err := tx.Prerequisites(ctx, c.PrerequisiteCourses)
	if err != nil {
		return err
	}
	for _, id := range c.PrerequisiteCourses {
		if _, ok := known[id]; !ok {
			return apperr.Invalid(apperr.Field{Path: "prerequisite_courses", Code: "unknown_course", Message: "No such course in this organisation: " + id.String() + "."})
		}
	}
	seen := map[uuid.UUID]bool{}
	for len(known) > 0 {
		var next []uuid.UUID
		for _, id := range slices.Concat(slices.Collect(maps.Values(known))...) {
			if id == c.ID {
				return apperr.Invalid(apperr.Field{Path: "prerequisite_courses", Code: "circle", Message: "The course would become its own prerequisite."})
			}
			if !seen[id] {
				seen[id] = true
				next = append(next, id)
			}
		}
		if len(next) == 0 {
			return nil
		}
		if known, err = tx.Prerequisites(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// orUnknown makes a reference to something that is not there a 422 of its field.
func orUnknown(err error, path, code, message string) error {
	if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
		return err
	}
	return apperr.Invalid(apperr.Field{Path: path, Code: code, Message: message})
}

func equalID(a, b *uuid.UUID) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// change is one command on a course.
type change struct {
	perm    authz.Permission
	action  string
	version *int64
	apply   func(ctx context.Context, tx Tx, policy *authz.Policy, c *Course) error
	event   func(s events.CourseState, changed []string) events.Event
}

// changed is the part of a course that commands change, as audit and events name it.
type changed struct {
	Settings
	Status     string                    `json:"status"`
	Completion events.CompletionSettings `json:"completion"`
	Seats      string                    `json:"seats"`
	Price      *events.CoursePrice       `json:"price"`
	Deleted    bool                      `json:"deleted"`
}

func (c Course) changeable() changed {
	return changed{Settings: c.Settings, Status: c.Status, Completion: c.Completion, Seats: c.Seats, Price: c.Price, Deleted: c.DeletedAt != nil}
}

func (s *Service) change(ctx context.Context, actor authz.Principal, id uuid.UUID, ch change) (Course, error) {
	policy, _, err := s.allowed(ctx, actor, id, ch.perm)
	if err != nil {
		return Course{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Course, error) {
		c, err := s.lock(ctx, tx, policy, actor, id, ch.perm)
		if err != nil {
			return Course{}, err
		}
		if err := checkVersion(ch.version, c.Version); err != nil {
			return Course{}, err
		}
		before := c
		if err := ch.apply(ctx, tx, policy, &c); err != nil {
			return Course{}, err
		}
		return s.store(ctx, tx, before, c, ch.action, ch.event)
	})
}

// store writes a changed course, with its event and audit. A course that did not
// change stays at its version, and nothing is told.
func (s *Service) store(ctx context.Context, tx Tx, before, c Course, action string, event func(events.CourseState, []string) events.Event) (Course, error) {
	changes, err := changesOf(before.changeable(), c.changeable())
	if err != nil {
		return Course{}, err
	}
	if len(changes) == 0 {
		return before, nil
	}
	c.Version++
	c.UpdatedAt = s.Now()
	if err := tx.UpdateCourse(ctx, c); err != nil {
		return Course{}, err
	}
	if err := tx.Audit(ctx, c.audit(action, changes)); err != nil {
		return Course{}, err
	}
	names := slices.Sorted(maps.Keys(changes))
	return c, s.emit(ctx, tx, c, func(st events.CourseState) events.Event { return event(st, names) })
}

func updated(st events.CourseState, names []string) events.Event {
	return events.CourseUpdated{CourseState: st, Changed: names}
}

// UpdateCourse changes settings. An archived course is read-only (409).
func (s *Service) UpdateCourse(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit func(*Settings)) (Course, error) {
	return s.change(ctx, actor, id, change{
		perm: authz.CourseUpdate, action: "course.update", version: version, event: updated,
		apply: func(ctx context.Context, tx Tx, policy *authz.Policy, c *Course) error {
			if err := c.writable(); err != nil {
				return err
			}
			before := c.Settings
			edit(&c.Settings)
			return s.settle(ctx, tx, policy, actor, c, before)
		},
	})
}

// Transition takes a step of the course's life. Publishing also keeps a version of
// the curriculum.
func (s *Service) Transition(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, t Transition) (Course, error) {
	return s.change(ctx, actor, id, change{
		perm: authz.CoursePublish, action: "course." + string(t), version: version,
		event: func(st events.CourseState, _ []string) events.Event { return t.Event(st) },
		apply: func(ctx context.Context, tx Tx, _ *authz.Policy, c *Course) error {
			if err := t.Apply(c, s.Now()); err != nil {
				return err
			}
			if t != Publish {
				return nil
			}
			return s.keepVersion(ctx, tx, *c, nil, actor.UserID, "published")
		},
	})
}

// SetCompletion says when the course is complete and what a certificate asks for.
func (s *Service) SetCompletion(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, in events.CompletionSettings) (Course, error) {
	return s.change(ctx, actor, id, change{
		perm: authz.CourseUpdate, action: "course.completion_settings", version: version, event: updated,
		apply: func(ctx context.Context, tx Tx, _ *authz.Policy, c *Course) error {
			if err := c.writable(); err != nil {
				return err
			}
			cur, err := tx.Curriculum(ctx, c.ID)
			if err != nil {
				return err
			}
			c.Completion = in
			return checkCompletion(in, cur)
		},
	})
}

func checkCompletion(in events.CompletionSettings, cur Curriculum) error {
	var f apperr.Fields
	checkOneOf(&f, "mode", in.Mode, events.CompleteModules, events.CompleteSelectedModules, events.CompleteNever)
	f.Require((in.Mode == events.CompleteSelectedModules) == (len(in.RequiredModules) > 0), "required_modules", "mode",
		"The mode selected_modules names its modules; other modes name none.")
	for i, id := range in.RequiredModules {
		_, ok := cur.Module(id)
		f.Require(ok && !slices.Contains(in.RequiredModules[:i], id), "required_modules", "unknown_module", "Modules of this course, each once.")
	}
	grade := func(path string, g *events.Hundredths) {
		f.Require(g == nil || *g > 0 && *g <= 100_00, path, "range", "More than 0 and at most 100 percent.")
	}
	grade("min_grade", in.MinGrade)
	grade("certificate.min_grade", in.Certificate.MinGrade)
	checkText(&f, "certificate.title", in.Certificate.Title, 0, MaxTitle)
	checkText(&f, "certificate.signatory", in.Certificate.Signatory, 0, MaxTitle)
	if d := in.Certificate.ValidDays; d != nil {
		f.Require(*d >= 1 && *d <= 36_500, "certificate.valid_days", "range", "Between 1 and 36,500.")
	}
	return f.Err()
}

// DeleteCourse removes a course that is not published and that no other course
// asks for (409 `in_use`). What is left is a tombstone, so that late readers of
// its events still find its end.
func (s *Service) DeleteCourse(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	_, err := s.change(ctx, actor, id, change{
		perm: authz.CourseDelete, action: "course.delete", version: version,
		event: func(st events.CourseState, _ []string) events.Event { return events.CourseDeleted{CourseState: st} },
		apply: func(ctx context.Context, tx Tx, _ *authz.Policy, c *Course) error {
			if err := c.deletable(); err != nil {
				return err
			}
			if err := tx.LockPrerequisites(ctx, c.TenantID); err != nil {
				return err
			}
			users, err := tx.Dependants(ctx, c.ID)
			if err != nil {
				return err
			}
			if len(users) > 0 {
				return apperr.Conflict("in_use", "Other courses name it as a prerequisite.").Detail("courses", users)
			}
			now := s.Now()
			c.DeletedAt = &now
			return nil
		},
	})
	return err
}

// Courses lists what the caller may see: everything in the reach of course:read,
// the courses whose staff they are, published ones by visibility, and those they
// are enrolled in. Signed-in callers without a grant for the platform see those of
// their own tenant.
func (s *Service) Courses(ctx context.Context, actor authz.Principal, f CourseFilter, p page.Request) (page.Page[Course], error) {
	if f.Sort == "" {
		f.Sort = Sorts[0]
	}
	if !slices.Contains(Sorts, f.Sort) {
		return page.Page[Course]{}, apperr.Invalid(apperr.Field{Path: "sort", Code: "enum", Message: "One of: " + strings.Join(Sorts, ", ") + "."})
	}
	f.Viewer = actor.UserID
	if !actor.Anonymous() {
		policy, err := s.Authz.Policy(ctx)
		if err != nil {
			return page.Page[Course]{}, err
		}
		f.Reach = policy.Reach(actor, authz.CourseRead)
		if !f.Reach.All {
			tenant := actor.TenantID
			f.Tenant = &tenant
			if f.Enrolled, err = s.Membership.CoursesOf(ctx, actor.UserID); err != nil {
				return page.Page[Course]{}, err
			}
		}
		if len(f.OrgUnits) == 1 {
			f.OrgUnits = policy.Subtree(f.OrgUnits[0])
			if len(f.OrgUnits) == 0 {
				return page.Page[Course]{}, nil
			}
		}
	}
	var out page.Page[Course]
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.ListCourses(ctx, f, p)
		return err
	})
	return out, err
}

// CourseWithSeq is a course with its curriculum for another service.
type CourseWithSeq struct {
	Course     events.CourseState
	Curriculum events.CurriculumState
	Seq        int64
}

// Whole is all that is known of a course, deleted ones included, read at one
// moment: Seq is that of the newest event that the answer includes.
func (s *Service) Whole(ctx context.Context, id uuid.UUID) (CourseWithSeq, error) {
	var out CourseWithSeq
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		c, err := tx.AnyCourse(ctx, id)
		if err != nil {
			return err
		}
		out, err = s.whole(ctx, tx, c)
		return err
	})
	return out, err
}

// maxPageBytes bounds a page of whole courses: a sidecar carries 4 MiB at most.
const maxPageBytes = 2 << 20

// AllCourses pages through every course by id, for indexing. more says that there
// may be others behind the last one: a page ends at the limit, or when it is large.
func (s *Service) AllCourses(ctx context.Context, after uuid.UUID, since *time.Time, limit int) (out []CourseWithSeq, more bool, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		courses, err := tx.CoursesAfter(ctx, after, since, limit)
		if err != nil {
			return err
		}
		out, more = make([]CourseWithSeq, 0, len(courses)), len(courses) == limit
		size := 0
		for _, c := range courses {
			w, err := s.whole(ctx, tx, c)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(w)
			if err != nil {
				return apperr.Internal(err)
			}
			if size += len(raw); size > maxPageBytes && len(out) > 0 {
				more = true
				return nil
			}
			out = append(out, w)
		}
		return nil
	})
	return out, more, err
}

// whole reads the sequence number first: events that come while the rest is read
// are then newer than what is said, never older.
func (s *Service) whole(ctx context.Context, tx Tx, c Course) (CourseWithSeq, error) {
	seq, err := tx.EventSeq(ctx, c.ID)
	if err != nil {
		return CourseWithSeq{}, err
	}
	if c, err = tx.AnyCourse(ctx, c.ID); err != nil {
		return CourseWithSeq{}, err
	}
	staff, err := tx.Staff(ctx, c.ID)
	if err != nil {
		return CourseWithSeq{}, err
	}
	cur, err := tx.Curriculum(ctx, c.ID)
	if err != nil {
		return CourseWithSeq{}, err
	}
	return CourseWithSeq{Course: c.State(staff), Curriculum: cur.State(c), Seq: seq}, nil
}
