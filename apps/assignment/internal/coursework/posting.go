package coursework

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// postBatch is how many grades are posted in one transaction.
const postBatch = 100

// Posted says how many grades became visible, or hidden.
type Posted struct {
	Changed int
	Total   int
}

// PostGrades shows grades to their learners: of everybody, or of some. Who has no
// grade yet has nothing to show (rule 25). It can be repeated.
func (s *Service) PostGrades(ctx context.Context, actor authz.Principal, id uuid.UUID, who []uuid.UUID) (Posted, error) {
	return s.setPosted(ctx, actor, id, who, CausePosted)
}

// HideGrades takes grades back from the eyes of their learners.
func (s *Service) HideGrades(ctx context.Context, actor authz.Principal, id uuid.UUID, who []uuid.UUID) (Posted, error) {
	return s.setPosted(ctx, actor, id, who, CauseHidden)
}

func (s *Service) setPosted(ctx context.Context, actor authz.Principal, id uuid.UUID, who []uuid.UUID, cause string) (Posted, error) {
	a, err := s.grader(ctx, actor, id)
	if err != nil {
		return Posted{}, err
	}
	if who != nil && len(who) == 0 { // nobody is not everybody
		return Posted{}, apperr.Invalid(apperr.Field{Path: "user_ids", Code: "required", Message: "Name somebody, or leave it out for everybody."})
	}
	var named []uuid.UUID
	if len(who) > 0 {
		if named, err = s.usersOf(ctx, a, who); err != nil {
			return Posted{}, err
		}
	}
	var out Posted
	last := uuid.Nil
	for {
		batch, err := s.postBatch(ctx, a, named, last)
		if err != nil || len(batch) == 0 {
			return out, err
		}
		n, err := s.postSome(ctx, a, batch, cause, last == uuid.Nil)
		if err != nil {
			return out, err
		}
		out.Changed, out.Total, last = out.Changed+n, out.Total+len(batch), batch[len(batch)-1]
	}
}

// usersOf are the people whom a grader named.
func (s *Service) usersOf(ctx context.Context, a Assignment, who []uuid.UUID) ([]uuid.UUID, error) {
	return read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
		out := make([]uuid.UUID, 0, len(who))
		for i, name := range who {
			g, err := resolve(ctx, tx, a, name)
			if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
				return nil, err
			}
			if g == nil {
				return nil, apperr.Invalid(apperr.Field{Path: indexed("user_ids", i), Code: "not_found", Message: "No grade of such a person here."})
			}
			out = append(out, g.UserID)
		}
		return out, nil
	})
}

// postBatch are the next people, in the order of their ids.
func (s *Service) postBatch(ctx context.Context, a Assignment, named []uuid.UUID, after uuid.UUID) ([]uuid.UUID, error) {
	if named != nil {
		var out []uuid.UUID
		for _, id := range named {
			if compareIDs(id, after) > 0 {
				out = append(out, id)
			}
		}
		sortIDs(out)
		return out[:min(len(out), postBatch)], nil
	}
	return read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
		return tx.GradesAfter(ctx, a.ID, after, postBatch)
	})
}

func (s *Service) postSome(ctx context.Context, a Assignment, users []uuid.UUID, cause string, first bool) (int, error) {
	n := 0
	err := s.Store.InTx(ctx, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) error {
		n = 0
		rows, err := tx.LockGrades(ctx, a.ID, users)
		if err != nil {
			return err
		}
		now := s.Now()
		var later people
		for _, user := range users {
			before, ok := rows[user]
			if !ok {
				continue
			}
			g := before
			if cause == CausePosted {
				if g.PostedAt != nil || !g.decided() {
					continue
				}
				g.PostedAt, g.Hidden = &now, false
			} else {
				if g.Hidden || !g.decided() {
					continue
				}
				g.PostedAt, g.Hidden = nil, true
			}
			if _, err := s.saveGrade(ctx, tx, a, &before, g, saving{cause: cause, later: &later}); err != nil {
				return err
			}
			n++
		}
		if err := s.counted(ctx, tx, &later); err != nil {
			return err
		}
		if !first {
			return nil
		}
		return tx.Audit(ctx, a.audit("grades."+cause, nil))
	})
	return n, err
}
