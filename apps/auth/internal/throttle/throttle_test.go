package throttle_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/auth/internal/throttle"
	"lms/shared/apperr"
	"lms/shared/clock"
	"lms/shared/record/recordtest"
)

const (
	victim   = "ada@example.org"
	attacker = "198.51.100.7"
)

type world struct {
	clock *clock.Manual
	store *recordtest.Memory
	*throttle.Throttle
}

func newWorld(t recordtest.T) *world {
	c := clock.NewManual(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	store := recordtest.New(t, c.Now)
	th, err := throttle.New(store, throttle.DefaultRules(), c.Now, 180*24*time.Hour, []byte("the sealing secret of this very test"))
	require.NoError(t, err)
	return &world{clock: c, store: store, Throttle: th}
}

// wait is how long a login has to wait, 0 if it is let through.
func (w *world) wait(t require.TestingT, login, address, device string) time.Duration {
	_, err := w.Login(context.Background(), login, address, device)
	if err == nil {
		return 0
	}
	require.True(t, apperr.IsKind(err, apperr.KindRateLimited), "%v", err)
	return apperr.From(err).RetryAfter
}

func TestGuessesAreSlowedDownAndTheOwnerIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	phone := w.DeviceToken(victim, uuid.New())
	for i := range 5 {
		require.Zero(t, w.wait(t, victim, attacker, ""), "guess %d is free", i)
	}
	require.Zero(t, w.wait(t, victim, attacker, ""), "the sixth is due, and the next one waits")
	require.Equal(t, time.Second, w.wait(t, victim, attacker, ""))
	require.Equal(t, time.Second, w.wait(t, victim, "203.0.113.9", ""), "from elsewhere too: it is the account's count")
	require.Equal(t, time.Second, w.wait(t, " ADA@example.org", "203.0.113.9", ""), "however it is spelled")
	require.Zero(t, w.wait(t, "bob@example.org", "203.0.113.9", ""), "others are not touched")

	for range 40 { // the attacker goes on whenever it is allowed
		w.clock.Advance(w.wait(t, victim, attacker, ""))
	}
	require.Equal(t, 15*time.Minute, w.wait(t, victim, "203.0.113.10", "")+0)
	require.Zero(t, w.wait(t, victim, "203.0.113.10", phone), "the owner's phone gets in at once")
	require.NotZero(t, w.wait(t, victim, "203.0.113.10", w.DeviceToken("bob@example.org", uuid.New())), "a device of another account does not")
}

func TestAStolenDeviceTokenIsNoLicence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	token := w.DeviceToken(victim, id)
	for range 11 {
		require.Zero(t, w.wait(t, victim, attacker, token))
	}
	require.NotZero(t, w.wait(t, victim, attacker, token))
	require.Zero(t, w.wait(t, victim, "203.0.113.10", w.DeviceToken(victim, uuid.New())), "the owner's other device is not slowed")
	w.clock.Advance(180 * 24 * time.Hour)
	try, err := w.Login(t.Context(), victim, attacker, token)
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, try.Device, "too old to be known")
	for _, bad := range []string{"", "x", token[:len(token)-2], token + "AA", "AAAA" + token[4:]} {
		try, err = w.Login(t.Context(), victim, "203.0.113.77", bad)
		require.NoError(t, err)
		require.Equal(t, uuid.Nil, try.Device)
	}
}

func TestStuffingFromOneAddressIsSlowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	through := 0
	for i := range 10_000 {
		if w.wait(t, fmt.Sprintf("user%d@example.org", i), attacker, "") == 0 {
			through++
		}
	}
	require.Equal(t, 101, through, "of ten thousand at once")
	require.Zero(t, w.wait(t, victim, "198.51.100.8", ""), "other addresses go on")
	// An IPv6 customer has a whole network.
	for i := range 200 {
		w.wait(t, fmt.Sprintf("v6-%d@example.org", i), fmt.Sprintf("2001:db8:1:2::%x", i+1), "")
	}
	require.NotZero(t, w.wait(t, "someone@example.org", "2001:db8:1:2:ffff::1", ""))
	require.Zero(t, w.wait(t, "someone@example.org", "2001:db8:1:3::1", ""))
}

func TestManyGuessesAtOnceAreCountedBeforeTheyAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if w.wait(t, victim, attacker, "") == 0 {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 6, through.Load())
}

func TestASuccessForgetsTheFailuresOfTheAccountAndNotOfTheAddress(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	for range 5 {
		require.Zero(t, w.wait(t, victim, attacker, ""))
	}
	try, err := w.Login(ctx, victim, attacker, "")
	require.NoError(t, err)
	require.NoError(t, try.Succeeded(ctx))
	for range 6 {
		require.Zero(t, w.wait(t, victim, attacker, ""), "the account begins anew")
	}

	// Who has an account of their own cannot wash away guesses at others.
	w = newWorld(t)
	allowed := 0
	for i := range 400 {
		own, err := w.Login(ctx, "mallory@example.org", attacker, "")
		if err != nil {
			break
		}
		require.NoError(t, own.Succeeded(ctx))
		if w.wait(t, fmt.Sprintf("user%d@example.org", i), attacker, "") == 0 {
			allowed++
		}
	}
	require.LessOrEqual(t, allowed, 101)
}

func TestWhatNobodyAnsweredCostsNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	for range 50 {
		try, err := w.Login(ctx, victim, attacker, "")
		require.NoError(t, err)
		require.NoError(t, try.Void(ctx))
	}
	require.Zero(t, w.wait(t, victim, attacker, ""))
}

func TestAnAttemptThatMustWaitCostsTheAddressNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 500 {
		w.wait(t, victim, attacker, "")
	}
	require.Zero(t, w.wait(t, "bob@example.org", attacker, ""), "only six were let through and count")
}

func TestAResetClearsTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 8 {
		w.clock.Advance(w.wait(t, victim, attacker, ""))
	}
	require.NotZero(t, w.wait(t, victim, attacker, ""))
	require.NoError(t, w.Forget(t.Context(), victim))
	require.Zero(t, w.wait(t, victim, attacker, ""))
}

func TestCodesAreCountedPerPersonAndKnownDevice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	person, device := uuid.New(), uuid.New()
	for range 6 {
		_, err := w.Code(ctx, person, uuid.Nil)
		require.NoError(t, err)
	}
	_, err := w.Code(ctx, person, uuid.Nil)
	require.True(t, apperr.IsKind(err, apperr.KindRateLimited))
	_, err = w.Code(ctx, person, device)
	require.NoError(t, err, "the owner on a known device is not kept out by who knows the password")
}

// TestGuessesPerDayAreBounded: whatever the attacker's rhythm, an account sees
// few guesses from unknown devices in a day.
func TestGuessesPerDayAreBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		end := w.clock.Now().Add(24 * time.Hour)
		guesses := 0
		for w.clock.Now().Before(end) {
			wait := w.wait(t, victim, fmt.Sprintf("10.0.%d.%d", guesses/200, guesses%200), "")
			if wait == 0 {
				guesses++
				continue
			}
			patience := time.Duration(rapid.IntRange(0, 300).Draw(t, "patience")) * time.Second
			w.clock.Advance(wait + patience)
		}
		require.LessOrEqual(t, guesses, 5+11+96)
	})
}

func TestKeysTellNoNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wait(t, victim, attacker, "")
	for _, k := range w.store.Keys() {
		require.NotContains(t, k, "ada")
		require.NotContains(t, k, "198.51")
		require.NotContains(t, k, "||")
	}
}

func TestWithoutAStoreNobodyIsLetThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.SetFail(true)
	_, err := w.Login(t.Context(), victim, attacker, "")
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
}
