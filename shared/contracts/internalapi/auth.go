package internalapi

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// Paths that auth serves to other services.
const (
	// PathJWKS: GET, public; authn.JWKS, cacheable for five minutes.
	PathJWKS = "/.well-known/jwks.json"
	// PathServiceTokens: POST ServiceTokenRequest answers ServiceToken. It asks
	// for no token, since the caller has none yet: the secret is the proof.
	PathServiceTokens = "/internal/service-tokens"
	// PathExchangeToken: POST ExchangeRequest answers ExchangedToken. Caller:
	// gateway. 401 `invalid_token` for a token that is not, or no longer, good.
	PathExchangeToken = "/internal/access-tokens"
	// PathUserSessionsOf: GET answers SessionList; DELETE, with an optional query
	// session_id for a single one, answers EndSessionsReply. Caller: user, which
	// has checked who may.
	PathUserSessionsOf = "/internal/users/{id}/sessions"
	// PathRotateKeys: POST RotateKeysRequest answers RotateKeysReply. Caller: lms.
	PathRotateKeys = "/internal/keys/rotate"
)

// CallEndSessions is the reliable call by which user ends sessions: EndSessions
// answered by EndSessionsReply. Key: the person's or client's id. auth has no
// inbox: the call is idempotent by nature, in any order.
const CallEndSessions = "end-sessions"

// PersonalTokenPrefix begins every personal access token. A bearer token that
// begins with it is no JWT: the gateway exchanges it, see ExchangeRequest.
const PersonalTokenPrefix = "lms_pat_"

// SessionStore is the state component that holds the session documents and all
// else that auth keeps. Only auth and the gateway load it: whoever could write it
// could sign in as anybody. Its keyPrefix must let both see the same keys (`none`
// or `name`).
const SessionStore = "sessions"

// SessionKey is the key of the one document that holds every session of a
// person or of a service account. One document, not one key per session: with
// a list of keys beside the records, a store that evicts the list alone would
// leave sessions that "end all" no longer finds. Here whatever is lost is lost
// together, and lost means: sign in again.
func SessionKey(subject uuid.UUID) string { return "sessions." + subject.String() }

// SessionDocument is the value at SessionKey, as JSON. Only auth writes it, by
// compare-and-set on its ETag. The gateway reads it:
//
//  1. a token of a person or a client (aud lms-api) that comes from outside must
//     carry sid; without one it is refused;
//  2. read SessionKey(sub); no document means 401 `session_ended`;
//  3. s, err := doc.Live(sid, epoch, now): err means 401 `session_ended`;
//  4. if s.Actor is not nil (support acts as the person), also read
//     SessionKey(s.Actor) and require LiveSession(s.ActorSession, now) there: who
//     is signed out no longer acts as others.
//
// The document may be kept in memory for at most 2 s; when the store is away,
// for at most 2 s more, then 503.
type SessionDocument struct {
	Subject uuid.UUID `json:"subject"`
	Tenant  uuid.UUID `json:"tenant"`
	// Epoch is the subject's. A role change moves it: tokens of an earlier epoch
	// are refused, a refresh gives a new one with the new roles.
	Epoch int64 `json:"epoch"`
	// Floor: a login that saw an epoch below it comes too late, what it proved
	// has been changed since.
	Floor int64 `json:"floor,omitempty"`
	// Closed is when all sessions were ended at somebody's wish: a login that had
	// begun before comes too late, its second factor included.
	Closed   time.Time       `json:"closed,omitzero"`
	Sessions []SessionRecord `json:"sessions"` // ≤ 100, the oldest first
	// ExpiresAt is also the TTL; it stands here for stores that ignore the TTL.
	ExpiresAt time.Time `json:"exp"`
}

// Kinds of a session.
const (
	SessionLogin         = "login"         // a person, by password or single sign-on
	SessionImpersonation = "impersonation" // Actor as the person
	SessionClient        = "client"        // a service account: no refresh family
)

// SessionRecord is one session with its refresh family.
type SessionRecord struct {
	ID   uuid.UUID `json:"id"`
	Kind string    `json:"kind"`
	// ExpiresAt is the absolute end, IdleExpiresAt the end unless it is
	// refreshed before.
	ExpiresAt     time.Time `json:"expires_at"`
	IdleExpiresAt time.Time `json:"idle_expires_at"`

	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	Device     string    `json:"device,omitempty"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Method     string    `json:"method,omitempty"` // "password", "password+mfa", "sso"

	// The family: Current is the SHA-256 of the newest refresh token,
	// Predecessor of the one before it, usable until Current is first used (it
	// becomes the predecessor then). Any other genuine token is a stolen one.
	Current     []byte `json:"current,omitempty"`
	Predecessor []byte `json:"predecessor,omitempty"`
	Generation  int64  `json:"generation,omitempty"`

	// ProofEpoch is the subject's epoch when the proof was given: an order to end
	// sessions that comes late spares what was proved after it.
	ProofEpoch int64 `json:"proof_epoch,omitempty"`
	// PasswordAt is the subject's PasswordChangedAt that the login proved to
	// know: a later change ends the session at its refresh.
	PasswordAt *time.Time `json:"password_at,omitempty"`

	Actor        uuid.UUID `json:"actor"`
	ActorSession uuid.UUID `json:"actor_session"`
	Write        bool      `json:"write,omitempty"` // the actor may write
	Scope        string    `json:"scope,omitempty"`
	Cookie       bool      `json:"cookie,omitempty"` // the refresh token lives in a cookie
}

// Why a session is not live; both mean 401 `session_ended`.
var (
	ErrNoSession  = errors.New("no such session")
	ErrStaleEpoch = errors.New("the token is of another epoch than its session")
)

// Live is the session of a token, or why the token is no longer good.
func (d *SessionDocument) Live(sid uuid.UUID, epoch int64, now time.Time) (*SessionRecord, error) {
	s, err := d.LiveSession(sid, now)
	if err != nil {
		return nil, err
	}
	if epoch != d.Epoch {
		return nil, ErrStaleEpoch
	}
	return s, nil
}

// LiveSession is Live without the epoch.
func (d *SessionDocument) LiveSession(sid uuid.UUID, now time.Time) (*SessionRecord, error) {
	if d == nil || !now.Before(d.ExpiresAt) {
		return nil, ErrNoSession
	}
	for i := range d.Sessions {
		if s := &d.Sessions[i]; s.ID == sid && sid != uuid.Nil {
			if now.Before(s.ExpiresAt) && now.Before(s.IdleExpiresAt) {
				return s, nil
			}
			return nil, ErrNoSession
		}
	}
	return nil, ErrNoSession
}

// ServiceTokenRequest is by a service for itself. Secret is the key
// `service-<name>` of the `secrets` block.
type ServiceTokenRequest struct {
	Service string `json:"service"`
	Secret  string `json:"secret"`
}

// ServiceToken is a service's own token: aud lms-internal, sub
// "service:<name>", one hour.
type ServiceToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"` // "Bearer"
	ExpiresIn   int    `json:"expires_in"` // seconds
}

// ExchangeRequest turns a personal access token into an access token that
// services understand. The answer may be kept for at most 2 s per token: that
// is the time from revoking a token to its end. The access token carries no
// sid, so that it is worth nothing when presented from outside.
type ExchangeRequest struct {
	Token string `json:"token"`
	From  From   `json:"from"`
}

// ExchangedToken is for the way from the gateway to services alone.
type ExchangedToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}

// SessionList is every live session of a person, the newest first.
type SessionList struct {
	Items []SessionView `json:"items"`
}

// SessionView is what a person may see of a session.
type SessionView struct {
	ID         uuid.UUID  `json:"id"`
	Kind       string     `json:"kind"`
	Method     string     `json:"method,omitempty"`
	Device     string     `json:"device,omitempty"`
	IP         string     `json:"ip,omitempty"`
	UserAgent  string     `json:"user_agent,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt time.Time  `json:"last_used_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	Actor      *uuid.UUID `json:"actor,omitempty"`
}

// EndSessions ends the sessions of a person or client, all or all but one; with
// EpochOnly none ends, but access tokens of an earlier epoch do. Epoch is the
// subject's after the change: a session that began with a proof of that epoch
// or a later one lives on, however late or often the order comes. Without an
// Epoch every session ends.
type EndSessions struct {
	UserID        uuid.UUID `json:"user_id"`
	ExceptSession uuid.UUID `json:"except_session"`
	Reason        string    `json:"reason"` // "password_changed", "deactivated", "roles_changed", …
	EpochOnly     bool      `json:"epoch_only,omitempty"`
	Epoch         int64     `json:"epoch"`
}

// EndSessionsReply counts what ended.
type EndSessionsReply struct {
	Ended int `json:"ended"`
}

// RotateKeysRequest orders a new signing key. It is published at once and signs
// after the lead (ten minutes unless configured). Compromised: the new key signs
// at once, all others are dropped at once, and every access token with them.
type RotateKeysRequest struct {
	Compromised bool   `json:"compromised,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// RotateKeysReply says which key signs when.
type RotateKeysReply struct {
	KID       string    `json:"kid"`
	SignsFrom time.Time `json:"signs_from"`
	Version   int64     `json:"version"`
	Published []string  `json:"published"`
}
