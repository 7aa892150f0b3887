package keys_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/auth/internal/keys"
	"lms/shared/apperr"
	"lms/shared/authn"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

var (
	start    = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	schedule = keys.Schedule{Every: 30 * 24 * time.Hour, Lead: 10 * time.Minute, Tail: 65 * time.Minute}
	secretA  = []byte("the first sealing secret of a test")
	secretB  = []byte("another sealing secret, for a test")
)

// TestNoValidTokenIsEverRejected walks a ring through time. Tokens that live an
// hour are signed at any moment; as long as one is valid, its key must be
// published, and no key may sign that was not published a lead before.
func TestNoValidTokenIsEverRejected(t *testing.T) {
	t.Parallel()
	const life = time.Hour
	rapid.Check(t, func(t *rapid.T) {
		now := start
		ring := keys.Ring{}
		published := map[string]time.Time{}
		type signed struct {
			kid     string
			expires time.Time
		}
		var tokens []signed
		look := func() {
			for _, k := range ring.Published(now) {
				if _, ok := published[k.ID]; !ok {
					published[k.ID] = now
				}
			}
		}
		rotate := func() {
			k, err := keys.NewKey(now, now)
			require.NoError(t, err)
			ring = ring.Rotate(now, schedule, k)
			look()
		}
		rotate()
		first := ring.Keys[0].ID
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				signer, ok := ring.Signer(now)
				require.True(t, ok, "something always signs")
				if signer.ID != first {
					require.False(t, now.Before(published[signer.ID].Add(schedule.Lead)), "published before it signs")
				}
				ids := map[string]bool{}
				for _, k := range ring.Published(now) {
					ids[k.ID] = true
				}
				for _, s := range tokens {
					require.True(t, !now.Before(s.expires) || ids[s.kid], "a valid token would be rejected")
				}
			},
			"sign": func(t *rapid.T) {
				signer, ok := ring.Signer(now)
				require.True(t, ok)
				tokens = append(tokens, signed{signer.ID, now.Add(life)})
			},
			"minutes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute)
				if ring.Due(now, schedule) {
					rotate()
				}
			},
			"days": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "days")) * 24 * time.Hour)
				if ring.Due(now, schedule) {
					rotate()
				}
			},
			"by order": func(*rapid.T) { rotate() },
		})
		now = now.Add(schedule.Every + schedule.Lead + schedule.Tail)
		for ring.Due(now, schedule) {
			rotate()
		}
		now = now.Add(schedule.Lead + schedule.Tail)
		require.LessOrEqual(t, len(ring.Published(now)), 2, "retired keys leave the set")
	})
}

func TestACompromisedKeyIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	ring := keys.Ring{}
	for range 3 {
		k, err := keys.NewKey(start, start)
		require.NoError(t, err)
		ring = ring.Rotate(start, schedule, k)
	}
	fresh, err := keys.NewKey(start, start)
	require.NoError(t, err)
	ring = ring.Replace(start, fresh)
	signer, ok := ring.Signer(start)
	require.True(t, ok)
	require.Equal(t, fresh.ID, signer.ID)
	require.Len(t, ring.Published(start), 1)
}

func TestTheSetIsWhatVerifiersRead(t *testing.T) {
	t.Parallel()
	k, err := keys.NewKey(start, start)
	require.NoError(t, err)
	raw, err := keys.JWKS([]keys.Key{k})
	require.NoError(t, err)
	read, err := authn.ParseJWKS(raw)
	require.NoError(t, err)
	require.Equal(t, map[string]ed25519.PublicKey{k.ID: k.Public}, read)
	require.NotContains(t, string(raw), `"d"`, "no private half")
}

// vault is the user service's copy.
type vault struct {
	mu      sync.Mutex
	set     internalapi.SigningKeys
	away    bool
	puts    int
	reports []string
}

func (v *vault) SigningKeys(context.Context) (internalapi.SigningKeys, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.away {
		return internalapi.SigningKeys{}, apperr.Unavailable("service_unavailable", "away")
	}
	return internalapi.SigningKeys{Version: v.set.Version, Keys: slices.Clone(v.set.Keys)}, nil
}

func (v *vault) PutSigningKeys(_ context.Context, set internalapi.SigningKeys) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.away:
		return apperr.Unavailable("service_unavailable", "away")
	case set.Version != v.set.Version:
		return apperr.Conflict("version_conflict", "changed")
	}
	set.Version++
	v.set = set
	v.puts++
	return nil
}

func (v *vault) Report(_ context.Context, e internalapi.SecurityEvent) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reports = append(v.reports, e.Kind)
	return nil
}

type world struct {
	t     *testing.T
	clock *clock.Manual
	store *recordtest.Memory
	vault *vault
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: clock.NewManual(start), vault: &vault{}}
	w.store = recordtest.New(t, w.clock.Now)
	return w
}

func (w *world) replica(secrets ...[]byte) *keys.Keeper {
	w.t.Helper()
	if len(secrets) == 0 {
		secrets = [][]byte{secretA}
	}
	sealer, err := keys.NewSealer(secrets...)
	require.NoError(w.t, err)
	self, err := keys.SelfKey(secrets[0])
	require.NoError(w.t, err)
	return &keys.Keeper{
		Vault: w.vault, State: record.NewBook(w.store, w.clock.Now, keys.KeysEnd), Sealer: sealer, Self: []keys.Key{self},
		Schedule: schedule, Now: w.clock.Now, NewID: uuid.New, Log: slog.New(slog.DiscardHandler),
	}
}

func signer(t *testing.T, k *keys.Keeper) string {
	t.Helper()
	key, err := k.Signer()
	require.NoError(t, err)
	return key.ID
}

func TestReplicasThatStartTogetherAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*keys.Keeper{w.replica(), w.replica(), w.replica(), w.replica()}
	require.Error(t, replicas[0].Ready(), "no key yet")
	var wg sync.WaitGroup
	for _, k := range replicas {
		wg.Go(func() {
			if err := k.Sync(context.Background()); err != nil {
				require.Equal(t, "keys_changed", apperr.Code(err))
			}
		})
	}
	wg.Wait()
	for _, k := range replicas {
		require.Equal(t, signer(t, replicas[0]), signer(t, k))
	}
	require.Equal(t, 1, w.vault.puts)
}

func TestKeysSurviveAFlushAndAnAbsence(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	a := w.replica()
	require.NoError(t, a.Sync(ctx))
	kid := signer(t, a)

	w.store.Flush()
	b := w.replica()
	require.NoError(t, b.Peek(ctx))
	require.Error(t, b.Ready())
	require.NoError(t, b.Sync(ctx))
	require.Equal(t, kid, signer(t, b), "from the vault, and back in the store")

	w.vault.away = true
	c := w.replica()
	require.Error(t, c.Sync(ctx))
	require.NoError(t, c.Peek(ctx))
	require.Equal(t, kid, signer(t, c), "from the store")

	w.store.SetFail(true)
	require.Error(t, w.replica().Sync(ctx))
	require.Equal(t, kid, signer(t, c), "what is in memory goes on")
}

// A replica that has just started must not take part of the keys for all.
func TestAReplicaThatStartsKnowsTheKeysOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	running := w.replica()
	require.NoError(t, running.Sync(t.Context()))
	fresh := w.replica()
	_, err := fresh.Known()
	require.Equal(t, "keys_unavailable", apperr.Code(err))
	w.vault.away = true // nobody knows yet who asks
	fresh.Recall(t.Context())
	known, err := fresh.Known()
	require.NoError(t, err)
	require.Equal(t, kids(running), kids(fresh))
	require.Len(t, known, len(kids(running)))
}

func TestAnOrderIsSeenByOtherReplicasBeforeTheNewKeySigns(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	require.NoError(t, a.Sync(ctx))
	require.NoError(t, b.Sync(ctx))
	old := signer(t, a)

	reply, err := a.Rotate(ctx, false, "a drill")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{old, reply.KID}, reply.Published)
	require.Equal(t, start.Add(schedule.Lead), reply.SignsFrom)
	require.Equal(t, old, signer(t, a))
	require.NoError(t, b.Peek(ctx), "by the store alone")
	w.clock.Advance(schedule.Lead)
	require.Equal(t, reply.KID, signer(t, a))
	require.Equal(t, reply.KID, signer(t, b))
	require.Contains(t, kids(b), old, "still published")
	w.clock.Advance(schedule.Tail)
	require.NotContains(t, kids(b), old)
	require.Equal(t, []string{internalapi.SecurityKeyRotated, internalapi.SecurityKeyRotated}, w.vault.reports)

	reply, err = b.Rotate(ctx, true, "stolen")
	require.NoError(t, err)
	require.Equal(t, []string{reply.KID}, reply.Published)
	require.Equal(t, reply.KID, signer(t, b))
}

func kids(k *keys.Keeper) []string {
	var out []string
	for _, p := range k.Published() {
		out = append(out, p.ID)
	}
	return out
}

func TestOrdersAtOnceAreBothFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	require.NoError(t, a.Sync(t.Context()))
	var wg sync.WaitGroup
	for _, k := range []*keys.Keeper{a, b} {
		wg.Go(func() {
			_, err := k.Rotate(context.Background(), false, "")
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Equal(t, 3, w.vault.puts)
	require.Len(t, w.vault.set.Keys, 3)
}

func TestTheSealIsBoundToTheSecretAndTheKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	a := w.replica()
	require.NoError(t, a.Sync(ctx))
	key, err := a.Signer()
	require.NoError(t, err)
	stored, err := json.Marshal(w.vault.set)
	require.NoError(t, err)
	require.False(t, bytes.Contains(stored, key.Private.Seed()))
	e, err := w.store.Get(ctx, "signing-keys")
	require.NoError(t, err)
	require.NotEmpty(t, e.Value)
	require.False(t, bytes.Contains(e.Value, key.Private.Seed()))

	// A replica with another secret cannot sign with the key. It makes one of its
	// own, and leaves the sealed one for whoever can open it.
	stranger := w.replica(secretB)
	require.NoError(t, stranger.Sync(ctx))
	require.NotEqual(t, key.ID, signer(t, stranger))
	require.Contains(t, kids(stranger), key.ID)
	again := w.replica()
	require.NoError(t, again.Sync(ctx))
	require.Contains(t, kids(again), key.ID)
	require.Equal(t, key.ID, signer(t, again), "its seal is still there")

	// While a secret is replaced both are known, and all is sealed with the new.
	both := w.replica(secretB, secretA)
	require.NoError(t, both.Sync(ctx))
	require.NoError(t, w.replica(secretB).Sync(ctx))
	after := w.replica(secretB)
	require.NoError(t, after.Sync(ctx))
	w.clock.Advance(time.Minute)
	require.Contains(t, kids(after), key.ID)

	// Two sealed keys cannot change places.
	swapped := newWorld(t)
	k := swapped.replica()
	require.NoError(t, k.Sync(ctx))
	_, err = k.Rotate(ctx, false, "")
	require.NoError(t, err)
	set := &swapped.vault.set
	set.Keys[0].Sealed, set.Keys[1].Sealed = set.Keys[1].Sealed, set.Keys[0].Sealed
	swapped.store.Flush()
	victim := swapped.replica()
	require.NoError(t, victim.Sync(ctx))
	require.NotContains(t, []string{set.Keys[0].KID, set.Keys[1].KID}, signer(t, victim))
}

func TestWhoWritesToTheStoreCannotPublishAKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	k := w.replica()
	require.NoError(t, k.Sync(ctx))
	honest := kids(k)

	forged, err := keys.NewKey(start, start)
	require.NoError(t, err)
	public, err := keys.JWKS([]keys.Key{forged})
	require.NoError(t, err)
	var set struct{ Keys []json.RawMessage }
	require.NoError(t, json.Unmarshal(public, &set))
	ring := w.vault.set
	for name, bad := range map[string]internalapi.SigningKeys{
		"one more key": {Version: 99, Keys: append(slices.Clone(ring.Keys), internalapi.SealedSigningKey{KID: forged.ID, PublicJWK: set.Keys[0], SignsFrom: start})},
		"another public half": {Version: 99, Keys: []internalapi.SealedSigningKey{
			{KID: ring.Keys[0].KID, PublicJWK: set.Keys[0], Sealed: ring.Keys[0].Sealed, SignsFrom: start},
		}},
	} {
		raw, err := json.Marshal(bad)
		require.NoError(t, err)
		w.store.Flush()
		require.NoError(t, w.store.Put(ctx, "signing-keys", raw, record.Write{}))
		victim := w.replica()
		require.NoError(t, victim.Peek(ctx))
		require.NotContains(t, kids(victim), forged.ID, name)
		require.NoError(t, victim.Sync(ctx))
		require.NoError(t, victim.Peek(ctx))
		require.Equal(t, honest, kids(victim), name)
		for _, p := range victim.Published() {
			require.NotEqual(t, forged.Public, p.Public, name)
		}
	}
}

func TestARestoredVaultIsObeyed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	k := w.replica()
	require.NoError(t, k.Sync(ctx))
	backup := w.vault.set
	first := signer(t, k)
	for range 3 {
		_, err := k.Rotate(ctx, true, "")
		require.NoError(t, err)
	}
	w.vault.set = backup
	require.NoError(t, k.Sync(ctx))
	require.Equal(t, first, signer(t, k))
	require.NoError(t, k.Peek(ctx))
	require.Equal(t, first, signer(t, k), "the copy was put right, too")
}

func TestAKeyIsMadeAgainWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	k := w.replica()
	require.NoError(t, k.Sync(ctx))
	first := signer(t, k)
	w.clock.Advance(schedule.Every - schedule.Lead - time.Minute)
	require.NoError(t, k.Sync(ctx))
	require.Equal(t, 1, w.vault.puts)
	w.clock.Advance(time.Minute)
	require.NoError(t, k.Sync(ctx))
	require.Equal(t, 2, w.vault.puts)
	require.Equal(t, first, signer(t, k))
	w.clock.Advance(schedule.Lead)
	require.NotEqual(t, first, signer(t, k))
}

func TestOwnKeyIsTheSameInEveryReplica(t *testing.T) {
	t.Parallel()
	a, err := keys.SelfKey(secretA)
	require.NoError(t, err)
	b, err := keys.SelfKey(secretA)
	require.NoError(t, err)
	c, err := keys.SelfKey(secretB)
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.NotEqual(t, a.ID, c.ID)
	_, err = keys.NewSealer([]byte("short"))
	require.Error(t, err)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.replica()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, time.Millisecond, time.Millisecond) }()
	require.Eventually(t, func() bool { return k.Ready() == nil }, 5*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
