package authz_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
)

func TestTheReachOfALargeTreeIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	root := uuid.New()
	s := authz.Snapshot{
		OrgUnits: []authz.OrgUnit{{ID: root, TenantID: root}},
		Roles:    []authz.Role{{Key: authz.RoleOrgAdmin, Permissions: []authz.Permission{authz.AuditRead}}},
	}
	for range 30_000 {
		s.OrgUnits = append(s.OrgUnits, authz.OrgUnit{ID: uuid.New(), ParentID: root, TenantID: root})
	}
	p := authz.NewPolicy(s)
	grant := authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: root}}
	began := time.Now()
	r := p.Reach(authz.Principal{Grants: []authz.Grant{grant, grant}}, authz.AuditRead)
	require.Len(t, r.OrgUnits, 30_001)
	require.Less(t, time.Since(began), time.Second, "it is asked at every list")
}

// What must never be allowed, whatever else is granted.
func TestWhatAGrantDoesNotReach(t *testing.T) {
	t.Parallel()
	root, child, other := uuid.New(), uuid.New(), uuid.New()
	p := authz.NewPolicy(authz.Snapshot{
		OrgUnits: []authz.OrgUnit{{ID: root, TenantID: root}, {ID: child, ParentID: root, TenantID: root}, {ID: other, TenantID: other}},
		Roles:    []authz.Role{{Key: authz.RoleOrgAdmin, Permissions: []authz.Permission{authz.AuditRead}}},
	})
	in := func(unit uuid.UUID) authz.Principal {
		return authz.Principal{UserID: uuid.New(), Grants: []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}}
	}
	require.True(t, p.Allows(in(root), authz.AuditRead, child))
	require.False(t, p.Allows(in(child), authz.AuditRead, root), "not upwards")
	require.False(t, p.Allows(in(root), authz.AuditRead, other), "not in another tenant")
	require.False(t, p.Allows(in(root), authz.AuditRead, uuid.New()), "not in a unit that nobody knows")
	require.False(t, p.AllowsPlatform(in(root), authz.AuditRead))
	require.False(t, p.AllowsPlatform(in(uuid.Nil), authz.AuditRead), "a grant without a unit is none")
	require.False(t, p.Allows(in(uuid.Nil), authz.AuditRead, uuid.Nil))
	limited := in(root)
	limited.Limited = []authz.Permission{}
	require.False(t, p.Allows(limited, authz.AuditRead, child), "a token limited to nothing")
	require.False(t, p.AllowsSomewhere(limited, authz.AuditRead))
	require.True(t, p.Reach(limited, authz.AuditRead).None())
	require.False(t, p.AllowsInCourse(limited, authz.AuditRead, child, authz.RoleOrgAdmin))
}
