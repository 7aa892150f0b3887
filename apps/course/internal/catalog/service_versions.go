package catalog

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// CurriculumVersion is what learners saw from a moment on. Versions begin with the
// publication of a course and count by one.
type CurriculumVersion struct {
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	Number    int64
	Version   int64
	CreatedAt time.Time
	CreatedBy *uuid.UUID
	Reason    string
	Changes   []CurriculumChange
	// Document is the published document; empty in lists.
	Document json.RawMessage
}

type versionChange struct{ before, after []byte }

// keepVersion keeps what learners see now, unless they see what they saw before.
// Without a change given (at publication) the present document is compared with
// the last one that was kept.
func (s *Service) keepVersion(ctx context.Context, tx Tx, c Course, ch *versionChange, by uuid.UUID, reason string) error {
	if ch == nil {
		var err error
		if ch, err = s.sinceLastVersion(ctx, tx, c.ID); err != nil {
			return err
		}
	}
	var before, after CurriculumView
	if err := json.Unmarshal(ch.after, &after); err != nil {
		return apperr.Internal(err)
	}
	if ch.before != nil {
		if err := json.Unmarshal(ch.before, &before); err != nil {
			return apperr.Internal(err)
		}
	}
	changes := Differences(before, after)
	if ch.before != nil && len(changes) == 0 {
		return nil
	}
	v := CurriculumVersion{
		CourseID: c.ID, TenantID: c.TenantID, Version: c.CurriculumVersion, CreatedAt: s.Now(), Reason: reason,
		Changes: changes, Document: ch.after,
	}
	if by != uuid.Nil {
		v.CreatedBy = &by
	}
	return tx.InsertVersion(ctx, v)
}

func (s *Service) sinceLastVersion(ctx context.Context, tx Tx, course uuid.UUID) (*versionChange, error) {
	docs, err := tx.Documents(ctx, course)
	if err != nil {
		return nil, err
	}
	ch := &versionChange{after: docs.Published}
	last, err := tx.Versions(ctx, course, page.Request{Limit: 1})
	if err != nil || len(last.Items) == 0 {
		return ch, err
	}
	v, err := tx.Version(ctx, course, last.Items[0].Number)
	ch.before = v.Document
	return ch, err
}

// Versions lists the versions of the published curriculum, newest first, to holders
// of course:read in the course.
func (s *Service) Versions(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (page.Page[CurriculumVersion], error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.CourseRead); err != nil {
		return page.Page[CurriculumVersion]{}, err
	}
	var out page.Page[CurriculumVersion]
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.Versions(ctx, id, p)
		return err
	})
	return out, err
}

// Version is one version with its document.
func (s *Service) Version(ctx context.Context, actor authz.Principal, id uuid.UUID, number int64) (CurriculumVersion, error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.CourseRead); err != nil {
		return CurriculumVersion{}, err
	}
	var out CurriculumVersion
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.Version(ctx, id, number)
		return err
	})
	return out, err
}
