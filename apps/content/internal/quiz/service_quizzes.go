package quiz

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// View is a quiz as one caller sees it.
type View struct {
	Quiz
	// Staff says that the caller sees what is not published.
	Staff bool
	// Terms, Used and Left are the caller's own, for learners.
	Terms Terms
	Used  int
	Left  *int
	// RegradeNeeded, for staff: finished attempts were marked by other points or
	// versions than a regrade would take now.
	RegradeNeeded bool
}

// CreateQuiz makes a quiz in a course, not yet published.
func (s *Service) CreateQuiz(ctx context.Context, actor authz.Principal, course uuid.UUID, in Settings) (Quiz, error) {
	st, err := s.staffFor(ctx, actor, course, "course", authz.QuizEdit)
	if err != nil {
		return Quiz{}, err
	}
	var told uuid.UUID
	made, err := inTx(ctx, s, work.Tenant(st.verdict.TenantID), func(ctx context.Context, tx Tx) (Quiz, error) {
		now := s.Now()
		q := Quiz{
			ID: s.NewID(), TenantID: st.verdict.TenantID, OrgUnitID: st.verdict.OrgUnitID, CourseID: course, Settings: in,
			CreatedBy: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		q.Instructions = s.HTML(q.Instructions)
		q.settle()
		if err := q.Check(); err != nil {
			return Quiz{}, err
		}
		if err := tx.InsertQuiz(ctx, q); err != nil {
			return Quiz{}, err
		}
		if told, err = s.tellQuiz(ctx, tx, q, events.QuizCreated{QuizState: q.State()}); err != nil {
			return Quiz{}, err
		}
		return q, tx.Audit(ctx, q.audit("quiz.create", map[string]work.Change{"title": {To: q.Title}}))
	})
	if err == nil {
		s.Settled(ctx, told) // made it is in any case
	}
	return made, err
}

// tellQuiz emits an event, and says to course and to assignment what they show of
// the quiz. It gives the call to course.
func (s *Service) tellQuiz(ctx context.Context, tx Tx, q Quiz, e events.Event) (uuid.UUID, error) {
	if err := tx.Emit(ctx, e, q.meta()); err != nil {
		return uuid.Nil, err
	}
	points, gone := q.Points, q.DeletedAt != nil
	told, err := tx.Call(ctx, work.Call{
		To: "course", Name: internalapi.CallResourceState, Key: q.ID.String(), TenantID: q.TenantID,
		Body: internalapi.ResourceState{
			ResourceID: q.ID, TenantID: q.TenantID, CourseID: &q.CourseID, Kind: events.ItemQuiz, Title: q.Title,
			Published: q.Published() && !gone, Deleted: gone, Points: &points,
		},
	})
	if err != nil {
		return uuid.Nil, err
	}
	_, err = tx.Call(ctx, work.Call{
		To: "assignment", Name: internalapi.CallQuizColumn, Key: q.ID.String(), TenantID: q.TenantID,
		Body: internalapi.QuizColumn{
			QuizID: q.ID, TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, CourseID: q.CourseID, Title: q.Title,
			Published: q.Published() && !gone, Deleted: gone, Points: points, DueAt: q.Due,
		},
	})
	return told, err
}

// Quizzes lists the quizzes of a course: for learners those that are published.
func (s *Service) Quizzes(ctx context.Context, actor authz.Principal, f QuizFilter, p page.Request) (page.Page[Quiz], bool, error) {
	st, err := s.standing(ctx, actor, f.CourseID, "course", false)
	if err != nil {
		return page.Page[Quiz]{}, false, err
	}
	if !st.staff() {
		yes := true
		f.Published = &yes
	}
	out, err := read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[Quiz], error) { return tx.ListQuizzes(ctx, f, p) })
	for i := range out.Items {
		if !st.staff() {
			out.Items[i].Instructions = "" // of one that is locked they tell what is asked
		}
	}
	return out, st.staff(), err
}

// find gives a quiz to who may see it: one that is not published only to staff.
func (s *Service) find(ctx context.Context, actor authz.Principal, id uuid.UUID, fresh bool) (Quiz, standing, error) {
	q, err := read(ctx, s, func(ctx context.Context, tx Tx) (Quiz, error) { return tx.Quiz(ctx, id) })
	if err != nil {
		return Quiz{}, standing{}, err
	}
	st, err := s.standing(ctx, actor, q.CourseID, "quiz", fresh)
	if err != nil {
		return Quiz{}, standing{}, err
	}
	if !st.staff() && !q.Published() {
		return Quiz{}, standing{}, apperr.NotFound("quiz")
	}
	return q, st, nil
}

// Quiz is a quiz that the caller may see. For a learner whom the curriculum does not
// let at it yet it is locked (403 `item_locked`, rule 11); one that no curriculum
// shows is held back by none.
func (s *Service) Quiz(ctx context.Context, actor authz.Principal, id uuid.UUID) (View, error) {
	q, st, err := s.find(ctx, actor, id, false)
	if err != nil {
		return View{}, err
	}
	if !st.staff() {
		v, err := s.Members.May(ctx, actor, Ask{CourseID: q.CourseID, QuizID: &q.ID, Action: internalapi.ActionSee})
		if err == nil && !v.Allowed && v.Code == internalapi.DeniedItemLocked {
			err = denied(v, "quiz")
		}
		if err != nil {
			return View{}, err
		}
	}
	v := View{Quiz: q, Staff: st.staff(), Terms: q.For(nil)}
	return read(ctx, s, func(ctx context.Context, tx Tx) (View, error) {
		if v.Staff {
			v.RegradeNeeded, err = tx.RegradeNeeded(ctx, id)
			return v, err
		}
		o, err := tx.Override(ctx, id, actor.UserID)
		if err != nil {
			return View{}, err
		}
		if v.Used, err = tx.Used(ctx, id, actor.UserID, false); err != nil {
			return View{}, err
		}
		v.Terms = q.For(o)
		v.Left = v.Terms.Left(v.Used)
		return v, nil
	})
}

// editor gives a quiz to who may change it.
func (s *Service) editor(ctx context.Context, actor authz.Principal, id uuid.UUID) (Quiz, error) {
	q, st, err := s.find(ctx, actor, id, true)
	if err != nil {
		return Quiz{}, err
	}
	if !st.may(authz.QuizEdit) {
		return Quiz{}, forbidden(authz.QuizEdit)
	}
	return q, nil
}

// change runs a change of a quiz in a transaction that holds its row.
func change[T any](ctx context.Context, s *Service, actor authz.Principal, id uuid.UUID, version *int64, fn func(context.Context, Tx, Quiz) (T, error)) (T, error) {
	var none T
	q, err := s.editor(ctx, actor, id)
	if err != nil {
		return none, err
	}
	return inTx(ctx, s, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) (T, error) {
		q, err := tx.LockQuiz(ctx, id)
		if err != nil {
			return none, err
		}
		if err := checkVersion(version, q.Version); err != nil {
			return none, err
		}
		return fn(ctx, tx, q)
	})
}

// save stores a changed quiz with the next version and tells it.
func (s *Service) save(ctx context.Context, tx Tx, q Quiz, action string, changes map[string]work.Change, event func(events.QuizState) events.Event) (Quiz, error) {
	q.UpdatedAt, q.Version = s.Now(), q.Version+1
	if err := tx.UpdateQuiz(ctx, q); err != nil {
		return Quiz{}, err
	}
	if _, err := s.tellQuiz(ctx, tx, q, event(q.State())); err != nil {
		return Quiz{}, err
	}
	return q, tx.Audit(ctx, q.audit(action, changes))
}

// UpdateQuiz changes the settings. Attempts in progress end by the new ones;
// results are judged anew by a job where the kept score or its visibility may
// differ.
func (s *Service) UpdateQuiz(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit func(*Settings)) (Quiz, error) {
	return change(ctx, s, actor, id, version, func(ctx context.Context, tx Tx, q Quiz) (Quiz, error) {
		before := q.Settings
		edit(&q.Settings)
		q.Instructions = s.HTML(q.Instructions)
		q.settle()
		if err := q.Check(); err != nil {
			return Quiz{}, err
		}
		changes := changed(before, q.Settings)
		if len(changes) == 0 {
			return q, nil
		}
		q, err := s.save(ctx, tx, q, "quiz.update", changes, func(st events.QuizState) events.Event {
			return events.QuizUpdated{QuizState: st, Changed: names(changes)}
		})
		if err != nil {
			return Quiz{}, err
		}
		if err := s.moveEnds(ctx, tx, q, before.For, nil); err != nil {
			return Quiz{}, err
		}
		if q.Keep == before.Keep && q.ScoresPolicy() == before.ScoresPolicy() && sameTime(q.Due, before.Due) {
			return q, nil
		}
		_, err = tx.Enqueue(ctx, JobRejudge, QuizJob{QuizID: q.ID}, work.JobOptions{TenantID: q.TenantID})
		return q, err
	})
}

// moveEnds gives running attempts the end that holds now. One whose end is not what
// the terms before (was) made it was reopened, and keeps the end that it got then.
func (s *Service) moveEnds(ctx context.Context, tx Tx, q Quiz, was func(*Override) Terms, user *uuid.UUID) error {
	running, err := tx.RunningOf(ctx, q.ID, user)
	if err != nil || len(running) == 0 {
		return err
	}
	users := make([]uuid.UUID, len(running))
	for i, a := range running {
		users[i] = a.UserID
	}
	overrides, err := tx.OverridesOf(ctx, q.ID, users)
	if err != nil {
		return err
	}
	ends := map[uuid.UUID]*time.Time{}
	for _, a := range running {
		var own *Override
		if o, ok := overrides[a.UserID]; ok {
			own = &o
		}
		end := endOf(a, q.For(own))
		if sameTime(a.EndsAt, endOf(a, was(own))) && !sameTime(end, a.EndsAt) {
			ends[a.ID] = end
		}
	}
	if len(ends) == 0 {
		return nil
	}
	return tx.SetEnds(ctx, ends)
}

// endOf is rule 28 for a running attempt. A preview has no window.
func endOf(a Attempt, t Terms) *time.Time {
	if a.Preview {
		t = Terms{Limit: t.Limit}
	}
	return stored(t.End(a.StartedAt, a.AccessUntil))
}

// Publish lets learners take the quiz: it has questions, and its banks have as
// many as it draws.
func (s *Service) Publish(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (Quiz, error) {
	return change(ctx, s, actor, id, version, func(ctx context.Context, tx Tx, q Quiz) (Quiz, error) {
		if q.Published() {
			return q, nil
		}
		if q.Questions == 0 {
			return Quiz{}, apperr.Conflict("quiz_empty", "A quiz without questions cannot be published.")
		}
		slots, err := tx.Slots(ctx, id)
		if err != nil {
			return Quiz{}, err
		}
		if err := s.enough(ctx, tx, slots); err != nil {
			return Quiz{}, err
		}
		now := s.Now()
		q.PublishedAt = &now
		return s.save(ctx, tx, q, "quiz.publish", nil, func(st events.QuizState) events.Event { return events.QuizPublished{QuizState: st} })
	})
}

// Unpublish takes it back. Attempts in progress go on.
func (s *Service) Unpublish(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) (Quiz, error) {
	return change(ctx, s, actor, id, version, func(ctx context.Context, tx Tx, q Quiz) (Quiz, error) {
		if !q.Published() {
			return q, nil
		}
		q.PublishedAt = nil
		return s.save(ctx, tx, q, "quiz.unpublish", nil, func(st events.QuizState) events.Event { return events.QuizUnpublished{QuizState: st} })
	})
}

// DeleteQuiz deletes a quiz; one that curricula show only with detach (409
// `in_use`). Attempts and results are kept.
func (s *Service) DeleteQuiz(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, detach bool) error {
	if _, err := s.editor(ctx, actor, id); err != nil {
		return err
	}
	if !detach {
		n, err := s.Placements.Placed(ctx, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return apperr.Conflict("in_use", "The curriculum shows the quiz. Delete it with detach=true to leave a placeholder.").Detail("usages", n)
		}
	}
	_, err := change(ctx, s, actor, id, version, func(ctx context.Context, tx Tx, q Quiz) (struct{}, error) {
		now := s.Now()
		q.DeletedAt, q.PublishedAt = &now, nil
		_, err := s.save(ctx, tx, q, "quiz.delete", nil, func(st events.QuizState) events.Event { return events.QuizDeleted{QuizState: st} })
		return struct{}{}, err
	})
	return err
}

func changed(a, b Settings) map[string]work.Change {
	out := map[string]work.Change{}
	note := func(name string, from, to any) {
		if !sameJSON(from, to) {
			out[name] = work.Change{From: from, To: to}
		}
	}
	note("title", a.Title, b.Title)
	note("instructions", a.Instructions, b.Instructions)
	note("time_limit", a.TimeLimit, b.TimeLimit)
	note("attempts_allowed", a.AttemptsAllowed, b.AttemptsAllowed)
	note("keep", a.Keep, b.Keep)
	note("shuffle_questions", a.ShuffleQuestions, b.ShuffleQuestions)
	note("shuffle_choices", a.ShuffleChoices, b.ShuffleChoices)
	note("available_from", a.From, b.From)
	note("available_until", a.Until, b.Until)
	note("due_at", a.Due, b.Due)
	note("cutoff_at", a.Cutoff, b.Cutoff)
	note("feedback", a.Feedback, b.Feedback)
	note("scores", a.Scores, b.Scores)
	return out
}

func names(changes map[string]work.Change) []string {
	out := make([]string, 0, len(changes))
	for n := range changes {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// sameJSON compares values by what would be kept of them.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}
