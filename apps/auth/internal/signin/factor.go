package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// Challenge waits for the second factor of a login whose first factor was good.
// It is the only way past the first factor: when the store forgets it, the
// login begins anew.
type Challenge struct {
	UserID uuid.UUID `json:"user_id"`
	// Epoch and PasswordAt are of the moment of the first factor.
	Epoch      int64      `json:"epoch"`
	PasswordAt *time.Time `json:"password_at,omitempty"`
	Method     string     `json:"method"`
	Device     string     `json:"device,omitempty"`
	Cookie     bool       `json:"cookie,omitempty"`
	Known      uuid.UUID  `json:"known"`
	Attempts   int        `json:"attempts"`
	BegunAt    time.Time  `json:"begun_at"`
	Ends       time.Time  `json:"exp"`
}

// ChallengeEnds is when a challenge ends.
func ChallengeEnds(c *Challenge) time.Time { return c.Ends }

// maxAttempts is how many codes may be tried on one challenge.
const maxAttempts = 5

var errChallenge = apperr.Unauthenticated("mfa_challenge_invalid", "The sign-in took too long or was tried too often. Begin again.")

func (s *Service) challenge(ctx context.Context, p proof) (Outcome, error) {
	raw := secret()
	c := &Challenge{
		UserID: p.subject.UserID, Epoch: p.subject.Epoch, PasswordAt: p.subject.PasswordChangedAt,
		Method: p.method, Device: p.device, Cookie: p.cookie, Known: p.known, BegunAt: s.Now(), Ends: s.Now().Add(s.Lives.Challenge),
	}
	if err := s.Challenges.Create(ctx, challengeKey(raw), c); err != nil {
		return Outcome{}, err
	}
	return Outcome{Challenge: raw, ChallengeLife: s.Lives.Challenge}, nil
}

// secret is 256 random bits for a URL or a JSON body.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func hashed(prefix, raw string) string {
	h := sha256.Sum256([]byte(raw))
	return prefix + base64.RawURLEncoding.EncodeToString(h[:])
}

func challengeKey(raw string) string { return hashed("mfa.", raw) }

// Factor answers a challenge with a code. Errors: 401 `code_wrong`, 401
// `mfa_challenge_invalid` (unknown, over, or tried five times), 429
// `too_many_attempts`.
func (s *Service) Factor(ctx context.Context, challenge, code string, caller Caller) (*Tokens, error) {
	key := challengeKey(challenge)
	c, err := s.Challenges.Update(ctx, key, func(current *Challenge) (*Challenge, error) {
		if current == nil || current.Attempts >= maxAttempts {
			return nil, errChallenge
		}
		next := *current
		next.Attempts++
		return &next, nil
	})
	if err != nil {
		return nil, err
	}
	reply, err := s.verifyCode(ctx, c, code, caller)
	if err != nil {
		return nil, err
	}
	if taken, err := s.Challenges.Take(ctx, key); err != nil {
		return nil, err
	} else if taken == nil {
		return nil, errChallenge
	}
	subject := *reply.Subject
	if subject.Status != internalapi.PersonActive || !sameTime(subject.PasswordChangedAt, c.PasswordAt) {
		return nil, errChallenge
	}
	p := proof{subject: subject, method: c.Method + "+mfa", device: c.Device, cookie: c.Cookie, known: c.Known, caller: caller, begunAt: c.BegunAt}
	return s.open(ctx, p, c.Epoch, reply.RecoveryCodesLeft)
}

func (s *Service) verifyCode(ctx context.Context, c *Challenge, code string, caller Caller) (internalapi.LoginReply, error) {
	try, err := s.Throttle.Code(ctx, c.UserID, c.Known)
	if err != nil {
		return internalapi.LoginReply{}, err
	}
	reply, err := s.Users.VerifyCode(ctx, internalapi.MFARequest{UserID: c.UserID, Code: code, Device: c.Device, From: caller.from()})
	if err != nil {
		return reply, s.voided(ctx, try, err)
	}
	if !reply.OK || reply.Subject == nil {
		return reply, s.refuse(ctx, try, reply.Refusal)
	}
	return reply, try.Succeeded(ctx)
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// CSRF is the token that a refresh by cookie must also carry in a header: known
// to pages of our own origin alone, bound to the session.
func (s *Service) CSRF(sid uuid.UUID) string {
	return csrfToken(s.CSRFKeys[0], sid)
}

func csrfToken(key []byte, sid uuid.UUID) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("csrf\x00"))
	m.Write(sid[:])
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// CheckCSRF says whether a token belongs to the session of a refresh token.
func (s *Service) CheckCSRF(refresh, token string) bool {
	t, err := s.Sessions.Chain.Parse(refresh)
	return err == nil && slices.ContainsFunc(s.CSRFKeys, func(key []byte) bool {
		return hmac.Equal([]byte(token), []byte(csrfToken(key, t.Session)))
	})
}
