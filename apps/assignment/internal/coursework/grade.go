package coursework

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// GradeSeen is a grade as one person sees it.
type GradeSeen struct {
	Grade
	Assignment Assignment
	Assessment *Assessment
	// Own: the learner looks, who sees nothing of what is not posted (rule 25).
	Own bool
	// Pending says that progress will show it in a moment, and not yet.
	Pending bool `json:"-"`
	calls   []uuid.UUID
}

// Veiled says that the viewer grades anonymously and must not learn whose it is.
func (g GradeSeen) Veiled() bool { return !g.Own && g.Assignment.Veils(g.Grade) }

// Shown says whether the viewer sees what was entered.
func (g GradeSeen) Shown() bool { return !g.Own || g.PostedAt != nil }

// grader finds an assignment for somebody who grades it; enrollment is asked each
// time.
func (s *Service) grader(ctx context.Context, actor authz.Principal, id uuid.UUID) (Assignment, error) {
	a, st, err := s.staffOf(ctx, actor, id, authz.GradeEdit)
	if err != nil {
		return a, err
	}
	v, err := s.Access.May(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: a.CourseID, Action: Grades})
	if err != nil {
		return a, err
	}
	if !v.Allowed {
		return a, denied(v, "assignment")
	}
	a.OrgUnitID = st.OrgUnitID
	return a, nil
}

// resolve finds the grade of whom a grader names: by alias where names are hidden.
// Naming a person there finds nothing, as it would tell who is who. nil: no row yet.
func resolve(ctx context.Context, tx Tx, a Assignment, who uuid.UUID) (*Grade, error) {
	if !a.Anonymous {
		return tx.Grade(ctx, a.ID, who)
	}
	g, err := tx.GradeByAlias(ctx, a.ID, who)
	if err != nil || g != nil {
		return g, err
	}
	if g, err = tx.Grade(ctx, a.ID, who); err != nil {
		return nil, err
	}
	if g == nil || a.Veils(*g) {
		return nil, apperr.NotFound("grade")
	}
	return g, nil
}

// GradeOf is where a person stands in an assignment: for staff, or for the person.
func (s *Service) GradeOf(ctx context.Context, actor authz.Principal, id, who uuid.UUID) (GradeSeen, error) {
	a, err := s.find(ctx, actor, id)
	if err != nil {
		return GradeSeen{}, err
	}
	st, err := s.standing(ctx, actor, a.CourseID)
	if err != nil || !st.Staff && (!a.Published || who != actor.UserID) {
		if err == nil || apperr.IsKind(err, apperr.KindNotFound) {
			err = apperr.NotFound("assignment")
		}
		return GradeSeen{}, err
	}
	if st.Staff && !st.Has(authz.GradeRead) {
		return GradeSeen{}, apperr.Forbidden("This needs the permission " + string(authz.GradeRead) + " in the course.")
	}
	seen, err := read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (GradeSeen, error) {
		g, err := tx.Grade(ctx, id, who)
		if st.Staff {
			g, err = resolve(ctx, tx, a, who)
		}
		if err != nil || g == nil {
			return GradeSeen{Assignment: a, Own: !st.Staff}, err
		}
		return seenWith(ctx, tx, a, *g, !st.Staff)
	})
	if err != nil || seen.ID != uuid.Nil {
		return seen, err
	}
	if st.Staff {
		if err := s.learns(ctx, a.CourseID, who); err != nil {
			return GradeSeen{}, err
		}
	}
	seen.Grade = Grade{AssignmentID: id, CourseID: a.CourseID, UserID: who, Version: FirstVersion}
	return seen, nil
}

func seenWith(ctx context.Context, tx Tx, a Assignment, g Grade, own bool) (GradeSeen, error) {
	all, err := tx.Assessments(ctx, []uuid.UUID{g.ID})
	seen := GradeSeen{Grade: g, Assignment: a, Own: own}
	if x, ok := all[g.ID]; ok {
		seen.Assessment = &x
	}
	return seen, err
}

// GradesOfAssignment lists where people stand in an assignment, for staff.
func (s *Service) GradesOfAssignment(ctx context.Context, actor authz.Principal, f GradeFilter, p page.Request) (page.Page[GradeSeen], error) {
	var none page.Page[GradeSeen]
	a, _, err := s.staffOf(ctx, actor, f.AssignmentID, authz.GradeRead)
	if err != nil {
		return none, err
	}
	f.ByAlias = a.Anonymous
	if a.Anonymous {
		f.UserID = nil
	}
	return read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (page.Page[GradeSeen], error) {
		rows, err := tx.ListGrades(ctx, f, p)
		if err != nil {
			return none, err
		}
		ids := make([]uuid.UUID, len(rows.Items))
		for i, g := range rows.Items {
			ids[i] = g.ID
		}
		assessed, err := tx.Assessments(ctx, ids)
		return page.Map(rows, func(g Grade) GradeSeen {
			seen := GradeSeen{Grade: g, Assignment: a}
			if x, ok := assessed[g.ID]; ok {
				seen.Assessment = &x
			}
			return seen
		}), err
	})
}

// PutGrade enters a grade for a person; in group work for all of the group who were
// not graded apart, unless it is said to be for one. version is what the grader has
// read: of two who enter at once the second is refused (412).
func (s *Service) PutGrade(ctx context.Context, actor authz.Principal, id, who uuid.UUID, version int64, e Entry) (GradeSeen, error) {
	return s.enterOne(ctx, actor, id, who, version, e, CauseGraded)
}

// DeleteGrade takes back what was entered for a person.
func (s *Service) DeleteGrade(ctx context.Context, actor authz.Principal, id, who uuid.UUID, version int64, note string) error {
	_, err := s.enterOne(ctx, actor, id, who, version, Entry{Note: note}, CauseDeleted)
	return err
}

func (s *Service) enterOne(ctx context.Context, actor authz.Principal, id, who uuid.UUID, version int64, e Entry, cause string) (GradeSeen, error) {
	t, err := s.targets(ctx, actor, id, []uuid.UUID{who})
	if err != nil {
		return GradeSeen{}, err
	}
	x := t.found[who]
	if x.err != nil {
		return GradeSeen{}, x.err
	}
	seen, err := inTx(ctx, s, work.Tenant(t.a.TenantID), func(ctx context.Context, tx Tx) (GradeSeen, error) {
		en, err := s.begin(ctx, tx, t)
		if err != nil {
			return GradeSeen{}, err
		}
		if err := en.enter(ctx, x, &version, e, "", cause); err != nil {
			return GradeSeen{}, err
		}
		seen, err := seenWith(ctx, tx, en.a, en.rows[x.user], false)
		seen.calls = en.calls
		return seen, err
	})
	if err == nil {
		seen.Pending = !s.settled(ctx, seen.calls)
	}
	return seen, err
}

// entering is a transaction in which grades are entered.
type entering struct {
	s      *Service
	tx     Tx
	a      Assignment
	ext    extensions
	rules  Rules
	rubric *Rubric
	rows   map[uuid.UUID]Grade
	actor  uuid.UUID
	now    time.Time
	calls  []uuid.UUID
	// later collects whose totals are counted at the end; nil counts at once.
	later *people
}

// begin locks the grades of all targets in one order.
func (s *Service) begin(ctx context.Context, tx Tx, t targets) (*entering, error) {
	a, err := tx.ShareAssignment(ctx, t.a.ID)
	if err != nil {
		return nil, err
	}
	a.OrgUnitID = t.a.OrgUnitID
	en := &entering{s: s, tx: tx, a: a, actor: t.actor, now: s.Now()}
	if en.ext, err = t.ext.now(ctx, tx, a.ID); err != nil {
		return nil, err
	}
	if en.rules, err = s.rules(ctx, tx, a); err != nil {
		return nil, err
	}
	if a.RubricID != nil {
		r, err := tx.Rubric(ctx, *a.RubricID, *a.RubricRevision)
		if err != nil {
			return nil, err
		}
		en.rubric = &r
	}
	en.rows, err = tx.LockGrades(ctx, a.ID, t.users)
	return en, err
}

// enter writes an entry for a person, or their group. Nothing is written if it is
// refused.
func (en *entering) enter(ctx context.Context, x target, version *int64, e Entry, path, cause string) error {
	have := int64(FirstVersion)
	if g, ok := en.rows[x.user]; ok {
		have = g.Version
	}
	if version != nil && *version != have {
		return apperr.VersionMismatch()
	}
	text, score, err := e.settle(en.a, en.rules, path)
	if err != nil {
		return err
	}
	var rated *Assessment
	if len(e.Ratings) > 0 {
		if rated, err = en.assess(&e, path); err != nil {
			return err
		}
		if score == nil && en.a.GradingType != GradeNotGraded {
			var bad apperr.Fields
			checkScore(&bad, en.a, &rated.Points, path+"rubric")
			if err := bad.Err(); err != nil {
				return err
			}
			score = &rated.Points
		}
	}
	seen, err := en.lookedAt(ctx, x, e, path)
	if err != nil {
		return err
	}
	if e.Comment != "" && en.rows[x.user].SubmissionID == nil {
		return apperr.Invalid(apperr.Field{Path: path + "comment", Code: "no_submission", Message: "There is no submission to comment on."})
	}
	for _, member := range en.affected(x, e) {
		if err := en.write(ctx, member, e, text, score, rated, seen, cause); err != nil {
			return err
		}
	}
	return en.comment(ctx, x, e)
}

func (en *entering) assess(e *Entry, path string) (*Assessment, error) {
	if en.rubric == nil {
		return nil, apperr.Invalid(apperr.Field{Path: path + "rubric", Code: "no_rubric", Message: "The assignment has no rubric."})
	}
	ratings, points, err := en.rubric.assess(e.Ratings, path)
	if err != nil {
		return nil, err
	}
	e.Ratings = ratings
	return &Assessment{
		TenantID: en.a.TenantID, RubricID: en.rubric.ID, Revision: en.rubric.Revision, Ratings: ratings, Points: points,
		AssessorID: optionalID(en.actor), AssessedAt: en.now,
	}, nil
}

// affected are the people whom an entry is for: who was graded apart keeps that.
func (en *entering) affected(x target, e Entry) []uuid.UUID {
	if en.a.GroupSetID == nil || e.Individual {
		return []uuid.UUID{x.user}
	}
	out := []uuid.UUID{x.user}
	for _, m := range x.members {
		if g, ok := en.rows[m]; m != x.user && (!ok || !g.Individual) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, compareIDs)
	return out
}

// lookedAt is the attempt that the grader saw: the one that is named, or the newest.
func (en *entering) lookedAt(ctx context.Context, x target, e Entry, path string) (*uuid.UUID, error) {
	if e.SubmissionID == nil {
		return en.rows[x.user].SubmissionID, nil
	}
	sub, err := en.tx.Submission(ctx, *e.SubmissionID)
	if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
		return nil, err
	}
	if err != nil || sub.AssignmentID != en.a.ID || !slices.Contains(sub.MemberIDs, x.user) {
		return nil, apperr.Invalid(apperr.Field{Path: path + "submission_id", Code: "unknown_submission", Message: "No such submission of the person here."})
	}
	return &sub.ID, nil
}

func (en *entering) write(ctx context.Context, user uuid.UUID, e Entry, text string, score *Points, rated *Assessment, seen *uuid.UUID, cause string) error {
	var before *Grade
	g := en.s.freshGrades(en.a, []uuid.UUID{user}, en.now)[0]
	if old, ok := en.rows[user]; ok {
		before, g = &old, old
	}
	g.EnteredGrade, g.EnteredScore, g.Status, g.StatusSeconds = text, score, e.Status, e.StatusSeconds
	if e.Status != nil && *e.Status == StatusLate && e.StatusSeconds == nil {
		g.StatusSeconds = new(int64)
	}
	g.Individual = e.Individual && en.a.GroupSetID != nil
	switch {
	case !e.Excused:
		g.ExcusedAt = nil
	case g.ExcusedAt == nil:
		g.ExcusedAt = &en.now
	}
	g.GradedAt, g.GraderID, g.GradedSubmission = nil, optionalID(en.actor), nil
	if score != nil || rated != nil || e.Excused || cause != CauseDeleted && en.a.GradingType == GradeNotGraded {
		g.GradedAt = &en.now
		if seen != nil {
			g.GradedSubmission = seen
		}
	}
	judge(en.a, &g, en.ext.dates(en.a, user).DueAt, en.rules, en.now)
	calls, err := en.s.saveGrade(ctx, en.tx, en.a, before, g, saving{cause: cause, note: e.Note, ratings: e.Ratings, later: en.later})
	if err != nil {
		return err
	}
	if before != nil {
		g.Version = before.Version + 1
	}
	en.rows[user] = g
	en.calls = append(en.calls, calls...)
	if err := en.saveAssessment(ctx, g, rated); err != nil {
		return err
	}
	return en.tx.Audit(ctx, g.audit("grade."+cause, en.a, nil))
}

func (en *entering) saveAssessment(ctx context.Context, g Grade, rated *Assessment) error {
	if rated == nil {
		return en.tx.DeleteAssessment(ctx, g.ID)
	}
	x := *rated
	x.GradeID = g.ID
	return en.tx.SaveAssessment(ctx, x)
}

// comment adds the grader's words to the submission.
func (en *entering) comment(ctx context.Context, x target, e Entry) error {
	if e.Comment == "" {
		return nil
	}
	sub, err := en.tx.Submission(ctx, *en.rows[x.user].SubmissionID)
	if err != nil {
		return err
	}
	_, err = en.s.writeComment(ctx, en.tx, en.a, sub, en.actor, true, e.Comment)
	return err
}
