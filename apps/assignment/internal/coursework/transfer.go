package coursework

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Target is where something goes that a course copies or imports. course decided
// that the actor may.
type Target struct {
	TransferID, TenantID, OrgUnitID, CourseID, ActorID uuid.UUID
}

func (to Target) grading() Grading {
	g := DefaultGrading(to.CourseID)
	g.TenantID, g.OrgUnitID = to.TenantID, to.OrgUnitID
	return g
}

func (to Target) id(source uuid.UUID) uuid.UUID {
	return internalapi.TransferredID(to.TransferID, source)
}

// Left is something that did not go along.
type Left struct{ Ref, Code, Message string }

// AssignmentDocument is an assignment of a tenant as it goes out. The transaction is
// the receiver's.
func (s *Service) AssignmentDocument(ctx context.Context, tx Tx, tenant, id uuid.UUID) (Document, error) {
	d, _, err := s.documented(ctx, tx, tenant, id)
	return d, err
}

func (s *Service) documented(ctx context.Context, tx Tx, tenant, id uuid.UUID) (Document, Assignment, error) {
	a, err := tx.Assignment(ctx, id)
	if err != nil {
		return Document{}, a, err
	}
	if a.TenantID != tenant {
		return Document{}, a, apperr.NotFound("assignment")
	}
	d := documentOf(a)
	if a.GroupID != nil {
		g, err := tx.Group(ctx, *a.GroupID)
		if err != nil {
			return Document{}, a, err
		}
		group := groupDocument(g)
		d.Group = &group
	}
	if a.RubricID != nil {
		r, err := tx.Rubric(ctx, *a.RubricID, *a.RubricRevision)
		if err != nil {
			return Document{}, a, err
		}
		// Revisions become rubrics of their own: assignments may be pinned to several.
		revision := uuid.NewSHA1(r.ID, []byte(strconv.Itoa(r.Revision)))
		d.Rubric = &DocumentRubric{ID: revision, Title: r.Title, Criteria: anonymous(r.Criteria)}
	}
	d.Scheme, err = s.schemeDocument(ctx, tx, a.SchemeID)
	return d, a, err
}

func (s *Service) schemeDocument(ctx context.Context, tx Tx, id *uuid.UUID) (*DocumentScheme, error) {
	if id == nil {
		return nil, nil
	}
	x, err := tx.Scheme(ctx, *id)
	if err != nil {
		return nil, err
	}
	return &DocumentScheme{ID: x.ID, Name: x.Name, Grades: x.Grades}, nil
}

// keepScheme leaves a scheme that the new course may use where it is.
func (s *Service) keepScheme(ctx context.Context, tx Tx, to Target, d *DocumentScheme) error {
	if d == nil {
		return nil
	}
	err := s.usable(ctx, tx, to.grading(), d.ID)
	if d.kept = err == nil; apperr.IsKind(err, apperr.KindInvalid) {
		return nil
	}
	return err
}

// CloneAssignment copies an assignment into another course of its tenant, with its
// group and rubric. Repeated, it makes nothing twice.
func (s *Service) CloneAssignment(ctx context.Context, tx Tx, to Target, source uuid.UUID, shift time.Duration) ([]Left, error) {
	d, _, err := s.documented(ctx, tx, to.TenantID, source)
	if err != nil {
		return nil, err
	}
	if err := s.keepScheme(ctx, tx, to, d.Scheme); err != nil {
		return nil, err
	}
	return s.MakeAssignment(ctx, tx, to, to.id(source), d, shift)
}

// MakeAssignment makes the assignment of a document in a course. Fields that are
// refused are an error, and then nothing was written. Repeated, it makes nothing
// twice.
func (s *Service) MakeAssignment(ctx context.Context, tx Tx, to Target, id uuid.UUID, d Document, shift time.Duration) ([]Left, error) {
	if known, err := tx.HasAssignment(ctx, id); err != nil || known {
		return nil, err
	}
	now := s.Now()
	a := Assignment{
		ID: id, TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: to.CourseID, AssignmentFields: d.fields(shift, s.Settings.MaxFileBytes),
		CreatedBy: optionalID(to.ActorID), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if err := s.settle(&a.AssignmentFields); err != nil {
		return nil, err
	}
	var left []Left
	if d.GroupWork {
		left = append(left, Left{d.Title, "group_set", "Sets of groups belong to one course: choose one for the group work of the assignment."})
	}
	var err error
	if d.Rubric != nil {
		if a.RubricID, err = s.makeRubric(ctx, tx, to, *d.Rubric); apperr.IsKind(err, apperr.KindInvalid) {
			left, err = append(left, Left{d.Rubric.Title, "rubric", "The rubric was refused and left out."}), nil
		}
		if err != nil {
			return nil, err
		}
	}
	if a.GroupID, err = s.makeGroup(ctx, tx, to, d.Group); err != nil {
		return nil, err
	}
	if a.SchemeID, err = s.makeScheme(ctx, tx, to, d.Scheme); err != nil {
		return nil, err
	}
	if err := s.settleIn(ctx, tx, &a, AssignmentFields{}); err != nil {
		return nil, err
	}
	if d.Published {
		a.Published, a.PublishedAt = true, &now
	}
	return left, s.tellMade(ctx, tx, a)
}

func (s *Service) tellMade(ctx context.Context, tx Tx, a Assignment) error {
	if err := tx.InsertAssignment(ctx, a); err != nil {
		return err
	}
	if err := tx.Audit(ctx, a.audit("assignment.transfer", map[string]work.Change{"title": {To: a.Title}})); err != nil {
		return err
	}
	draft := a
	draft.Published = false
	if err := tx.Emit(ctx, events.AssignmentCreated{AssignmentState: draft.state(a.CreatedAt)}, a.meta()); err != nil {
		return err
	}
	if a.Published {
		if err := tx.Emit(ctx, events.AssignmentPublished{AssignmentState: a.state(a.CreatedAt)}, a.meta()); err != nil {
			return err
		}
	}
	return s.tellCourse(ctx, tx, a)
}

func (s *Service) makeRubric(ctx context.Context, tx Tx, to Target, d DocumentRubric) (*uuid.UUID, error) {
	id := to.id(d.ID)
	if _, err := tx.LockGrading(ctx, to.grading()); err != nil {
		return nil, err // one after the other: assignments share rubrics
	}
	if r, err := tx.Rubric(ctx, id, 0); err == nil || !apperr.IsKind(err, apperr.KindNotFound) {
		return &r.ID, err
	}
	f := RubricFields{Title: d.Title, Criteria: anonymous(d.Criteria)}
	points, err := s.settleRubric(&f, nil)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	r := Rubric{
		ID: id, TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: to.CourseID, Title: f.Title, Revision: 1, Latest: 1,
		Criteria: f.Criteria, Points: points, CreatedBy: optionalID(to.ActorID), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if err := tx.InsertRubric(ctx, r); err != nil {
		return nil, err
	}
	return &id, tx.InsertRevision(ctx, r)
}

// makeGroup makes a group, or finds the one that has its name already.
func (s *Service) makeGroup(ctx context.Context, tx Tx, to Target, d *DocumentGroup) (*uuid.UUID, error) {
	if d == nil {
		return nil, nil
	}
	if _, err := tx.LockGrading(ctx, to.grading()); err != nil {
		return nil, err
	}
	all, err := tx.Groups(ctx, to.CourseID)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	g := Group{ID: to.id(d.ID), TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: to.CourseID, CreatedAt: now, UpdatedAt: now, Version: 1}
	never := make([]uuid.UUID, len(d.NeverDrop))
	for i, id := range d.NeverDrop {
		never[i] = to.id(id)
	}
	g.set(GroupFields{Name: d.Name, Position: d.Position, Weight: d.Weight, DropLowest: d.DropLowest, DropHighest: d.DropHighest, NeverDrop: never})
	for _, have := range all {
		if have.ID == g.ID || have.Name == g.Name {
			return &have.ID, nil
		}
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	if len(all) >= maxGroupsOfCourse {
		return nil, nil
	}
	return &g.ID, tx.InsertGroup(ctx, g)
}

func (s *Service) makeScheme(ctx context.Context, tx Tx, to Target, d *DocumentScheme) (*uuid.UUID, error) {
	switch {
	case d == nil:
		return nil, nil
	case d.kept:
		return &d.ID, nil
	}
	if _, err := tx.LockGrading(ctx, to.grading()); err != nil {
		return nil, err
	}
	id := to.id(d.ID)
	if _, err := tx.Scheme(ctx, id); err == nil || !apperr.IsKind(err, apperr.KindNotFound) {
		return &id, err
	}
	grades, err := grading.NewScheme(d.Grades)
	if err != nil {
		return nil, err
	}
	name := d.Name
	if name == "" || len(name) > MaxTitle {
		name = "Scheme"
	}
	return &id, tx.InsertScheme(ctx, Scheme{
		ID: id, TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: &to.CourseID, Name: name, Grades: grades, CreatedBy: optionalID(to.ActorID), CreatedAt: s.Now(),
	})
}

// GradebookDocument is how a course counts. The transaction is the receiver's.
func (s *Service) GradebookDocument(ctx context.Context, tx Tx, tenant, course uuid.UUID) (GradebookDocument, error) {
	g, err := tx.Grading(ctx, course)
	if err != nil {
		return GradebookDocument{}, err
	}
	if g.TenantID != uuid.Nil && g.TenantID != tenant {
		return GradebookDocument{}, apperr.NotFound("course")
	}
	d := GradebookDocument{
		Weighted: g.Weighted, ShowTotals: g.ShowTotals, Late: g.Late, LateRate: g.LateRate, LateInterval: g.LateInterval, LateFloor: g.LateFloor,
		Missing: g.Missing, MissingRate: g.MissingRate, Groups: []DocumentGroup{}, Quizzes: []DocumentColumn{},
	}
	if d.Scheme, err = s.schemeDocument(ctx, tx, g.SchemeID); err != nil {
		return d, err
	}
	groups, err := tx.Groups(ctx, course)
	if err != nil {
		return d, err
	}
	for _, x := range groups {
		d.Groups = append(d.Groups, groupDocument(x))
	}
	quizzes, err := tx.QuizzesOf(ctx, course)
	for _, c := range quizzes {
		d.Quizzes = append(d.Quizzes, DocumentColumn{QuizID: c.QuizID, GroupID: c.GroupID, Position: c.Position, OmitFromFinal: c.OmitFromFinal})
	}
	return d, err
}

// CloneGradebook makes a copy of a course count as the course does.
func (s *Service) CloneGradebook(ctx context.Context, tx Tx, to Target, source uuid.UUID) error {
	d, err := s.GradebookDocument(ctx, tx, to.TenantID, source)
	if err != nil {
		return err
	}
	if err := s.keepScheme(ctx, tx, to, d.Scheme); err != nil {
		return err
	}
	return s.MakeGradebook(ctx, tx, to, d)
}

// MakeGradebook makes a new course count as a document says. What is refused is an
// error, and then nothing was written.
func (s *Service) MakeGradebook(ctx context.Context, tx Tx, to Target, d GradebookDocument) error {
	policy := LatePolicyFields{Late: d.Late, LateRate: d.LateRate, LateInterval: d.LateInterval, LateFloor: d.LateFloor, Missing: d.Missing, MissingRate: d.MissingRate}
	if err := policy.check(); err != nil {
		return err
	}
	g, err := tx.LockGrading(ctx, to.grading())
	if err != nil {
		return err
	}
	groups := map[uuid.UUID]uuid.UUID{}
	for i := range d.Groups {
		id, err := s.makeGroup(ctx, tx, to, &d.Groups[i])
		if err != nil {
			return err
		}
		if id != nil {
			groups[d.Groups[i].ID] = *id
		}
	}
	for _, c := range d.Quizzes {
		if err := s.placeMade(ctx, tx, to, c, groups); err != nil {
			return err
		}
	}
	if g.SchemeID, err = s.makeScheme(ctx, tx, to, d.Scheme); err != nil {
		return err
	}
	g.Weighted, g.ShowTotals = d.Weighted, d.ShowTotals
	g.Late, g.LateRate, g.LateInterval, g.LateFloor = d.Late, d.LateRate, d.LateInterval, d.LateFloor
	g.Missing, g.MissingRate = d.Missing, d.MissingRate
	g.SettingsVersion++
	g.PolicyVersion++
	g.Revision++
	g.UpdatedAt = s.Now()
	if err := tx.SaveGrading(ctx, g); err != nil {
		return err
	}
	return tx.Audit(ctx, g.audit("gradebook.transfer", map[string]work.Change{"groups": {To: len(groups)}, "quizzes": {To: len(d.Quizzes)}}))
}

// placeMade puts a quiz into its group. content may not have told of it yet: then
// its column waits, unseen, until it does.
func (s *Service) placeMade(ctx context.Context, tx Tx, to Target, d DocumentColumn, groups map[uuid.UUID]uuid.UUID) error {
	now, id := s.Now(), to.id(d.QuizID)
	c, err := tx.LockQuizColumn(ctx, id)
	if err != nil {
		return err
	}
	if c == nil {
		c = &QuizColumn{QuizID: id, TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: to.CourseID, Deleted: true, CreatedAt: now}
	}
	c.Position, c.OmitFromFinal, c.UpdatedAt = max(0, d.Position), d.OmitFromFinal, now
	if d.GroupID != nil {
		if group, ok := groups[*d.GroupID]; ok {
			c.GroupID = &group
		}
	}
	c.Version++
	return tx.SaveQuizColumn(ctx, *c)
}
