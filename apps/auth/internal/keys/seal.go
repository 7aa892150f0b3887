package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"lms/shared/contracts/internalapi"
)

// Sealer encrypts private keys with AES-256-GCM under keys derived from the
// installation's sealing secrets. The key's id is bound into the seal, so that
// two sealed keys cannot change places.
type Sealer struct{ aeads []cipher.AEAD } // the newest first

// NewSealer takes secrets of at least 32 bytes, the newest first: it seals with
// the first and opens with any.
func NewSealer(secrets ...[]byte) (*Sealer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no sealing secret")
	}
	s := &Sealer{}
	for _, secret := range secrets {
		if len(secret) < 32 {
			return nil, errors.New("a sealing secret needs at least 32 bytes")
		}
		key, err := hkdf.Key(sha256.New, secret, nil, "lms auth signing key seal", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

func (s *Sealer) seal(kid string, private ed25519.PrivateKey) []byte {
	return s.aeads[0].Seal(nil, nil, private.Seed(), []byte(kid))
}

// open returns the private key; stale says that it was sealed with an earlier
// secret.
func (s *Sealer) open(kid string, sealed []byte) (key ed25519.PrivateKey, stale bool, err error) {
	for i, aead := range s.aeads {
		seed, err := aead.Open(nil, nil, sealed, []byte(kid))
		if err == nil && len(seed) == ed25519.SeedSize {
			return ed25519.NewKeyFromSeed(seed), i > 0, nil
		}
	}
	return nil, false, errors.New("no sealing secret opens the key")
}

// SelfKey is the key that auth signs its own service token with. It is derived
// and not stored, and the same in every replica: a token by which auth asks
// for the sealed keys must not need those keys.
func SelfKey(secret []byte) (Key, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "lms auth own service token", ed25519.SeedSize)
	if err != nil {
		return Key{}, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	public, _ := private.Public().(ed25519.PublicKey)
	return Key{ID: keyID(public), Public: public, Private: private}, nil
}

// jwk is the public half as JSON Web Key.
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
}

// JWKS is the published set as JSON, the self keys included.
func JWKS(published []Key) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: make([]jwk, 0, len(published))}
	for _, k := range published {
		set.Keys = append(set.Keys, publicJWK(k))
	}
	return json.Marshal(set)
}

func publicJWK(k Key) jwk {
	return jwk{KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: "EdDSA", KeyID: k.ID, X: base64.RawURLEncoding.EncodeToString(k.Public)}
}

// wrap seals a ring for storing.
func (s *Sealer) wrap(r Ring) (internalapi.SigningKeys, error) {
	out := internalapi.SigningKeys{Version: r.Version, Keys: make([]internalapi.SealedSigningKey, 0, len(r.Keys))}
	for _, k := range r.Keys {
		public, err := json.Marshal(publicJWK(k))
		if err != nil {
			return out, err
		}
		sealed := internalapi.SealedSigningKey{
			KID: k.ID, Algorithm: "EdDSA", PublicJWK: public, CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom,
		}
		if sealed.Sealed = k.sealed; k.Private != nil {
			sealed.Sealed = s.seal(k.ID, k.Private)
		}
		if !k.RetiresAt.IsZero() {
			at := k.RetiresAt
			sealed.RetiresAt = &at
		}
		out.Keys = append(out.Keys, sealed)
	}
	return out, nil
}

// unwrap opens a stored ring. A key whose seal nobody opens keeps its public
// half. stale says that some key should be sealed anew.
func (s *Sealer) unwrap(set internalapi.SigningKeys) (r Ring, stale bool, err error) {
	r.Version = set.Version
	for _, k := range set.Keys {
		var j jwk
		if err := json.Unmarshal(k.PublicJWK, &j); err != nil {
			return Ring{}, false, fmt.Errorf("signing key %s: %w", k.KID, err)
		}
		public, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return Ring{}, false, fmt.Errorf("signing key %s: not an Ed25519 key", k.KID)
		}
		key := Key{ID: k.KID, Public: public, CreatedAt: k.CreatedAt, SignsFrom: k.SignsFrom}
		if k.RetiresAt != nil {
			key.RetiresAt = *k.RetiresAt
		}
		private, old, err := s.open(k.KID, k.Sealed)
		if err == nil {
			// The seal vouches for the private half, and so for the public one.
			key.Private = private
			key.Public, _ = private.Public().(ed25519.PublicKey)
			stale = stale || old
		} else {
			key.sealed = k.Sealed
		}
		r.Keys = append(r.Keys, key)
	}
	return r, stale, nil
}
