package authn

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// JWK is one public key of the set (RFC 8037): kty OKP, crv Ed25519.
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
}

// JWKS is the document that auth serves at /.well-known/jwks.json.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// PublicJWK describes a public key for the set.
func PublicJWK(kid string, key ed25519.PublicKey) JWK {
	return JWK{KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: "EdDSA", KeyID: kid, X: base64.RawURLEncoding.EncodeToString(key)}
}

// ParseJWKS reads the Ed25519 keys of a set by their kid. Keys of other kinds
// are skipped; a set without a usable key is an error, so that a broken answer
// never replaces working keys.
func ParseJWKS(raw []byte) (map[string]ed25519.PublicKey, error) {
	var set JWKS
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("parse JWKS: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		if k.KeyType != "OKP" || k.Curve != "Ed25519" || k.KeyID == "" || (k.Use != "" && k.Use != "sig") {
			continue
		}
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			continue
		}
		keys[k.KeyID] = ed25519.PublicKey(x)
	}
	if len(keys) == 0 {
		return nil, errors.New("parse JWKS: no Ed25519 key in the set")
	}
	return keys, nil
}

// How the key set is kept.
const (
	refetchEvery  = 2 * time.Second        // an unknown kid asks auth at most this often
	refreshEvery  = 5 * time.Minute        // a key that auth withdrew is forgotten by then
	fetchTimeout  = 3 * time.Second        // one attempt to ask auth
	retryEvery    = 10 * time.Second       // the next attempt after a failed refresh
	firstRetry    = 100 * time.Millisecond // the same while no key is known, doubled each time
	maxFirstRetry = time.Second            // up to this
	// A replica that has just started may be called before it could ask auth: its
	// callers wait for the first keys, at most this long after the start.
	warmUp = 5 * time.Second
)

// keySet holds auth's public keys; they stay until a newer set replaces them.
type keySet struct {
	fetch func(context.Context) ([]byte, error)
	load  func(context.Context) ([]byte, error) // second level, may be nil
	save  func(context.Context, []byte) error   // second level, may be nil
	now   func() time.Time

	keys  atomic.Pointer[map[string]ed25519.PublicKey]
	begun atomic.Pointer[time.Time] // since when they are asked for until they come
	first chan struct{}             // closed with the first keys
	once  sync.Once

	mu      sync.Mutex // one fetch at a time
	tried   time.Time
	lastErr error
}

func (k *keySet) get(kid string) (ed25519.PublicKey, bool) {
	m := k.keys.Load()
	if m == nil {
		return nil, false
	}
	key, ok := (*m)[kid]
	return key, ok
}

// find is get, and asks auth for the set when the kid is not known, at most
// once per refetchEvery. The error says that nobody could be asked.
func (k *keySet) find(ctx context.Context, kid string) (ed25519.PublicKey, bool, error) {
	if key, ok := k.get(kid); ok {
		return key, true, nil
	}
	k.awaitFirst(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.get(kid); ok { // fetched while this caller waited
		return key, true, nil
	}
	if k.now().Sub(k.tried) < refetchEvery {
		return nil, false, k.lastErr
	}
	k.lastErr = k.refreshLocked(ctx)
	k.tried = k.now()
	key, ok := k.get(kid)
	if ok {
		return key, true, nil
	}
	return nil, false, k.lastErr
}

// awaitFirst returns when any keys are known, or may no longer be waited for.
func (k *keySet) awaitFirst(ctx context.Context) {
	begun := k.begun.Load()
	if begun == nil || k.keys.Load() != nil {
		return
	}
	t := time.NewTimer(time.Until(begun.Add(warmUp)))
	defer t.Stop()
	select {
	case <-k.first:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (k *keySet) store(keys map[string]ed25519.PublicKey) {
	k.keys.Store(&keys)
	k.once.Do(func() { close(k.first) })
}

func (k *keySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastErr = k.refreshLocked(ctx)
	k.tried = k.now()
	return k.lastErr
}

func (k *keySet) refreshLocked(ctx context.Context) error {
	// The fetch serves every waiting caller: it must not end with the one that
	// happened to start it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	raw, err := k.fetch(ctx)
	if err == nil {
		var keys map[string]ed25519.PublicKey
		if keys, err = ParseJWKS(raw); err == nil {
			k.store(keys)
			return k.remember(ctx, raw)
		}
	}
	if k.keys.Load() != nil || k.load == nil {
		return err
	}
	// Nothing yet since this process started: the second level may know.
	raw, lerr := k.load(ctx)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	keys, lerr := ParseJWKS(raw)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	k.store(keys)
	return nil
}

// remember writes the set to the second level. Its failure changes nothing for
// callers: the set in memory is the one that counts.
func (k *keySet) remember(ctx context.Context, raw []byte) error {
	if k.save == nil {
		return nil
	}
	_ = k.save(ctx, raw) // a cache that may be away; the next refresh writes again
	return nil
}
