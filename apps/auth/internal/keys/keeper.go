package keys

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
)

// stateKey is where the sealed ring is kept in the state block, without an end.
const stateKey = "signing-keys"

// Vault is the durable copy of the sealed ring, at the user service. Put
// replaces it if Version is the stored one; 409 `version_conflict` otherwise.
type Vault interface {
	SigningKeys(ctx context.Context) (internalapi.SigningKeys, error)
	PutSigningKeys(ctx context.Context, set internalapi.SigningKeys) error
	Report(ctx context.Context, e internalapi.SecurityEvent) error
}

// Keeper has the ring in memory and agrees on it with the other replicas. The
// vault decides: a ring exists once the vault has taken it. The state block is a
// copy that serves while the vault is away, and may be flushed.
type Keeper struct {
	Vault  Vault
	State  *record.Book[internalapi.SigningKeys]
	Sealer *Sealer
	// Self are the keys of auth's own token, the newest first.
	Self     []Key
	Schedule Schedule
	Now      func() time.Time
	NewID    func() uuid.UUID
	Log      *slog.Logger

	change sync.Mutex // one change at a time
	mu     sync.RWMutex
	ring   Ring
}

// KeysEnd is for the state book: the ring has no end of its own.
func KeysEnd(*internalapi.SigningKeys) time.Time { return time.Time{} }

// errNoKeys says that the ring is not known yet.
var errNoKeys = apperr.Unavailable("keys_unavailable", "Tokens cannot be signed at the moment. Try again.").After(2 * time.Second)

// Signer is the key that signs now; 503 `keys_unavailable` before any is known.
func (k *Keeper) Signer() (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.ring.Signer(k.Now())
	if !ok {
		return Key{}, errNoKeys
	}
	return key, nil
}

// Published are the keys of the JWKS: the ring's and auth's own, also those by
// which replicas sign that were not told of a new sealing secret yet.
func (k *Keeper) Published() []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return append(k.ring.Published(k.Now()), k.Self...)
}

// Known is Published once the ring was read, and 503 `keys_unavailable` before:
// with auth's own keys alone every person's token would seem to be forged.
func (k *Keeper) Known() ([]Key, error) {
	if err := k.Ready(); err != nil {
		return nil, err
	}
	return k.Published(), nil
}

// Ready says whether tokens can be signed.
func (k *Keeper) Ready() error {
	_, err := k.Signer()
	return err
}

// Version is the version of the ring in memory.
func (k *Keeper) Version() int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.ring.Version
}

// adopt takes over a newer ring from the copy. One that is behind changes
// nothing.
func (k *Keeper) adopt(r Ring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.Version > k.ring.Version {
		k.ring = r
	}
}

// obey takes over the vault's ring, also an older one: the database was
// restored from a backup then, and what the copy knows never was.
func (k *Keeper) obey(r Ring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring = r
}

func (k *Keeper) current() Ring {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.ring
}

// Peek reads the copy in the state block: cheap, and how a replica learns of
// what another one did. Only a copy is believed whose every key opens: who can
// write to the store, but has no sealing secret, must not be able to publish a
// key of their own.
func (k *Keeper) Peek(ctx context.Context) error {
	set, err := k.State.Get(ctx, stateKey)
	if err != nil || set == nil {
		return err
	}
	r, _, err := k.Sealer.unwrap(*set)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Keys, func(key Key) bool { return key.Private == nil }) {
		k.adopt(r)
	}
	return nil
}

// Sync reads the vault, makes a key when one is due, and brings the copy in the
// state block up to date.
func (k *Keeper) Sync(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	r, stale, err := k.fromVault(ctx)
	if err != nil {
		return err
	}
	if r.Due(k.Now(), k.Schedule) {
		return k.rotate(ctx, r, false, "schedule")
	}
	if stale {
		return k.store(ctx, r)
	}
	return k.copyToState(ctx, r)
}

func (k *Keeper) fromVault(ctx context.Context) (Ring, bool, error) {
	set, err := k.Vault.SigningKeys(ctx)
	if err != nil {
		return Ring{}, false, err
	}
	r, stale, err := k.Sealer.unwrap(set)
	if err != nil {
		return Ring{}, false, apperr.Internal(err)
	}
	for _, key := range r.Keys {
		if key.Private == nil {
			k.Log.WarnContext(ctx, "a signing key cannot be opened with the sealing secrets there are; it verifies but does not sign", "kid", key.ID)
		}
	}
	k.obey(r)
	return r, stale, nil
}

// Rotate makes a new key by order. Of two orders at once both are followed, one
// after the other.
func (k *Keeper) Rotate(ctx context.Context, compromised bool, reason string) (internalapi.RotateKeysReply, error) {
	k.change.Lock()
	defer k.change.Unlock()
	var err error
	for range 5 {
		var r Ring
		if r, _, err = k.fromVault(ctx); err != nil {
			return internalapi.RotateKeysReply{}, err
		}
		if err = k.rotate(ctx, r, compromised, reason); !raced(err) {
			break
		}
	}
	if err != nil {
		return internalapi.RotateKeysReply{}, err
	}
	r := k.current()
	newest := r.Keys[len(r.Keys)-1]
	reply := internalapi.RotateKeysReply{KID: newest.ID, SignsFrom: newest.SignsFrom, Version: r.Version}
	for _, p := range r.Published(k.Now()) {
		reply.Published = append(reply.Published, p.ID)
	}
	return reply, nil
}

// errRaced says that another replica changed the ring first.
var errRaced = apperr.Conflict("keys_changed", "The keys were changed at the same time. Try again.")

func raced(err error) bool { return apperr.Code(err) == errRaced.Code }

func (k *Keeper) rotate(ctx context.Context, r Ring, compromised bool, reason string) error {
	now := k.Now()
	fresh, err := NewKey(now, now)
	if err != nil {
		return apperr.Internal(err)
	}
	next := r.Rotate(now, k.Schedule, fresh)
	if compromised {
		next = r.Replace(now, fresh)
	}
	if err := k.store(ctx, next); err != nil {
		return err
	}
	k.Log.InfoContext(ctx, "signing key made", "kid", fresh.ID, "compromised", compromised, "reason", reason, "version", r.Version+1)
	e := internalapi.SecurityEvent{
		ID: k.NewID(), Kind: internalapi.SecurityKeyRotated, At: now,
		Details: map[string]string{"kid": fresh.ID, "reason": reason},
	}
	if err := k.Vault.Report(ctx, e); err != nil {
		k.Log.WarnContext(ctx, "security event not recorded", "kind", e.Kind, "error", err)
	}
	return nil
}

// store puts a changed ring into the vault, then everywhere else. A lost race
// is errRaced, and the winner's ring is adopted.
func (k *Keeper) store(ctx context.Context, r Ring) error {
	set, err := k.Sealer.wrap(r)
	if err != nil {
		return apperr.Internal(err)
	}
	err = k.Vault.PutSigningKeys(ctx, set)
	if apperr.IsKind(err, apperr.KindConflict) {
		if _, _, rerr := k.fromVault(ctx); rerr != nil {
			return rerr
		}
		return errRaced.With(err)
	}
	if err != nil {
		return err
	}
	r.Version++
	k.obey(r)
	return k.copyToState(ctx, r)
}

// copyToState writes the vault's ring to the state block unless it is there. Two
// replicas may leave the older of two there; the next one to read the vault puts
// it right. Its failure is no failure: the vault has the ring.
func (k *Keeper) copyToState(ctx context.Context, r Ring) error {
	set, err := k.Sealer.wrap(r)
	if err != nil {
		return apperr.Internal(err)
	}
	_, err = k.State.Update(ctx, stateKey, func(current *internalapi.SigningKeys) (*internalapi.SigningKeys, error) {
		if current != nil && current.Version == set.Version {
			return current, record.ErrKeep
		}
		return &set, nil
	})
	if err != nil {
		k.Log.WarnContext(ctx, "signing keys not copied to the state store", "error", err)
	}
	return nil
}

// Recall reads the copy. It is called before anything is answered: a replica that
// has just started would publish a set without the keys that people's tokens are
// signed with, and every service that asks would take it for the whole. The vault
// comes later, since it must ask this replica who it is.
func (k *Keeper) Recall(ctx context.Context) {
	if err := k.bounded(ctx, k.Peek); err != nil && ctx.Err() == nil {
		k.Log.WarnContext(ctx, "signing keys not read from the state store", "error", err)
	}
}

// Run keeps the ring current until ctx ends: the state copy every `peek`, the
// vault every `sync`, every two seconds while no key is known.
func (k *Keeper) Run(ctx context.Context, peek, sync time.Duration) error {
	var lastSync time.Time
	for {
		started := time.Now()
		if lastSync.IsZero() || started.Sub(lastSync) >= sync || k.Ready() != nil {
			if err := k.bounded(ctx, k.Sync); err == nil || raced(err) {
				lastSync = started
			} else if ctx.Err() == nil {
				k.Log.WarnContext(ctx, "signing keys not read from the user service", "error", err)
			}
		}
		k.Recall(ctx)
		wait := peek
		if k.Ready() != nil {
			wait = min(peek, 2*time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (k *Keeper) bounded(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return fn(ctx)
}
