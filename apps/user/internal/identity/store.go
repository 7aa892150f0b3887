package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Store runs transactions on the rows of a scope.
type Store interface {
	InTx(ctx context.Context, scope work.Scope, fn func(context.Context, Tx) error) error
	Read(ctx context.Context, scope work.Scope, fn func(context.Context, Tx) error) error
}

// Tx is one transaction. Reads of one thing answer NotFound when it is not
// there or not visible in the scope. A Lock holds the row until the commit.
type Tx interface {
	work.Unit
	UserRows
	TreeRows
	AccessRows
	GroupRows
	CredentialRows
	MachineRows
	ProviderRows
	SecurityRows
	PersonRows
}

// UserRows are accounts.
type UserRows interface {
	User(ctx context.Context, id uuid.UUID) (User, error)
	LockUser(ctx context.Context, id uuid.UUID) (User, error)
	UserByEmail(ctx context.Context, key string) (User, error)
	// LockUserByEmail finds the account that an address signs in to.
	LockUserByEmail(ctx context.Context, key string) (User, error)
	UserByExternalID(ctx context.Context, tenant uuid.UUID, id ExternalID) (User, error)
	ListUsers(ctx context.Context, f UserFilter) (page.Page[User], error)
	// InsertUser fails with Conflict `email_taken` or `external_id_taken`.
	InsertUser(ctx context.Context, u User) error
	// UpdateUser writes every field; the version must be the stored one plus one.
	UpdateUser(ctx context.Context, u User) error
	// SetEpoch moves the epoch alone: it changes nothing that a client sees.
	SetEpoch(ctx context.Context, id uuid.UUID, epoch int64) error
	SetSignedIn(ctx context.Context, id uuid.UUID, at time.Time) error
	Cards(ctx context.Context, ids []uuid.UUID) ([]User, error)
	Avatar(ctx context.Context, user uuid.UUID) (Avatar, error)
	PutAvatar(ctx context.Context, a Avatar) error
	DeleteAvatar(ctx context.Context, user uuid.UUID) error
	// DeletedBefore lists accounts deleted before a time that no erasure runs for.
	DeletedBefore(ctx context.Context, at time.Time, limit int) ([]User, error)
	// RemoveUser deletes the row and all that hangs on it.
	RemoveUser(ctx context.Context, id uuid.UUID) error
}

// TreeRows are org units and membership.
type TreeRows interface {
	OrgUnit(ctx context.Context, id uuid.UUID) (OrgUnit, error)
	// ShareOrgUnit keeps the unit from being archived or deleted meanwhile.
	ShareOrgUnit(ctx context.Context, id uuid.UUID) (OrgUnit, error)
	LockOrgUnit(ctx context.Context, id uuid.UUID) (OrgUnit, error)
	// LockTree makes changes of one tenant's tree wait for each other.
	LockTree(ctx context.Context, tenant uuid.UUID) error
	OrgUnitByCode(ctx context.Context, tenant uuid.UUID, code string) (OrgUnit, error)
	OrgUnitByExternalID(ctx context.Context, tenant uuid.UUID, id ExternalID) (OrgUnit, error)
	// LockSubtree is the unit and all below it, parents first, locked.
	LockSubtree(ctx context.Context, id uuid.UUID) ([]OrgUnit, error)
	ListOrgUnits(ctx context.Context, f OrgUnitFilter) (page.Page[OrgUnit], error)
	// InsertOrgUnit fails with Conflict `code_taken` or `external_id_taken`.
	InsertOrgUnit(ctx context.Context, u OrgUnit) error
	UpdateOrgUnit(ctx context.Context, u OrgUnit) error
	// OrgUnitUses counts what keeps a unit from being deleted, by kind.
	OrgUnitUses(ctx context.Context, id uuid.UUID) (map[string]int, error)
	// Roots counts tenants.
	Roots(ctx context.Context) ([]OrgUnit, error)

	MembershipsOf(ctx context.Context, user uuid.UUID) ([]uuid.UUID, error)
	ListMembers(ctx context.Context, f MemberFilter) (page.Page[Member], error)
	// PutMember reports whether the person was no member before.
	PutMember(ctx context.Context, m Member) (added bool, err error)
	DeleteMember(ctx context.Context, orgUnit, user uuid.UUID) (removed bool, err error)
}

// AccessRows are roles and grants.
type AccessRows interface {
	Snapshot(ctx context.Context) (authz.Snapshot, error)
	SnapshotVersion(ctx context.Context) (int64, error)
	// BumpSnapshot says that tree or roles changed.
	BumpSnapshot(ctx context.Context) error

	Role(ctx context.Context, id uuid.UUID) (Role, error)
	LockRole(ctx context.Context, id uuid.UUID) (Role, error)
	ListRoles(ctx context.Context, tenants []uuid.UUID, all bool, sort string, q page.Request) (page.Page[Role], error)
	// InsertRole and UpdateRole fail with Conflict `name_taken`.
	InsertRole(ctx context.Context, r Role) error
	UpdateRole(ctx context.Context, r Role) error
	// DeleteRole fails with Conflict `in_use` while somebody holds it.
	DeleteRole(ctx context.Context, id uuid.UUID) error
	// HoldersOf are the users and clients that hold a role.
	HoldersOf(ctx context.Context, role string) (users, clients []uuid.UUID, err error)

	GrantsOf(ctx context.Context, user uuid.UUID) ([]Grant, error)
	// InsertGrant reports false when the person holds it already.
	InsertGrant(ctx context.Context, g Grant) (bool, error)
	DeleteGrant(ctx context.Context, id uuid.UUID) error
	// LockPlatformAdmins are the active users that hold platform_admin, locked.
	LockPlatformAdmins(ctx context.Context) ([]uuid.UUID, error)
	// DropAccess takes grants, tokens, linked accounts, memberships and
	// credentials of an account that ends.
	DropAccess(ctx context.Context, user uuid.UUID, at time.Time) error
}

// GroupRows are groups, cohorts and the group sets of courses.
type GroupRows interface {
	Group(ctx context.Context, id uuid.UUID) (Group, error)
	LockGroup(ctx context.Context, id uuid.UUID) (Group, error)
	ListGroups(ctx context.Context, f GroupFilter) (page.Page[Group], error)
	// InsertGroup and UpdateGroup fail with Conflict `name_taken`.
	InsertGroup(ctx context.Context, g Group) error
	UpdateGroup(ctx context.Context, g Group) error
	DeleteGroup(ctx context.Context, id uuid.UUID) error
	// AddGroupMember reports false for who is in it already; it fails with
	// Conflict `other_group` or `group_full`.
	AddGroupMember(ctx context.Context, g Group, user uuid.UUID, at time.Time) (bool, error)
	DeleteGroupMember(ctx context.Context, group, user uuid.UUID) (bool, error)
	GroupMembers(ctx context.Context, groups []uuid.UUID, q page.Request, most int) (page.Page[GroupMember], error)
	ListGroupMembers(ctx context.Context, group uuid.UUID, sort string, q page.Request) (page.Page[GroupMember], error)
	GroupsOf(ctx context.Context, user uuid.UUID) ([]Group, error)
	LockGroupsOf(ctx context.Context, user uuid.UUID) ([]Group, error)

	GroupSet(ctx context.Context, id uuid.UUID) (GroupSet, error)
	LockGroupSet(ctx context.Context, id uuid.UUID) (GroupSet, error)
	GroupSets(ctx context.Context, course uuid.UUID) ([]GroupSet, error)
	InsertGroupSet(ctx context.Context, g GroupSet) error
	UpdateGroupSet(ctx context.Context, g GroupSet) error
	DeleteGroupSet(ctx context.Context, id uuid.UUID) error
	// GroupsOfSet are the groups of a set with their members, by name.
	GroupsOfSet(ctx context.Context, set uuid.UUID) ([]GroupWithMembers, error)
}

// CredentialRows are passwords, second factors and single-use links.
type CredentialRows interface {
	// Credential is the zero Credential for who has none.
	Credential(ctx context.Context, user uuid.UUID) (Credential, error)
	LockCredential(ctx context.Context, tenant, user uuid.UUID) (Credential, error)
	SetPassword(ctx context.Context, tenant, user uuid.UUID, hash string, at time.Time) error
	// UpgradePassword replaces a hash by one of the same password.
	UpgradePassword(ctx context.Context, user uuid.UUID, old, hash string) error
	SetTOTP(ctx context.Context, tenant, user uuid.UUID, sealed []byte, confirmedAt *time.Time, lastStep int64) error
	// UseTOTPStep notes a step as used; false when it, or a later one, was.
	UseTOTPStep(ctx context.Context, user uuid.UUID, step int64) (bool, error)
	SetRecoveryCodes(ctx context.Context, tenant, user uuid.UUID, hashes [][]byte) error
	// UseRecoveryCode reports false for an unknown or used one.
	UseRecoveryCode(ctx context.Context, user uuid.UUID, hash []byte, at time.Time) (ok bool, left int, err error)

	InsertToken(ctx context.Context, t OneTimeToken) error
	// UseToken marks a live token as used and returns it; NotFound otherwise.
	UseToken(ctx context.Context, kinds []TokenKind, hash []byte, at time.Time) (OneTimeToken, error)
	// PeekToken reads a live token.
	PeekToken(ctx context.Context, kinds []TokenKind, hash []byte, at time.Time) (OneTimeToken, error)
	// UseUpTokens ends the live tokens of a user of a kind, "" for all.
	UseUpTokens(ctx context.Context, user uuid.UUID, kind TokenKind, at time.Time) error
	// TokensSince counts tokens of a kind made for an address since a time.
	TokensSince(ctx context.Context, kind TokenKind, email string, since time.Time) (int, error)
	// EventsSince counts lines of a kind in the security audit since a time: of a
	// person, or from a place where user is nil.
	EventsSince(ctx context.Context, kind string, user uuid.UUID, ip string, since time.Time) (int, error)

	InsertRegistration(ctx context.Context, r Registration) error
	Registration(ctx context.Context, id uuid.UUID) (Registration, error)
	NewestRegistration(ctx context.Context, emailKey string, at time.Time) (Registration, error)
	DeleteRegistrations(ctx context.Context, emailKey string) error

	// SeeDevice notes a device and says whether it is new to a person who has
	// used others before.
	SeeDevice(ctx context.Context, tenant, user uuid.UUID, fingerprint []byte, at time.Time) (strange bool, err error)
	// Expire deletes what is past its time.
	Expire(ctx context.Context, at time.Time, limit int) error
}

// MachineRows are service accounts and personal access tokens.
type MachineRows interface {
	Client(ctx context.Context, id uuid.UUID) (Client, error)
	LockClient(ctx context.Context, id uuid.UUID) (Client, error)
	ListClients(ctx context.Context, reach authz.Reach, q page.Request) (page.Page[Client], error)
	InsertClient(ctx context.Context, c Client) error
	DeleteClient(ctx context.Context, id uuid.UUID) error
	SetClientGrants(ctx context.Context, c Client) error
	SetClientEpoch(ctx context.Context, id uuid.UUID, epoch int64) error
	InsertClientSecret(ctx context.Context, s ClientSecret) error
	RevokeClientSecrets(ctx context.Context, client uuid.UUID, at time.Time) error
	// ClientBySecret finds the client of a live secret and notes its use.
	ClientBySecret(ctx context.Context, id uuid.UUID, hash []byte, at time.Time) (Client, error)

	PersonalTokens(ctx context.Context, user uuid.UUID, at time.Time, q page.Request) (page.Page[PersonalToken], error)
	CountPersonalTokens(ctx context.Context, user uuid.UUID, at time.Time) (int, error)
	InsertPersonalToken(ctx context.Context, t PersonalToken) error
	ReplacePersonalTokenHash(ctx context.Context, id uuid.UUID, hash []byte, hint string) error
	RevokePersonalToken(ctx context.Context, user, id uuid.UUID, at time.Time) (bool, error)
	PersonalTokenByHash(ctx context.Context, hash []byte, at time.Time) (PersonalToken, error)
	TouchPersonalToken(ctx context.Context, id uuid.UUID, at time.Time) error
}

// ProviderRows are identity providers and the accounts linked to them, and
// auth's sealed keys.
type ProviderRows interface {
	Provider(ctx context.Context, id uuid.UUID) (Provider, error)
	LockProvider(ctx context.Context, id uuid.UUID) (Provider, error)
	ListProviders(ctx context.Context, reach authz.Reach, q page.Request) (page.Page[Provider], error)
	EnabledProviders(ctx context.Context) ([]Provider, error)
	// InsertProvider fails with Conflict `provider_exists`.
	InsertProvider(ctx context.Context, p Provider) error
	UpdateProvider(ctx context.Context, p Provider) error
	DeleteProvider(ctx context.Context, id uuid.UUID) error
	// LinkedUser is who an account of a provider belongs to; NotFound if nobody.
	LinkedUser(ctx context.Context, provider uuid.UUID, subject string, at time.Time) (uuid.UUID, error)
	// Link fails with Conflict `already_linked`.
	Link(ctx context.Context, l Link) error

	SigningKeys(ctx context.Context) (version int64, sealed []byte, err error)
	// PutSigningKeys fails with Conflict `version_conflict`.
	PutSigningKeys(ctx context.Context, version int64, sealed []byte, at time.Time) (int64, error)
}

// SecurityRows are the security audit.
type SecurityRows interface {
	InsertSecurityEvent(ctx context.Context, e SecurityEvent) error
	AuditOf(ctx context.Context, user uuid.UUID, q page.Request) (page.Page[AuditLine], error)
	ExpireSecurityEvents(ctx context.Context, before time.Time, limit int) (int64, error)
}

// PersonRows are requests about all of a person's data.
type PersonRows interface {
	// InsertPersonRequest fails with Conflict `request_running`.
	InsertPersonRequest(ctx context.Context, r PersonRequest) error
	PersonRequest(ctx context.Context, id uuid.UUID) (PersonRequest, error)
	LockPersonRequest(ctx context.Context, id uuid.UUID) (PersonRequest, error)
	RunningPersonRequest(ctx context.Context, user uuid.UUID, kind RequestKind) (PersonRequest, error)
	PersonRequests(ctx context.Context, user uuid.UUID) ([]PersonRequest, error)
	UpdatePersonRequest(ctx context.Context, r PersonRequest) error
	InsertPart(ctx context.Context, p RequestPart) error
	// LockPartByCall finds the part that an answered call belongs to.
	LockPartByCall(ctx context.Context, call uuid.UUID) (RequestPart, error)
	UpdatePart(ctx context.Context, p RequestPart) error
	// ExportOwn is everything that this service keeps of a person, by section.
	ExportOwn(ctx context.Context, user uuid.UUID) (map[string][]byte, error)
	// Pseudonymise puts the pseudonym in the place of the person in what stays:
	// audit, security audit, requests, jobs.
	Pseudonymise(ctx context.Context, user, pseudonym uuid.UUID) error
	// ExpiredExports are files whose time is over.
	ExpiredExports(ctx context.Context, before time.Time, limit int) ([]PersonRequest, error)

	InsertUpload(ctx context.Context, u Upload) error
	Upload(ctx context.Context, id uuid.UUID) (Upload, error)
	// DeleteUpload forgets a file; StaleUploads are those that nobody imported.
	DeleteUpload(ctx context.Context, id uuid.UUID) error
	StaleUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)

	// MoveBelongings gives what an account holds to another, leaving out what
	// that one has already; it returns what was given, by kind.
	MoveBelongings(ctx context.Context, from, to User) (map[string]int, error)
}
