package quiz

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// Slots are the places of a quiz, for its staff.
func (s *Service) Slots(ctx context.Context, actor authz.Principal, id uuid.UUID) (Quiz, []Slot, error) {
	q, st, err := s.find(ctx, actor, id, false)
	if err != nil {
		return Quiz{}, nil, err
	}
	if !st.may(authz.QuizEdit) && !st.may(authz.SubmissionRead) {
		return Quiz{}, nil, forbidden(authz.QuizEdit)
	}
	slots, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]Slot, error) { return tx.Slots(ctx, id) })
	return q, slots, err
}

// slotted is a quiz with its slots, as one answer.
type slotted struct {
	Quiz  Quiz
	Slots []Slot
}

// PutSlots replaces the slots as one document: those with a known id keep their
// identity, those without are new, those that are absent go. Once learners have
// begun, slots keep what they hold; their points and the pinned version may still
// change, and reach attempts by a regrade.
func (s *Service) PutSlots(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, slots []Slot) (Quiz, []Slot, error) {
	if err := s.usable(ctx, actor, id, slots); err != nil {
		return Quiz{}, nil, err
	}
	out, err := change(ctx, s, actor, id, version, func(ctx context.Context, tx Tx, q Quiz) (slotted, error) {
		before, err := tx.Slots(ctx, id)
		if err != nil {
			return slotted{}, err
		}
		slots := slices.Clone(slots)
		if err := s.checkSlots(ctx, tx, before, slots); err != nil {
			return slotted{}, err
		}
		if used, err := tx.HasAttempts(ctx, id); err != nil || used && !sameShape(before, slots) {
			if err == nil {
				err = apperr.Conflict("quiz_in_use", "Learners have begun: only points and pinned versions of the slots may change now.")
			}
			return slotted{}, err
		}
		if err := s.enough(ctx, tx, slots); err != nil {
			return slotted{}, err
		}
		if sameJSON(before, slots) {
			return slotted{q, before}, nil
		}
		if q.Published() && len(slots) == 0 {
			return slotted{}, apperr.Conflict("quiz_empty", "A published quiz has questions.")
		}
		if err := tx.SaveSlots(ctx, q, slots); err != nil {
			return slotted{}, err
		}
		q.Questions, q.Points = Total(slots)
		q, err = s.save(ctx, tx, q, "quiz.slots", map[string]work.Change{"slots": {From: before, To: slots}}, func(st events.QuizState) events.Event {
			return events.QuizUpdated{QuizState: st, Changed: []string{"slots"}}
		})
		return slotted{q, slots}, err
	})
	return out.Quiz, out.Slots, err
}

// usable checks that the caller may use the banks and questions in this quiz.
func (s *Service) usable(ctx context.Context, actor authz.Principal, id uuid.UUID, slots []Slot) error {
	q, err := s.editor(ctx, actor, id)
	if err != nil {
		return err
	}
	var f apperr.Fields
	if len(slots) > MaxSlots {
		f.Add("slots", "too_many", "At most 200 slots.")
		return f.Err()
	}
	seen := map[uuid.UUID]error{}
	err = s.Store.Read(ctx, work.Tenant(q.TenantID), func(ctx context.Context, tx Tx) error {
		for i, slot := range slots {
			path, bank := fmt.Sprintf("slots[%d].bank_id", i), slot.BankID
			if slot.QuestionID != nil {
				path = fmt.Sprintf("slots[%d].question_id", i)
				question, err := tx.Question(ctx, *slot.QuestionID)
				if apperr.IsKind(err, apperr.KindNotFound) {
					f.Add(path, "unknown_question", "No such question.")
					continue
				}
				if err != nil {
					return err
				}
				bank = &question.BankID
			}
			if bank == nil {
				continue // told by checkSlots
			}
			verdict, known := seen[*bank]
			if !known {
				b, err := tx.Bank(ctx, *bank)
				if err == nil {
					err = s.banker(ctx, actor, b, &q.CourseID, false)
				}
				verdict = err
				seen[*bank] = err
			}
			switch {
			case apperr.IsKind(verdict, apperr.KindNotFound), apperr.IsKind(verdict, apperr.KindForbidden):
				f.Add(path, "unknown_bank", "No such question bank for this course.")
			case verdict != nil:
				return verdict
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return f.Err()
}

// checkSlots checks the document, gives ids to new slots and their places to all.
func (s *Service) checkSlots(ctx context.Context, tx Tx, before, slots []Slot) error {
	var f apperr.Fields
	known, pinned := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, b := range before {
		known[b.ID] = true
	}
	for i := range slots {
		slot, path := &slots[i], fmt.Sprintf("slots[%d]", i)
		slot.Position = i
		switch {
		case slot.ID == uuid.Nil:
			slot.ID = s.NewID()
		case !known[slot.ID]:
			f.Add(path+".id", "unknown_id", "Not a slot of this quiz.")
		default:
			delete(known, slot.ID) // twice is unknown
		}
		f.Require(slot.Points >= 0 && slot.Points <= MaxPoints, path+".points", "range", "Between 0 and 1,000,000.")
		if (slot.QuestionID == nil) == (slot.BankID == nil) {
			f.Add(path, "pair", "Either question_id, or bank_id with pick.")
			continue
		}
		if slot.BankID != nil {
			f.Require(slot.QuestionVersion == nil, path+".question_version", "pair", "Only with question_id.")
			f.Require(slot.Pick != nil && *slot.Pick >= 1 && *slot.Pick <= MaxQuestions, path+".pick", "range", "Between 1 and 500.")
			continue
		}
		f.Require(slot.Pick == nil, path+".pick", "pair", "Only with bank_id.")
		f.Require(!pinned[*slot.QuestionID], path+".question_id", "not_unique", "The question is in the quiz twice.")
		pinned[*slot.QuestionID] = true
		if err := pinVersion(ctx, tx, &f, path, slot); err != nil {
			return err
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	n, points := Total(slots)
	f.Require(n <= MaxQuestions, "slots", "too_many", "At most 500 questions.")
	f.Require(points <= MaxPoints, "slots", "range", "At most 1,000,000 points together.")
	return f.Err()
}

// pinVersion pins the newest version where none is named.
func pinVersion(ctx context.Context, tx Tx, f *apperr.Fields, path string, slot *Slot) error {
	question, err := tx.Question(ctx, *slot.QuestionID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		f.Add(path+".question_id", "unknown_question", "No such question.")
		return nil
	}
	if err != nil {
		return err
	}
	if slot.QuestionVersion == nil {
		slot.QuestionVersion = &question.Current
	}
	f.Require(*slot.QuestionVersion >= 1 && *slot.QuestionVersion <= question.Current, path+".question_version", "unknown_version", "No such version.")
	return nil
}

// enough checks that each bank has as many questions as are drawn from it besides
// those that are pinned. The banks are locked against deletions meanwhile.
func (s *Service) enough(ctx context.Context, tx Tx, slots []Slot) error {
	banks := drawnFrom(slots)
	if len(banks) == 0 {
		return nil
	}
	if _, err := tx.LockBanks(ctx, banks); err != nil {
		return err
	}
	all, err := tx.Drawable(ctx, banks)
	if err != nil {
		return err
	}
	have, pinned := map[uuid.UUID]int{}, pinnedIn(slots)
	for _, d := range all {
		if !pinned[d.QuestionID] {
			have[d.BankID]++
		}
	}
	for _, slot := range slots {
		if slot.BankID != nil {
			have[*slot.BankID] -= *slot.Pick
		}
	}
	for _, bank := range banks {
		if have[bank] < 0 {
			return apperr.Conflict("not_enough_questions", "A bank has fewer questions than are drawn from it.").
				Detail("bank_id", bank).Detail("missing", -have[bank])
		}
	}
	return nil
}

// drawnFrom are the banks that slots draw from, in order, so that everybody locks
// them alike.
func drawnFrom(slots []Slot) []uuid.UUID {
	var out []uuid.UUID
	for _, s := range slots {
		if s.BankID != nil && !slices.Contains(out, *s.BankID) {
			out = append(out, *s.BankID)
		}
	}
	slices.SortFunc(out, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return out
}

func pinnedIn(slots []Slot) map[uuid.UUID]bool {
	out := map[uuid.UUID]bool{}
	for _, s := range slots {
		if s.QuestionID != nil {
			out[*s.QuestionID] = true
		}
	}
	return out
}

// sameShape says that two documents differ at most in points, pinned versions and
// order.
func sameShape(a, b []Slot) bool {
	if len(a) != len(b) {
		return false
	}
	shape := func(s Slot) Slot {
		s.Position, s.Points, s.QuestionVersion = 0, 0, nil
		return s
	}
	at := map[uuid.UUID]Slot{}
	for _, s := range a {
		at[s.ID] = shape(s)
	}
	return !slices.ContainsFunc(b, func(s Slot) bool { return !sameJSON(at[s.ID], shape(s)) })
}

// Overrides lists what is different for single people.
func (s *Service) Overrides(ctx context.Context, actor authz.Principal, quiz uuid.UUID, p page.Request) (page.Page[Override], error) {
	_, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return page.Page[Override]{}, err
	}
	if !st.may(authz.QuizEdit) && !st.may(authz.GradeRead) {
		return page.Page[Override]{}, forbidden(authz.QuizEdit)
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[Override], error) { return tx.ListOverrides(ctx, quiz, p) })
}

// PutOverride says what is different for a person. A running attempt ends by it.
func (s *Service) PutOverride(ctx context.Context, actor authz.Principal, o Override, version *int64) (Override, bool, error) {
	type put struct {
		Override Override
		Created  bool
	}
	out, err := change(ctx, s, actor, o.QuizID, nil, func(ctx context.Context, tx Tx, q Quiz) (put, error) {
		if err := o.check(); err != nil {
			return put{}, err
		}
		old, err := tx.Override(ctx, q.ID, o.UserID)
		if err != nil {
			return put{}, err
		}
		o.TenantID, o.UpdatedBy, o.UpdatedAt, o.Version = q.TenantID, actor.UserID, s.Now(), 1
		var had int64
		if old != nil {
			had = old.Version
			o.Version = old.Version + 1
		}
		if err := checkVersion(version, had); err != nil {
			return put{}, err
		}
		if err := tx.PutOverride(ctx, o); err != nil {
			return put{}, err
		}
		return put{o, old == nil}, s.overridden(ctx, tx, q, o.UserID, old, "quiz.override_put", map[string]work.Change{"override": {From: old, To: o}})
	})
	return out.Override, out.Created, err
}

// DeleteOverride makes the person one like all others.
func (s *Service) DeleteOverride(ctx context.Context, actor authz.Principal, quiz, user uuid.UUID) error {
	_, err := change(ctx, s, actor, quiz, nil, func(ctx context.Context, tx Tx, q Quiz) (struct{}, error) {
		old, err := tx.Override(ctx, quiz, user)
		if err != nil {
			return struct{}{}, err
		}
		if old == nil {
			return struct{}{}, apperr.NotFound("override")
		}
		if err := tx.DeleteOverride(ctx, quiz, user); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.overridden(ctx, tx, q, user, old, "quiz.override_delete", map[string]work.Change{"override": {From: old}})
	})
	return err
}

// overridden applies an override that changed to what the person has already; old
// is the one before, nil for none.
func (s *Service) overridden(ctx context.Context, tx Tx, q Quiz, user uuid.UUID, old *Override, action string, changes map[string]work.Change) error {
	was := func(*Override) Terms { return q.For(old) }
	if err := s.moveEnds(ctx, tx, q, was, &user); err != nil {
		return err
	}
	changes["user_id"] = work.Change{To: user}
	if err := tx.Audit(ctx, q.audit(action, changes)); err != nil {
		return err
	}
	// The due time may have moved, and with it what the person may see, and what is
	// late or missing: also of who has not begun.
	o, err := tx.Override(ctx, q.ID, user)
	if err != nil {
		return err
	}
	if r, err := tx.Result(ctx, q.ID, user); err != nil || r == nil && sameTime(q.For(old).Due, q.For(o).Due) {
		return err
	}
	return s.judgeDue(ctx, tx, q, user)
}

// tellDueSoon is part of the sweep: quizzes that are due within NoticeBefore are
// told once per due time.
func (s *Service) tellDueSoon(ctx context.Context) error {
	now := s.Now()
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		due, err := tx.DueSoon(ctx, now, now.Add(s.Limits.NoticeBefore), sweepBatch)
		if err != nil {
			return err
		}
		for _, q := range due {
			if err := tx.Emit(ctx, events.QuizDueSoon{QuizState: q.State()}, q.meta()); err != nil {
				return err
			}
			if err := tx.ToldDueSoon(ctx, q.ID, *q.Due); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepBatch is how much one transaction of a sweep takes.
const sweepBatch = 100

// sweepPause bounds a round of a sweep.
const sweepPause = 50 * time.Second
