package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicUser is the topic of every event of the user service.
const TopicUser = "user.events"

// exampleUserID makes the readable ids of golden examples.
func exampleUserID(last byte) uuid.UUID {
	id := uuid.MustParse("0197a5e0-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleUserTime() time.Time { return time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC) }

func exampleUser() UserState {
	at := exampleUserTime()
	return UserState{
		ID: exampleUserID(1), TenantID: exampleUserID(2), OrgUnitID: exampleUserID(3),
		OrgUnitPath: []uuid.UUID{exampleUserID(2), exampleUserID(3)},
		Status:      UserActive, Email: "ada@example.org", EmailVerified: true,
		Name: "Ada Lovelace", GivenName: "Ada", FamilyName: "Lovelace", Locale: "en", TimeZone: "Europe/London",
		ExternalIDs: []ExternalID{{Source: "sis", ID: "S-1815"}},
		CreatedAt:   at, UpdatedAt: at, Version: 2,
	}
}

func exampleOrgUnit() OrgUnitState {
	at, parent := exampleUserTime(), exampleUserID(2)
	return OrgUnitState{
		ID: exampleUserID(3), TenantID: exampleUserID(2), ParentID: &parent,
		Path: []uuid.UUID{exampleUserID(2), exampleUserID(3)},
		Code: "MATH", Name: "Mathematics", Kind: "department", ExternalIDs: []ExternalID{{Source: "sis", ID: "ORG-7"}},
		CreatedAt: at, UpdatedAt: at, Version: 1,
	}
}

func exampleGroup() GroupState {
	at := exampleUserTime()
	return GroupState{
		ID: exampleUserID(5), TenantID: exampleUserID(2), OrgUnitID: exampleUserID(3),
		Kind: GroupCohort, Name: "Class of 2026", StartsOn: "2026-02-01", EndsOn: "2026-12-31", Members: 24,
		CreatedAt: at, UpdatedAt: at, Version: 1,
	}
}

func userEvents() []Definition {
	at, scope := exampleUserTime(), exampleUserID(3)
	user, unit, group := exampleUser(), exampleOrgUnit(), exampleGroup()
	status := func(s string) UserState { u := exampleUser(); u.Status = s; return u }
	merged := status(UserMerged)
	into := exampleUserID(9)
	merged.MergedInto = &into
	archived, gone := exampleOrgUnit(), exampleGroup()
	archived.Archived, gone.Deleted = true, true
	course, set := exampleUserID(6), exampleUserID(7)
	def := func(summary string, state bool, e Event) Definition {
		return Definition{Topic: TopicUser, Summary: summary, State: state, Example: e}
	}
	return []Definition{
		def("A person signed in, said at most once per person and day.", false, UserSignedIn{
			UserID: user.ID, TenantID: user.TenantID, OrgUnitID: user.OrgUnitID, Day: "2026-02-03", SignedInAt: at, Method: "password",
		}),
		def("An account came into being.", true, UserCreated{UserState: user, Origin: "admin"}),
		def("A property of a user changed.", true, UserUpdated{UserState: user, Changed: []string{"name"}}),
		def("A person may not act any more.", true, UserDeactivatedEvent{UserState: status(UserDeactivated), Reason: "left the organisation"}),
		def("A person may act again.", true, UserReactivatedEvent{UserState: user}),
		def("An account was deleted.", true, UserDeletedEvent{UserState: status(UserDeleted)}),
		def("An account was merged into another.", true, UserMergedEvent{UserState: merged}),
		def("A person was given a role in the platform or an org unit.", false, RoleGranted{
			GrantID: exampleUserID(4), UserID: user.ID, TenantID: user.TenantID, Role: "org_admin", RoleName: "Organisation administrator",
			ScopeKind: "org_unit", ScopeID: &scope, At: at,
		}),
		def("A role was taken from a person.", false, RoleRevoked{
			GrantID: exampleUserID(4), UserID: user.ID, TenantID: user.TenantID, Role: "org_admin", RoleName: "Organisation administrator",
			ScopeKind: "org_unit", ScopeID: &scope, At: at,
		}),
		def("A person became a member of an org unit.", false, OrgMemberAdded{
			UserID: user.ID, TenantID: user.TenantID, OrgUnitID: unit.ID, OrgUnitPath: unit.Path, Title: "lecturer", At: at,
		}),
		def("A person left an org unit.", false, OrgMemberRemoved{UserID: user.ID, TenantID: user.TenantID, OrgUnitID: unit.ID, At: at}),
		def("A person is to be forgotten.", false, ErasureRequested{
			RequestID: exampleUserID(8), UserID: user.ID, TenantID: user.TenantID, Pseudonym: exampleUserID(10), At: at,
		}),
		def("A person was forgotten by every service.", false, ErasureCompleted{
			RequestID: exampleUserID(8), UserID: user.ID, TenantID: user.TenantID, Pseudonym: exampleUserID(10),
			Kept: []string{"payment: invoices: kept for tax law"}, At: at,
		}),
		def("An org unit came into being.", true, OrgUnitCreated{OrgUnitState: unit}),
		def("An org unit was renamed, moved, restored or deleted.", true, OrgUnitChanged{OrgUnitState: unit, Changed: []string{"path"}}),
		def("An org unit was archived.", true, OrgUnitArchived{OrgUnitState: archived}),
		def("A group came into being.", true, GroupCreated{GroupState: group}),
		def("A group was changed.", true, GroupUpdated{GroupState: group}),
		def("A group was deleted.", true, GroupDeletedEvent{GroupState: gone}),
		def("A person joined a group.", false, GroupMemberAdded{
			GroupID: group.ID, UserID: user.ID, TenantID: user.TenantID, Kind: GroupCourse, CourseID: &course, SetID: &set, At: at,
		}),
		def("A person left a group.", false, GroupMemberRemoved{
			GroupID: group.ID, UserID: user.ID, TenantID: user.TenantID, Kind: GroupCourse, CourseID: &course, SetID: &set, At: at,
		}),
	}
}
