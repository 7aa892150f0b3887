package quiz

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/sweep"
	"lms/shared/work"
)

// Kinds of background jobs.
const (
	JobRegrade = "regrade-quiz"
	// JobRejudge finds anew what counts for everybody, after settings changed.
	JobRejudge = "rejudge-quiz"
	JobImport  = "import-questions"
)

// QuizJob is a job about a quiz.
type QuizJob struct{ QuizID uuid.UUID }

// StartRegrade makes the job that marks every finished attempt anew, by the slots
// as they are: the pinned version and the points of each, and the newest version of
// what was drawn. Grades given by hand stay. It has no key: a job that runs may have
// passed attempts before what it marks by was changed.
func (s *Service) StartRegrade(ctx context.Context, actor authz.Principal, quiz uuid.UUID) (work.Job, error) {
	q, st, err := s.find(ctx, actor, quiz, true)
	if err != nil {
		return work.Job{}, err
	}
	if !st.may(authz.GradeEdit) {
		return work.Job{}, forbidden(authz.GradeEdit)
	}
	return inTx(ctx, s, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) (work.Job, error) {
		j, err := tx.Enqueue(ctx, JobRegrade, QuizJob{quiz}, work.JobOptions{TenantID: q.TenantID})
		if err != nil {
			return work.Job{}, err
		}
		return j, tx.Audit(ctx, q.audit("quiz.regrade", nil))
	})
}

// Regraded is what a regrade did to one attempt.
type Regraded struct {
	AttemptID   uuid.UUID `json:"attempt_id"`
	UserID      uuid.UUID `json:"user_id"`
	Number      int       `json:"number"`
	OldScore    *Points   `json:"old_score"`
	Score       *Points   `json:"score"`
	OldPossible Points    `json:"old_possible"`
	Possible    Points    `json:"possible"`
	OldKept     *Points   `json:"old_kept"`
	Kept        *Points   `json:"kept"`
}

// jobBatch is how many rows a job reads at once.
const jobBatch = 100

// Regrade marks the finished attempts of a quiz behind the one given; report is
// told of each, nil where nothing changed. Each attempt is a transaction of its
// own, so that a job that is taken up again goes on.
func (s *Service) Regrade(ctx context.Context, quiz, after uuid.UUID, report func(ctx context.Context, last uuid.UUID, changed *Regraded) error) error {
	for {
		ids, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
			return tx.AttemptsAfter(ctx, &quiz, after, jobBatch)
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			changed, err := s.regradeOne(ctx, id)
			if err != nil {
				return err
			}
			if err := report(ctx, id, changed); err != nil {
				return err
			}
			after = id
		}
	}
}

func (s *Service) regradeOne(ctx context.Context, id uuid.UUID) (out *Regraded, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out = nil
		q, a, err := s.lockAttempt(ctx, tx, id)
		if err != nil || a.State == InProgress || a.ErasedAt != nil {
			return err
		}
		questions, err := tx.Taken(ctx, id)
		if err != nil {
			return err
		}
		old := append([]Taken(nil), questions...)
		if err := s.renew(ctx, tx, q, questions); err != nil {
			return err
		}
		before := a
		for i := range questions {
			questions[i].mark()
		}
		a.settle(questions, s.Now())
		_, a.Possible = sum(questions)
		if sameJSON(old, questions) && sameJSON(before, a) {
			return nil
		}
		if err := tx.SaveMarks(ctx, questions); err != nil {
			return err
		}
		if err := tx.SaveAttempt(ctx, &a); err != nil || a.Preview {
			return err
		}
		out, err = s.regraded(ctx, tx, q, before, a, questions)
		return err
	})
	return out, err
}

// regraded judges the person anew and tells of an attempt whose worth changed.
func (s *Service) regraded(ctx context.Context, tx Tx, q Quiz, before, a Attempt, questions []Taken) (*Regraded, error) {
	was, err := tx.Result(ctx, q.ID, a.UserID)
	if err != nil {
		return nil, err
	}
	j, err := s.judge(ctx, tx, q, a.UserID)
	if err != nil {
		return nil, err
	}
	if sameJSON(before.Score, a.Score) && before.Possible == a.Possible && before.State == a.State {
		return nil, nil //nolint:nilnil // marks moved, but not what the attempt is worth
	}
	e := events.QuizRegraded{GradedState: graded(a, q, questions, j.result), OldScore: before.Score, OldPossible: before.Possible}
	if err := tx.Emit(ctx, e, a.meta()); err != nil {
		return nil, err
	}
	out := &Regraded{
		AttemptID: a.ID, UserID: a.UserID, Number: a.Number, OldScore: before.Score, Score: a.Score, OldPossible: before.Possible, Possible: a.Possible,
	}
	if was != nil {
		out.OldKept, _, _ = was.Counts(q.Points)
	}
	out.Kept, _, _ = j.result.Counts(q.Points)
	return out, nil
}

// renew gives questions of an attempt the version and points that their slots
// have now. A question whose slot is gone stays as it was.
func (s *Service) renew(ctx context.Context, tx Tx, q Quiz, questions []Taken) error {
	slots, err := tx.Slots(ctx, q.ID)
	if err != nil {
		return err
	}
	at := map[uuid.UUID]Slot{}
	for _, slot := range slots {
		at[slot.ID] = slot
	}
	newest := map[uuid.UUID]int{}
	if banks := drawnFrom(slots); len(banks) > 0 {
		all, err := tx.Drawable(ctx, banks)
		if err != nil {
			return err
		}
		for _, d := range all {
			newest[d.QuestionID] = d.Number
		}
	}
	keys := make([]VersionKey, len(questions))
	for i := range questions {
		k := &questions[i]
		if slot, ok := at[k.SlotID]; ok {
			k.Points = slot.Points
			switch number, drawn := newest[k.QuestionID]; {
			case slot.QuestionID != nil && *slot.QuestionID == k.QuestionID:
				k.QuestionVersion = *slot.QuestionVersion
			case slot.BankID != nil && drawn:
				k.QuestionVersion = number
			}
		}
		keys[i] = VersionKey{k.QuestionID, k.QuestionVersion}
	}
	definitions, err := tx.Versions(ctx, keys)
	if err != nil {
		return err
	}
	for i := range questions {
		questions[i].Definition = definitions[keys[i]]
	}
	return nil
}

// Rejudge finds anew what counts for everybody who has a result in a quiz, behind
// the person given.
func (s *Service) Rejudge(ctx context.Context, quiz, after uuid.UUID, report func(ctx context.Context, last uuid.UUID, n int) error) error {
	key := ResultKey{QuizID: quiz, UserID: after}
	for {
		rows, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]Result, error) { return tx.ResultsAfter(ctx, &quiz, key, jobBatch) })
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if err := s.judgeAlone(ctx, r.QuizID, r.UserID, s.judgeDue); err != nil {
				return err
			}
			key.UserID = r.UserID
		}
		if err := report(ctx, key.UserID, len(rows)); err != nil {
			return err
		}
	}
}

func (s *Service) judgeAlone(ctx context.Context, quiz, user uuid.UUID, judge func(context.Context, Tx, Quiz, uuid.UUID) error) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		q, err := tx.ShareQuiz(ctx, quiz)
		if err != nil {
			return err
		}
		return judge(ctx, tx, q, user)
	})
}

// Sweep turns times into facts: attempts whose time is over are closed at that
// time, also if nobody was there to do it (rule 28); results that may be seen now
// are posted; quizzes that are due soon are told.
func (s *Service) Sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepPause)
	defer cancel()
	return errors.Join(s.closeOverdue(ctx), s.postDue(ctx), s.tellDueSoon(ctx))
}

func (s *Service) closeOverdue(ctx context.Context) error {
	return sweep.Each(ctx, func(ctx context.Context, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		before := s.Now().Add(-s.Limits.Grace)
		return read(ctx, s, func(ctx context.Context, tx Tx) ([]uuid.UUID, error) { return tx.Overdue(ctx, before, skip, limit) })
	}, s.Close)
}

func (s *Service) postDue(ctx context.Context) error {
	var failed []error
	for {
		rows, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]Result, error) { return tx.DueToPost(ctx, s.Now(), sweepBatch) })
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, r := range rows {
			err := s.judgeAlone(ctx, r.QuizID, r.UserID, func(ctx context.Context, tx Tx, q Quiz, user uuid.UUID) error {
				_, err := s.judge(ctx, tx, q, user)
				return err
			})
			if err != nil { // one that cannot be shown does not hide the others
				failed = append(failed, err)
			}
		}
		if len(rows) < sweepBatch || len(failed) > 0 {
			return errors.Join(failed...)
		}
	}
}
