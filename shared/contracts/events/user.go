package events

import (
	"time"

	"github.com/google/uuid"
)

// Event types of the topic user.events. The aggregate is the user, but for org
// units and groups (and the members of groups), which are their own.
const (
	TypeUserSignedIn       = "lms.user.signed_in.v1"
	TypeUserCreated        = "lms.user.created.v1"
	TypeUserUpdated        = "lms.user.updated.v1"
	TypeUserDeactivated    = "lms.user.deactivated.v1"
	TypeUserReactivated    = "lms.user.reactivated.v1"
	TypeUserDeleted        = "lms.user.deleted.v1"
	TypeUserMerged         = "lms.user.merged.v1"
	TypeRoleGranted        = "lms.user.role_granted.v1"
	TypeRoleRevoked        = "lms.user.role_revoked.v1"
	TypeOrgMemberAdded     = "lms.user.org_member_added.v1"
	TypeOrgMemberRemoved   = "lms.user.org_member_removed.v1"
	TypeErasureRequested   = "lms.user.erasure_requested.v1"
	TypeErasureCompleted   = "lms.user.erasure_completed.v1"
	TypeOrgUnitCreated     = "lms.user.org_unit_created.v1"
	TypeOrgUnitChanged     = "lms.user.org_unit_changed.v1"
	TypeOrgUnitArchived    = "lms.user.org_unit_archived.v1"
	TypeGroupCreated       = "lms.user.group_created.v1"
	TypeGroupUpdated       = "lms.user.group_updated.v1"
	TypeGroupDeleted       = "lms.user.group_deleted.v1"
	TypeGroupMemberAdded   = "lms.user.group_member_added.v1"
	TypeGroupMemberRemoved = "lms.user.group_member_removed.v1"
)

// Statuses of a user.
const (
	UserInvited     = "invited" // has an account, has not accepted the invitation
	UserActive      = "active"
	UserDeactivated = "deactivated"
	UserDeleted     = "deleted"
	UserMerged      = "merged"
	UserErased      = "erased"
)

// Kinds of a group.
const (
	GroupPlain  = "group"  // any set of people of an org unit
	GroupCohort = "cohort" // people who learn together over a time
	GroupCourse = "course" // one of a course's group set
)

// ExternalID is the id that another system has for a thing, unique per source.
type ExternalID struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// UserState is the whole snapshot of a user. Personal fields are empty once the
// user was erased.
type UserState struct {
	ID        uuid.UUID `json:"id" x-personal:"true"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"` // home
	// OrgUnitPath runs from the tenant's root to OrgUnitID, both included, as it
	// was when the event was made.
	OrgUnitPath   []uuid.UUID  `json:"org_unit_path"`
	Status        string       `json:"status"` // invited, active, deactivated, deleted, merged, erased
	Email         string       `json:"email,omitempty" x-personal:"true"`
	EmailVerified bool         `json:"email_verified"`
	Name          string       `json:"name,omitempty" x-personal:"true"`
	GivenName     string       `json:"given_name,omitempty" x-personal:"true"`
	FamilyName    string       `json:"family_name,omitempty" x-personal:"true"`
	Locale        string       `json:"locale"`    // BCP 47
	TimeZone      string       `json:"time_zone"` // IANA
	ExternalIDs   []ExternalID `json:"external_ids" x-personal:"true"`
	MergedInto    *uuid.UUID   `json:"merged_into,omitempty" x-personal:"true"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
	Version       int64        `json:"version"`
}

// UserSignedIn: a person signed in, said at most once per person and UTC day.
type UserSignedIn struct {
	UserID     uuid.UUID `json:"user_id" x-personal:"true"`
	TenantID   uuid.UUID `json:"tenant_id"`
	OrgUnitID  uuid.UUID `json:"org_unit_id"`
	Day        string    `json:"day"` // 2006-01-02, UTC
	SignedInAt time.Time `json:"signed_in_at"`
	// Method is password, sso or invitation.
	Method string `json:"method"`
}

// UserCreated: an account came into being.
type UserCreated struct {
	UserState
	// Origin is admin, invitation, registration, import, sso or bootstrap.
	Origin string `json:"origin"`
}

// UserUpdated: a property of the user changed, also by accepting an invitation,
// by confirming an address or by moving home.
type UserUpdated struct {
	UserState
	// Changed names the fields, in the names of this snapshot, and avatar, bio,
	// attributes, which it does not carry.
	Changed []string `json:"changed,omitempty"`
}

// UserDeactivatedEvent: the person may not act any more.
type UserDeactivatedEvent struct {
	UserState
	Reason string `json:"reason,omitempty"`
}

// UserReactivatedEvent: the person may act again.
type UserReactivatedEvent struct {
	UserState
}

// UserDeletedEvent: the account is gone; its snapshot is the last one.
type UserDeletedEvent struct {
	UserState
}

// UserMergedEvent: the account was merged into another, that of MergedInto.
type UserMergedEvent struct {
	UserState
}

// RoleGranted: a person holds a role in the platform or in an org unit.
type RoleGranted struct {
	GrantID   uuid.UUID  `json:"grant_id"`
	UserID    uuid.UUID  `json:"user_id" x-personal:"true"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	Role      string     `json:"role"` // the role's key
	RoleName  string     `json:"role_name"`
	ScopeKind string     `json:"scope_kind"` // platform, org_unit
	ScopeID   *uuid.UUID `json:"scope_id,omitempty"`
	At        time.Time  `json:"at"`
}

// RoleRevoked: a person no longer holds a role there.
type RoleRevoked struct {
	GrantID   uuid.UUID  `json:"grant_id"`
	UserID    uuid.UUID  `json:"user_id" x-personal:"true"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	Role      string     `json:"role"`
	RoleName  string     `json:"role_name"`
	ScopeKind string     `json:"scope_kind"`
	ScopeID   *uuid.UUID `json:"scope_id,omitempty"`
	At        time.Time  `json:"at"`
}

// OrgMemberAdded: a person belongs to an org unit, besides home.
type OrgMemberAdded struct {
	UserID      uuid.UUID   `json:"user_id" x-personal:"true"`
	TenantID    uuid.UUID   `json:"tenant_id"`
	OrgUnitID   uuid.UUID   `json:"org_unit_id"`
	OrgUnitPath []uuid.UUID `json:"org_unit_path"`
	Title       string      `json:"title,omitempty" x-personal:"true"` // "lecturer"
	At          time.Time   `json:"at"`
}

// OrgMemberRemoved: a person no longer belongs to an org unit.
type OrgMemberRemoved struct {
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	At        time.Time `json:"at"`
}

// ErasureRequested: a person is to be forgotten. Pseudonym is what takes the
// id's place everywhere.
type ErasureRequested struct {
	RequestID uuid.UUID `json:"request_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	TenantID  uuid.UUID `json:"tenant_id"`
	Pseudonym uuid.UUID `json:"pseudonym"`
	At        time.Time `json:"at"`
}

// ErasureCompleted: every service has answered.
type ErasureCompleted struct {
	RequestID uuid.UUID `json:"request_id"`
	UserID    uuid.UUID `json:"user_id" x-personal:"true"`
	TenantID  uuid.UUID `json:"tenant_id"`
	Pseudonym uuid.UUID `json:"pseudonym"`
	// Kept lists "service: category: reason" of what had to be kept under the pseudonym.
	Kept []string  `json:"kept,omitempty"`
	At   time.Time `json:"at"`
}

// OrgUnitState is the whole snapshot of an org unit.
type OrgUnitState struct {
	ID       uuid.UUID  `json:"id"`
	TenantID uuid.UUID  `json:"tenant_id"`
	ParentID *uuid.UUID `json:"parent_id,omitempty"`
	// Path runs from the tenant's root to ID, both included.
	Path        []uuid.UUID  `json:"path"`
	Code        string       `json:"code,omitempty"`
	Name        string       `json:"name"`
	Kind        string       `json:"kind"` // organisation, faculty, department, school, class, other
	Archived    bool         `json:"archived,omitempty"`
	Deleted     bool         `json:"deleted,omitempty"`
	ExternalIDs []ExternalID `json:"external_ids"`
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`
	Version     int64        `json:"version"`
}

// OrgUnitCreated: an org unit came into being.
type OrgUnitCreated struct {
	OrgUnitState
}

// OrgUnitChanged: an org unit was renamed, moved, restored or deleted. A move
// is said for every unit of the subtree, since the path of each changed.
type OrgUnitChanged struct {
	OrgUnitState
	Changed []string `json:"changed,omitempty"`
}

// OrgUnitArchived: an org unit takes nothing new any more.
type OrgUnitArchived struct {
	OrgUnitState
}

// GroupState is the whole snapshot of a group, without its members.
type GroupState struct {
	ID        uuid.UUID  `json:"id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID uuid.UUID  `json:"org_unit_id"`
	Kind      string     `json:"kind"` // group, cohort, course
	CourseID  *uuid.UUID `json:"course_id,omitempty"`
	SetID     *uuid.UUID `json:"set_id,omitempty"`
	Name      string     `json:"name"`
	StartsOn  string     `json:"starts_on,omitempty"` // 2006-01-02, cohorts
	EndsOn    string     `json:"ends_on,omitempty"`
	Members   int        `json:"members"`
	Deleted   bool       `json:"deleted,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Version   int64      `json:"version"`
}

// GroupCreated: a group came into being.
type GroupCreated struct {
	GroupState
}

// GroupUpdated: a group was renamed or its dates changed.
type GroupUpdated struct {
	GroupState
}

// GroupDeletedEvent: the group is gone, with its memberships.
type GroupDeletedEvent struct {
	GroupState
}

// GroupMemberAdded: a person joined a group.
type GroupMemberAdded struct {
	GroupID  uuid.UUID  `json:"group_id"`
	UserID   uuid.UUID  `json:"user_id" x-personal:"true"`
	TenantID uuid.UUID  `json:"tenant_id"`
	Kind     string     `json:"kind"`
	CourseID *uuid.UUID `json:"course_id,omitempty"`
	SetID    *uuid.UUID `json:"set_id,omitempty"`
	At       time.Time  `json:"at"`
}

// GroupMemberRemoved: a person left a group.
type GroupMemberRemoved struct {
	GroupID  uuid.UUID  `json:"group_id"`
	UserID   uuid.UUID  `json:"user_id" x-personal:"true"`
	TenantID uuid.UUID  `json:"tenant_id"`
	Kind     string     `json:"kind"`
	CourseID *uuid.UUID `json:"course_id,omitempty"`
	SetID    *uuid.UUID `json:"set_id,omitempty"`
	At       time.Time  `json:"at"`
}

// AggregateID is the user.
func (s UserState) AggregateID() uuid.UUID { return s.ID }

// AggregateID is the user.
func (e UserSignedIn) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e RoleGranted) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e RoleRevoked) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e OrgMemberAdded) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e OrgMemberRemoved) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e ErasureRequested) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the user.
func (e ErasureCompleted) AggregateID() uuid.UUID { return e.UserID }

// AggregateID is the org unit.
func (s OrgUnitState) AggregateID() uuid.UUID { return s.ID }

// AggregateID is the group.
func (s GroupState) AggregateID() uuid.UUID { return s.ID }

// AggregateID is the group.
func (e GroupMemberAdded) AggregateID() uuid.UUID { return e.GroupID }

// AggregateID is the group.
func (e GroupMemberRemoved) AggregateID() uuid.UUID { return e.GroupID }

// EventType names the event.
func (UserSignedIn) EventType() string { return TypeUserSignedIn }

// EventType names the event.
func (UserCreated) EventType() string { return TypeUserCreated }

// EventType names the event.
func (UserUpdated) EventType() string { return TypeUserUpdated }

// EventType names the event.
func (UserDeactivatedEvent) EventType() string { return TypeUserDeactivated }

// EventType names the event.
func (UserReactivatedEvent) EventType() string { return TypeUserReactivated }

// EventType names the event.
func (UserDeletedEvent) EventType() string { return TypeUserDeleted }

// EventType names the event.
func (UserMergedEvent) EventType() string { return TypeUserMerged }

// EventType names the event.
func (RoleGranted) EventType() string { return TypeRoleGranted }

// EventType names the event.
func (RoleRevoked) EventType() string { return TypeRoleRevoked }

// EventType names the event.
func (OrgMemberAdded) EventType() string { return TypeOrgMemberAdded }

// EventType names the event.
func (OrgMemberRemoved) EventType() string { return TypeOrgMemberRemoved }

// EventType names the event.
func (ErasureRequested) EventType() string { return TypeErasureRequested }

// EventType names the event.
func (ErasureCompleted) EventType() string { return TypeErasureCompleted }

// EventType names the event.
func (OrgUnitCreated) EventType() string { return TypeOrgUnitCreated }

// EventType names the event.
func (OrgUnitChanged) EventType() string { return TypeOrgUnitChanged }

// EventType names the event.
func (OrgUnitArchived) EventType() string { return TypeOrgUnitArchived }

// EventType names the event.
func (GroupCreated) EventType() string { return TypeGroupCreated }

// EventType names the event.
func (GroupUpdated) EventType() string { return TypeGroupUpdated }

// EventType names the event.
func (GroupDeletedEvent) EventType() string { return TypeGroupDeleted }

// EventType names the event.
func (GroupMemberAdded) EventType() string { return TypeGroupMemberAdded }

// EventType names the event.
func (GroupMemberRemoved) EventType() string { return TypeGroupMemberRemoved }
