// Package passwords does the slow part of password checking: argon2id in a
// bounded amount of memory, and the list of passwords that many people use.
package passwords

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/data"
	"golang.org/x/crypto/argon2"

	"lms/shared/apperr"
)

// Params of argon2id (RFC 9106).
type Params struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// Default is the first choice of OWASP's Password Storage Cheat Sheet for
// argon2id: 19 MiB, two passes, one lane.
func Default() Params { return Params{MemoryKiB: 19 * 1024, Passes: 2, Lanes: 1} }

const (
	saltBytes = 16
	keyBytes  = 32
	// slotWait is how long a check waits for its turn before it is refused.
	slotWait = 3 * time.Second
	// Limits of what a stored hash may ask for, so that a bad row cannot take
	// the machine's memory.
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
)

// Hasher implements identity.Passwords.
type Hasher struct {
	params Params
	slots  chan struct{}
	common map[string]struct{}
	decoy  string // what the password of nobody is compared with
}

// New makes a hasher that runs at most parallel computations at once: at the
// default parameters each takes 19 MiB.
func New(p Params, parallel int) (*Hasher, error) {
	h := &Hasher{params: p, slots: make(chan struct{}, max(parallel, 1))}
	var err error
	if h.common, err = commonPasswords(); err != nil {
		return nil, err
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("random salt: %w", err)
	}
	h.decoy = encode(p, salt, make([]byte, keyBytes))
	return h, nil
}

// Hash makes a PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("random salt: %w", err)
	}
	key, err := h.key(ctx, h.params, password, salt)
	if err != nil {
		return "", err
	}
	return encode(h.params, salt, key), nil
}

// Verify compares in constant time. An empty hash costs as much as a real one
// and is never right, so that an unknown account answers no faster.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, upgrade bool, err error) {
	known := hash != ""
	if !known {
		hash = h.decoy
	}
	p, salt, want, err := decode(hash)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash: %w", err)
	}
	got, err := h.key(ctx, p, password, salt)
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(got, want) == 1
	return known && same, known && p != h.params, nil
}

// Common says that a password is on the list, in any case.
func (h *Hasher) Common(password string) bool {
	_, ok := h.common[strings.ToLower(password)]
	return ok
}

func (h *Hasher) key(ctx context.Context, p Params, password string, salt []byte) ([]byte, error) {
	t := time.NewTimer(slotWait)
	defer t.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-t.C:
		return nil, apperr.Unavailable("busy", "Too many people are signing in right now. Try again.").After(time.Second)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, p.Passes, p.MemoryKiB, p.Lanes, keyBytes), nil
}

func encode(p Params, salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Passes, p.Lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

var errHash = errors.New("not an argon2id PHC string within limits")

func decode(hash string) (p Params, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Passes, &p.Lanes); err != nil || n != 3 {
		return p, nil, nil, errHash
	}
	if p.MemoryKiB == 0 || p.MemoryKiB > maxMemoryKiB || p.Passes == 0 || p.Passes > maxPasses || p.Lanes == 0 {
		return p, nil, nil, errHash
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, nil, nil, errHash
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(key) != keyBytes {
		return p, nil, nil, errHash
	}
	return p, salt, key, nil
}

// commonPasswords is the list of zxcvbn (MIT), without what is too short to be
// accepted anyway.
func commonPasswords() (map[string]struct{}, error) {
	raw, err := data.Asset("data/Passwords.json")
	if err != nil {
		return nil, fmt.Errorf("list of common passwords: %w", err)
	}
	var doc struct{ List []string }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("list of common passwords: %w", err)
	}
	out := make(map[string]struct{}, len(doc.List)/4)
	for _, p := range doc.List {
		if utf8.RuneCountInString(p) >= 8 {
			out[strings.ToLower(p)] = struct{}{}
		}
	}
	if len(out) < 1000 {
		return nil, fmt.Errorf("list of common passwords: only %d entries", len(out))
	}
	return out, nil
}
