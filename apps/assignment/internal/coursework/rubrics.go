package coursework

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Rubric is a revision of a course's rubric. What was assessed by a revision stays
// with it: a change of criteria makes a new one, and an assignment takes it only
// when somebody says so.
type Rubric struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	Title     string
	Revision  int
	Latest    int // the newest revision
	Criteria  []Criterion
	Points    Points
	CreatedBy *uuid.UUID
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// Criterion is what is looked at, with levels of how well it is met.
type Criterion struct {
	ID          uuid.UUID `json:"id"`
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Points      Points    `json:"points"` // the most that any level gives
	Levels      []Level   `json:"levels"`
}

// Level is one of a criterion's levels.
type Level struct {
	ID          uuid.UUID `json:"id"`
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Points      Points    `json:"points"`
}

// Rating is what somebody got in a criterion: a level, or points of their own.
type Rating struct {
	CriterionID uuid.UUID  `json:"criterion_id"`
	LevelID     *uuid.UUID `json:"level_id,omitempty"`
	Points      *Points    `json:"points,omitempty"`
	Comment     string     `json:"comment,omitempty"`
}

// Assessment is how a grade was reached.
type Assessment struct {
	GradeID    uuid.UUID
	TenantID   uuid.UUID
	RubricID   uuid.UUID
	Revision   int
	Ratings    []Rating
	Points     Points
	AssessorID *uuid.UUID
	AssessedAt time.Time
}

// RubricUse says where a rubric is used.
type RubricUse struct {
	Assignments int
	Assessments int
	Shown       bool // a published assignment has it
}

// Limits of a rubric.
const (
	maxCriteria = 50
	maxLevels   = 20
)

// RubricFields are what staff set.
type RubricFields struct {
	Title    string
	Criteria []Criterion
}

// settleRubric normalises and checks; known criteria and levels keep their ids, and
// an id that is not known is refused.
func (s *Service) settleRubric(f *RubricFields, before []Criterion) (Points, error) {
	known := map[uuid.UUID]bool{}
	for _, c := range before {
		known[c.ID] = true
		for _, l := range c.Levels {
			known[l.ID] = true
		}
	}
	var bad apperr.Fields
	f.Title = strings.TrimSpace(f.Title)
	checkLength(&bad, "title", f.Title, MaxTitle)
	bad.Require(len(f.Criteria) >= 1 && len(f.Criteria) <= maxCriteria, "criteria", "count", "1 to 50.")
	identify := func(id *uuid.UUID, path string) {
		if *id == uuid.Nil {
			*id = s.NewID()
			return
		}
		bad.Require(known[*id], path+".id", "unknown", "No such part of the rubric.")
		delete(known, *id) // once
	}
	var total Points
	for i := range f.Criteria {
		c, path := &f.Criteria[i], indexed("criteria", i)
		identify(&c.ID, path)
		c.Title = strings.TrimSpace(c.Title)
		checkLength(&bad, path+".title", c.Title, MaxTitle)
		bad.Require(len(c.Description) <= 2000, path+".description", "too_long", "At most 2,000 bytes.")
		bad.Require(len(c.Levels) >= 1 && len(c.Levels) <= maxLevels, path+".levels", "count", "1 to 20.")
		c.Points = 0
		for j := range c.Levels {
			l, path := &c.Levels[j], path+"."+indexed("levels", j)
			identify(&l.ID, path)
			l.Title = strings.TrimSpace(l.Title)
			checkLength(&bad, path+".title", l.Title, MaxTitle)
			bad.Require(len(l.Description) <= 2000, path+".description", "too_long", "At most 2,000 bytes.")
			bad.Require(l.Points >= 0 && l.Points <= MaxPoints, path+".points", "range", "From 0 to 1,000,000.")
			c.Points = max(c.Points, l.Points)
		}
		total += c.Points
	}
	bad.Require(total <= MaxPoints, "criteria", "range", "At most 1,000,000 points together.")
	return total, bad.Err()
}

func checkLength(bad *apperr.Fields, path, text string, most int) {
	n := utf8.RuneCountInString(text)
	bad.Require(n >= 1 && n <= most, path, "length", "1 to 255 characters.")
}

// CreateRubric makes a rubric in a course.
func (s *Service) CreateRubric(ctx context.Context, actor authz.Principal, course uuid.UUID, f RubricFields) (Rubric, error) {
	st, err := s.inCourse(ctx, actor, course, authz.AssignmentEdit)
	if err != nil {
		return Rubric{}, err
	}
	return inTx(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (Rubric, error) {
		points, err := s.settleRubric(&f, nil)
		if err != nil {
			return Rubric{}, err
		}
		now := s.Now()
		r := Rubric{
			ID: s.NewID(), TenantID: st.TenantID, OrgUnitID: st.OrgUnitID, CourseID: course, Title: f.Title, Revision: 1, Latest: 1,
			Criteria: f.Criteria, Points: points, CreatedBy: optionalID(actor.UserID), CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err := tx.InsertRubric(ctx, r); err != nil {
			return Rubric{}, err
		}
		if err := tx.InsertRevision(ctx, r); err != nil {
			return Rubric{}, err
		}
		return r, tx.Audit(ctx, r.audit("rubric.create", map[string]work.Change{"title": {To: r.Title}}))
	})
}

func (r Rubric) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{Action: action, ResourceType: "rubric", ResourceID: r.ID, TenantID: r.TenantID, OrgUnitID: r.OrgUnitID, Changes: changes}
}

// Rubrics lists a course's rubrics for its staff.
func (s *Service) Rubrics(ctx context.Context, actor authz.Principal, course uuid.UUID, sort string, p page.Request) (page.Page[Rubric], error) {
	st, err := s.inCourse(ctx, actor, course, authz.SubmissionRead)
	if err != nil {
		return page.Page[Rubric]{}, err
	}
	return read(ctx, s, work.Tenant(st.TenantID), func(ctx context.Context, tx Tx) (page.Page[Rubric], error) {
		return tx.ListRubrics(ctx, course, sort, p)
	})
}

// Rubric is a revision of a rubric, the newest for 0. Learners see one that a
// published assignment has.
func (s *Service) Rubric(ctx context.Context, actor authz.Principal, id uuid.UUID, revision int) (Rubric, error) {
	r, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Rubric, error) { return tx.Rubric(ctx, id, revision) })
	if err != nil {
		return Rubric{}, err
	}
	st, err := s.standing(ctx, actor, r.CourseID)
	switch {
	case apperr.IsKind(err, apperr.KindNotFound):
		return Rubric{}, apperr.NotFound("rubric")
	case err != nil || st.Staff:
		return r, err
	}
	use, err := read(ctx, s, work.Tenant(r.TenantID), func(ctx context.Context, tx Tx) (RubricUse, error) { return tx.RubricUse(ctx, id) })
	if err == nil && !use.Shown {
		err = apperr.NotFound("rubric")
	}
	return r, err
}

// UpdateRubric changes title or criteria; other criteria are a new revision.
func (s *Service) UpdateRubric(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, title *string, criteria *[]Criterion) (Rubric, error) {
	return s.changeRubric(ctx, actor, id, version, func(ctx context.Context, tx Tx, r Rubric) (Rubric, error) {
		f := RubricFields{Title: r.Title, Criteria: r.Criteria}
		if title != nil {
			f.Title = *title
		}
		if criteria != nil {
			f.Criteria = *criteria
		}
		points, err := s.settleRubric(&f, r.Criteria)
		if err != nil {
			return Rubric{}, err
		}
		changes := map[string]work.Change{"title": {From: r.Title, To: f.Title}}
		r.Title, r.UpdatedAt, r.Version = f.Title, s.Now(), r.Version+1
		if criteria != nil {
			changes["revision"] = work.Change{From: r.Latest, To: r.Latest + 1}
			r.Latest++
			r.Revision, r.Criteria, r.Points = r.Latest, f.Criteria, points
			if err := tx.InsertRevision(ctx, r); err != nil {
				return Rubric{}, err
			}
		}
		if err := tx.UpdateRubric(ctx, r); err != nil {
			return Rubric{}, err
		}
		return r, tx.Audit(ctx, r.audit("rubric.update", changes))
	})
}

// DeleteRubric deletes a rubric that no assignment has and nothing was graded by
// (409 `in_use`).
func (s *Service) DeleteRubric(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	_, err := s.changeRubric(ctx, actor, id, version, func(ctx context.Context, tx Tx, r Rubric) (Rubric, error) {
		use, err := tx.RubricUse(ctx, id)
		if err != nil {
			return Rubric{}, err
		}
		if use.Assignments > 0 || use.Assessments > 0 {
			return Rubric{}, apperr.Conflict("in_use", "Assignments or grades use the rubric.").Detail("assignments", use.Assignments).Detail("grades", use.Assessments)
		}
		if err := tx.DeleteRubric(ctx, id); err != nil {
			return Rubric{}, err
		}
		return r, tx.Audit(ctx, r.audit("rubric.delete", map[string]work.Change{"title": {From: r.Title}}))
	})
	return err
}

func (s *Service) changeRubric(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, fn func(context.Context, Tx, Rubric) (Rubric, error)) (Rubric, error) {
	r, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Rubric, error) { return tx.Rubric(ctx, id, 0) })
	if err != nil {
		return Rubric{}, err
	}
	if _, err := s.inCourse(ctx, actor, r.CourseID, authz.AssignmentEdit); err != nil {
		if apperr.IsKind(err, apperr.KindNotFound) {
			err = apperr.NotFound("rubric")
		}
		return Rubric{}, err
	}
	return inTx(ctx, s, work.Tenant(r.TenantID), func(ctx context.Context, tx Tx) (Rubric, error) {
		r, err := tx.LockRubric(ctx, id)
		if err != nil {
			return Rubric{}, err
		}
		if version != r.Version {
			return Rubric{}, apperr.VersionMismatch()
		}
		return fn(ctx, tx, r)
	})
}

// assess checks ratings against a rubric and fills in the points of their levels.
// Every criterion counts: what is not rated gives nothing.
func (r Rubric) assess(ratings []Rating, path string) ([]Rating, Points, error) {
	criteria := map[uuid.UUID]Criterion{}
	for _, c := range r.Criteria {
		criteria[c.ID] = c
	}
	var bad apperr.Fields
	var total Points
	out := make([]Rating, len(ratings))
	for i, x := range ratings {
		at := path + indexed("rubric", i)
		c, ok := criteria[x.CriterionID]
		bad.Require(ok, at+".criterion_id", "unknown_criterion", "No such criterion, or rated twice.")
		if !ok {
			continue
		}
		delete(criteria, x.CriterionID)
		points, given := x.Points, x.Points != nil
		if x.LevelID != nil {
			l, ok := c.level(*x.LevelID)
			bad.Require(ok, at+".level_id", "unknown_level", "No such level of the criterion.")
			if ok && !given {
				points, given = &l.Points, true
			}
		}
		bad.Require(given || x.LevelID != nil, at+".level_id", "required", "A level, or points.")
		bad.Require(len(x.Comment) <= 5000, at+".comment", "too_long", "At most 5,000 bytes.")
		if given {
			bad.Require(*points >= 0, at+".points", "range", "Not negative.")
			bad.Require(*points <= c.Points, at+".points", CodeAbove, "At most "+c.Points.String()+".")
			total += *points
		}
		out[i] = Rating{CriterionID: x.CriterionID, LevelID: x.LevelID, Points: points, Comment: strings.TrimSpace(x.Comment)}
	}
	return out, total, bad.Err()
}

func (c Criterion) level(id uuid.UUID) (Level, bool) {
	for _, l := range c.Levels {
		if l.ID == id {
			return l, true
		}
	}
	return Level{}, false
}
