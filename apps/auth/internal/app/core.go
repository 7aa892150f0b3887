package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/account"
	"lms/apps/auth/internal/httpapi"
	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/signin"
	"lms/apps/auth/internal/throttle"
	"lms/apps/auth/internal/token"
	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/once"
	"lms/shared/record"
)

// userService is everything that auth asks of the user service.
type userService interface {
	signin.Users
	account.Users
	keys.Vault
}

// parts are what the core is made from.
type parts struct {
	config    Config
	sealing   [][]byte // the newest first
	store     record.Store
	users     userService
	providers signin.Providers
	secrets   signin.Secrets
	verifier  *authn.Verifier
	policy    authz.Source
	issuer    string
	publicURL string
	now       func() time.Time
	newID     func() uuid.UUID
	log       *slog.Logger
}

// built is the core with what only the wiring needs.
type built struct {
	httpapi.Core
	minter *token.Minter
}

// build makes the core. Every secret that auth has is derived from the sealing
// secret, each for one purpose. What was made with an earlier one stays good while
// that is configured.
func build(p parts) (*built, error) {
	sealer, err := keys.NewSealer(p.sealing...)
	if err != nil {
		return nil, err
	}
	var self []keys.Key
	var csrf [][]byte
	for _, secret := range p.sealing {
		key, err := keys.SelfKey(secret)
		if err != nil {
			return nil, err
		}
		mac, err := hkdf.Key(sha256.New, secret, nil, "lms auth csrf", 32)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		self, csrf = append(self, key), append(csrf, mac)
	}
	chain, err := session.NewChain(p.sealing...)
	if err != nil {
		return nil, err
	}
	guard, err := throttle.New(p.store, p.config.rules(), p.now, p.config.DeviceTTL, p.sealing...)
	if err != nil {
		return nil, err
	}
	keeper := &keys.Keeper{
		Vault: p.users, State: record.NewBook(p.store, p.now, keys.KeysEnd), Sealer: sealer, Self: self,
		Schedule: p.config.schedule(), Now: p.now, NewID: p.newID, Log: p.log,
	}
	minter := &token.Minter{Issuer: p.issuer, Keys: keeper, Verifier: p.verifier, NewID: p.newID}
	sessions := &session.Sessions{
		Book: record.NewBook(p.store, p.now, session.Ends), Chain: chain, Users: p.users, Policy: p.policy,
		Limits: p.config.limits(), Now: p.now, NewID: p.newID, Log: p.log,
	}
	in := &signin.Service{
		Users: p.users, Sessions: sessions, Throttle: guard,
		Challenges: record.NewBook(p.store, p.now, signin.ChallengeEnds), Flows: record.NewBook(p.store, p.now, signin.FlowEnds),
		Providers: p.providers, Secrets: p.secrets, Minter: minter, Now: p.now, NewID: p.newID, Log: p.log,
		Lives: p.config.lives(), CSRFKeys: csrf, Origins: origins(p.config.ReturnOrigins), PublicURL: p.publicURL,
	}
	accounts := &account.Service{
		Users: p.users, Sessions: sessions, Throttle: guard, Keys: once.New(p.store, p.now),
		Allowed: p.providers.Allowed, Now: p.now, Log: p.log,
	}
	return &built{Core: httpapi.Core{SignIn: in, Account: accounts, Sessions: sessions, Keys: keeper}, minter: minter}, nil
}

func origins(in []string) []string {
	out := make([]string, len(in))
	for i, o := range in {
		out[i] = strings.TrimSuffix(o, "/")
	}
	return out
}
