// Package seal encrypts what the service must read again, with a key from the
// secrets block that no database backup contains.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"lms/shared/apperr"
)

// version is the first byte of what is sealed: the way it was done.
const version = 1

const minKey = 32

// Box implements identity.Sealer: AES-256-GCM with a key of its own for each
// context, derived by HKDF. Secret is asked once; while it cannot be had, the
// answer is 503.
type Box struct {
	// Secret gives the key, at least 32 bytes in hexadecimal digits.
	Secret func(ctx context.Context) (string, error)

	mu  sync.Mutex
	key []byte
}

func (b *Box) secret() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.key != nil {
		return b.key, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	text, err := b.Secret(ctx)
	if err != nil {
		return nil, apperr.Unavailable("secrets_unavailable", "A secret cannot be read at the moment.").With(err)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) < minKey {
		return nil, apperr.Unavailable("secrets_unavailable", "A secret cannot be read at the moment.").
			With(errors.New("the sealing key must be at least 32 bytes in hexadecimal digits"))
	}
	b.key = key
	return key, nil
}

func (b *Box) aead(place string) (cipher.AEAD, error) {
	secret, err := b.secret()
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "lms user seal "+place, 32)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}

// Seal implements identity.Sealer.
func (b *Box) Seal(plain []byte, place string) ([]byte, error) {
	a, err := b.aead(place)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+a.NonceSize(), 1+a.NonceSize()+len(plain)+a.Overhead())
	out[0] = version
	_, _ = rand.Read(out[1:]) // never fails since Go 1.24
	return a.Seal(out, out[1:], plain, []byte(place)), nil
}

// Open implements identity.Sealer.
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	a, err := b.aead(place)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+a.NonceSize() || sealed[0] != version {
		return nil, errors.New("seal: not sealed by us")
	}
	plain, err := a.Open(nil, sealed[1:1+a.NonceSize()], sealed[1+a.NonceSize():], []byte(place))
	if err != nil {
		return nil, fmt.Errorf("seal: another key or another place: %w", err)
	}
	return plain, nil
}
