package postgres_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
)

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func (w world) link(u identity.User, kind identity.TokenKind, text string, life time.Duration) identity.OneTimeToken {
	w.t.Helper()
	now := clock.Now()
	k := identity.OneTimeToken{ID: clock.NewID(), TenantID: u.TenantID, UserID: u.ID, Kind: kind, Hash: hash(text), Email: u.Email, CreatedAt: now, ExpiresAt: now.Add(life)}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertToken(ctx, k) })
	return k
}

func notFound(t *testing.T, err error) {
	t.Helper()
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "%v", err)
}

func TestALinkWorksOnceHoweverManyUseItAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "ada@example.org")
	want := w.link(ada, identity.TokenReset, "secret", time.Hour)
	used := 0
	for _, err := range together(16, func(int) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.UseToken(ctx, []identity.TokenKind{identity.TokenInvitation, identity.TokenReset}, hash("secret"), clock.Now())
			if err == nil {
				require.Equal(t, want, got)
			}
			return err
		})
	}) {
		if err == nil {
			used++
			continue
		}
		notFound(t, err)
	}
	require.Equal(t, 1, used)
}

func TestALinkIsOfItsKindItsTimeAndNotUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "ada@example.org")
	w.link(ada, identity.TokenReset, "reset", time.Hour)
	w.link(ada, identity.TokenVerification, "verify", time.Hour)
	peek := func(text string, kind identity.TokenKind, at time.Time) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.PeekToken(ctx, []identity.TokenKind{kind}, hash(text), at)
			return err
		})
	}
	require.NoError(t, peek("reset", identity.TokenReset, clock.Now()))
	require.NoError(t, peek("reset", identity.TokenReset, clock.Now()), "a look costs nothing")
	notFound(t, peek("reset", identity.TokenVerification, clock.Now()))
	notFound(t, peek("Reset", identity.TokenReset, clock.Now()))
	notFound(t, peek("reset", identity.TokenReset, later(2*time.Hour)))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		n, err := tx.TokensSince(ctx, identity.TokenReset, "ADA@example.org", later(-time.Hour))
		require.Equal(t, 1, n)
		require.NoError(t, err)
		return tx.UseUpTokens(ctx, ada.ID, identity.TokenReset, clock.Now())
	})
	notFound(t, peek("reset", identity.TokenReset, clock.Now()))
	require.NoError(t, peek("verify", identity.TokenVerification, clock.Now()))
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.UseUpTokens(ctx, ada.ID, "", clock.Now()) })
	notFound(t, peek("verify", identity.TokenVerification, clock.Now()))
}

func TestCodesOfTheSecondFactorWorkOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "")
	now := clock.Now()
	w.do(func(ctx context.Context, tx identity.Tx) error {
		c, err := tx.LockCredential(ctx, ada.TenantID, ada.ID)
		require.Equal(t, identity.Credential{}, c, "who has none gets an empty one")
		require.NoError(t, err)
		require.NoError(t, tx.SetTOTP(ctx, ada.TenantID, ada.ID, []byte("sealed"), &now, 10))
		return tx.SetRecoveryCodes(ctx, ada.TenantID, ada.ID, [][]byte{hash("one"), hash("two")})
	})
	once := func(fn func(context.Context, identity.Tx) (bool, error)) (used int) {
		oks := make([]bool, 8)
		for _, err := range together(len(oks), func(i int) error {
			return w.try(func(ctx context.Context, tx identity.Tx) (err error) {
				oks[i], err = fn(ctx, tx)
				return err
			})
		}) {
			require.NoError(t, err)
		}
		for _, ok := range oks {
			if ok {
				used++
			}
		}
		return used
	}
	require.Equal(t, 1, once(func(ctx context.Context, tx identity.Tx) (bool, error) { return tx.UseTOTPStep(ctx, ada.ID, 12) }))
	require.Equal(t, 0, once(func(ctx context.Context, tx identity.Tx) (bool, error) { return tx.UseTOTPStep(ctx, ada.ID, 11) }), "an earlier step neither")
	require.Equal(t, 1, once(func(ctx context.Context, tx identity.Tx) (bool, error) {
		ok, left, err := tx.UseRecoveryCode(ctx, ada.ID, hash("one"), now)
		if ok {
			require.Equal(t, 1, left)
		}
		return ok, err
	}))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		c, err := tx.Credential(ctx, ada.ID)
		require.True(t, c.MFA())
		require.EqualValues(t, 12, c.TOTPLastStep)
		require.NoError(t, err)
		return tx.SetRecoveryCodes(ctx, ada.TenantID, ada.ID, [][]byte{hash("three")})
	})
	require.Equal(t, 0, once(func(ctx context.Context, tx identity.Tx) (bool, error) {
		ok, _, err := tx.UseRecoveryCode(ctx, ada.ID, hash("two"), now)
		return ok, err
	}), "replaced")
}

func TestAnUpgradeDoesNotUndoAChangeOfThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "")
	w.do(func(ctx context.Context, tx identity.Tx) error {
		require.NoError(t, tx.SetPassword(ctx, ada.TenantID, ada.ID, "new", clock.Now()))
		require.NoError(t, tx.UpgradePassword(ctx, ada.ID, "old", "old, but better"))
		c, err := tx.Credential(ctx, ada.ID)
		require.Equal(t, "new", c.PasswordHash)
		return err
	})
}

func TestADeviceIsStrangeToWhoHasUsedOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "")
	for _, c := range []struct {
		device  string
		strange bool
	}{{"laptop", false}, {"laptop", false}, {"phone", true}, {"phone", false}} {
		w.do(func(ctx context.Context, tx identity.Tx) error {
			strange, err := tx.SeeDevice(ctx, ada.TenantID, ada.ID, hash(c.device), clock.Now())
			require.Equal(t, c.strange, strange, c.device)
			return err
		})
	}
}

func TestWhatIsPastItsTimeIsDeletedAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "ada@example.org")
	w.link(ada, identity.TokenReset, "short", time.Hour)
	w.link(ada, identity.TokenInvitation, "long", 100*24*time.Hour)
	now := clock.Now()
	r := identity.Registration{
		ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, Email: "New@Example.org", Name: "New", Locale: "en", TimeZone: "UTC", PasswordHash: "x",
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		require.NoError(t, tx.InsertRegistration(ctx, r))
		got, err := tx.NewestRegistration(ctx, "new@example.org", now)
		require.Equal(t, r, got)
		require.NoError(t, err)
		return tx.InsertToken(ctx, identity.OneTimeToken{
			ID: clock.NewID(), TenantID: r.TenantID, RegistrationID: r.ID, Kind: identity.TokenRegistration, Hash: hash("reg"), Email: r.Email, CreatedAt: now, ExpiresAt: r.ExpiresAt,
		})
	})
	expire := func(at time.Time) {
		w.do(func(ctx context.Context, tx identity.Tx) error { return tx.Expire(ctx, at, 100) })
	}
	rows := func() [2]int {
		return [2]int{w.count("select count(*) from one_time_tokens"), w.count("select count(*) from registrations")}
	}
	expire(now)
	require.Equal(t, [2]int{3, 1}, rows())
	expire(now.Add(2 * time.Hour))
	require.Equal(t, [2]int{2, 0}, rows(), "a registration ends with its link; other links are counted for a day")
	expire(now.Add(26 * time.Hour))
	require.Equal(t, [2]int{1, 0}, rows())
}

func TestSecretsOfServiceAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := clock.Now()
	soon := now.Add(time.Hour)
	c := identity.Client{
		ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, Name: "Sync", Epoch: 1, CreatedBy: clock.NewID(), CreatedAt: now, UpdatedAt: now, Version: 1,
		Grants: []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.root.ID}}},
	}
	secret := func(text string, expires *time.Time) identity.ClientSecret {
		return identity.ClientSecret{ID: clock.NewID(), TenantID: c.TenantID, ClientID: c.ID, Hash: hash(text), Hint: "abcd", CreatedAt: now, ExpiresAt: expires}
	}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		require.NoError(t, tx.InsertClient(ctx, c))
		require.NoError(t, tx.InsertClientSecret(ctx, secret("forever", nil)))
		return tx.InsertClientSecret(ctx, secret("short", &soon))
	})
	by := func(text string, at time.Time) (got identity.Client, err error) {
		err = w.try(func(ctx context.Context, tx identity.Tx) (err error) {
			got, err = tx.ClientBySecret(ctx, c.ID, hash(text), at)
			return err
		})
		return got, err
	}
	got, err := by("short", now)
	require.NoError(t, err)
	require.Equal(t, c.Grants, got.Grants)
	require.Len(t, got.Secrets, 2)
	require.Equal(t, soon, *got.Secrets[1].ExpiresAt)
	_, err = by("short", now.Add(2*time.Hour))
	notFound(t, err)
	_, err = by("guess", now)
	notFound(t, err)
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.RevokeClientSecrets(ctx, c.ID, now) })
	_, err = by("forever", now)
	notFound(t, err)
	w.do(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Client(ctx, c.ID)
		require.Empty(t, got.Secrets)
		require.NotNil(t, got.LastUsedAt)
		return err
	})
}
