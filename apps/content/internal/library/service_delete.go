package library

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Delete removes a content. One that is placed somewhere is removed with detach
// only: every place of it then becomes a placeholder. Who places it between the
// question and the answer loses it in the same way: course is told in order.
func (s *Service) Delete(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, detach bool) error {
	if _, _, err := s.allowed(ctx, actor, id, authz.ContentEdit); err != nil {
		return err
	}
	usages, err := s.Placements.Usages(ctx, id)
	if err != nil {
		return err
	}
	if len(usages) > 0 && !detach {
		return inUse(usages)
	}
	event := func(st events.ContentState, _ []string) events.Event { return events.ContentDeleted{ContentState: st} }
	_, err = s.change(ctx, actor, id, version, "content.delete", event, func(ctx context.Context, tx Tx, c *Content) (map[string]work.Change, error) {
		now := s.Now()
		c.DeletedAt = &now
		// A download may run; the addresses are good for a minute.
		gone := map[string]work.Change{"deleted": {From: false, To: true}, "detached": {From: 0, To: len(usages)}}
		return gone, tx.DiscardContent(ctx, c.ID, now.Add(DownloadLife), now.Add(DownloadLife))
	})
	return err
}

// Usages says where a content is placed.
func (s *Service) Usages(ctx context.Context, actor authz.Principal, id uuid.UUID) ([]Usage, error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.ContentRead); err != nil {
		return nil, err
	}
	return s.Placements.Usages(ctx, id)
}

// maxNamed is how many courses a refusal names.
const maxNamed = 20

func inUse(usages []Usage) error {
	courses := []uuid.UUID{}
	seen := map[uuid.UUID]bool{}
	for _, u := range usages {
		if !seen[u.CourseID] && len(courses) < maxNamed {
			courses = append(courses, u.CourseID)
		}
		seen[u.CourseID] = true
	}
	return apperr.Conflict("in_use", "Courses show this content. Delete it with detach=true to take it out of them.").
		Detail("courses", courses).Detail("usages", len(usages))
}
