package enrollment

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// SetPerson notes that a person may or may not act from now on. A deleted one
// gives all seats back; the things of a merged one go to the other.
func (s *Service) SetPerson(ctx context.Context, tx Tx, p Person, mergedInto *uuid.UUID) error {
	known, err := tx.Person(ctx, p.UserID)
	if err != nil {
		return err
	}
	if known != nil && known.Status == PersonErased {
		return nil // forgotten for good
	}
	p.UpdatedAt = s.Now()
	if err := tx.SavePerson(ctx, p); err != nil {
		return err
	}
	switch {
	case p.Status == "merged" && mergedInto != nil:
		return s.merge(ctx, tx, p.UserID, *mergedInto)
	case p.Status == "deleted" || p.Status == "merged":
		return s.leaveAll(ctx, tx, p.UserID, ReasonPersonDeleted)
	}
	return nil
}

func (s *Service) leaveAll(ctx context.Context, tx Tx, user uuid.UUID, reason string) error {
	list, err := tx.EnrollmentsOf(ctx, user)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.State.Ended() {
			continue
		}
		if err := s.leaveIn(ctx, tx, e, reason); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) leaveIn(ctx context.Context, tx Tx, e Enrollment, reason string) error {
	now := s.Now()
	st, err := tx.StandingOf(ctx, e.ID, now)
	if err != nil {
		return err
	}
	row := *st.Existing
	_, err = s.withdraw(ctx, tx, &st, &row, reason, now)
	return err
}

// ErasePerson lets a person's seats go and puts a pseudonym in the person's place.
// What remains says that somebody was there, not who.
func (s *Service) ErasePerson(ctx context.Context, tx Tx, user, tenant, pseudonym uuid.UUID) error {
	if pseudonym == uuid.Nil || pseudonym == user {
		return apperr.Invalid(apperr.Field{Path: "pseudonym", Code: "required", Message: "must be another id"})
	}
	if err := s.leaveAll(ctx, tx, user, ReasonErased); err != nil {
		return err
	}
	if err := tx.ErasePerson(ctx, user, pseudonym); err != nil {
		return err
	}
	return tx.SavePerson(ctx, Person{UserID: user, TenantID: tenant, Status: PersonErased, UpdatedAt: s.Now()})
}

// ExportPerson is everything that is kept of a person, by section.
func (s *Service) ExportPerson(ctx context.Context, tx Tx, user uuid.UUID) (map[string]json.RawMessage, error) {
	data, err := tx.PersonalData(ctx, user)
	if err != nil {
		return nil, err
	}
	out := make(map[string]json.RawMessage, len(data))
	for section, raw := range data {
		out[section] = raw
	}
	return out, nil
}
