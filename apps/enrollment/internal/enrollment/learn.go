package enrollment

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
)

// Changes of an item, as events tell them.
const (
	changeViewed      = "viewed"
	changeWatched     = "watched"
	changeDone        = "done"
	changeUndone      = "undone"
	changeSubmitted   = "submitted"
	changeUnsubmitted = "unsubmitted"
	changeScored      = "scored"
	changeExcused     = "excused"
	changeUnexcused   = "unexcused"
)

// Standpoint is where a learner stands after a change of one item.
type Standpoint struct {
	EnrollmentID uuid.UUID
	State        State
	ItemID       uuid.UUID
	ModuleID     uuid.UUID
	ItemDoneAt   *time.Time
	ModuleState  string
	Required     int
	Met          int
	CompletedAt  *time.Time
}

// View notes that the caller has looked at an item; only the first time counts.
func (s *Service) View(ctx context.Context, actor authz.Principal, course, item uuid.UUID) (Standpoint, error) {
	return s.own(ctx, actor, course, item, "progress.view", func(it progress.Item, f *progress.Facts, now time.Time) error {
		if f.ViewedAt == nil {
			f.ViewedAt = &now
		}
		return nil
	})
}

// Done marks an item as done that asks for it; Undone takes that back.
func (s *Service) Done(ctx context.Context, actor authz.Principal, course, item uuid.UUID, done bool) (Standpoint, error) {
	action := "progress.done"
	if !done {
		action = "progress.undone"
	}
	return s.own(ctx, actor, course, item, action, func(it progress.Item, f *progress.Facts, now time.Time) error {
		switch {
		case it.Requirement.Kind != events.RequireDone:
			return apperr.Conflict("not_markable", "The item does not ask to be marked as done.")
		case !done:
			f.DoneAt = nil
		case f.DoneAt == nil:
			f.DoneAt = &now
		}
		return nil
	})
}

// own changes what the caller did with an item that is open to the caller.
func (s *Service) own(ctx context.Context, actor authz.Principal, course, item uuid.UUID, action string,
	change func(progress.Item, *progress.Facts, time.Time) error,
) (out Standpoint, err error) {
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			out, err = s.learn(ctx, tx, actor.UserID, course, item, action, change)
			return err
		})
	})
	return out, err
}

func (s *Service) learn(ctx context.Context, tx Tx, user, course, item uuid.UUID, action string,
	change func(progress.Item, *progress.Facts, time.Time) error,
) (Standpoint, error) {
	now := s.Now()
	l, err := tx.LockLearner(ctx, course, user)
	if err != nil {
		return Standpoint{}, err
	}
	if err := l.mayWork(now); err != nil {
		return Standpoint{}, err
	}
	v, err := s.view(ctx, tx, &l, now)
	if err != nil {
		return Standpoint{}, err
	}
	iv, ok := v.Item(item)
	if !ok {
		return Standpoint{}, apperr.NotFound("item")
	}
	if !iv.Open {
		return Standpoint{}, lockedError(iv)
	}
	subject := iv.Item.Subject()
	facts := l.Record.Facts[subject]
	was := facts
	if err := change(*iv.Item, &facts, now); err != nil {
		return Standpoint{}, err
	}
	if facts.Equal(was) {
		return standpoint(l, v, *iv.Item), nil
	}
	st, err := s.record(ctx, tx, &l, subject, was, facts, now)
	if err != nil {
		return Standpoint{}, err
	}
	if err := s.audit(ctx, tx, action, l.Enrollment, l.Course, nil); err != nil {
		return Standpoint{}, err
	}
	return standpoint(l, st.outcome.After, *iv.Item), nil
}

// mayWork says whether the learner may change anything now (rule 30).
func (l Learner) mayWork(now time.Time) error {
	e, c := l.Enrollment, l.Course
	if !c.Readable() {
		return apperr.NotFound("course")
	}
	if l.Person != nil && l.Person.Status != PersonActive {
		return apperr.Forbidden("The account is not active.")
	}
	switch effective := e.Effective(c, now); {
	case effective == Upcoming, effective == Concluded, effective.Learning() && c.Status == events.CourseArchived:
		return apperr.New(apperr.KindForbidden, "read_only", "The course can only be looked at now.").Detail("state", string(effective))
	case effective.Learning():
		return nil
	case effective == Suspended:
		return apperr.New(apperr.KindForbidden, "suspended", "The enrollment is suspended.")
	}
	return apperr.NotFound("course")
}

func lockedError(iv progress.ItemView) error {
	return apperr.New(apperr.KindForbidden, "item_locked", "The item is locked.").Detail("reasons", Explain(iv.Reasons))
}

// view is where a learner stands under the curriculum as it is now, also when
// the stored progress was made under an older one.
func (s *Service) view(ctx context.Context, tx Tx, l *Learner, now time.Time) (progress.View, error) {
	if l.Enrollment.CurriculumSeq == l.Course.CurriculumSeq {
		c, err := s.Curricula.Get(ctx, tx, l.Course.ID, l.Course.CurriculumSeq)
		if err != nil {
			return progress.View{}, err
		}
		if c != nil {
			v := progress.Evaluate(c, l.Record, l.Enrollment.From(), now)
			l.seen = &v
			return v, nil
		}
	}
	copied := *l // the step is looked at and not stored
	st, err := s.step(ctx, tx, &copied, nil, now)
	return st.outcome.After, err
}

// record stores new facts of a subject and tells what follows.
func (s *Service) record(ctx context.Context, tx Tx, l *Learner, subject uuid.UUID, was, facts progress.Facts, now time.Time) (step, error) {
	if !l.Enrollment.State.Learning() && l.Enrollment.State != Suspended {
		return step{}, s.keep(ctx, tx, l, subject, facts, now)
	}
	switch changeOf(was, facts) {
	case changeScored, changeExcused, changeUnexcused: // what others did
	default:
		l.Enrollment.LastActivityAt = &now
	}
	st, err := s.step(ctx, tx, l, map[uuid.UUID]progress.Facts{subject: facts}, now)
	if err != nil {
		return st, err
	}
	l.Enrollment.UpdatedAt = now
	if err := tx.SaveProgress(ctx, []ProgressSave{st.save}); err != nil {
		return st, err
	}
	if err := s.tellChange(ctx, tx, l, st, subject, was, facts, now); err != nil {
		return st, err
	}
	return st, s.tellStep(ctx, tx, l, st, now)
}

// keep stores facts of somebody who is out, and nothing that follows from them:
// that is judged, and told, when the person comes in again (rule 31).
func (s *Service) keep(ctx context.Context, tx Tx, l *Learner, subject uuid.UUID, facts progress.Facts, now time.Time) error {
	row := l.subjectRow(subject, facts, now)
	stored := l.Subjects[subject]
	row.CompletedItems, row.CompletedTimes = stored.CompletedItems, stored.CompletedTimes
	return tx.SaveProgress(ctx, []ProgressSave{{Owner: l.Enrollment.ID, Subjects: []SubjectRow{row}}})
}

// tellChange tells, per visible place of the subject, what happened to it.
func (s *Service) tellChange(ctx context.Context, tx Tx, l *Learner, st step, subject uuid.UUID, was, now progress.Facts, at time.Time) error {
	change := changeOf(was, now)
	for _, id := range st.curriculum.Places(subject) {
		it, _ := st.curriculum.Item(id)
		if !it.Visible {
			continue
		}
		told := events.ProgressChanged{
			ProgressState: position(l, at), ItemID: it.ID, ModuleID: it.ModuleID, ItemKind: it.Kind, Change: change,
			Requirement: it.Requirement.Kind, Score: now.Score, Possible: now.Possible,
			Regressed: slices.Contains(st.outcome.Regressed, it.ID),
		}
		if it.ResourceID != uuid.Nil {
			told.ResourceID = &it.ResourceID
		}
		if since, ok := st.outcome.Record.Completed[it.ID]; ok {
			told.CompletedAt = &since
		}
		if err := tx.Emit(ctx, told, meta(l.Course)); err != nil {
			return err
		}
	}
	return nil
}

// changeOf names what changed; of several things the most telling.
func changeOf(was, now progress.Facts) string {
	switch {
	case now.ExcusedAt != nil && was.ExcusedAt == nil:
		return changeExcused
	case now.ExcusedAt == nil && was.ExcusedAt != nil:
		return changeUnexcused
	case !sameScore(was.Score, now.Score) || !sameTime(was.GradedAt, now.GradedAt) || !sameScore(was.Possible, now.Possible):
		return changeScored
	case now.SubmittedAt != nil && !sameTime(was.SubmittedAt, now.SubmittedAt):
		return changeSubmitted
	case now.SubmittedAt == nil && was.SubmittedAt != nil:
		return changeUnsubmitted
	case now.DoneAt != nil && was.DoneAt == nil:
		return changeDone
	case now.DoneAt == nil && was.DoneAt != nil:
		return changeUndone
	case now.Watched != was.Watched:
		return changeWatched
	}
	return changeViewed
}

func sameScore(a, b *events.Hundredths) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func standpoint(l Learner, v progress.View, it progress.Item) Standpoint {
	out := Standpoint{
		EnrollmentID: l.Enrollment.ID, State: l.Enrollment.State, ItemID: it.ID, ModuleID: it.ModuleID,
		Required: v.Required, Met: v.Met, CompletedAt: l.Enrollment.CompletedAt,
	}
	if iv, ok := v.Item(it.ID); ok {
		out.ItemDoneAt = iv.CompletedAt
	}
	if mv, ok := v.Module(it.ModuleID); ok {
		out.ModuleState = string(mv.State)
	}
	return out
}

// Reason is a progress.Reason as people and other services read it (rule 11).
type Reason struct {
	Code    string     `json:"code"`
	Message string     `json:"message"`
	Until   *time.Time `json:"until,omitempty"`
	Missing []Missing  `json:"missing,omitempty"`
}

// Missing is a module or item to complete first.
type Missing struct {
	ID          uuid.UUID `json:"id"`
	Title       string    `json:"title"`
	Requirement string    `json:"requirement,omitempty"`
}

// Explain says in words why something is locked.
func Explain(reasons []progress.Reason) []Reason {
	out := make([]Reason, len(reasons))
	for i, r := range reasons {
		out[i] = Reason{Code: r.Code, Until: r.Until}
		switch r.Code {
		case progress.ReasonModulePrerequisite:
			out[i].Message = "Other modules must be completed first."
		case progress.ReasonModuleUnlockAt:
			out[i].Message = "The module opens at a later time."
		case progress.ReasonItemUnlockAt:
			out[i].Message = "The item opens at a later time."
		case progress.ReasonSequential:
			out[i].Message = "The items before it must be completed first."
		}
		for _, m := range r.Missing {
			out[i].Missing = append(out[i].Missing, Missing(m))
		}
	}
	return out
}
