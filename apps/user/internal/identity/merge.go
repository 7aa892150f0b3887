package identity

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// JobMerge is the kind of the job that merges two accounts.
const JobMerge = "merge-users"

// MergeInput says which account goes into which.
type MergeInput struct {
	From uuid.UUID
	Into uuid.UUID
}

// MergeResult says what the other account got.
type MergeResult struct {
	From  uuid.UUID      `json:"from"`
	Into  uuid.UUID      `json:"into"`
	Moved map[string]int `json:"moved"`
}

// RequestMerge checks that the actor may merge from into another account, and
// starts the job.
func (s *Service) RequestMerge(ctx context.Context, actor authz.Principal, from, into uuid.UUID) (job work.Job, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return job, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			a, _, err := s.mergeable(ctx, tx, policy, actor, MergeInput{From: from, Into: into})
			if err != nil {
				return err
			}
			job, err = tx.Enqueue(ctx, JobMerge, MergeInput{From: from, Into: into}, work.JobOptions{TenantID: a.TenantID, Key: from.String()})
			return err
		})
	})
	return job, err
}

// mergeable locks both accounts, in the order of their ids, and checks them.
func (s *Service) mergeable(ctx context.Context, tx Tx, policy *authz.Policy, actor authz.Principal, in MergeInput) (from, into User, err error) {
	if in.From == in.Into {
		return from, into, apperr.Invalid(apperr.Field{Path: "into", Code: "same", Message: "An account cannot be merged into itself."})
	}
	if in.From == actor.UserID {
		return from, into, apperr.Conflict("own_account", "Somebody else must do this with your account.")
	}
	first, second := in.From, in.Into
	if second.String() < first.String() {
		first, second = second, first
	}
	locked := map[uuid.UUID]User{}
	for _, id := range []uuid.UUID{first, second} {
		u, err := s.changeable(ctx, tx, policy, actor, id, authz.UserMerge, true)
		if err != nil {
			if id == in.Into && apperr.IsKind(err, apperr.KindNotFound) {
				err = apperr.Invalid(apperr.Field{Path: "into", Code: "not_found", Message: "No such user."})
			}
			return from, into, err
		}
		locked[id] = u
	}
	from, into = locked[in.From], locked[in.Into]
	switch {
	case from.TenantID != into.TenantID:
		return from, into, apperr.Invalid(apperr.Field{Path: "into", Code: "other_tenant", Message: "Both accounts must be of one organisation."})
	case from.Status.Gone() || into.Status.Gone():
		return from, into, apperr.Conflict("account_gone", "An account is deleted.")
	}
	return from, into, nil
}

// Merge is the job: grants, memberships, groups, external ids and linked
// accounts go to the other account, what it has already is left out; then the
// account ends, and every service is told whose its things are now. Run again,
// it finds the work done.
func (s *Service) Merge(ctx context.Context, actor authz.Principal, in MergeInput) (out MergeResult, err error) {
	out = MergeResult{From: in.From, Into: in.Into, Moved: map[string]int{}}
	policy, err := s.policy(ctx)
	if err != nil {
		return out, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if done, err := tx.User(ctx, in.From); err == nil && done.Status == StatusMerged && done.MergedInto != nil && *done.MergedInto == in.Into {
			return nil
		}
		from, into, err := s.mergeable(ctx, tx, policy, actor, in)
		if err != nil {
			return err
		}
		return s.merge(ctx, tx, from, into, &out)
	})
	return out, err
}

func (s *Service) merge(ctx context.Context, tx Tx, from, into User, out *MergeResult) error {
	if err := s.mergeGrants(ctx, tx, from, into, out.Moved); err != nil {
		return err
	}
	if err := s.mergeGroups(ctx, tx, from, into, out.Moved); err != nil {
		return err
	}
	moved, err := tx.MoveBelongings(ctx, from, into)
	if err != nil {
		return err
	}
	for kind, n := range moved {
		out.Moved[kind] = n
	}
	// Moving grants moved the epoch too.
	if from, err = tx.LockUser(ctx, from.ID); err != nil {
		return err
	}
	status, now, id := from.Status, s.Now(), into.ID
	from.MergedInto, from.DeletedAt, from.ExternalIDs = &id, &now, []ExternalID{}
	if err := s.endAccount(ctx, tx, &from, StatusMerged, "merged"); err != nil {
		return err
	}
	if err := tx.DropAccess(ctx, from.ID, now); err != nil {
		return err
	}
	if err := s.writeStatus(ctx, tx, &from, status, "user.merge", func(state events.UserState) events.Event {
		return events.UserMergedEvent{UserState: state}
	}); err != nil {
		return err
	}
	fresh, err := tx.LockUser(ctx, into.ID)
	if err != nil {
		return err
	}
	if len(fresh.ExternalIDs) == len(into.ExternalIDs) {
		return nil
	}
	return s.saveUser(ctx, tx, into, &fresh, "user.merge_into")
}

func (s *Service) mergeGrants(ctx context.Context, tx Tx, from, into User, moved map[string]int) error {
	grants, err := tx.GrantsOf(ctx, from.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		given := Grant{ID: s.NewID(), TenantID: into.TenantID, UserID: into.ID, Role: g.Role, RoleName: g.RoleName, Scope: g.Scope, GrantedBy: g.GrantedBy, CreatedAt: s.Now()}
		id := given.ID
		if err := s.insertGrant(ctx, tx, &given); err != nil {
			return err
		}
		if given.ID == id {
			moved["grants"]++
		}
		u, err := tx.LockUser(ctx, from.ID)
		if err != nil {
			return err
		}
		if err := s.deleteGrant(ctx, tx, u, g); err != nil {
			return err
		}
	}
	return nil
}

// mergeGroups puts the other account into the groups of the first, except
// where it is in another group of the same set, or in the group already.
func (s *Service) mergeGroups(ctx context.Context, tx Tx, from, into User, moved map[string]int) error {
	theirs, err := tx.GroupsOf(ctx, into.ID)
	if err != nil {
		return err
	}
	has := map[uuid.UUID]bool{}
	for _, g := range theirs {
		has[g.ID] = true
		if g.SetID != nil {
			has[*g.SetID] = true
		}
	}
	groups, err := tx.LockGroupsOf(ctx, from.ID)
	if err != nil {
		return err
	}
	for i := range groups {
		g := &groups[i]
		if _, err := s.removeFromGroup(ctx, tx, g, from.ID); err != nil {
			return err
		}
		if has[g.ID] || g.SetID != nil && has[*g.SetID] {
			continue
		}
		if err := s.addToGroup(ctx, tx, g, into.ID); err != nil {
			return err
		}
		moved["groups"]++
	}
	return nil
}
