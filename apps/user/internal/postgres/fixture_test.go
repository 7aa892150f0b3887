package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/postgres"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

// world is a store on a database of its own, with one organisation.
type world struct {
	t     testing.TB
	pool  *pgxpool.Pool
	store *postgres.Store
	root  identity.OrgUnit
}

func newWorld(t testing.TB) world {
	t.Helper()
	pool := testkit.DB(t, "user")
	w := world{t: t, pool: pool, store: postgres.NewStore(pg.From(pool, pg.Options{Service: "user"}))}
	w.root = w.tenant("Root")
	return w
}

// try runs fn in a transaction that sees everything.
func (w world) try(fn func(context.Context, identity.Tx) error) error {
	return w.store.InTx(context.WithoutCancel(w.t.Context()), work.AllTenants(), fn)
}

// do is try that must work.
func (w world) do(fn func(context.Context, identity.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.try(fn))
}

func (w world) tenant(name string) identity.OrgUnit {
	w.t.Helper()
	now, id := clock.Now(), clock.NewID()
	u := identity.OrgUnit{
		ID: id, TenantID: id, Path: []uuid.UUID{id}, Kind: "organisation", Name: name, CreatedAt: now, UpdatedAt: now, Version: 1,
		ExternalIDs: []identity.ExternalID{},
	}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertOrgUnit(ctx, u) })
	return u
}

func childOf(parent identity.OrgUnit, name string) identity.OrgUnit {
	now, id := clock.Now(), clock.NewID()
	return identity.OrgUnit{
		ID: id, TenantID: parent.TenantID, ParentID: &parent.ID, Path: append(append([]uuid.UUID{}, parent.Path...), id), Kind: "other", Name: name,
		CreatedAt: now, UpdatedAt: now, Version: 1, ExternalIDs: []identity.ExternalID{},
	}
}

func (w world) unit(parent identity.OrgUnit, name string) identity.OrgUnit {
	w.t.Helper()
	u := childOf(parent, name)
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertOrgUnit(ctx, u) })
	return u
}

// person is an account that is not written yet.
func person(unit identity.OrgUnit, name, email string) identity.User {
	now := clock.Now()
	return identity.User{
		ID: clock.NewID(), TenantID: unit.TenantID, OrgUnitID: unit.ID, Status: identity.StatusActive, Origin: identity.OriginAdmin, Email: email,
		Name: name, SortName: strings.ToLower(name), Locale: "en", TimeZone: "UTC", Attributes: map[string]string{}, Epoch: 1,
		CreatedAt: now, UpdatedAt: now, Version: 1, ExternalIDs: []identity.ExternalID{},
	}
}

func (w world) user(name, email string) identity.User {
	w.t.Helper()
	u := person(w.root, name, email)
	w.insert(u)
	return u
}

func (w world) insert(u identity.User) {
	w.t.Helper()
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertUser(ctx, u) })
}

// gone is the next version of an account that ended.
func gone(u identity.User) identity.User {
	now := clock.Now()
	u.Status, u.DeletedAt, u.Version = identity.StatusDeleted, &now, u.Version+1
	return u
}

func platformAdmin(u identity.User) identity.Grant {
	return identity.Grant{
		ID: clock.NewID(), TenantID: u.TenantID, UserID: u.ID, Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}, CreatedAt: clock.Now(),
	}
}

// count reads one number as the database's owner sees it, with all tenants.
func (w world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	ctx := w.t.Context()
	tx, err := w.pool.Begin(ctx)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, tx.Rollback(ctx)) }()
	_, err = tx.Exec(ctx, "select set_config('lms.tenant', '*', true)")
	require.NoError(w.t, err)
	require.NoError(w.t, tx.QueryRow(ctx, sql, args...).Scan(&n))
	return n
}

// together runs fn n times at once and gives what each returned.
func together(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func later(d time.Duration) time.Time { return clock.Now().Add(d) }
