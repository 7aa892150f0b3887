// Package passwords hashes passwords with argon2id, within a bound of memory,
// and knows those that too many people use.
package passwords

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"lms/shared/apperr"
)

// Params are those of argon2id.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32
	Threads uint8
}

// Default are OWASP's: 19 MiB, two passes, one lane.
func Default() Params { return Params{Memory: 19 * 1024, Time: 2, Threads: 1} }

const (
	saltBytes = 16
	keyBytes  = 32
	// A kept hash may ask for no more than this: it comes from our own database,
	// and a damaged row must not take the machine along.
	maxMemory = 256 * 1024
	maxTime   = 10
)

// Hasher implements identity.Passwords. At most Slots hashes are computed at
// once, so that a flood of logins takes at most Slots × Memory; who waits longer
// than Wait for a slot is sent away with 503 `busy`.
type Hasher struct {
	params Params
	slots  chan struct{}
	wait   time.Duration
	dummy  string
	common []string // in order
}

// New makes a hasher. slots is at least one.
func New(p Params, slots int, wait time.Duration) (*Hasher, error) {
	if p.Memory < 8 || p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 || slots < 1 {
		return nil, errors.New("argon2id: parameters out of range")
	}
	common, err := commonWords()
	if err != nil {
		return nil, err
	}
	h := &Hasher{params: p, slots: make(chan struct{}, slots), wait: wait, common: common}
	// What an unknown account is compared with. Nobody knows its password.
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails since Go 1.24
	h.dummy = h.encode(p, secret[:saltBytes], secret)
	return h, nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(h.wait)
	defer t.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-t.C:
		return apperr.Unavailable("busy", "Too many people sign in at this moment. Try again.").After(time.Second)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() { <-h.slots }

// Hash implements identity.Passwords.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	return h.encode(h.params, salt, derive(h.params, password, salt, keyBytes)), nil
}

func derive(p Params, password string, salt []byte, length uint32) []byte {
	return argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, length)
}

func (h *Hasher) encode(p Params, salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, b.EncodeToString(salt), b.EncodeToString(key))
}

// Verify implements identity.Passwords.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, upgrade bool, err error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	p, salt, key, err := decode(hash)
	if err != nil {
		return false, false, apperr.Internal(err)
	}
	if err := h.enter(ctx); err != nil {
		return false, false, err
	}
	defer h.leave()
	got := derive(p, password, salt, uint32(len(key)))
	ok = subtle.ConstantTimeCompare(got, key) == 1 && known
	return ok, ok && (p != h.params || len(key) != keyBytes || len(salt) != saltBytes), nil
}

var errHash = errors.New("argon2id: not a hash of ours")

func decode(hash string) (p Params, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, nil, nil, errHash
	}
	var version int
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); err != nil {
		return p, nil, nil, errHash
	}
	if p.Memory > maxMemory || p.Time < 1 || p.Time > maxTime || p.Threads < 1 {
		return p, nil, nil, errHash
	}
	if salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return p, nil, nil, errHash
	}
	if key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(key) < 16 || len(key) > 64 {
		return p, nil, nil, errHash
	}
	return p, salt, key, nil
}
