// Package keys holds the keys that access tokens are signed with: which one
// signs, which are published, when the next one takes over. A key is published
// before it signs, and stays published until the last token it signed has
// expired, so that a rotation rejects no valid token.
package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// Key is one signing key. Private is nil when nobody here can open its seal: it
// verifies then, and never signs.
type Key struct {
	ID        string
	Public    ed25519.PublicKey
	Private   ed25519.PrivateKey
	CreatedAt time.Time
	SignsFrom time.Time
	RetiresAt time.Time // zero: not known yet, no successor

	sealed []byte // kept when Private is nil: the right secret may come back
}

// Ring is the set of keys in the order in which they sign.
type Ring struct {
	Version int64
	Keys    []Key
}

// Schedule says when keys change.
type Schedule struct {
	Every time.Duration // a key signs for this long
	Lead  time.Duration // it is published for this long before it signs
	Tail  time.Duration // it stays published for this long after it signed: the longest token life and a margin
}

// NewKey makes a key that signs from a moment on. Its id is a hash of the
// public key.
func NewKey(now, signsFrom time.Time) (Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: keyID(public), Public: public, Private: private, CreatedAt: now, SignsFrom: signsFrom}, nil
}

func keyID(public ed25519.PublicKey) string {
	h := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(h[:12])
}

func (k *Key) retired(now time.Time) bool {
	return !k.RetiresAt.IsZero() && !now.Before(k.RetiresAt)
}

// Signer is the key that signs now: of those whose time has come the newest. Of
// two with the same time it is the later in the ring, since the earlier one
// retires a tail after that time.
func (r Ring) Signer(now time.Time) (Key, bool) {
	var best Key
	var found bool
	for _, k := range r.Keys {
		if k.Private == nil || now.Before(k.SignsFrom) || k.retired(now) {
			continue
		}
		if !found || !k.SignsFrom.Before(best.SignsFrom) {
			best, found = k, true
		}
	}
	return best, found
}

// Published are the keys that tokens may be verified with now.
func (r Ring) Published(now time.Time) []Key {
	return slices.DeleteFunc(slices.Clone(r.Keys), func(k Key) bool { return k.retired(now) })
}

// Due says whether a new key is to be made now: none signs and none will, or
// the last one has signed for so long that its successor must be published.
func (r Ring) Due(now time.Time, s Schedule) bool {
	var last Key
	for _, k := range r.Keys {
		if k.Private != nil && !k.retired(now) && (last.ID == "" || !k.SignsFrom.Before(last.SignsFrom)) {
			last = k
		}
	}
	return last.ID == "" || !now.Before(last.SignsFrom.Add(s.Every-s.Lead))
}

// Rotate is the ring with a new key in it: it signs after the lead, or at once
// when nothing else can sign. What signed before retires a tail later.
func (r Ring) Rotate(now time.Time, s Schedule, fresh Key) Ring {
	fresh.SignsFrom = now.Add(s.Lead)
	if _, ok := r.Signer(now); !ok {
		fresh.SignsFrom = now
	}
	next := Ring{Version: r.Version, Keys: r.Published(now)}
	for i := range next.Keys {
		k := &next.Keys[i]
		if end := fresh.SignsFrom.Add(s.Tail); k.RetiresAt.IsZero() {
			k.RetiresAt = end
		}
	}
	next.Keys = append(next.Keys, fresh)
	return next
}

// Replace is the ring after a key was stolen: the new key signs at once, no
// other verifies.
func (r Ring) Replace(now time.Time, fresh Key) Ring {
	fresh.SignsFrom = now
	return Ring{Version: r.Version, Keys: []Key{fresh}}
}
