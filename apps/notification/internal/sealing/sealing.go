// Package sealing keeps secrets unreadable where they are stored, and signs the
// links of one-click unsubscription. Every key is derived from one secret, each for
// one purpose.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
)

// minSecret is the least length of the secret.
const minSecret = 32

const (
	keySize = 32
	tagSize = 16 // bytes of a link's signature
)

// Keys are made from the secret, which comes through the sidecar and so later than
// the service: until then everything is 503 `notification_starting`.
type Keys struct{ sets atomic.Pointer[[]keySet] }

type keySet struct{ seal, link []byte }

// Use takes the secrets, the newest first; the others open and verify what was made
// before a change.
func (k *Keys) Use(secrets ...[]byte) error {
	var sets []keySet
	for _, s := range secrets {
		if len(s) < minSecret {
			return fmt.Errorf("the secret has fewer than %d characters", minSecret)
		}
		seal, err := hkdf.Key(sha256.New, s, nil, "lms notification seal", keySize)
		if err != nil {
			return fmt.Errorf("derive key: %w", err)
		}
		link, err := hkdf.Key(sha256.New, s, nil, "lms notification unsubscribe", keySize)
		if err != nil {
			return fmt.Errorf("derive key: %w", err)
		}
		sets = append(sets, keySet{seal, link})
	}
	k.sets.Store(&sets)
	return nil
}

// Ready says whether the secret is there.
func (k *Keys) Ready() bool { return k.sets.Load() != nil }

func (k *Keys) all() ([]keySet, error) {
	sets := k.sets.Load()
	if sets == nil || len(*sets) == 0 {
		return nil, apperr.Unavailable("notification_starting", "Notifications are starting. Try again.").After(time.Second)
	}
	return *sets, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// Seal encrypts with AES-256-GCM, bound to a purpose.
func (k *Keys) Seal(plain []byte, purpose string) ([]byte, error) {
	sets, err := k.all()
	if err != nil {
		return nil, err
	}
	aead, err := gcm(sets[0].seal)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	return aead.Seal(nonce, nonce, plain, []byte(purpose)), nil
}

var errSealed = errors.New("it was not sealed with a secret that is in use, or for another purpose")

// Open decrypts what Seal made for the same purpose.
func (k *Keys) Open(sealed []byte, purpose string) ([]byte, error) {
	sets, err := k.all()
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		aead, err := gcm(set.seal)
		if err != nil {
			return nil, err
		}
		if len(sealed) < aead.NonceSize() {
			return nil, errSealed
		}
		n := aead.NonceSize()
		if plain, err := aead.Open(nil, sealed[:n], sealed[n:], []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, errSealed
}

func sign(key, payload []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(payload)
	return mac.Sum(nil)[:tagSize]
}

// Link makes the token of a one-click link: whom, and which kind of mail ("": all
// that may be stopped). It has no end: a mail is read years later, and the token can
// do nothing but stop mail.
func (k *Keys) Link(who uuid.UUID, kind string) (string, error) {
	sets, err := k.all()
	if err != nil {
		return "", err
	}
	payload := append(append([]byte{}, who[:]...), kind...)
	return base64.RawURLEncoding.EncodeToString(append(sign(sets[0].link, payload), payload...)), nil
}

// ReadLink is whom a token names, and the kind.
func (k *Keys) ReadLink(token string) (who uuid.UUID, kind string, err error) {
	sets, err := k.all()
	if err != nil {
		return who, "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	bad := apperr.New(apperr.KindInvalid, "bad_unsubscribe_token", "The link is not one that we sent.")
	if err != nil || len(raw) < tagSize+len(who) {
		return who, "", bad
	}
	for _, set := range sets {
		if hmac.Equal(raw[:tagSize], sign(set.link, raw[tagSize:])) {
			copy(who[:], raw[tagSize:])
			return who, string(raw[tagSize+len(who):]), nil
		}
	}
	return who, "", bad
}
