package quiz

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// banker decides about a bank: holders of quiz:edit in its org unit, the staff with
// it of the course that it was made for, and, to look at and to use, those of
// any course in the unit or below it that they name.
func (s *Service) banker(ctx context.Context, actor authz.Principal, b Bank, via *uuid.UUID, change bool) error {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if policy.Allows(actor, authz.QuizEdit, b.OrgUnitID) {
		return nil
	}
	if b.CourseID != nil {
		if ok, err := s.edits(ctx, actor, *b.CourseID, nil); err != nil || ok {
			return err
		}
	}
	seen := policy.Allows(actor, authz.ContentRead, b.OrgUnitID)
	if via != nil {
		below := func(unit uuid.UUID) bool { return slices.Contains(policy.Ancestors(unit), b.OrgUnitID) }
		ok, err := s.edits(ctx, actor, *via, below)
		if err != nil || ok && !change {
			return err
		}
		seen = seen || ok
	}
	if seen {
		return apperr.Forbidden("This needs the permission " + string(authz.QuizEdit) + " for the question bank.")
	}
	return apperr.NotFound("question bank")
}

// edits says whether the caller may edit quizzes of a course, and the course is
// where it should be.
func (s *Service) edits(ctx context.Context, actor authz.Principal, course uuid.UUID, where func(unit uuid.UUID) bool) (bool, error) {
	st, err := s.standing(ctx, actor, course, "course", false)
	if apperr.IsKind(err, apperr.KindNotFound) || apperr.IsKind(err, apperr.KindForbidden) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return st.may(authz.QuizEdit) && (where == nil || where(st.verdict.OrgUnitID)), nil
}

// CreateBank makes a bank in an org unit, or for a course: then the unit is the
// course's.
func (s *Service) CreateBank(ctx context.Context, actor authz.Principal, b Bank) (Bank, error) {
	if b.CourseID != nil {
		st, err := s.staffFor(ctx, actor, *b.CourseID, "course", authz.QuizEdit)
		if err != nil {
			return Bank{}, err
		}
		b.TenantID, b.OrgUnitID = st.verdict.TenantID, st.verdict.OrgUnitID
	} else {
		policy, err := authz.Knowing(ctx, s.Authz, actor, b.OrgUnitID)
		if err != nil {
			return Bank{}, err
		}
		tenant, ok := policy.Tenant(b.OrgUnitID)
		if !ok || tenant != actor.TenantID && !policy.Allows(actor, authz.QuizEdit, b.OrgUnitID) {
			return Bank{}, apperr.NotFound("org unit")
		}
		if !policy.Allows(actor, authz.QuizEdit, b.OrgUnitID) {
			return Bank{}, apperr.Forbidden("This needs the permission " + string(authz.QuizEdit) + " in the org unit.")
		}
		b.TenantID = tenant
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (Bank, error) {
		b.ID, b.CreatedBy, b.CreatedAt, b.Version = s.NewID(), actor.UserID, s.Now(), 1
		b.UpdatedAt = b.CreatedAt
		b.Description = s.HTML(b.Description)
		if err := b.settle(); err != nil {
			return Bank{}, err
		}
		if err := tx.InsertBank(ctx, b); err != nil {
			return Bank{}, err
		}
		return b, tx.Audit(ctx, b.audit("question_bank.create", map[string]work.Change{"title": {To: b.Title}}))
	})
}

// Bank is a bank that the caller may see; via is a course whose quizzes it may be
// used in.
func (s *Service) Bank(ctx context.Context, actor authz.Principal, id uuid.UUID, via *uuid.UUID) (Bank, error) {
	b, err := read(ctx, s, func(ctx context.Context, tx Tx) (Bank, error) { return tx.Bank(ctx, id) })
	if err != nil {
		return Bank{}, err
	}
	return b, s.banker(ctx, actor, b, via, false)
}

// Banks lists the banks that the caller may use: those of the org units in which
// they hold quiz:edit, or with a course those that its quizzes may use.
func (s *Service) Banks(ctx context.Context, actor authz.Principal, f BankFilter, p page.Request) (page.Page[Bank], error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return page.Page[Bank]{}, err
	}
	if f.CourseID != nil {
		st, err := s.standing(ctx, actor, *f.CourseID, "course", false)
		if err != nil {
			return page.Page[Bank]{}, err
		}
		if !st.may(authz.QuizEdit) {
			return page.Page[Bank]{}, forbidden(authz.QuizEdit)
		}
		f.OrgUnits = policy.Ancestors(st.verdict.OrgUnitID)
	} else {
		reach := policy.Reach(actor, authz.QuizEdit)
		f.All, f.OrgUnits = reach.All, reach.OrgUnits
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[Bank], error) { return tx.ListBanks(ctx, f, p) })
}

// UpdateBank changes a bank.
func (s *Service) UpdateBank(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit func(*Bank)) (Bank, error) {
	b, err := s.bankToChange(ctx, actor, id)
	if err != nil {
		return Bank{}, err
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (Bank, error) {
		b, err := tx.LockBank(ctx, id)
		if err != nil {
			return Bank{}, err
		}
		if err := checkVersion(version, b.Version); err != nil {
			return Bank{}, err
		}
		before := b
		edit(&b)
		b.Description = s.HTML(b.Description)
		if err := b.settle(); err != nil {
			return Bank{}, err
		}
		if b.Title == before.Title && b.Description == before.Description {
			return before, nil
		}
		b.UpdatedAt, b.Version = s.Now(), b.Version+1
		if err := tx.UpdateBank(ctx, b); err != nil {
			return Bank{}, err
		}
		return b, tx.Audit(ctx, b.audit("question_bank.update", map[string]work.Change{"title": {From: before.Title, To: b.Title}}))
	})
}

func (s *Service) bankToChange(ctx context.Context, actor authz.Principal, id uuid.UUID) (Bank, error) {
	b, err := read(ctx, s, func(ctx context.Context, tx Tx) (Bank, error) { return tx.Bank(ctx, id) })
	if err != nil {
		return Bank{}, err
	}
	return b, s.banker(ctx, actor, b, nil, true)
}

// DeleteBank deletes a bank that no quiz uses (409 `in_use`). Versions that
// attempts rest on stay.
func (s *Service) DeleteBank(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	b, err := s.bankToChange(ctx, actor, id)
	if err != nil {
		return err
	}
	_, err = inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (struct{}, error) {
		b, err := tx.LockBank(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := checkVersion(version, b.Version); err != nil {
			return struct{}{}, err
		}
		need, err := tx.BankNeed(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if need.Draws+need.Pinned > 0 {
			return struct{}{}, apperr.Conflict("in_use", "Quizzes use questions of the bank.")
		}
		if err := tx.DeleteBank(ctx, b, s.Now()); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Audit(ctx, b.audit("question_bank.delete", map[string]work.Change{"title": {From: b.Title}}))
	})
	return err
}

// NewQuestion is a question to be written.
type NewQuestion struct {
	Title      string
	Tags       []string
	ExternalID string
	Definition marking.Definition
}

// CreateQuestion writes a question with its first version.
func (s *Service) CreateQuestion(ctx context.Context, actor authz.Principal, bank uuid.UUID, in NewQuestion) (Question, error) {
	b, err := s.bankToChange(ctx, actor, bank)
	if err != nil {
		return Question{}, err
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (Question, error) {
		b, err := tx.LockBank(ctx, bank)
		if err != nil {
			return Question{}, err
		}
		q, err := s.insertQuestion(ctx, tx, b, in, actor.UserID)
		if err != nil {
			return Question{}, err
		}
		return q, tx.Audit(ctx, q.audit("question.create", b, map[string]work.Change{"title": {To: q.Title}}))
	})
}

func (s *Service) insertQuestion(ctx context.Context, tx Tx, b Bank, in NewQuestion, by uuid.UUID) (Question, error) {
	d, err := s.author().Prepare(in.Definition, nil)
	if err != nil {
		return Question{}, err
	}
	now := s.Now()
	q := Question{
		ID: s.NewID(), TenantID: b.TenantID, BankID: b.ID, Kind: d.Kind, Title: in.Title, Tags: in.Tags, ExternalID: in.ExternalID,
		Current: 1, CreatedAt: now, UpdatedAt: now, Version: 1, Definition: d,
	}
	if err := q.settle(); err != nil {
		return Question{}, err
	}
	if err := tx.InsertQuestion(ctx, q); err != nil {
		return Question{}, err
	}
	v := QuestionVersion{QuestionID: q.ID, TenantID: q.TenantID, Number: 1, Definition: d, CreatedBy: by, CreatedAt: now}
	if err := tx.InsertQuestionVersion(ctx, v); err != nil {
		return Question{}, err
	}
	return q, tx.Emit(ctx, q.changed(b, false, now), work.Meta{TenantID: b.TenantID, OrgUnitID: b.OrgUnitID})
}

// Question is a question with its answers, for who may see its bank.
func (s *Service) Question(ctx context.Context, actor authz.Principal, id uuid.UUID, via *uuid.UUID) (Question, error) {
	q, b, err := s.question(ctx, id)
	if err != nil {
		return Question{}, err
	}
	return q, notFoundAs(s.banker(ctx, actor, b, via, false), "question")
}

func (s *Service) question(ctx context.Context, id uuid.UUID) (q Question, b Bank, err error) {
	q, err = read(ctx, s, func(ctx context.Context, tx Tx) (Question, error) {
		q, err := tx.Question(ctx, id)
		if err != nil {
			return Question{}, err
		}
		b, err = tx.Bank(ctx, q.BankID)
		return q, err
	})
	return q, b, err
}

func notFoundAs(err error, what string) error {
	if apperr.IsKind(err, apperr.KindNotFound) {
		return apperr.NotFound(what)
	}
	return err
}

// Questions lists the questions of a bank by title.
func (s *Service) Questions(ctx context.Context, actor authz.Principal, f QuestionFilter, via *uuid.UUID, p page.Request) (page.Page[Question], error) {
	if _, err := s.Bank(ctx, actor, f.BankID, via); err != nil {
		return page.Page[Question]{}, err
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[Question], error) { return tx.ListQuestions(ctx, f, p) })
}

// QuestionVersions lists the versions of a question, the newest first.
func (s *Service) QuestionVersions(ctx context.Context, actor authz.Principal, id uuid.UUID, via *uuid.UUID, p page.Request) (page.Page[QuestionVersion], error) {
	if _, err := s.Question(ctx, actor, id, via); err != nil {
		return page.Page[QuestionVersion]{}, err
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (page.Page[QuestionVersion], error) {
		return tx.QuestionVersions(ctx, id, p)
	})
}

// QuestionEdit changes a question; a definition of nil leaves the version.
type QuestionEdit struct {
	Title      *string
	Tags       []string
	Definition *marking.Definition
}

// UpdateQuestion changes a question. Another definition makes a new version; those
// before stay as they are, and slots keep the version that they pin.
func (s *Service) UpdateQuestion(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit QuestionEdit) (Question, error) {
	_, b, err := s.question(ctx, id)
	if err != nil {
		return Question{}, err
	}
	if err := s.banker(ctx, actor, b, nil, true); err != nil {
		return Question{}, notFoundAs(err, "question")
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (Question, error) {
		q, err := tx.LockQuestion(ctx, id)
		if err != nil {
			return Question{}, err
		}
		if err := checkVersion(version, q.Version); err != nil {
			return Question{}, err
		}
		q, changed, err := s.editQuestion(ctx, tx, b, q, edit, actor.UserID)
		if err != nil || !changed {
			return q, err
		}
		return q, tx.Audit(ctx, q.audit("question.update", b, map[string]work.Change{"version": {To: q.Current}}))
	})
}

func (s *Service) editQuestion(ctx context.Context, tx Tx, b Bank, q Question, edit QuestionEdit, by uuid.UUID) (Question, bool, error) {
	before := q
	if edit.Title != nil {
		q.Title = *edit.Title
	}
	if edit.Tags != nil {
		q.Tags = edit.Tags
	}
	if err := q.settle(); err != nil {
		return Question{}, false, err
	}
	now := s.Now()
	fresh := false
	if edit.Definition != nil {
		if edit.Definition.Kind != q.Kind {
			return Question{}, false, apperr.Invalid(apperr.Field{Path: "definition.kind", Code: "fixed", Message: "A question keeps its kind."})
		}
		d, err := s.author().Prepare(*edit.Definition, &before.Definition)
		if err != nil {
			return Question{}, false, err
		}
		if fresh = !sameJSON(d, before.Definition); fresh {
			q.Definition, q.Current = d, q.Current+1
			v := QuestionVersion{QuestionID: q.ID, TenantID: q.TenantID, Number: q.Current, Definition: d, CreatedBy: by, CreatedAt: now}
			if err := tx.InsertQuestionVersion(ctx, v); err != nil {
				return Question{}, false, err
			}
		}
	}
	if !fresh && q.Title == before.Title && slices.Equal(q.Tags, before.Tags) {
		return before, false, nil
	}
	q.UpdatedAt, q.Version = now, q.Version+1
	if err := tx.UpdateQuestion(ctx, q); err != nil {
		return Question{}, false, err
	}
	return q, true, tx.Emit(ctx, q.changed(b, false, now), work.Meta{TenantID: b.TenantID, OrgUnitID: b.OrgUnitID})
}

// DeleteQuestion deletes a question that no slot pins and whose bank can do
// without it (409 `in_use`).
func (s *Service) DeleteQuestion(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	_, b, err := s.question(ctx, id)
	if err != nil {
		return err
	}
	if err := s.banker(ctx, actor, b, nil, true); err != nil {
		return notFoundAs(err, "question")
	}
	_, err = inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (struct{}, error) {
		return struct{}{}, s.deleteQuestion(ctx, tx, b.ID, id, version)
	})
	return err
}

func (s *Service) deleteQuestion(ctx context.Context, tx Tx, bank, id uuid.UUID, version *int64) error {
	b, err := tx.LockBank(ctx, bank)
	if err != nil {
		return err
	}
	q, err := tx.LockQuestion(ctx, id)
	if err != nil {
		return err
	}
	if err := checkVersion(version, q.Version); err != nil {
		return err
	}
	pinned, err := tx.PinnedBy(ctx, id)
	if err != nil {
		return err
	}
	if len(pinned) > 0 {
		return apperr.Conflict("in_use", "Quizzes use the question.").Detail("quizzes", pinned)
	}
	need, err := tx.BankNeed(ctx, bank)
	if err != nil {
		return err
	}
	if need.Draws >= need.Questions {
		return apperr.Conflict("in_use", "A quiz draws as many questions from the bank as there are.").Detail("draws", need.Draws)
	}
	if err := tx.DeleteQuestion(ctx, q, s.Now()); err != nil {
		return err
	}
	if err := tx.Emit(ctx, q.changed(b, true, s.Now()), work.Meta{TenantID: b.TenantID, OrgUnitID: b.OrgUnitID}); err != nil {
		return err
	}
	return tx.Audit(ctx, q.audit("question.delete", b, map[string]work.Change{"title": {From: q.Title}}))
}
