package identity

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// GetMember reads one member of a unit of the actor's reach; NotFound for who is
// none.
func (s *Service) GetMember(ctx context.Context, actor authz.Principal, unitID, userID uuid.UUID) (Member, error) {
	p, err := s.ListMembers(ctx, actor, MemberFilter{OrgUnitID: unitID, UserID: userID})
	if err != nil {
		return Member{}, err
	}
	if userID == uuid.Nil || len(p.Items) != 1 {
		return Member{}, apperr.NotFound("member")
	}
	return p.Items[0], nil
}
