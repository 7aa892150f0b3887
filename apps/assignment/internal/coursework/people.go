package coursework

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/work"
)

// JobDeleteObjects deletes files that were forgotten, or whose owner was erased.
const JobDeleteObjects = "delete-objects"

// Objects is the input of JobDeleteObjects.
type Objects struct {
	Keys []string `json:"keys"`
}

// SetPerson stores what user says of a person. Whether the person may act is asked
// of enrollment each time; the work of a merged person goes to the other.
func (s *Service) SetPerson(ctx context.Context, tx Tx, p Person, mergedInto *uuid.UUID) error {
	known, err := tx.Person(ctx, p.UserID)
	if err != nil {
		return err
	}
	if known != nil && known.Status == PersonErased {
		return nil // forgotten for good
	}
	p.UpdatedAt = s.Now()
	if err := tx.SavePerson(ctx, p); err != nil || p.Status != PersonMerged || mergedInto == nil {
		return err
	}
	return s.merge(ctx, tx, p.UserID, *mergedInto)
}

// merge gives a person's grades and work to another; where both have a grade the
// other's stays, and the person's is kept beside it as it was.
func (s *Service) merge(ctx context.Context, tx Tx, from, to uuid.UUID) error {
	theirs, err := tx.GradesOf(ctx, to)
	if err != nil {
		return err
	}
	mine, err := tx.GradesOf(ctx, from)
	if err != nil {
		return err
	}
	for _, g := range mine {
		if slices.ContainsFunc(theirs, func(t Grade) bool { return t.AssignmentID == g.AssignmentID }) {
			continue
		}
		if err := s.reassign(ctx, tx, g, to); err != nil {
			return err
		}
	}
	if err := tx.ReassignWork(ctx, from, to); err != nil {
		return err
	}
	return s.mergeTotals(ctx, tx, from, to)
}

// reassign moves a grade and reports it anew under the other person's name.
func (s *Service) reassign(ctx context.Context, tx Tx, g Grade, to uuid.UUID) error {
	if err := tx.ReassignGrade(ctx, g.ID, g.UserID, to); err != nil {
		return err
	}
	a, err := tx.Assignment(ctx, g.AssignmentID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil // deleted
	}
	if err != nil {
		return err
	}
	before := g
	before.UserID, before.Version = to, g.Version+1
	after := before
	if _, err := s.saveGrade(ctx, tx, a, &before, after, saving{cause: CauseMerged}); err != nil {
		return err
	}
	_, err = s.reportProgress(ctx, tx, a, Grade{}, after)
	return err
}

// ErasePerson puts a pseudonym in the person's place: numbers stay, what the person
// wrote and uploaded goes.
func (s *Service) ErasePerson(ctx context.Context, tx Tx, user, tenant, pseudonym uuid.UUID) error {
	if pseudonym == uuid.Nil || pseudonym == user {
		return apperr.Invalid(apperr.Field{Path: "pseudonym", Code: "required", Message: "must be another id"})
	}
	keys, err := tx.ErasePerson(ctx, user, pseudonym)
	if err != nil {
		return err
	}
	if err := tx.EraseGradebook(ctx, user, pseudonym); err != nil {
		return err
	}
	if err := tx.SavePerson(ctx, Person{UserID: user, TenantID: tenant, Status: PersonErased, UpdatedAt: s.Now()}); err != nil {
		return err
	}
	for some := range slices.Chunk(keys, 500) {
		if _, err := tx.Enqueue(ctx, JobDeleteObjects, Objects{Keys: some}, work.JobOptions{TenantID: tenant}); err != nil {
			return err
		}
	}
	return nil
}

// DeleteObjects deletes stored bytes; those that are gone already are no error.
func (s *Service) DeleteObjects(ctx context.Context, in Objects) error {
	if s.Files == nil {
		return errNoFiles
	}
	for _, key := range in.Keys {
		if err := s.Files.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// ExportPerson is everything that is kept of a person, by section, but what graders
// have not posted: an export is the learner's, and shows no more than the API (rule
// 25).
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (map[string]json.RawMessage, error) {
	out, err := tx.PersonalData(ctx, user)
	if err != nil {
		return nil, err
	}
	more, err := tx.GradebookData(ctx, user)
	maps.Copy(out, more)
	return out, err
}
