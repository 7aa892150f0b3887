package app

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// race runs fn n times at once and counts the outcomes by code, "" for success.
func race(n int, fn func(i int) error) map[string]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	out := map[string]int{}
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			out[apperr.Code(err)]++
		})
	}
	close(start)
	wg.Wait()
	return out
}

func TestALinkWorksOnceUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("ada@example.org", w.tenant)
	require.NoError(t, w.svc.RequestLink(t.Context(), identity.LinkRequest{Kind: identity.TokenReset, Email: "ada@example.org"}))
	token := w.token(identity.MailReset, "ada@example.org")
	got := race(12, func(int) error {
		_, err := w.svc.ResetPassword(context.Background(), token, "another fine password", identity.From{})
		return err
	})
	require.Equal(t, map[string]int{"": 1, "token_invalid": 11}, got)
	v, err := w.svc.VerifyPassword(t.Context(), "ada@example.org", "another fine password", identity.From{})
	require.NoError(t, err)
	require.NotNil(t, v.Subject)
}

func TestOneAddressIsOneAccountUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := race(12, func(i int) error {
		email := []string{"same@example.org", "SAME@example.org", "Same@Example.Org"}[i%3]
		_, err := w.svc.CreateUser(w.as(w.root), w.root, identity.NewUser{OrgUnitID: w.tenant, Email: email, Name: "Same"})
		return err
	})
	require.Equal(t, map[string]int{"": 1, "email_taken": 11}, got)
}

func TestRegistrationsOfOneAddressMakeOneAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tokens []string
	for range 3 {
		require.NoError(t, w.svc.Register(t.Context(), identity.NewRegistration{Email: "new@example.org", Password: goodPassword, Name: "New"}))
		token := ""
		require.Eventually(t, func() bool {
			token = w.token(identity.MailRegistration, "new@example.org")
			return len(tokens) == 0 || token != tokens[len(tokens)-1]
		}, waitLong, tick)
		tokens = append(tokens, token)
	}
	got := race(len(tokens), func(i int) error {
		_, err := w.svc.VerifyEmail(context.Background(), tokens[i], identity.From{})
		return err
	})
	require.Equal(t, 1, got[""], "%v", got)
	v, err := w.svc.VerifyPassword(t.Context(), "new@example.org", goodPassword, identity.From{})
	require.NoError(t, err)
	require.NotNil(t, v.Subject)
	require.Equal(t, identity.OriginRegistration, v.Subject.User.Origin)
}

func TestThePlatformKeepsAnAdministratorUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.user("second@example.org", w.tenant)
	_, err := w.svc.GrantRole(w.as(w.root), w.root, second.ID, authz.Grant{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}})
	require.NoError(t, err)
	admins := []authz.Principal{w.root, w.principal(second.ID)}
	got := race(2, func(i int) error {
		_, err := w.svc.Deactivate(w.as(admins[i]), admins[i], admins[1-i].UserID, "")
		return err
	})
	require.Equal(t, map[string]int{"": 1, "last_platform_admin": 1}, got)
}

func TestAGroupIsNeverAboveItsLimitUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limit := 3
	g, err := w.svc.CreateGroup(w.as(w.root), w.root, identity.NewGroup{OrgUnitID: w.tenant, Name: "Small", MaxMembers: &limit})
	require.NoError(t, err)
	users := make([]uuid.UUID, 8)
	for i := range users {
		users[i] = w.user(uuid.NewString()[:8]+"@example.org", w.tenant).ID
	}
	got := race(len(users), func(i int) error {
		_, err := w.svc.AddToGroup(w.as(w.root), w.root, g.ID, users[i])
		return err
	})
	require.Equal(t, map[string]int{"": 3, "group_full": 5}, got)
}

func TestMovesUnderARaceLeaveATree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.unit("A", w.tenant), w.unit("B", w.tenant)
	got := race(2, func(i int) error {
		moved, under := a, b
		if i == 1 {
			moved, under = b, a
		}
		_, err := w.svc.MoveOrgUnit(w.as(w.root), w.root, moved.ID, under.ID, 1)
		return err
	})
	require.Equal(t, 1, got[""], "one under the other, never both: %v", got)
	// A child that is made while its parent moves gets the parent's place.
	c := w.unit("C", w.tenant)
	race(6, func(i int) error {
		if i == 0 {
			u, err := w.svc.GetOrgUnit(w.as(w.root), w.root, c.ID)
			if err != nil {
				return err
			}
			_, err = w.svc.MoveOrgUnit(w.as(w.root), w.root, c.ID, a.ID, u.Version)
			return err
		}
		_, err := w.svc.CreateOrgUnit(w.as(w.root), w.root, identity.NewOrgUnit{ParentID: &c.ID, Kind: "class", Name: "child"})
		return err
	})
	require.Zero(t, column[int](w, orphansSQL)[0])
}

const orphansSQL = `select count(*)::int from org_units u join org_units p on p.id = u.parent_id where u.path <> p.path || u.id`

func TestTheFirstStartIsIdempotentUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := race(6, func(int) error {
		tenant, admin, created, err := w.svc.MakeFirst(context.Background(), identity.Bootstrap{Organisation: "Second", Email: "x@example.org", Password: goodPassword})
		if err == nil && (created || tenant != w.tenant || admin != w.root.UserID) {
			return apperr.Conflict("made_again", "A second first start.")
		}
		return err
	})
	require.Equal(t, map[string]int{"": 6}, got)
}

func TestACodeOfTheSecondFactorWorksOnceUnderARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.principal(w.user("ada@example.org", w.tenant).ID)
	setup, err := w.svc.BeginTOTP(w.as(ada), ada)
	require.NoError(t, err)
	codes, err := w.svc.ConfirmTOTP(w.as(ada), ada, codeAt(t, setup.Secret, w.clock.Now()))
	require.NoError(t, err)
	require.Len(t, codes, 10)
	refusals := func(code string) map[string]int {
		var mu sync.Mutex
		out := map[string]int{}
		race(10, func(int) error {
			v, err := w.svc.VerifyMFA(context.Background(), ada.UserID, code, identity.From{})
			mu.Lock()
			defer mu.Unlock()
			out[v.Refusal]++
			return err
		})
		return out
	}
	require.Equal(t, map[string]int{identity.RefusedCode: 10}, refusals(codeAt(t, setup.Secret, w.clock.Now())), "the code that confirmed is used")
	w.clock.Advance(31 * time.Second)
	require.Equal(t, map[string]int{"": 1, identity.RefusedCode: 9}, refusals(codeAt(t, setup.Secret, w.clock.Now())))
	require.Equal(t, map[string]int{"": 1, identity.RefusedCode: 9}, refusals(codes[3]))
}

func TestARepeatedRequestWithOneKeyMakesOneThing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := work.Idempotency{Caller: "u", Route: "POST /users", Key: "k-1", BodyHash: [32]byte{1}}
	var mu sync.Mutex
	ids := map[uuid.UUID]bool{}
	got := race(20, func(int) error {
		u, err := w.svc.CreateUser(work.WithIdempotency(w.as(w.root), key), w.root, identity.NewUser{OrgUnitID: w.tenant, Email: "once@example.org", Name: "Once"})
		mu.Lock()
		defer mu.Unlock()
		ids[u.ID] = true
		return err
	})
	require.Equal(t, map[string]int{"": 20}, got)
	require.Len(t, ids, 1)
}
