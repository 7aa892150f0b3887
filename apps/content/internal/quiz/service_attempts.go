package quiz

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

var errClosed = apperr.Conflict("attempt_closed", "The attempt is over.") //nolint:gochecknoglobals // constant

// view reads an attempt as its owner or as staff.
func (s *Service) view(ctx context.Context, id uuid.UUID, staff, review bool) (Paper, error) {
	return read(ctx, s, func(ctx context.Context, tx Tx) (Paper, error) {
		a, err := tx.Attempt(ctx, id)
		if err != nil {
			return Paper{}, err
		}
		q, err := tx.AnyQuiz(ctx, a.QuizID)
		if err != nil {
			return Paper{}, err
		}
		o, err := tx.Override(ctx, a.QuizID, a.UserID)
		if err != nil {
			return Paper{}, err
		}
		questions, err := tx.Taken(ctx, id)
		if err != nil {
			return Paper{}, err
		}
		t := q.For(o)
		return paper(a, q, t, questions, sightOf(a, q, t, staff, s.Now()), review), nil
	})
}

// own gives an attempt to its owner, or to who may see the work of others in the
// course; anybody else does not know of it.
func (s *Service) own(ctx context.Context, actor authz.Principal, id uuid.UUID, fresh bool) (Attempt, standing, error) {
	a, err := read(ctx, s, func(ctx context.Context, tx Tx) (Attempt, error) { return tx.Attempt(ctx, id) })
	if err != nil {
		return Attempt{}, standing{}, err
	}
	st, err := s.standing(ctx, actor, a.CourseID, "attempt", fresh)
	if err != nil {
		return Attempt{}, standing{}, err
	}
	if a.UserID != actor.UserID && !st.may(authz.SubmissionRead) {
		return Attempt{}, standing{}, apperr.NotFound("attempt")
	}
	return a, st, nil
}

// Attempt is an attempt of the caller's, or of a learner for staff. One whose time
// is over is closed before it is shown.
func (s *Service) Attempt(ctx context.Context, actor authz.Principal, id uuid.UUID) (Paper, error) {
	a, st, err := s.own(ctx, actor, id, false)
	if err != nil {
		return Paper{}, err
	}
	if a.overdue(s.Now(), s.Limits.Grace) {
		if err := s.Close(ctx, id); err != nil {
			return Paper{}, err
		}
	}
	return s.view(ctx, id, st.may(authz.SubmissionRead), false)
}

// Review is an attempt with what is right and what feedback says: 403
// `feedback_hidden` for learners before the quiz lets them see it.
func (s *Service) Review(ctx context.Context, actor authz.Principal, id uuid.UUID) (Paper, error) {
	_, st, err := s.own(ctx, actor, id, false)
	if err != nil {
		return Paper{}, err
	}
	p, err := s.view(ctx, id, st.may(authz.SubmissionRead), true)
	if err != nil {
		return Paper{}, err
	}
	if !p.FeedbackShown {
		hidden := apperr.New(apperr.KindForbidden, "feedback_hidden", "The answers are not shown yet, or not at all.")
		if p.ShownAt != nil {
			hidden = hidden.Detail("shown_at", *p.ShownAt)
		}
		return Paper{}, hidden
	}
	return p, nil
}

// Attempts lists attempts at a quiz: all for staff, one's own for learners.
func (s *Service) Attempts(ctx context.Context, actor authz.Principal, f AttemptFilter, p page.Request) (page.Page[Paper], error) {
	q, st, err := s.find(ctx, actor, f.QuizID, false)
	if err != nil {
		return page.Page[Paper]{}, err
	}
	staff := st.may(authz.SubmissionRead)
	if !staff {
		f.UserID, f.Preview = &actor.UserID, false
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[Paper], error) {
		rows, err := tx.ListAttempts(ctx, f, p)
		if err != nil {
			return page.Page[Paper]{}, err
		}
		users := make([]uuid.UUID, len(rows.Items))
		for i, a := range rows.Items {
			users[i] = a.UserID
		}
		overrides, err := tx.OverridesOf(ctx, q.ID, users)
		if err != nil {
			return page.Page[Paper]{}, err
		}
		return page.Map(rows, func(a Attempt) Paper {
			t := q.For(nil)
			if o, ok := overrides[a.UserID]; ok {
				t = q.For(&o)
			}
			return paper(a, q, t, nil, sightOf(a, q, t, staff, s.Now()), false)
		}), nil
	})
}

// Receipt says that an answer is stored: what was acknowledged survives a crash.
type Receipt struct {
	QuestionID uuid.UUID
	Seq        int64
	SavedAt    time.Time
	EndsAt     *time.Time
}

// SaveAnswer stores an answer of an attempt in progress; nil clears it. seq grows
// with each change that the client makes: what is older than what is stored is 409
// `stale_answer`, the same again is fine. After the end of the attempt, and the
// grace for what was on its way, it is 409 `attempt_closed` (rule 28).
func (s *Service) SaveAnswer(ctx context.Context, actor authz.Principal, attempt, question uuid.UUID, seq int64, answer *marking.Answer) (Receipt, error) {
	sheet, err := read(ctx, s, func(ctx context.Context, tx Tx) (Sheet, error) { return tx.Sheet(ctx, attempt, question) })
	if err != nil {
		return Receipt{}, err
	}
	if err := s.mayAnswer(ctx, actor, sheet.Attempt, false); err != nil {
		return Receipt{}, err
	}
	if sheet.State != InProgress {
		return Receipt{}, errClosed
	}
	if answer.Blank() {
		answer = nil
	}
	if err := sheet.Definition.Accepts(answer); err != nil {
		return Receipt{}, err
	}
	now := s.Now()
	done := Receipt{QuestionID: question, Seq: seq, SavedAt: now, EndsAt: sheet.EndsAt}
	var saved Saved
	err = s.Store.InTx(ctx, work.Tenant(sheet.TenantID), func(ctx context.Context, tx Tx) (err error) {
		saved, err = tx.SaveAnswer(ctx, Save{AttemptID: attempt, QuestionID: question, Seq: seq, Answer: answer, At: now, Latest: now.Add(-s.Limits.Grace)})
		return err
	})
	switch {
	case err != nil:
		return Receipt{}, err
	case !saved.Open:
		return Receipt{}, errClosed
	case saved.Stored:
		return done, nil
	}
	return s.stale(ctx, done, attempt, answer)
}

// stale answers what was not stored since something as new is there: the same
// answer again was stored already.
func (s *Service) stale(ctx context.Context, done Receipt, attempt uuid.UUID, answer *marking.Answer) (Receipt, error) {
	have, err := read(ctx, s, func(ctx context.Context, tx Tx) (Sheet, error) { return tx.Sheet(ctx, attempt, done.QuestionID) })
	if err != nil {
		return Receipt{}, err
	}
	if have.AnswerSeq == done.Seq && sameJSON(have.Answer, answer) && have.AnsweredAt != nil {
		done.SavedAt = *have.AnsweredAt
		return done, nil
	}
	return Receipt{}, apperr.Conflict("stale_answer", "A newer answer is stored.").Detail("seq", have.AnswerSeq)
}

// mayAnswer: an attempt is answered by its owner alone, while they may work in the
// course. An answer that allows may be two seconds old, but not where fresh.
func (s *Service) mayAnswer(ctx context.Context, actor authz.Principal, a Attempt, fresh bool) error {
	if a.UserID != actor.UserID {
		st, err := s.standing(ctx, actor, a.CourseID, "attempt", false)
		switch {
		case err != nil:
			return err
		case !st.may(authz.SubmissionRead):
			return apperr.NotFound("attempt")
		}
		return apperr.Forbidden("Only the learner answers.")
	}
	if a.Preview {
		_, err := s.standing(ctx, actor, a.CourseID, "attempt", fresh)
		return err
	}
	_, err := s.maySubmit(ctx, actor, a.CourseID, a.QuizID, fresh)
	return notFoundAs(err, "attempt")
}

// handed is what is kept as the answer to an idempotency key of a submission.
type handed struct {
	Call   uuid.UUID
	Closed bool
}

// Submit hands an attempt in: by its owner, or by staff for them. What was handed
// in already stays as it is; what the server closed is 409 `attempt_closed`.
func (s *Service) Submit(ctx context.Context, actor authz.Principal, id uuid.UUID) (Paper, error) {
	a, st, err := s.own(ctx, actor, id, true)
	if err != nil {
		return Paper{}, err
	}
	by := ByLearner
	if a.UserID != actor.UserID {
		by = ByStaff
		if !st.may(authz.GradeEdit) {
			return Paper{}, forbidden(authz.GradeEdit)
		}
	} else if err := s.mayAnswer(ctx, actor, a, true); err != nil {
		return Paper{}, err
	}
	out, err := inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (handed, error) {
		q, a, err := s.lockAttempt(ctx, tx, id)
		if err != nil {
			return handed{}, err
		}
		if a.State != InProgress {
			return handed{Closed: *a.EndedBy == ByServer}, nil
		}
		if a.overdue(s.Now(), s.Limits.Grace) {
			_, err := s.finish(ctx, tx, q, a, ByServer)
			return handed{Closed: true}, err
		}
		call, err := s.finish(ctx, tx, q, a, by)
		if err == nil && by == ByStaff {
			err = tx.Audit(ctx, a.audit("attempt.submit", nil))
		}
		return handed{Call: call}, err
	})
	switch {
	case err != nil:
		return Paper{}, err
	case out.Closed:
		return Paper{}, errClosed
	}
	return s.told(ctx, id, out.Call, by == ByStaff || a.Preview, false)
}

// told shows an attempt after a change, once the course's progress knows of it.
func (s *Service) told(ctx context.Context, id, call uuid.UUID, staff, review bool) (Paper, error) {
	pending := call != uuid.Nil && !s.Settled(ctx, call)
	p, err := s.view(ctx, id, staff, review)
	p.ProgressPending = pending
	return p, err
}

// lockAttempt locks what a change of an attempt touches, always in this order:
// quiz (shared), the person's result, the attempt.
func (s *Service) lockAttempt(ctx context.Context, tx Tx, id uuid.UUID) (Quiz, Attempt, error) {
	a, err := tx.Attempt(ctx, id)
	if err != nil {
		return Quiz{}, Attempt{}, err
	}
	q, err := tx.ShareQuiz(ctx, a.QuizID)
	if err != nil {
		return Quiz{}, Attempt{}, err
	}
	if !a.Preview {
		if _, err := tx.LockResult(ctx, s.emptyResult(q, a.UserID)); err != nil {
			return Quiz{}, Attempt{}, err
		}
	}
	a, err = tx.LockAttempt(ctx, id)
	return q, a, err
}

// finish ends an attempt that is locked, marks it and judges the person's result.
// It gives the call that tells progress.
func (s *Service) finish(ctx context.Context, tx Tx, q Quiz, a Attempt, by string) (uuid.UUID, error) {
	questions, err := tx.Taken(ctx, a.ID)
	if err != nil {
		return uuid.Nil, err
	}
	a.Finish(questions, s.Now(), by)
	if err := tx.SaveMarks(ctx, questions); err != nil {
		return uuid.Nil, err
	}
	if err := tx.SaveAttempt(ctx, &a); err != nil || a.Preview {
		return uuid.Nil, err
	}
	o, err := tx.Override(ctx, q.ID, a.UserID)
	if err != nil {
		return uuid.Nil, err
	}
	var e events.Event = events.AttemptSubmitted{AttemptState: a.state(q), By: by, DueAt: q.For(o).Due}
	if by == ByServer {
		e = events.AttemptClosed{AttemptState: a.state(q), DueAt: q.For(o).Due}
	}
	if err := tx.Emit(ctx, e, a.meta()); err != nil {
		return uuid.Nil, err
	}
	j, err := s.judge(ctx, tx, q, a.UserID)
	if err != nil || a.State != Graded {
		return j.call, err
	}
	return j.call, tx.Emit(ctx, events.QuizGraded{GradedState: graded(a, q, questions, j.result)}, a.meta())
}

func graded(a Attempt, q Quiz, questions []Taken, r Result) events.GradedState {
	kept, _, _ := r.Counts(q.Points)
	return events.GradedState{AttemptState: a.state(q), Score: a.Score, Possible: a.Possible, Kept: kept, Posted: r.Posted, Questions: grades(questions)}
}

// Close ends an attempt whose time is over; finished_at is that time. Whoever
// comes first does it, the others find it done.
func (s *Service) Close(ctx context.Context, id uuid.UUID) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		q, a, err := s.lockAttempt(ctx, tx, id)
		if err != nil || !a.overdue(s.Now(), s.Limits.Grace) {
			return err
		}
		_, err = s.finish(ctx, tx, q, a, ByServer)
		return err
	})
}
