package identity

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// maxAskedGroups is how many groups one question may name.
const maxAskedGroups = 100

func errTooManyGroups() error {
	return apperr.Invalid(apperr.Field{Path: "group_ids", Code: "too_many", Message: "At most 100 groups."})
}

// MembersOf answers other services: the members of groups, in pages.
func (s *Service) MembersOf(ctx context.Context, groups []uuid.UUID, q page.Request) (p page.Page[GroupMember], err error) {
	if len(groups) > maxAskedGroups {
		return p, errTooManyGroups()
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		p, err = tx.GroupMembers(ctx, groups, q, 1000)
		return err
	})
	return p, err
}

// SeesGroups says whether somebody may see all of the groups, for another service
// that acts for that person: 422 names one that the person may not, or that is not.
func (s *Service) SeesGroups(ctx context.Context, actor uuid.UUID, groups []uuid.UUID) error {
	if len(groups) > maxAskedGroups {
		return errTooManyGroups()
	}
	who, err := s.ActorOf(ctx, actor)
	if err != nil {
		return err
	}
	p := authz.Principal{UserID: who.ID, TenantID: who.TenantID, OrgUnitID: who.OrgUnitID, Grants: who.Grants}
	for i, id := range groups {
		g, err := s.readGroup(ctx, p, id)
		if err == nil {
			err = s.mayGroup(ctx, p, g, authz.GroupRead)
		}
		if apperr.IsKind(err, apperr.KindNotFound) || apperr.IsKind(err, apperr.KindForbidden) {
			return apperr.Invalid(apperr.Field{Path: "group_ids[" + strconv.Itoa(i) + "]", Code: "unknown", Message: "No such group."})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
