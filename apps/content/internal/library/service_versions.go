package library

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Versions lists the versions of a content, the newest first, and the number of
// the one that is shown.
func (s *Service) Versions(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (out page.Page[Version], current int, err error) {
	_, c, err := s.allowed(ctx, actor, id, authz.ContentRead)
	if err != nil {
		return page.Page[Version]{}, 0, err
	}
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		out, err = tx.Versions(ctx, id, p)
		return err
	})
	return out, c.Current, err
}

// Restore shows an older version again. Nothing is lost by it: versions stay.
func (s *Service) Restore(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, number int) (View, error) {
	return s.change(ctx, actor, id, version, "content.restore_version", updated, func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error) {
		if _, err := tx.Version(ctx, id, number); err != nil || number == c.Current {
			return nil, err
		}
		from := c.Current
		c.Current = number
		return map[string]work.Change{"file": {From: from, To: number}}, nil
	})
}
