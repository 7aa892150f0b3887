package identity

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Snapshots serves the tree and the roles from memory: the version is read at
// each question, one row, and the rest only when it has moved. So what this
// service decides by is never older than the question, and what it serves to
// others is cheap. It is an authz.Source.
type Snapshots struct {
	Store Store

	mu       sync.Mutex
	version  int64
	snapshot authz.Snapshot
	policy   *authz.Policy
}

var _ authz.Source = (*Snapshots)(nil)

// Current is the present snapshot and its version, which only grows.
func (s *Snapshots) Current(ctx context.Context) (version int64, snap authz.Snapshot, policy *authz.Policy, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		version, err = tx.SnapshotVersion(ctx)
		if err != nil {
			return err
		}
		if snap, policy = s.known(version); policy != nil {
			return nil
		}
		// The version was read first: what is read now is as new or newer, and
		// newer only makes the next question read again.
		snap, err = tx.Snapshot(ctx)
		return err
	})
	if err != nil || policy != nil {
		return version, snap, policy, err
	}
	snap.Version = strconv.FormatInt(version, 10)
	policy = authz.NewPolicy(snap)
	s.mu.Lock()
	defer s.mu.Unlock()
	if version >= s.version {
		s.version, s.snapshot, s.policy = version, snap, policy
	}
	return version, snap, policy, nil
}

func (s *Snapshots) known(version int64) (authz.Snapshot, *authz.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policy == nil || s.version != version {
		return authz.Snapshot{}, nil
	}
	return s.snapshot, s.policy
}

// Policy implements authz.Source.
func (s *Snapshots) Policy(ctx context.Context) (*authz.Policy, error) {
	_, _, p, err := s.Current(ctx)
	return p, err
}

// MaxCards is how many cards one question may ask for.
const MaxCards = 500

// Cards answers other services what to show of people. The erased have none.
func (s *Service) Cards(ctx context.Context, ids []uuid.UUID) (users []User, err error) {
	if len(ids) > MaxCards {
		return nil, apperr.Invalid(apperr.Field{Path: "ids", Code: "too_many", Message: "At most 500 ids."})
	}
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		users, err = tx.Cards(ctx, ids)
		return err
	})
	return users, err
}

// Actor is a person or client with what they may do now.
type Actor struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	Active    bool
	Grants    []authz.Grant
}

// ActorOf answers what somebody may do now; 404 for who is gone.
func (s *Service) ActorOf(ctx context.Context, id uuid.UUID) (a Actor, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, id)
		if apperr.IsKind(err, apperr.KindNotFound) {
			c, err := tx.Client(ctx, id)
			a = Actor{ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Active: true, Grants: c.Grants}
			return err
		}
		if err != nil {
			return err
		}
		if u.Status.Gone() {
			return apperr.NotFound("user")
		}
		grants, err := tx.GrantsOf(ctx, id)
		a = Actor{ID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Active: u.Status == StatusActive, Grants: authzGrants(grants)}
		return err
	})
	return a, err
}

// Bootstrap is the first organisation and administrator.
type Bootstrap struct {
	Organisation string
	Email        string
	Password     string
	Name         string
	Locale       string
	TimeZone     string
}

// MakeFirst makes the first organisation and the first platform administrator.
// When there is a platform administrator already it changes nothing, whoever
// asks with whatever, and says who is there.
func (s *Service) MakeFirst(ctx context.Context, in Bootstrap) (tenant, admin uuid.UUID, created bool, err error) {
	tenant, admin, err = s.first(ctx)
	if err != nil || admin != uuid.Nil {
		return tenant, admin, false, err
	}
	now := s.Now()
	root := OrgUnit{
		ID: s.NewID(), Kind: "organisation", Name: strings.TrimSpace(in.Organisation), ExternalIDs: []ExternalID{}, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	u := User{
		ID: s.NewID(), Status: StatusActive, Origin: OriginBootstrap, Email: strings.TrimSpace(in.Email), EmailVerifiedAt: &now,
		Name: firstOf(strings.TrimSpace(in.Name), "Administrator"), Locale: in.Locale, TimeZone: in.TimeZone, Epoch: 1, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	s.defaults(&u)
	u.complete()
	var f apperr.Fields
	u.check(&f)
	checkName(&f, "organisation", root.Name, true)
	f.Require(u.Email != "", "admin_email", "required", "Must be an e-mail address.")
	s.checkPassword(&f, "admin_password", in.Password, u.Email, u.Name)
	if err := f.Err(); err != nil {
		return tenant, admin, false, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return tenant, admin, false, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		// Two first starts at once: the second finds what the first made.
		if err := tx.LockTree(ctx, uuid.Nil); err != nil {
			return err
		}
		admins, err := tx.LockPlatformAdmins(ctx)
		if err != nil {
			return err
		}
		if len(admins) > 0 {
			return apperr.Conflict("already_there", "There is an administrator.")
		}
		return s.insertFirst(ctx, tx, &root, u, hash)
	})
	if apperr.Code(err) == "already_there" {
		tenant, admin, err = s.first(ctx)
		return tenant, admin, false, err
	}
	return root.ID, u.ID, err == nil, err
}

func (s *Service) insertFirst(ctx context.Context, tx Tx, root *OrgUnit, u User, hash string) error {
	if err := s.insertOrgUnit(ctx, tx, root); err != nil {
		return err
	}
	u.TenantID, u.OrgUnitID = root.TenantID, root.ID
	if err := s.insertUser(ctx, tx, u, hash, root.Path); err != nil {
		return err
	}
	role, _ := builtinRole(authz.RolePlatformAdmin)
	return s.insertGrant(ctx, tx, &Grant{
		ID: s.NewID(), TenantID: u.TenantID, UserID: u.ID, Role: role.Key, RoleName: role.Name,
		Scope: authz.Scope{Kind: authz.ScopePlatform}, CreatedAt: s.Now(),
	})
}

// first finds the first platform administrator, if there is one.
func (s *Service) first(ctx context.Context) (tenant, admin uuid.UUID, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		admins, err := tx.LockPlatformAdmins(ctx)
		if err != nil || len(admins) == 0 {
			return err
		}
		u, err := tx.User(ctx, admins[0])
		tenant, admin = u.TenantID, u.ID
		return err
	})
	return tenant, admin, err
}

// Expire deletes links, registrations, devices and security events whose time
// is over.
func (s *Service) Expire(ctx context.Context) error {
	const batch = 5000
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if err := tx.Expire(ctx, s.Now(), batch); err != nil {
			return err
		}
		_, err := tx.ExpireSecurityEvents(ctx, s.Now().Add(-s.Config.SecurityRetention), batch)
		return err
	})
}
