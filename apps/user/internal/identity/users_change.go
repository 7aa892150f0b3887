package identity

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/patch"
	"lms/shared/work"
)

// UserPatch is a merge patch of a user. Status, roles and home unit are not
// here: each is an operation of its own.
type UserPatch struct {
	Email       patch.Field[string] // administrators only
	Name        patch.Field[string]
	GivenName   patch.Field[string]
	FamilyName  patch.Field[string]
	Locale      patch.Field[string] // null: the default
	TimeZone    patch.Field[string] // null: the default
	Bio         patch.Field[string]
	Attributes  patch.Field[map[string]*string] // a null value removes the name
	ExternalIDs patch.Field[[]ExternalID]       // administrators only
}

func (p UserPatch) apply(u *User) {
	trimmed := func(f patch.Field[string], dst *string) {
		if f.Set {
			*dst = strings.TrimSpace(f.Value)
		}
	}
	trimmed(p.Email, &u.Email)
	trimmed(p.Name, &u.Name)
	trimmed(p.GivenName, &u.GivenName)
	trimmed(p.FamilyName, &u.FamilyName)
	p.Locale.Apply(&u.Locale)
	p.TimeZone.Apply(&u.TimeZone)
	p.Bio.Apply(&u.Bio)
	if p.Attributes.Set {
		u.Attributes = mergeAttributes(u.Attributes, p.Attributes)
	}
	if p.ExternalIDs.Set {
		u.ExternalIDs = slices.Clone(p.ExternalIDs.Value)
		slices.SortFunc(u.ExternalIDs, func(a, b ExternalID) int { return strings.Compare(a.Source, b.Source) })
	}
}

func mergeAttributes(old map[string]string, p patch.Field[map[string]*string]) map[string]string {
	out := map[string]string{}
	if !p.Null {
		maps.Copy(out, old)
	}
	for k, v := range p.Value {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out
}

// UpdateUser changes a user by an administrator. A new address takes effect at
// once and counts as not proved: the person is told at the old one and asked to
// prove the new one.
func (s *Service) UpdateUser(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, p UserPatch) (u User, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		before, err := s.changeable(ctx, tx, policy, actor, id, authz.UserUpdate, p.Email.Set)
		if err != nil {
			return err
		}
		if u, err = s.patched(before, version, p); err != nil {
			return err
		}
		if EmailKey(u.Email) != EmailKey(before.Email) {
			if err := s.replaceEmail(ctx, tx, before, &u); err != nil {
				return err
			}
		}
		return s.saveUser(ctx, tx, before, &u, "user.update")
	})
	return u, err
}

// UpdateProfile changes what is a person's own. Attributes that begin with
// "org." belong to the organisation.
func (s *Service) UpdateProfile(ctx context.Context, actor authz.Principal, version int64, p UserPatch) (u User, err error) {
	p.Email, p.ExternalIDs = patch.Field[string]{}, patch.Field[[]ExternalID]{}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		before, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		if u, err = s.patched(before, version, p); err != nil {
			return err
		}
		var f apperr.Fields
		for name := range diffUsers(before, u) {
			f.Require(!strings.HasPrefix(name, "attributes."+OrgAttributePrefix), name, "read_only", "Only the organisation changes this.")
		}
		if err := f.Err(); err != nil {
			return err
		}
		return s.saveUser(ctx, tx, before, &u, "user.update_profile")
	})
	return u, err
}

// patched is the user after a patch of what the caller has read as version.
func (s *Service) patched(before User, version int64, p UserPatch) (User, error) {
	if before.Status.Gone() {
		return User{}, apperr.Conflict("account_gone", "The account is deleted.")
	}
	if before.Version != version {
		return User{}, apperr.VersionMismatch()
	}
	u := before
	u.Attributes = maps.Clone(before.Attributes)
	p.apply(&u)
	s.defaults(&u)
	u.complete()
	var f apperr.Fields
	u.check(&f)
	f.Require(u.Email != "" || len(u.ExternalIDs) > 0, "email", "required", "An account needs an address or an external id.")
	return u, f.Err()
}

// Deactivate takes from a person the use of the account: sessions end, every
// service is told.
func (s *Service) Deactivate(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (u User, err error) {
	if !validText(reason, MaxReason) {
		return u, apperr.Invalid(apperr.Field{Path: "reason", Code: "invalid", Message: "At most 500 characters."})
	}
	return s.changeStatus(ctx, actor, id, authz.UserDeactivate, func(ctx context.Context, tx Tx, u *User) error {
		return s.deactivate(ctx, tx, u, reason)
	})
}

func (s *Service) deactivate(ctx context.Context, tx Tx, u *User, reason string) error {
	if u.Status == StatusDeactivated {
		return nil
	}
	from, now := u.Status, s.Now()
	if err := s.endAccount(ctx, tx, u, StatusDeactivated, "deactivated"); err != nil {
		return err
	}
	u.DeactivatedAt, u.DeactivatedReason = &now, reason
	if err := s.writeStatus(ctx, tx, u, from, "user.deactivate", func(state events.UserState) events.Event {
		return events.UserDeactivatedEvent{UserState: state, Reason: reason}
	}); err != nil {
		return err
	}
	return s.mailTo(ctx, tx, *u, u.Email, MailDeactivated, MailData{Detail: reason})
}

// Reactivate gives the account back; who never accepted the invitation is
// invited again.
func (s *Service) Reactivate(ctx context.Context, actor authz.Principal, id uuid.UUID) (u User, err error) {
	return s.changeStatus(ctx, actor, id, authz.UserDeactivate, func(ctx context.Context, tx Tx, u *User) error {
		if u.Status == StatusActive || u.Status == StatusInvited {
			return nil
		}
		next, err := s.statusOnReturn(ctx, tx, *u)
		if err != nil {
			return err
		}
		if !u.Status.CanBecome(next) {
			return apperr.Conflict("account_gone", "The account is deleted.")
		}
		u.Status, u.DeactivatedAt, u.DeactivatedReason = next, nil, ""
		if err := s.writeStatus(ctx, tx, u, StatusDeactivated, "user.reactivate", func(state events.UserState) events.Event {
			return events.UserReactivatedEvent{UserState: state}
		}); err != nil {
			return err
		}
		return s.Calls.PersonStatus(ctx, tx, *u)
	})
}

// statusOnReturn is active for who could ever sign in, else invited.
func (s *Service) statusOnReturn(ctx context.Context, tx Tx, u User) (Status, error) {
	c, err := tx.Credential(ctx, u.ID)
	if err != nil {
		return "", err
	}
	if c.PasswordHash != "" || u.LastSignedInAt != nil {
		return StatusActive, nil
	}
	return StatusInvited, nil
}

// DeleteUser ends an account for good. Its data stay until it is erased: by
// request, or by the sweep after Config.DeletedRetention.
func (s *Service) DeleteUser(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	_, err := s.changeStatus(ctx, actor, id, authz.UserDelete, func(ctx context.Context, tx Tx, u *User) error {
		if u.Status.Gone() {
			return apperr.NotFound("user")
		}
		if u.Version != version {
			return apperr.VersionMismatch()
		}
		return s.deleteUser(ctx, tx, u)
	})
	return err
}

func (s *Service) deleteUser(ctx context.Context, tx Tx, u *User) error {
	from := u.Status
	if err := s.endAccount(ctx, tx, u, StatusDeleted, "deleted"); err != nil {
		return err
	}
	now := s.Now()
	u.DeletedAt = &now
	if err := tx.DropAccess(ctx, u.ID, now); err != nil {
		return err
	}
	if err := s.leaveGroups(ctx, tx, *u); err != nil {
		return err
	}
	return s.writeStatus(ctx, tx, u, from, "user.delete", func(state events.UserState) events.Event {
		return events.UserDeletedEvent{UserState: state}
	})
}

// changeStatus locks a user whom the actor may change, and runs fn.
func (s *Service) changeStatus(ctx context.Context, actor authz.Principal, id uuid.UUID, perm authz.Permission, fn func(context.Context, Tx, *User) error) (u User, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	if id == actor.UserID {
		return u, apperr.Conflict("own_account", "Somebody else must do this with your account.")
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &u, func() error {
			if u, err = s.changeable(ctx, tx, policy, actor, id, perm, true); err != nil {
				return err
			}
			return fn(ctx, tx, &u)
		})
	})
	return u, err
}

// endAccount moves an account to a state in which nobody can use it: its
// sessions end, other services are told, and a platform keeps one
// administrator at least.
func (s *Service) endAccount(ctx context.Context, tx Tx, u *User, next Status, reason string) error {
	if !u.Status.CanBecome(next) {
		return apperr.Conflict("account_gone", "The account is deleted.")
	}
	if err := keepAnAdmin(ctx, tx, u.ID); err != nil {
		return err
	}
	u.Status = next
	u.Epoch++
	if err := tx.UseUpTokens(ctx, u.ID, "", s.Now()); err != nil {
		return err
	}
	if err := s.Calls.EndSessions(ctx, tx, SessionEnd{Subject: u.ID, TenantID: u.TenantID, Reason: reason, Epoch: u.Epoch}); err != nil {
		return err
	}
	return s.Calls.PersonStatus(ctx, tx, *u)
}

// keepAnAdmin refuses to take the last active platform administrator away.
func keepAnAdmin(ctx context.Context, tx Tx, id uuid.UUID) error {
	admins, err := tx.LockPlatformAdmins(ctx)
	if err != nil {
		return err
	}
	if len(admins) == 1 && admins[0] == id {
		return apperr.Conflict("last_platform_admin", "The platform needs an administrator: give the role to somebody else first.")
	}
	return nil
}

// writeStatus writes the next version of a user whose status was from.
func (s *Service) writeStatus(ctx context.Context, tx Tx, u *User, from Status, action string, event func(events.UserState) events.Event) error {
	u.Version++
	u.UpdatedAt = s.Now()
	if err := tx.UpdateUser(ctx, *u); err != nil {
		return err
	}
	if err := s.emitUser(ctx, tx, *u, event); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
		Changes: map[string]work.Change{"status": {From: from, To: u.Status}},
	})
}
