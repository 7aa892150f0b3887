// Package httpapi is the user service's side of the REST API, and what other
// services call: routes, bodies and their mapping to the domain.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/objects"
	"lms/shared/page"
	"lms/shared/web"
)

// Presigner signs uploads; *objects.Store is one.
type Presigner interface {
	PresignPut(ctx context.Context, key string, size int64, contentType, sha256Hex string, ttl time.Duration) (objects.Signed, error)
}

// API answers requests with the domain.
type API struct {
	Service *identity.Service
	// Snapshots are what other services decide by.
	Snapshots *identity.Snapshots
	// Uploads signs addresses for files to import; nil where there is no store.
	Uploads Presigner
}

const (
	base     = "/api/v1"
	user     = base + "/users/{id}"
	orgUnit  = base + "/org-units/{id}"
	role     = base + "/roles/{key}"
	group    = base + "/groups/{id}"
	groupSet = base + "/group-sets/{id}"
)

// slow is the time limit of what computes a password hash and may wait for its
// turn.
const slow = 18 * time.Second

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.userRoutes(r)
	a.securityRoutes(r)
	a.meRoutes(r)
	a.orgUnitRoutes(r)
	a.roleRoutes(r)
	a.groupRoutes(r)
	a.personRoutes(r)
	a.importRoutes(r)
	a.internalRoutes(r)
	a.loginRoutes(r)
	a.accountRoutes(r)
	a.machineRoutes(r)
	a.providerRoutes(r)
}

func (a *API) userRoutes(r *web.Router) {
	op := operation("Users")
	web.Register(r, op(http.MethodGet, base+"/users", "list-users", "List users of my reach", web.Needs(authz.UserRead)), a.listUsers)
	create := created(op(http.MethodPost, base+"/users", "create-user", "Create a user, or invite one", web.Needs(authz.UserCreate)))
	create.Timeout = slow
	web.Register(r, create, a.createUser)
	web.Register(r, op(http.MethodGet, user, "get-user", "Get a user", web.Needs(authz.UserRead)), a.getUser)
	web.Register(r, op(http.MethodPatch, user, "update-user", "Change a user", web.Needs(authz.UserUpdate)), a.updateUser)
	web.Register(r, op(http.MethodDelete, user, "delete-user", "Delete a user: the account ends for good", web.Needs(authz.UserDelete)), a.deleteUser)
	web.Register(r, op(http.MethodPost, user+"/deactivate", "deactivate-user", "Take the use of the account from a user", web.Needs(authz.UserDeactivate)), a.deactivateUser)
	web.Register(r, op(http.MethodPost, user+"/reactivate", "reactivate-user", "Give a user the account back", web.Needs(authz.UserDeactivate)), a.reactivateUser)
	web.Register(r, op(http.MethodPost, user+"/invite", "invite-user", "Send an invitation, again if need be", web.Needs(authz.UserCreate)), a.inviteUser)
	register := accepted(op(http.MethodPost, base+"/users/register", "register", "Make an account for myself, where that is allowed", web.Public()))
	register.Timeout = slow
	register.Description = "Always 202, whether or not the address has an account already: its owner gets a mail in either case. The account exists once POST /auth/email/verify has proved the address."
	web.Register(r, register, a.register)
	web.Register(r, op(http.MethodGet, user+"/audit", "get-user-audit", "What happened to, and by, a user; the newest first", web.SignedIn()), a.userAudit)
}

func (a *API) securityRoutes(r *web.Router) {
	op := operation("Users")
	secures := web.Needs(authz.UserSecurity)
	web.Register(r, op(http.MethodGet, user+"/sessions", "list-user-sessions", "List the live sessions of a user", secures), a.listSessions)
	web.Register(r, op(http.MethodDelete, user+"/sessions", "end-user-sessions", "End all sessions of a user", secures), a.endSessions)
	web.Register(r, op(http.MethodDelete, user+"/mfa", "remove-user-mfa", "Switch the second factor of a user off; the sessions end", secures), a.removeMFA)
	web.Register(r, accepted(op(http.MethodPost, user+"/password-reset", "send-password-reset", "Send a user a reset link; the sessions end", secures)), a.sendReset)
}

func (a *API) meRoutes(r *web.Router) {
	op := operation("Me")
	web.Register(r, op(http.MethodGet, base+"/me", "get-me", "My account with my roles", web.SignedIn()), a.getMe)
	web.Register(r, op(http.MethodGet, base+"/me/profile", "get-profile", "My profile", web.SignedIn()), a.getProfile)
	web.Register(r, op(http.MethodPatch, base+"/me/profile", "update-profile", "Change my profile", web.SignedIn()), a.updateProfile)
	put := op(http.MethodPut, base+"/me/avatar", "put-avatar", "Set my picture", web.SignedIn())
	put.MaxBody, put.Accepts, put.Produces = identity.MaxAvatarUpload, []string{"image/png", "image/jpeg", "image/gif"}, []string{"application/json"}
	put.Description = "PNG, JPEG or GIF, at most 1 MiB and 12 million pixels. The picture is made anew, at most 512 pixels to the side, without what a camera writes into it."
	web.Raw(r, put, a.putAvatar)
	web.Register(r, op(http.MethodDelete, base+"/me/avatar", "delete-avatar", "Remove my picture", web.SignedIn()), a.deleteAvatar)
	show := op(http.MethodGet, user+"/avatar", "get-avatar", "The picture of a user", web.SignedIn())
	show.Produces = []string{"image/png", "image/jpeg"}
	web.Stream(r, show, a.getAvatar)
	change := accepted(op(http.MethodPost, base+"/me/email-change", "change-email", "Ask for a new address", web.SignedIn()))
	change.Timeout = slow
	change.Description = "The new address gets a link; the present one stays until the link is used. The password, or a code of the second factor, must be given again."
	web.Register(r, change, a.changeEmail)
	web.Register(r, op(http.MethodPost, base+"/me/email-change/confirm", "confirm-email", "Confirm a new address by the link", web.Public()), a.confirmEmail)
}

func (a *API) orgUnitRoutes(r *web.Router) {
	op := operation("Org units")
	reads, manages := web.Needs(authz.OrgUnitRead), web.Needs(authz.OrgUnitManage)
	web.Register(r, op(http.MethodGet, base+"/org-units", "list-org-units", "List org units of my reach", reads), a.listOrgUnits)
	web.Register(r, created(op(http.MethodPost, base+"/org-units", "create-org-unit", "Create an org unit", manages)), a.createOrgUnit)
	web.Register(r, op(http.MethodGet, orgUnit, "get-org-unit", "Get an org unit", reads), a.getOrgUnit)
	web.Register(r, op(http.MethodPatch, orgUnit, "update-org-unit", "Change an org unit", manages), a.updateOrgUnit)
	web.Register(r, op(http.MethodDelete, orgUnit, "delete-org-unit", "Delete an empty org unit", manages), a.deleteOrgUnit)
	web.Register(r, op(http.MethodPost, orgUnit+"/move", "move-org-unit", "Put an org unit with its subtree under another", manages), a.moveOrgUnit)
	web.Register(r, op(http.MethodPost, orgUnit+"/archive", "archive-org-unit", "Close an org unit with its subtree for new things", manages), a.archiveOrgUnit)
	web.Register(r, op(http.MethodPost, orgUnit+"/restore", "restore-org-unit", "Open an archived org unit again", manages), a.restoreOrgUnit)
	web.Register(r, op(http.MethodGet, orgUnit+"/members", "list-org-unit-members", "List the people of an org unit", reads), a.listMembers)
	web.Register(r, op(http.MethodGet, orgUnit+"/members/{user_id}", "get-org-unit-member", "Get one member of an org unit", reads), a.getMember)
	web.Register(r, op(http.MethodPut, orgUnit+"/members/{user_id}", "put-org-unit-member", "Make a person a member, or the org unit a person's home", manages), a.putMember)
	web.Register(r, op(http.MethodDelete, orgUnit+"/members/{user_id}", "remove-org-unit-member", "Take a person out of an org unit", manages), a.removeMember)
}

func (a *API) roleRoutes(r *web.Router) {
	op := operation("Roles")
	web.Register(r, op(http.MethodGet, base+"/roles", "list-roles", "List the built-in roles, and those of my organisation", web.Needs(authz.RoleRead)), a.listRoles)
	web.Register(r, created(op(http.MethodPost, base+"/roles", "create-role", "Create a role", web.Needs(authz.RoleManage))), a.createRole)
	web.Register(r, op(http.MethodGet, role, "get-role", "Get a role by key or id", web.Needs(authz.RoleRead)), a.getRole)
	web.Register(r, op(http.MethodPatch, role, "update-role", "Change a role", web.Needs(authz.RoleManage)), a.updateRole)
	web.Register(r, op(http.MethodDelete, role, "delete-role", "Delete a role that nobody holds", web.Needs(authz.RoleManage)), a.deleteRole)
	web.Register(r, op(http.MethodGet, base+"/permissions", "list-permissions", "List all permissions", web.SignedIn()), a.listPermissions)
	web.Register(r, op(http.MethodGet, user+"/roles", "list-user-roles", "List the roles of a user; everybody sees the own ones", web.SignedIn()), a.listGrants)
	web.Register(r, created(op(http.MethodPost, user+"/roles", "grant-role", "Give a user a role", web.Needs(authz.RoleGrant))), a.grantRole)
	web.Register(r, op(http.MethodDelete, user+"/roles/{grant_id}", "revoke-role", "Take a role from a user", web.Needs(authz.RoleGrant)), a.revokeRole)
}

func (a *API) groupRoutes(r *web.Router) {
	op := operation("Groups")
	// Groups of a course are changed by its staff as well.
	manages := web.NeedsInCourse(authz.GroupManage)
	web.Register(r, op(http.MethodGet, base+"/groups", "list-groups", "List groups and cohorts of my reach", web.Needs(authz.GroupRead)), a.listGroups)
	web.Register(r, created(op(http.MethodPost, base+"/groups", "create-group", "Create a group or a cohort", web.Needs(authz.GroupManage))), a.createGroup)
	web.Register(r, op(http.MethodGet, group, "get-group", "Get a group", web.SignedIn()), a.getGroup)
	web.Register(r, op(http.MethodPatch, group, "update-group", "Change a group", manages), a.updateGroup)
	web.Register(r, op(http.MethodDelete, group, "delete-group", "Delete a group", manages), a.deleteGroup)
	web.Register(r, op(http.MethodGet, group+"/members", "list-group-members", "List the members of a group", web.SignedIn()), a.listGroupMembers)
	web.Register(r, op(http.MethodPut, group+"/members/{user_id}", "put-group-member", "Put a person into a group", manages), a.putGroupMember)
	web.Register(r, op(http.MethodDelete, group+"/members/{user_id}", "remove-group-member", "Take a person out of a group", manages), a.removeGroupMember)
	web.Register(r, op(http.MethodPost, group+"/join", "join-group", "Join a group of my course, where its set allows that", web.SignedIn()), a.joinGroup)
	sets := base + "/courses/{id}/group-sets"
	web.Register(r, op(http.MethodGet, sets, "list-group-sets", "List the group sets of a course", web.SignedIn()), a.listGroupSets)
	web.Register(r, created(op(http.MethodPost, sets, "create-group-set", "Create a group set in a course", manages)), a.createGroupSet)
	web.Register(r, op(http.MethodGet, groupSet, "get-group-set", "Get a group set", web.SignedIn()), a.getGroupSet)
	web.Register(r, op(http.MethodDelete, groupSet, "delete-group-set", "Delete a group set with its groups", manages), a.deleteGroupSet)
	web.Register(r, op(http.MethodGet, groupSet+"/groups", "list-groups-of-set", "List the groups of a set", web.SignedIn()), a.listGroupsOfSet)
	web.Register(r, created(op(http.MethodPost, groupSet+"/groups", "add-group-to-set", "Add a group to a set", manages)), a.addGroupToSet)
	web.Register(r, op(http.MethodPost, groupSet+"/assign", "assign-groups", "Divide the learners of the course among the groups", manages), a.assignGroups)
}

func operation(tag string) func(method, path, id, summary string, access web.Access) web.Op {
	return func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: tag, Access: access}
	}
}

func created(op web.Op) web.Op {
	op.Status = http.StatusCreated
	return op
}

func accepted(op web.Op) web.Op {
	op.Status = http.StatusAccepted
	return op
}

// at is the address of a resource.
func at(pattern string, id uuid.UUID) string { return strings.Replace(pattern, "{id}", id.String(), 1) }

// optional is a value that may be absent, its zero value.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// cut pages a list that is at hand as a whole.
func cut[T any](all []T, p web.Page) (page.Page[T], error) {
	from := 0
	if _, err := page.Decode(p.Cursor, &from); err != nil {
		return page.Page[T]{}, err
	}
	from = min(max(from, 0), len(all))
	to := min(from+p.Request().Size(), len(all))
	out := page.Page[T]{Items: all[from:to]}
	if to < len(all) {
		out.NextCursor = page.Encode(to)
	}
	return out, nil
}

// parseDate reads a date such as 2026-09-01.
func parseDate(f *apperr.Fields, path, v string) time.Time {
	t, err := time.Parse(time.DateOnly, v)
	f.Require(err == nil, path, "invalid", "Must be a date such as 2026-09-01.")
	return t
}
