package session

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/uuid"
)

// A refresh token is "lms_rt_" and 96 bytes in base64url: the subject, the
// session, 32 secret bytes, and a tag by which auth knows that it made the
// token. Only its SHA-256 is stored. The tag is what tells a stolen old token
// from a made-up one: without it, whoever reads a session id in an access token
// could end the session by presenting nonsense.
const (
	refreshPrefix = "lms_rt_"
	secretBytes   = 32
	refreshBytes  = 16 + 16 + secretBytes + 32
)

// errNotOurs says that a token was never given out by auth.
var errNotOurs = errors.New("not a refresh token of this installation")

// Token is a parsed refresh token.
type Token struct {
	Subject uuid.UUID
	Session uuid.UUID
	secret  []byte
	tag     []byte
}

// Raw is the token as clients see it.
func (t Token) Raw() string {
	b := make([]byte, 0, refreshBytes)
	b = append(b, t.Subject[:]...)
	b = append(b, t.Session[:]...)
	b = append(b, t.secret...)
	b = append(b, t.tag...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// Hash is what is stored of it.
func (t Token) Hash() []byte {
	h := sha256.Sum256([]byte(t.Raw()))
	return h[:]
}

// Chain makes refresh tokens: the first of a family from random bytes, each
// later one from the one before it, so that a parallel refresh can be given the
// same successor from nothing but what it presents.
type Chain struct{ keys []chainKey } // the newest first

type chainKey struct{ successor, tag []byte }

// NewChain derives the chain's keys from secrets of at least 32 bytes. Tokens
// are made with the first; the others still recognise what they have made.
func NewChain(secrets ...[]byte) (*Chain, error) {
	if len(secrets) == 0 {
		return nil, errors.New("the refresh chain needs a secret")
	}
	c := &Chain{}
	for _, secret := range secrets {
		if len(secret) < 32 {
			return nil, errors.New("the secret of the refresh chain needs at least 32 bytes")
		}
		successor, err := hkdf.Key(sha256.New, secret, nil, "lms auth refresh successor", 32)
		if err != nil {
			return nil, err
		}
		tag, err := hkdf.Key(sha256.New, secret, nil, "lms auth refresh tag", 32)
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, chainKey{successor: successor, tag: tag})
	}
	return c, nil
}

// First begins a family.
func (c *Chain) First(subject, sid uuid.UUID) Token {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return c.keys[0].seal(Token{Subject: subject, Session: sid, secret: secret})
}

// Next is the successor of a token: HMAC(key, token ‖ family).
func (c *Chain) Next(t Token) Token { return c.keys[0].next(t) }

func (k chainKey) next(t Token) Token {
	m := hmac.New(sha256.New, k.successor)
	m.Write([]byte(t.Raw()))
	m.Write(t.Subject[:])
	m.Write(t.Session[:])
	return k.seal(Token{Subject: t.Subject, Session: t.Session, secret: m.Sum(nil)})
}

func (k chainKey) seal(t Token) Token {
	t.tag = k.mac(t)
	return t
}

func (k chainKey) mac(t Token) []byte {
	m := hmac.New(sha256.New, k.tag)
	m.Write(t.Subject[:])
	m.Write(t.Session[:])
	m.Write(t.secret)
	return m.Sum(nil)
}

// Parse reads a token and checks its tag.
func (c *Chain) Parse(raw string) (Token, error) {
	body, ok := strings.CutPrefix(raw, refreshPrefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(refreshBytes) {
		return Token{}, errNotOurs
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) != refreshBytes {
		return Token{}, errNotOurs
	}
	t := Token{secret: b[32 : 32+secretBytes], tag: b[32+secretBytes:]}
	copy(t.Subject[:], b[:16])
	copy(t.Session[:], b[16:32])
	for _, k := range c.keys {
		if hmac.Equal(t.tag, k.mac(t)) {
			return t, nil
		}
	}
	return Token{}, errNotOurs
}

// IsRefresh says whether a string has the form of a refresh token.
func IsRefresh(raw string) bool { return strings.HasPrefix(raw, refreshPrefix) }

// Verdict is what presenting a genuine refresh token means.
type Verdict int

// The verdicts. A family has two tokens that are good: the current one, and its
// predecessor until the current one is first used.
//
//	present current      → Rotated: it becomes the predecessor, its successor the current one
//	present predecessor  → Repeated: the same successor again, nothing changes
//	present anything else → Theft: somebody holds a token that was replaced and confirmed
const (
	Theft Verdict = iota
	Rotated
	Repeated
)

// present applies a genuine token to its family and returns the token to give.
func (c *Chain) present(s *Record, t Token) (Verdict, Token) {
	h := t.Hash()
	if len(s.Current) > 0 && subtle.ConstantTimeCompare(h, s.Current) == 1 {
		next := c.Next(t)
		s.Predecessor, s.Current = h, next.Hash()
		s.Generation++
		return Rotated, next
	}
	if len(s.Predecessor) > 0 && subtle.ConstantTimeCompare(h, s.Predecessor) == 1 {
		// The rotation may have been made with an earlier key; what is given
		// must be what is stored.
		for _, k := range c.keys {
			if next := k.next(t); subtle.ConstantTimeCompare(next.Hash(), s.Current) == 1 {
				return Repeated, next
			}
		}
	}
	return Theft, Token{}
}
