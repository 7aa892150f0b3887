package quiz

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// judged is a person's result after a change, with the call that tells progress
// of it (nil where nothing that is told has changed).
type judged struct {
	result Result
	call   uuid.UUID
}

// judge finds out anew what counts for a person, stores it, and tells assignment
// and enrollment what changed for them (rules 6, 25, 26, 29).
func (s *Service) judge(ctx context.Context, tx Tx, q Quiz, user uuid.UUID) (judged, error) {
	r, err := tx.LockResult(ctx, s.emptyResult(q, user))
	if err != nil {
		return judged{}, err
	}
	return s.rejudge(ctx, tx, q, r, r)
}

// judgeDue is judge where the person's due time may have moved, of which nothing is
// stored: assignment is told of it in any case, since lateness counts from it, and
// whether work is missing (rules 18, 21).
func (s *Service) judgeDue(ctx context.Context, tx Tx, q Quiz, user uuid.UUID) error {
	j, err := s.judge(ctx, tx, q, user)
	if err != nil || j.call != uuid.Nil {
		return err // told already
	}
	o, err := tx.Override(ctx, q.ID, user)
	if err != nil {
		return err
	}
	return s.tellScore(ctx, tx, q, score(j.result, q, q.For(o)))
}

func (s *Service) tellScore(ctx context.Context, tx Tx, q Quiz, is internalapi.QuizScore) error {
	_, err := tx.Call(ctx, work.Call{
		To: "assignment", Name: internalapi.CallQuizScore, Key: is.UserID.String() + "/" + q.ID.String(), TenantID: q.TenantID, Body: is,
	})
	return err
}

// rejudge is judge for a row that is locked; before is what was told of it.
func (s *Service) rejudge(ctx context.Context, tx Tx, q Quiz, before, r Result) (judged, error) {
	o, err := tx.Override(ctx, q.ID, r.UserID)
	if err != nil {
		return judged{}, err
	}
	attempts, err := tx.Finished(ctx, q.ID, r.UserID)
	if err != nil {
		return judged{}, err
	}
	t, now := q.For(o), s.Now()
	r.take(Keep(q.Keep, attempts), q, t, now)
	was, is := score(before, q, t), score(r, q, t)
	if sameJSON(before, r) {
		return judged{result: r}, nil
	}
	r.UpdatedAt = now
	if err := tx.SaveResult(ctx, &r); err != nil {
		return judged{}, err
	}
	if sameJSON(was, is) {
		return judged{result: r}, nil
	}
	if err := s.tellScore(ctx, tx, q, is); err != nil {
		return judged{}, err
	}
	call, err := tx.Call(ctx, work.Call{
		To: "enrollment", Name: internalapi.CallProgressReport, Key: r.UserID.String() + "/" + q.ID.String(), TenantID: q.TenantID,
		Body: report(r, q),
	})
	return judged{result: r, call: call}, err
}

// score is what assignment is told.
func score(r Result, q Quiz, t Terms) internalapi.QuizScore {
	counts, _, at := r.Counts(q.Points)
	return internalapi.QuizScore{
		QuizID: q.ID, TenantID: q.TenantID, CourseID: q.CourseID, UserID: r.UserID, Score: counts, Pending: r.Waits(), Posted: r.Posted,
		ExcusedAt: r.ExcusedAt, SubmittedAt: r.SubmittedAt, DueAt: t.Due, GradedAt: at,
	}
}

// report is what progress is told: a score that the person may not see yet is none
// (rule 25); a manual grade without an attempt is no submission (rule 6).
func report(r Result, q Quiz) internalapi.ProgressReport {
	counts, possible, at := r.Counts(q.Points)
	if !r.Posted {
		counts, possible, at = nil, nil, nil
	}
	return internalapi.ProgressReport{
		UserID: r.UserID, CourseID: q.CourseID, ResourceID: &q.ID,
		Submission: &internalapi.SubmissionSection{SubmittedAt: r.SubmittedAt},
		Grade:      &internalapi.GradeSection{Score: counts, Possible: possible, GradedAt: at, ExcusedAt: r.ExcusedAt},
	}
}

// Grade is a person's result as a caller sees it.
type Grade struct {
	Result
	// Score is what counts, with what is possible and since when.
	Score, Possible *Points
	GradedAt        *time.Time
	Staff           bool
	ProgressPending bool
}

func (s *Service) gradeOf(r Result, q Quiz, staff bool) Grade {
	g := Grade{Result: r, Staff: staff}
	g.Score, g.Possible, g.GradedAt = r.Counts(q.Points)
	if !staff && !r.Posted {
		g.Score, g.Possible, g.GradedAt = nil, nil, nil
	}
	return g
}

// Grade is what counts for a person: for staff, and for the person themself as far
// as it is posted. Version 0 is one that has nothing yet.
func (s *Service) Grade(ctx context.Context, actor authz.Principal, quiz, user uuid.UUID) (Grade, error) {
	q, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return Grade{}, err
	}
	staff := st.may(authz.GradeRead)
	if !staff && user != actor.UserID {
		return Grade{}, apperr.NotFound("grade")
	}
	r, err := read(ctx, s, func(ctx context.Context, tx Tx) (*Result, error) { return tx.Result(ctx, quiz, user) })
	if err != nil {
		return Grade{}, err
	}
	if r == nil {
		return Grade{}, apperr.NotFound("grade")
	}
	return s.gradeOf(*r, q, staff), nil
}

// GradeEdit is a teacher's word on a person's result. A score of nil takes it
// back; the attempts count again.
type GradeEdit struct {
	Score   *Points
	Excused bool
	Note    string
}

// PutGrade sets what counts for a person, with or without an attempt; it survives
// new attempts (rule 29). A score above the possible is 422 `above_possible`.
func (s *Service) PutGrade(ctx context.Context, actor authz.Principal, quiz, user uuid.UUID, version *int64, edit GradeEdit) (Grade, error) {
	q, st, err := s.find(ctx, actor, quiz, true)
	if err != nil {
		return Grade{}, err
	}
	if !st.may(authz.GradeEdit) {
		return Grade{}, forbidden(authz.GradeEdit)
	}
	if err := s.learner(ctx, q.CourseID, user); err != nil {
		return Grade{}, err
	}
	type kept struct {
		Result Result
		Call   uuid.UUID
	}
	out, err := inTx(ctx, s, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) (kept, error) {
		q, err := tx.ShareQuiz(ctx, quiz)
		if err != nil {
			return kept{}, err
		}
		if err := edit.check(q.Points); err != nil {
			return kept{}, err
		}
		r, err := tx.LockResult(ctx, s.emptyResult(q, user))
		if err != nil {
			return kept{}, err
		}
		if err := checkVersion(version, r.Version); err != nil {
			return kept{}, err
		}
		before := r
		r.set(edit, actor.UserID, s.Now())
		j, err := s.rejudge(ctx, tx, q, before, r)
		if err != nil {
			return kept{}, err
		}
		e := q.audit("quiz.grade", map[string]work.Change{
			"user_id": {To: user}, "score": {From: before.OverrideScore, To: r.OverrideScore}, "excused_at": {From: before.ExcusedAt, To: r.ExcusedAt},
		})
		return kept{j.result, j.call}, tx.Audit(ctx, e)
	})
	if err != nil {
		return Grade{}, err
	}
	g := s.gradeOf(out.Result, q, true)
	g.ProgressPending = out.Call != uuid.Nil && !s.Settled(ctx, out.Call)
	return g, nil
}

func (e GradeEdit) check(possible Points) error {
	var f apperr.Fields
	checkText(&f, "note", e.Note, 0, MaxNote)
	if e.Score != nil {
		f.Require(*e.Score >= 0, "score", "range", "Not below 0.")
		f.Require(*e.Score <= possible, "score", "above_possible", "More than the quiz's points.")
	}
	return f.Err()
}

// MaxNote is the longest comment of a grader, in characters.
const MaxNote = 10_000

func (r *Result) set(e GradeEdit, by uuid.UUID, now time.Time) {
	if !sameJSON(r.OverrideScore, e.Score) || r.OverrideNote != e.Note {
		r.OverrideScore, r.OverrideNote, r.OverriddenBy, r.OverriddenAt = e.Score, e.Note, &by, &now
		if e.Score == nil {
			r.OverriddenBy, r.OverriddenAt = nil, nil
			r.OverrideNote = ""
		}
	}
	switch {
	case e.Excused && r.ExcusedAt == nil:
		r.ExcusedBy, r.ExcusedAt = &by, &now
	case !e.Excused:
		r.ExcusedBy, r.ExcusedAt = nil, nil
	}
}

// learner says whether the person is, or ever was, a learner of the course: nobody
// else gets a grade.
func (s *Service) learner(ctx context.Context, course, user uuid.UUID) error {
	v, err := s.Members.May(ctx, authz.Principal{UserID: user}, Ask{CourseID: course, Action: internalapi.ActionSee})
	if err != nil {
		return err
	}
	if v.Code == internalapi.DeniedUnknown || v.Allowed && v.As != internalapi.AsLearner {
		return apperr.Invalid(apperr.Field{Path: "user_id", Code: "not_a_learner", Message: "Not a learner of the course."})
	}
	return nil
}

// Marking is what a grader gives for one answer; points of nil take it back.
type Marking struct {
	Points  *Points
	Comment string
}

// GradeAnswer gives points for an answer by hand: an essay's, or instead of what
// was computed. The version is the attempt's, so that of two graders at once one
// is told (412).
func (s *Service) GradeAnswer(ctx context.Context, actor authz.Principal, attempt, question uuid.UUID, version *int64, in Marking) (Paper, error) {
	a, st, err := s.own(ctx, actor, attempt, true)
	if err != nil {
		return Paper{}, err
	}
	if !st.may(authz.GradeEdit) {
		return Paper{}, forbidden(authz.GradeEdit)
	}
	call, err := inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (uuid.UUID, error) {
		q, a, err := s.lockAttempt(ctx, tx, attempt)
		if err != nil {
			return uuid.Nil, err
		}
		if err := checkVersion(version, a.Version); err != nil {
			return uuid.Nil, err
		}
		if a.State == InProgress {
			return uuid.Nil, apperr.Conflict("attempt_in_progress", "The attempt is not finished yet.")
		}
		return s.gradeAnswer(ctx, tx, q, a, question, in, actor.UserID)
	})
	if err != nil {
		return Paper{}, err
	}
	return s.told(ctx, attempt, call, true, true)
}

func (s *Service) gradeAnswer(ctx context.Context, tx Tx, q Quiz, a Attempt, question uuid.UUID, in Marking, by uuid.UUID) (uuid.UUID, error) {
	questions, err := tx.Taken(ctx, a.ID)
	if err != nil {
		return uuid.Nil, err
	}
	var k *Taken
	for i := range questions {
		if questions[i].QuestionID == question {
			k = &questions[i]
		}
	}
	if k == nil {
		return uuid.Nil, apperr.NotFound("question")
	}
	var f apperr.Fields
	checkText(&f, "comment", in.Comment, 0, MaxNote)
	if in.Points != nil {
		f.Require(*in.Points >= 0, "points", "range", "Not below 0.")
		f.Require(*in.Points <= k.Points, "points", "above_possible", "More than the question's points.")
	}
	if err := f.Err(); err != nil {
		return uuid.Nil, err
	}
	now, was := s.Now(), k.ManualPoints
	k.ManualPoints, k.Comment, k.GradedBy, k.GradedAt = in.Points, in.Comment, &by, &now
	if in.Points == nil && in.Comment == "" {
		k.GradedBy, k.GradedAt = nil, nil
	}
	before := a
	a.settle(questions, now)
	if err := tx.SaveMarks(ctx, []Taken{*k}); err != nil {
		return uuid.Nil, err
	}
	if err := tx.SaveAttempt(ctx, &a); err != nil {
		return uuid.Nil, err
	}
	e := a.audit("attempt.grade", map[string]work.Change{"question_id": {To: question}, "points": {From: was, To: in.Points}})
	if err := tx.Audit(ctx, e); err != nil || a.Preview {
		return uuid.Nil, err
	}
	j, err := s.judge(ctx, tx, q, a.UserID)
	if err != nil || a.State != Graded || before.State == Graded && sameJSON(before.Score, a.Score) {
		return j.call, err
	}
	return j.call, tx.Emit(ctx, events.QuizGraded{GradedState: graded(a, q, questions, j.result)}, a.meta())
}

// Reopen lets a learner go on with a finished attempt, without using another one.
// Without an end, it is the quiz's limit from now on, within its window.
func (s *Service) Reopen(ctx context.Context, actor authz.Principal, attempt uuid.UUID, version *int64, until *time.Time) (Paper, error) {
	a, st, err := s.own(ctx, actor, attempt, true)
	if err != nil {
		return Paper{}, err
	}
	if !st.may(authz.GradeEdit) {
		return Paper{}, forbidden(authz.GradeEdit)
	}
	_, err = inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (struct{}, error) {
		q, a, err := s.lockAttempt(ctx, tx, attempt)
		if err != nil {
			return struct{}{}, err
		}
		if err := checkVersion(version, a.Version); err != nil {
			return struct{}{}, err
		}
		if a.State == InProgress {
			return struct{}{}, apperr.Conflict("attempt_in_progress", "The attempt is in progress.")
		}
		o, err := tx.Override(ctx, q.ID, a.UserID)
		if err != nil {
			return struct{}{}, err
		}
		now := s.Now()
		end := stored(until)
		if end == nil {
			end = stored(q.For(o).End(now, a.AccessUntil))
		}
		if end != nil && !end.After(now) {
			return struct{}{}, apperr.Invalid(apperr.Field{Path: "ends_at", Code: "past", Message: "Give an end that is still to come."})
		}
		a.State, a.FinishedAt, a.EndedBy, a.EndsAt = InProgress, nil, nil, end
		if err := tx.SaveAttempt(ctx, &a); err != nil {
			return struct{}{}, err
		}
		if err := tx.Audit(ctx, a.audit("attempt.reopen", map[string]work.Change{"ends_at": {To: end}})); err != nil || a.Preview {
			return struct{}{}, err
		}
		_, err = s.judge(ctx, tx, q, a.UserID)
		return struct{}{}, err
	})
	if err != nil {
		return Paper{}, err
	}
	return s.view(ctx, attempt, true, false)
}

// Grades lists the results of a quiz, for staff.
func (s *Service) Grades(ctx context.Context, actor authz.Principal, quiz uuid.UUID, p page.Request) (page.Page[Grade], error) {
	q, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return page.Page[Grade]{}, err
	}
	if !st.may(authz.GradeRead) {
		return page.Page[Grade]{}, forbidden(authz.GradeRead)
	}
	var after ResultKey
	if _, err := page.Decode(p.Cursor, &after.UserID); err != nil {
		return page.Page[Grade]{}, err
	}
	after.QuizID = quiz
	rows, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]Result, error) {
		return tx.ResultsAfter(ctx, &quiz, after, p.Size()+1)
	})
	if err != nil {
		return page.Page[Grade]{}, err
	}
	cut := page.Cut(rows, p.Size(), func(r Result) string { return page.Encode(r.UserID) })
	return page.Map(cut, func(r Result) Grade { return s.gradeOf(r, q, true) }), nil
}
