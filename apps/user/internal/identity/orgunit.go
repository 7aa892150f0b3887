package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/work"
)

// MaxDepth is the number of levels of a tree of org units, the root included.
const MaxDepth = 12

// OrgUnitKinds are what an org unit may be called.
var OrgUnitKinds = []string{"organisation", "faculty", "department", "school", "class", "other"}

// OrgUnit is a node of the tree. A root is a tenant: its id is its tenant's.
// Path runs from the root to the unit itself.
type OrgUnit struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	ParentID    *uuid.UUID
	Path        []uuid.UUID
	Kind        string
	Code        string // unique in the tenant, "" for none
	Name        string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ArchivedAt  *time.Time
	DeletedAt   *time.Time
	Version     int64
	ExternalIDs []ExternalID
}

// OrgUnitFilter narrows a list of org units.
type OrgUnitFilter struct {
	Query          string // part of the name or code
	ParentID       *uuid.UUID
	Root           bool // only roots
	Under          []uuid.UUID
	Kind           string
	Archived       *bool // nil: both
	Code           string
	ExternalSource string
	ExternalID     string
	Sort           string // name, -name, created_at, -created_at
	Reach          authz.Reach
	Page           page.Request
}

// OrgUnitSorts are the orders of a list of org units.
var OrgUnitSorts = []string{"name", "-name", "created_at", "-created_at"}

// NewOrgUnit is what is said of a new org unit. Without a parent it is a
// tenant of its own.
type NewOrgUnit struct {
	ParentID    *uuid.UUID
	Kind        string
	Code        string
	Name        string
	ExternalIDs []ExternalID
}

// OrgUnitPatch is a merge patch of an org unit; its place is changed by Move.
type OrgUnitPatch struct {
	Name        patch.Field[string]
	Code        patch.Field[string]
	Kind        patch.Field[string]
	ExternalIDs patch.Field[[]ExternalID]
}

func (u *OrgUnit) check(f *apperr.Fields) {
	checkName(f, "name", u.Name, true)
	f.Require(validLine(u.Code, 64), "code", "invalid", "At most 64 characters on one line.")
	f.Require(slices.Contains(OrgUnitKinds, u.Kind), "kind", "invalid", "Must be one of "+strings.Join(OrgUnitKinds, ", ")+".")
	checkExternalIDs(f, u.ExternalIDs)
}

// moveUnder gives a unit of a subtree (parents first) its new path, when the
// subtree's top is moved under a parent path. It fails for a move into the own
// subtree and for a tree that would become too deep.
func moveUnder(subtree []OrgUnit, parent OrgUnit) ([]OrgUnit, error) {
	top := subtree[0]
	if slices.Contains(parent.Path, top.ID) {
		return nil, apperr.Conflict("cycle", "An org unit cannot be moved under itself.")
	}
	cut := len(top.Path) - 1
	moved := make([]OrgUnit, len(subtree))
	for i, u := range subtree {
		path := append(slices.Clone(parent.Path), u.Path[cut:]...)
		if len(path) > MaxDepth {
			return nil, apperr.Conflict("too_deep", "A tree has at most 12 levels.")
		}
		u.Path = path
		moved[i] = u
	}
	moved[0].ParentID = &parent.ID
	return moved, nil
}

// state is the snapshot that events carry.
func (u OrgUnit) state() events.OrgUnitState {
	ids := make([]events.ExternalID, len(u.ExternalIDs))
	for i, id := range u.ExternalIDs {
		ids[i] = events.ExternalID(id)
	}
	return events.OrgUnitState{
		ID: u.ID, TenantID: u.TenantID, ParentID: u.ParentID, Path: u.Path, Code: u.Code, Name: u.Name, Kind: u.Kind,
		Archived: u.ArchivedAt != nil, Deleted: u.DeletedAt != nil, ExternalIDs: ids,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Version: u.Version,
	}
}

func (u OrgUnit) meta() work.Meta { return work.Meta{TenantID: u.TenantID, OrgUnitID: u.ID} }

// Member is a person in an org unit.
type Member struct {
	OrgUnitID uuid.UUID
	UserID    uuid.UUID
	TenantID  uuid.UUID
	Name      string
	SortName  string
	Email     string
	Status    Status
	Title     string
	Home      bool // the unit is the person's home
	CreatedAt time.Time
}

// MemberFilter narrows a list of members.
type MemberFilter struct {
	OrgUnitID uuid.UUID
	UserID    uuid.UUID // only this person, if not nil
	Query     string
	Sort      string // "" is by name
	Page      page.Request
}
