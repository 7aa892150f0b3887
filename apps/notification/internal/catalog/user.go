package catalog

import (
	contract "lms/shared/contracts/events"
)

const groupAccount = "account"

func userKinds() []Kind {
	role := []Variable{{Name: "role", Type: Text, Sample: "Organisation administrator"}}
	return []Kind{
		{Key: "account.reactivated", Group: groupAccount, Default: pressing()},
		{Key: "role.granted", Group: groupAccount, Default: listed(), Variables: role},
		{Key: "role.revoked", Group: groupAccount, Default: listed(), Variables: role},
	}
}

func userRules() []Rule {
	return []Rule{
		none(contract.TypeUserSignedIn, "An unusual sign-in is security mail, which user sends."),
		none(contract.TypeUserCreated, "user sends the invitation, or the mail that verifies the address."),
		none(contract.TypeUserUpdated, "People see their own changes; a new address is security mail, which user sends."),
		none(contract.TypeUserDeactivated, "user sends this mail, since nothing else may reach the person any more."),
		on(contract.TypeUserReactivated, func(_ Event, u contract.UserReactivatedEvent) []Notice {
			return one("account.reactivated", u.ID, noCourse, "/", nil)
		}),
		none(contract.TypeUserDeleted, "Nobody is left to be told."),
		none(contract.TypeUserMerged, "The list moves to the account that stays (person-status)."),
		on(contract.TypeRoleGranted, func(_ Event, g contract.RoleGranted) []Notice {
			return one("role.granted", g.UserID, noCourse, "/", map[string]string{"role": g.RoleName})
		}),
		on(contract.TypeRoleRevoked, func(_ Event, g contract.RoleRevoked) []Notice {
			return one("role.revoked", g.UserID, noCourse, "/", map[string]string{"role": g.RoleName})
		}),
		none(contract.TypeOrgMemberAdded, "It gives no right and asks for nothing; the profile shows it."),
		none(contract.TypeOrgMemberRemoved, "It takes no right; the profile shows it."),
		none(contract.TypeErasureRequested, "Who is to be forgotten is told nothing more."),
		none(contract.TypeErasureCompleted, "Nobody is left to be told."),
		none(contract.TypeOrgUnitCreated, "Administration that concerns no person."),
		none(contract.TypeOrgUnitChanged, "Administration that concerns no person."),
		none(contract.TypeOrgUnitArchived, "Administration that concerns no person."),
		none(contract.TypeGroupCreated, "A group without members concerns no person."),
		none(contract.TypeGroupUpdated, "The course shows it."),
		none(contract.TypeGroupDeleted, "The course shows it."),
		none(contract.TypeGroupMemberAdded, "The event does not name the group; work that is due for it is told by its assignment."),
		none(contract.TypeGroupMemberRemoved, "The course shows it."),
	}
}
