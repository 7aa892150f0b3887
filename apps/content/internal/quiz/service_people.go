package quiz

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// SetPerson applies what user says of a person: the attempts of one who was merged
// go to whom they were merged into, numbered after theirs; their results are
// judged together. An override of the other stays before one that comes along.
func (s *Service) SetPerson(ctx context.Context, tx Tx, user uuid.UUID, mergedInto *uuid.UUID) error {
	if mergedInto == nil {
		return nil
	}
	if err := tx.MoveOverrides(ctx, user, *mergedInto); err != nil {
		return err
	}
	results, err := tx.ResultsBy(ctx, user)
	if err != nil {
		return err
	}
	for _, r := range results {
		if err := s.merge(ctx, tx, r, *mergedInto); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) merge(ctx context.Context, tx Tx, from Result, to uuid.UUID) error {
	q, err := tx.ShareQuiz(ctx, from.QuizID)
	if err != nil {
		return err
	}
	running, err := tx.Running(ctx, q.ID, from.UserID, false)
	if err != nil {
		return err
	}
	if running != nil { // the other may have one in progress, and only one may
		if _, err := s.finish(ctx, tx, q, *running, ByServer); err != nil {
			return err
		}
	}
	heir, err := tx.LockResult(ctx, s.emptyResult(q, to))
	if err != nil {
		return err
	}
	if err := tx.MoveAttempts(ctx, q.ID, from.UserID, to); err != nil {
		return err
	}
	before := heir
	if heir.OverrideScore == nil {
		heir.OverrideScore, heir.OverrideNote, heir.OverriddenBy, heir.OverriddenAt = from.OverrideScore, from.OverrideNote, from.OverriddenBy, from.OverriddenAt
	}
	if heir.ExcusedAt == nil {
		heir.ExcusedAt, heir.ExcusedBy = from.ExcusedAt, from.ExcusedBy
	}
	if err := tx.DeleteResult(ctx, q.ID, from.UserID); err != nil {
		return err
	}
	_, err = s.rejudge(ctx, tx, q, before, heir)
	return err
}

// ErasePerson forgets a person: a pseudonym takes their place in attempts and
// results, whose numbers stay; what they wrote and were told is deleted.
func (s *Service) ErasePerson(ctx context.Context, tx Tx, user, pseudonym uuid.UUID) (kept int64, err error) {
	attempts, err := tx.AttemptsBy(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, a := range attempts {
		if a.State != InProgress {
			continue
		}
		q, a, err := s.lockAttempt(ctx, tx, a.ID)
		if err != nil {
			return 0, err
		}
		if _, err := s.finish(ctx, tx, q, a, ByServer); err != nil {
			return 0, err
		}
	}
	return tx.Forget(ctx, user, pseudonym, s.Now())
}

// PersonData is what is kept of a person.
type PersonData struct {
	Attempts  []Attempt
	Answers   map[uuid.UUID][]Taken
	Results   []Result
	Overrides []Override
}

// maxExported bounds the attempts of an export: together they stay below what a
// call may answer.
const maxExported = 500

// ExportPerson gathers what is kept of a person, with their answers but not what
// is right.
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (out PersonData, err error) {
	if out.Attempts, err = tx.AttemptsBy(ctx, user); err != nil {
		return PersonData{}, err
	}
	if len(out.Attempts) > maxExported {
		return PersonData{}, apperr.New(apperr.KindTooLarge, "export_too_large", "There is more of the person than one answer can carry.")
	}
	out.Answers = map[uuid.UUID][]Taken{}
	for _, a := range out.Attempts {
		if out.Answers[a.ID], err = tx.Taken(ctx, a.ID); err != nil {
			return PersonData{}, err
		}
	}
	if out.Results, err = tx.ResultsBy(ctx, user); err != nil {
		return PersonData{}, err
	}
	out.Overrides, err = tx.OverridesFor(ctx, user)
	return out, err
}
