package quiz

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// started is what is kept as the answer to an idempotency key.
type started struct {
	ID      uuid.UUID
	Created bool
}

// Start begins an attempt, or gives the one in progress (rule 27: a started one is
// used; the count is taken under the lock of the person's row). Enrollment is
// asked each time. Refusals: 403 item_locked, read_only, suspended; 409
// window_closed, attempts_used_up, not_enough_questions, use_preview.
func (s *Service) Start(ctx context.Context, actor authz.Principal, quiz uuid.UUID) (Paper, bool, error) {
	q, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return Paper{}, false, err
	}
	if st.staff() {
		return Paper{}, false, apperr.Conflict("use_preview", "Staff try a quiz by its preview.")
	}
	v, err := s.maySubmit(ctx, actor, q.CourseID, quiz, true)
	if err != nil {
		return Paper{}, false, err
	}
	out, err := inTx(ctx, s, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) (started, error) {
		q, err := tx.ShareQuiz(ctx, quiz)
		if err != nil {
			return started{}, err
		}
		if !q.Published() {
			return started{}, apperr.NotFound("quiz")
		}
		return s.start(ctx, tx, q, actor.UserID, v.Until)
	})
	if err != nil {
		return Paper{}, false, err
	}
	p, err := s.view(ctx, out.ID, false, false)
	return p, out.Created, err
}

// maySubmit asks whether a learner may work on the quiz.
func (s *Service) maySubmit(ctx context.Context, actor authz.Principal, course, quiz uuid.UUID, fresh bool) (Verdict, error) {
	v, err := s.Members.May(ctx, actor, Ask{CourseID: course, QuizID: &quiz, Action: internalapi.ActionSubmit, Fresh: fresh})
	if err == nil && !v.Allowed {
		err = denied(v, "quiz")
	}
	return v, err
}

func (s *Service) start(ctx context.Context, tx Tx, q Quiz, user uuid.UUID, access *time.Time) (started, error) {
	now := s.Now()
	o, err := tx.Override(ctx, q.ID, user)
	if err != nil {
		return started{}, err
	}
	if _, err := tx.LockResult(ctx, s.emptyResult(q, user)); err != nil {
		return started{}, err
	}
	running, err := tx.Running(ctx, q.ID, user, false)
	if err != nil {
		return started{}, err
	}
	if running != nil && !running.overdue(now, s.Limits.Grace) {
		return started{ID: running.ID}, nil
	}
	if running != nil {
		if _, err := s.finish(ctx, tx, q, *running, ByServer); err != nil {
			return started{}, err
		}
	}
	t := q.For(o)
	if err := t.open(now); err != nil {
		return started{}, err
	}
	used, err := tx.Used(ctx, q.ID, user, false)
	if err != nil {
		return started{}, err
	}
	if left := t.Left(used); left != nil && *left == 0 {
		return started{}, apperr.Conflict("attempts_used_up", "No attempt is left.").Detail("used", used)
	}
	a := Attempt{UserID: user, Number: used + 1, AccessUntil: stored(access)}
	a, err = s.insertAttempt(ctx, tx, q, a, t)
	if err != nil {
		return started{}, err
	}
	return started{ID: a.ID, Created: true}, tx.Emit(ctx, events.AttemptStarted{AttemptState: a.state(q)}, a.meta())
}

// open says whether something may be started, both bounds included.
func (t Terms) open(now time.Time) error {
	closed := apperr.Conflict("window_closed", "The quiz is not open.")
	if t.From != nil && now.Before(*t.From) {
		return closed.Detail("opens_at", *t.From)
	}
	if end := t.Closes(); end != nil && now.After(*end) {
		return closed.Detail("closed_at", *end)
	}
	return nil
}

func (s *Service) emptyResult(q Quiz, user uuid.UUID) Result {
	return Result{QuizID: q.ID, UserID: user, TenantID: q.TenantID, CourseID: q.CourseID, UpdatedAt: s.Now(), Version: 1}
}

// insertAttempt draws the questions and their order, and stores them: the attempt
// stays as it is, whatever becomes of the quiz.
func (s *Service) insertAttempt(ctx context.Context, tx Tx, q Quiz, a Attempt, t Terms) (Attempt, error) {
	slots, err := tx.Slots(ctx, q.ID)
	if err != nil {
		return Attempt{}, err
	}
	if len(slots) == 0 {
		return Attempt{}, apperr.Conflict("quiz_empty", "The quiz has no questions.")
	}
	now := s.Now()
	a.ID, a.TenantID, a.OrgUnitID, a.QuizID, a.CourseID = s.NewID(), q.TenantID, q.OrgUnitID, q.ID, q.CourseID
	a.State, a.StartedAt, a.Version = InProgress, now, 1
	a.EndsAt = endOf(a, t)
	questions, err := s.draw(ctx, tx, q, slots)
	if err != nil {
		return Attempt{}, err
	}
	for i := range questions {
		questions[i].AttemptID, questions[i].Position = a.ID, i
		a.Possible += questions[i].Points
	}
	return a, tx.InsertAttempt(ctx, a, questions)
}

// draw takes the questions of the slots, at random where they say so and none
// twice, and puts them and their choices into an order.
func (s *Service) draw(ctx context.Context, tx Tx, q Quiz, slots []Slot) ([]Taken, error) {
	rng, err := s.generator()
	if err != nil {
		return nil, err
	}
	var pool []Drawable
	if banks := drawnFrom(slots); len(banks) > 0 {
		if pool, err = tx.Drawable(ctx, banks); err != nil {
			return nil, err
		}
	}
	out, ok := choose(slots, pool, rng)
	if !ok {
		return nil, apperr.Conflict("not_enough_questions", "A bank has fewer questions than are drawn from it.")
	}
	if q.ShuffleQuestions {
		rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	keys := make([]VersionKey, len(out))
	for i, t := range out {
		keys[i] = VersionKey{t.QuestionID, t.QuestionVersion}
	}
	definitions, err := tx.Versions(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Definition = definitions[keys[i]]
		out[i].ChoiceOrder = out[i].Definition.Arrange(q.ShuffleChoices, rng)
	}
	return out, nil
}

// choose takes questions for the slots in order. A question is taken once: one
// that is pinned is not drawn, and a drawn one is not drawn again.
func choose(slots []Slot, pool []Drawable, rng *rand.Rand) ([]Taken, bool) {
	free := map[uuid.UUID][]Drawable{}
	pinned := pinnedIn(slots)
	for _, d := range pool {
		if !pinned[d.QuestionID] {
			free[d.BankID] = append(free[d.BankID], d)
		}
	}
	var out []Taken
	for _, slot := range slots {
		if slot.QuestionID != nil {
			out = append(out, Taken{QuestionID: *slot.QuestionID, QuestionVersion: *slot.QuestionVersion, SlotID: slot.ID, Points: slot.Points})
			continue
		}
		bank := free[*slot.BankID]
		if len(bank) < *slot.Pick {
			return nil, false
		}
		for range *slot.Pick {
			i := rng.IntN(len(bank))
			out = append(out, Taken{QuestionID: bank[i].QuestionID, QuestionVersion: bank[i].Number, SlotID: slot.ID, Points: slot.Points})
			bank[i] = bank[len(bank)-1]
			bank = bank[:len(bank)-1]
		}
		free[*slot.BankID] = bank
	}
	return out, true
}

// Preview begins a try of staff that counts for nothing, or gives the one in
// progress. It also works before the quiz is published, outside of its window.
func (s *Service) Preview(ctx context.Context, actor authz.Principal, quiz uuid.UUID) (Paper, bool, error) {
	q, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return Paper{}, false, err
	}
	if !st.may(authz.QuizEdit) {
		return Paper{}, false, forbidden(authz.QuizEdit)
	}
	out, err := inTx(ctx, s, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) (started, error) {
		// The lock of the quiz keeps two previews of one person apart.
		q, err := tx.LockQuiz(ctx, quiz)
		if err != nil {
			return started{}, err
		}
		running, err := tx.Running(ctx, quiz, actor.UserID, true)
		if err != nil {
			return started{}, err
		}
		if running != nil && !running.overdue(s.Now(), s.Limits.Grace) {
			return started{ID: running.ID}, nil
		}
		if running != nil {
			if _, err := s.finish(ctx, tx, q, *running, ByServer); err != nil {
				return started{}, err
			}
		}
		used, err := tx.Used(ctx, quiz, actor.UserID, true)
		if err != nil {
			return started{}, err
		}
		a, err := s.insertAttempt(ctx, tx, q, Attempt{UserID: actor.UserID, Number: used + 1, Preview: true}, q.For(nil))
		return started{ID: a.ID, Created: true}, err
	})
	if err != nil {
		return Paper{}, false, err
	}
	p, err := s.view(ctx, out.ID, true, false)
	return p, out.Created, err
}
