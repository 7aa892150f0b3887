package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// NewUser is what an administrator says of a new account.
type NewUser struct {
	OrgUnitID   uuid.UUID
	Email       string
	Name        string
	GivenName   string
	FamilyName  string
	Locale      string // "" is the default
	TimeZone    string // "" is the default
	Bio         string
	Attributes  map[string]string
	ExternalIDs []ExternalID
	// Password makes the account active at once. Without one it is invited, and
	// Invite sends the mail now rather than later.
	Password string
	Invite   bool
	// EmailVerified: the organisation vouches for the address.
	EmailVerified bool
}

// UserFilter narrows a list of users.
type UserFilter struct {
	Query          string // words, each the beginning of a word of name or address
	Statuses       []Status
	OrgUnitID      uuid.UUID // home or member
	Subtree        bool      // with the units below OrgUnitID
	Role           string    // holders of a role, anywhere
	GroupID        uuid.UUID
	Email          string
	ExternalSource string
	ExternalID     string
	CreatedFrom    *time.Time
	CreatedTo      *time.Time
	UpdatedSince   *time.Time
	Sort           string // name, created_at, last_signed_in_at, email; "-" in front: descending
	Units          []uuid.UUID
	Reach          authz.Reach
	Page           page.Request
}

// UserSorts are the orders of a list of users.
var UserSorts = []string{"name", "-name", "created_at", "-created_at", "last_signed_in_at", "-last_signed_in_at", "email", "-email"}

// ListUsers lists the users of the actor's reach. Deleted and merged ones are
// left out unless asked for by status.
func (s *Service) ListUsers(ctx context.Context, actor authz.Principal, f UserFilter) (p page.Page[User], err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return p, err
	}
	f.Reach = policy.Reach(actor, authz.UserRead)
	if f.Reach.None() {
		return p, nil
	}
	if f.OrgUnitID != uuid.Nil {
		if !f.Reach.All && !slices.Contains(f.Reach.OrgUnits, f.OrgUnitID) {
			return p, nil
		}
		f.Units = []uuid.UUID{f.OrgUnitID}
		if f.Subtree {
			f.Units = policy.Subtree(f.OrgUnitID)
		}
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.ListUsers(ctx, f)
		return err
	})
	return p, err
}

// GetUser reads a user whom the actor may see.
func (s *Service) GetUser(ctx context.Context, actor authz.Principal, id uuid.UUID) (u User, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		u, err = s.visible(ctx, tx, policy, actor, id, authz.UserRead)
		return err
	})
	return u, err
}

// Me reads the actor's own account.
func (s *Service) Me(ctx context.Context, actor authz.Principal) (u User, grants []Grant, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if u, err = tx.User(ctx, actor.UserID); err != nil {
			return err
		}
		grants, err = tx.GrantsOf(ctx, u.ID)
		return err
	})
	return u, grants, err
}

// visible reads a user for whom the actor holds perm at the home unit. At a unit of
// membership the actor sees the person, and which roles the person holds; what
// concerns the account as such is the home unit's: 403.
func (s *Service) visible(ctx context.Context, tx Tx, p *authz.Policy, actor authz.Principal, id uuid.UUID, perm authz.Permission) (User, error) {
	u, err := tx.User(ctx, id)
	if err != nil {
		return User{}, err
	}
	if p.Allows(actor, perm, u.OrgUnitID) {
		return u, nil
	}
	units, err := tx.MembershipsOf(ctx, id)
	if err != nil {
		return User{}, err
	}
	for _, unit := range units {
		switch {
		case !p.Allows(actor, authz.UserRead, unit):
		case perm == authz.UserRead, perm == authz.RoleRead && p.Allows(actor, perm, unit):
			return u, nil
		default:
			return User{}, apperr.Forbidden("You may see this person, but not do this.").Detail("permission", perm)
		}
	}
	return User{}, apperr.NotFound("user")
}

// changeable locks a user whom the actor may change by perm: 404 for whom the
// actor may not see, 403 for whom the actor may see but not change. power asks
// besides that the actor holds all that the user may do, so that nobody takes
// over an account that can do more.
func (s *Service) changeable(ctx context.Context, tx Tx, p *authz.Policy, actor authz.Principal, id uuid.UUID, perm authz.Permission, power bool) (User, error) {
	u, err := tx.LockUser(ctx, id)
	if err != nil {
		return User{}, err
	}
	if !p.Allows(actor, perm, u.OrgUnitID) {
		if _, err := s.visible(ctx, tx, p, actor, id, authz.UserRead); err != nil {
			return User{}, err
		}
		return User{}, apperr.Forbidden("You may see this person, but not do this.").Detail("permission", perm)
	}
	if power && id != actor.UserID {
		grants, err := tx.GrantsOf(ctx, id)
		if err != nil {
			return User{}, err
		}
		for _, g := range grants {
			if !covers(p, actor, g.authz()) {
				return User{}, apperr.New(apperr.KindForbidden, "outranked", "This person may do more than you: only somebody who may do as much can do this.")
			}
		}
	}
	return u, nil
}

// CreateUser makes an account.
func (s *Service) CreateUser(ctx context.Context, actor authz.Principal, in NewUser) (u User, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return u, err
	}
	u, err = s.newUser(policy, actor, in)
	if err != nil {
		return u, err
	}
	hash := ""
	if in.Password != "" {
		if hash, err = s.Passwords.Hash(ctx, in.Password); err != nil {
			return User{}, err
		}
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &u, func() error {
			unit, err := openUnit(ctx, tx, u.OrgUnitID)
			if err != nil {
				return err
			}
			u.TenantID = unit.TenantID
			if err := s.insertUser(ctx, tx, u, hash, unit.Path); err != nil {
				return err
			}
			switch {
			case in.Invite && hash == "":
				return s.sendInvitation(ctx, tx, u)
			case hash != "" && u.EmailVerifiedAt == nil:
				return s.sendLink(ctx, tx, u, TokenVerification, u.Email, MailVerification)
			}
			return nil
		})
	})
	return u, err
}

// newUser checks what was said and makes the entity.
func (s *Service) newUser(policy *authz.Policy, actor authz.Principal, in NewUser) (User, error) {
	now := s.Now()
	u := User{
		ID: s.NewID(), OrgUnitID: in.OrgUnitID, Status: StatusInvited, Origin: OriginAdmin, Email: strings.TrimSpace(in.Email),
		Name: strings.TrimSpace(in.Name), GivenName: strings.TrimSpace(in.GivenName), FamilyName: strings.TrimSpace(in.FamilyName),
		Locale: in.Locale, TimeZone: in.TimeZone, Bio: in.Bio, Attributes: in.Attributes, ExternalIDs: in.ExternalIDs,
		Epoch: 1, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	s.defaults(&u)
	u.complete()
	var f apperr.Fields
	u.check(&f)
	f.Require(u.Email != "" || len(u.ExternalIDs) > 0, "email", "required", "An account needs an address or an external id.")
	if _, known := policy.Tenant(in.OrgUnitID); !known || !policy.Allows(actor, authz.UserCreate, in.OrgUnitID) {
		f.Add("org_unit_id", "not_found", "No such org unit where you may create users.")
	}
	f.Require(!in.Invite || u.Email != "", "invite", "needs_email", "An invitation needs an address.")
	if in.Password != "" {
		u.Status = StatusActive
		s.checkPassword(&f, "password", in.Password, u.Email, u.Name)
		f.Require(u.Email != "", "password", "needs_email", "A password needs an address to sign in with.")
	}
	if in.EmailVerified && u.Email != "" {
		u.EmailVerifiedAt = &now
	}
	return u, f.Err()
}

func (s *Service) defaults(u *User) {
	if u.Locale == "" {
		u.Locale = s.Config.DefaultLocale
	}
	if u.TimeZone == "" {
		u.TimeZone = s.Config.DefaultTimeZone
	}
}

// insertUser writes a new account with its password, if it has one, and tells.
func (s *Service) insertUser(ctx context.Context, tx Tx, u User, hash string, path []uuid.UUID) error {
	if err := tx.InsertUser(ctx, u); err != nil {
		return err
	}
	if hash != "" {
		if err := tx.SetPassword(ctx, u.TenantID, u.ID, hash, s.Now()); err != nil {
			return err
		}
	}
	if err := tx.Emit(ctx, events.UserCreated{UserState: u.state(path), Origin: u.Origin}, u.meta()); err != nil {
		return err
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: "user.create", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID,
		Changes: map[string]work.Change{"email": {To: u.Email}, "name": {To: u.Name}, "status": {To: u.Status}, "origin": {To: u.Origin}},
	})
}

// emitUser publishes an event of a user with the snapshot's path.
func (s *Service) emitUser(ctx context.Context, tx Tx, u User, event func(events.UserState) events.Event) error {
	unit, err := tx.OrgUnit(ctx, u.OrgUnitID)
	if err != nil {
		return err
	}
	return tx.Emit(ctx, event(u.state(unit.Path)), u.meta())
}

// saveUser writes a changed user as its next version, audits what changed and
// tells. Nothing changed: nothing is written.
func (s *Service) saveUser(ctx context.Context, tx Tx, before User, u *User, action string) error {
	u.complete()
	changes := diffUsers(before, *u)
	if len(changes) == 0 {
		return nil
	}
	u.Version, u.UpdatedAt = before.Version+1, s.Now()
	if err := tx.UpdateUser(ctx, *u); err != nil {
		return err
	}
	if err := tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Changes: changes,
	}); err != nil {
		return err
	}
	names := make([]string, 0, len(changes))
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names)
	return s.emitUser(ctx, tx, *u, func(state events.UserState) events.Event {
		return events.UserUpdated{UserState: state, Changed: names}
	})
}

// diffUsers names the fields that differ, as they are called in the API.
func diffUsers(a, b User) map[string]work.Change {
	c := map[string]work.Change{}
	text := func(name, from, to string) {
		if from != to {
			c[name] = work.Change{From: from, To: to}
		}
	}
	text("email", a.Email, b.Email)
	text("name", a.Name, b.Name)
	text("given_name", a.GivenName, b.GivenName)
	text("family_name", a.FamilyName, b.FamilyName)
	text("locale", a.Locale, b.Locale)
	text("time_zone", a.TimeZone, b.TimeZone)
	text("bio", a.Bio, b.Bio)
	text("avatar", a.AvatarHash, b.AvatarHash)
	text("status", string(a.Status), string(b.Status))
	text("org_unit_id", a.OrgUnitID.String(), b.OrgUnitID.String())
	if (a.EmailVerifiedAt == nil) != (b.EmailVerifiedAt == nil) {
		c["email_verified"] = work.Change{From: a.EmailVerifiedAt != nil, To: b.EmailVerifiedAt != nil}
	}
	for k, v := range a.Attributes {
		text("attributes."+k, v, b.Attributes[k])
	}
	for k, v := range b.Attributes {
		if _, had := a.Attributes[k]; !had {
			c["attributes."+k] = work.Change{To: v}
		}
	}
	if !slices.Equal(a.ExternalIDs, b.ExternalIDs) {
		c["external_ids"] = work.Change{From: a.ExternalIDs, To: b.ExternalIDs}
	}
	return c
}

// openUnit reads an org unit that takes new things: not archived, not deleted.
func openUnit(ctx context.Context, tx Tx, id uuid.UUID) (OrgUnit, error) {
	unit, err := tx.ShareOrgUnit(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && unit.DeletedAt != nil {
		return OrgUnit{}, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "not_found", Message: "No such org unit."})
	}
	if err != nil {
		return OrgUnit{}, err
	}
	if unit.ArchivedAt != nil {
		return OrgUnit{}, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "archived", Message: "The org unit is archived."})
	}
	return unit, nil
}
