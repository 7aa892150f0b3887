package account

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/once"
	"lms/shared/page"
	"lms/shared/work"
)

// Answers with a secret are never kept. What is kept for a repeated
// Idempotency-Key is the id of what was made; its secret is then made anew, and
// the one that got lost ends.

func list(a work.Actor, p page.Request) internalapi.ListRequest {
	return internalapi.ListRequest{Acting: signin.ActingOf(a), Limit: p.Limit, Cursor: p.Cursor}
}

// Tokens lists the caller's personal access tokens.
func (s *Service) Tokens(ctx context.Context, a work.Actor, p page.Request) (page.Page[internalapi.PersonalToken], error) {
	r, err := s.Users.Tokens(ctx, list(a, p))
	return page.Page[internalapi.PersonalToken]{Items: r.Items, NextCursor: r.NextCursor}, err
}

// CreateToken makes a personal access token and shows it once. It covers at
// least one permission: none would read as "no limit".
func (s *Service) CreateToken(ctx context.Context, a work.Actor, in internalapi.TokenCreate) (internalapi.TokenCreated, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.TokenCreated{}, err
	}
	if len(in.Permissions) == 0 {
		return internalapi.TokenCreated{}, apperr.Invalid(apperr.Field{Path: "permissions", Code: "required", Message: "must name at least one permission"})
	}
	in.Acting = signin.ActingOf(a)
	var made internalapi.TokenCreated
	id, repeated, err := once.Do(ctx, s.Keys, func() (uuid.UUID, error) {
		var err error
		made, err = s.Users.CreateToken(ctx, in)
		return made.Token.ID, err
	})
	if err != nil || !repeated {
		return made, err
	}
	return s.remakeToken(ctx, in, id)
}

// remakeToken makes the token of a repeated request anew, in place of the one whose
// value was lost with the answer: of all repetitions one token is left.
func (s *Service) remakeToken(ctx context.Context, in internalapi.TokenCreate, lost uuid.UUID) (internalapi.TokenCreated, error) {
	drop := func(id uuid.UUID) error {
		err := s.Users.DeleteToken(ctx, internalapi.ActingOn{Acting: in.Acting, ID: id})
		if apperr.IsKind(err, apperr.KindNotFound) {
			return nil
		}
		return err
	}
	if err := drop(lost); err != nil {
		return internalapi.TokenCreated{}, err
	}
	made, err := s.Users.CreateToken(ctx, in)
	if err != nil {
		return made, err
	}
	kept, err := once.Replace(ctx, s.Keys, lost, made.Token.ID)
	if err != nil || !kept {
		return internalapi.TokenCreated{}, errors.Join(errTokenRepeated.With(err), drop(made.Token.ID))
	}
	return made, nil
}

// errTokenRepeated answers the slower of two repetitions.
var errTokenRepeated = apperr.Conflict("idempotency_in_progress", "A request with this Idempotency-Key is still running.").After(time.Second)

// DeleteToken revokes a personal access token of the caller.
func (s *Service) DeleteToken(ctx context.Context, a work.Actor, id uuid.UUID) error {
	if err := s.own(ctx, a); err != nil {
		return err
	}
	return s.Users.DeleteToken(ctx, internalapi.ActingOn{Acting: signin.ActingOf(a), ID: id})
}

// Clients lists the service accounts that the caller may see.
func (s *Service) Clients(ctx context.Context, a work.Actor, p page.Request) (page.Page[internalapi.Client], error) {
	r, err := s.Users.Clients(ctx, list(a, p))
	return page.Page[internalapi.Client]{Items: r.Items, NextCursor: r.NextCursor}, err
}

// CreateClient makes a service account and shows its secret once.
func (s *Service) CreateClient(ctx context.Context, a work.Actor, in internalapi.ClientCreate) (internalapi.ClientSecret, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.ClientSecret{}, err
	}
	in.Acting = signin.ActingOf(a)
	var made internalapi.ClientSecret
	id, repeated, err := once.Do(ctx, s.Keys, func() (uuid.UUID, error) {
		var err error
		made, err = s.Users.CreateClient(ctx, in)
		return made.Client.ID, err
	})
	if err != nil || !repeated {
		return made, err
	}
	return s.Users.AddClientSecret(ctx, internalapi.ClientSecretCreate{Acting: in.Acting, ID: id, ExpiresAt: in.ExpiresAt, RevokeOthers: true})
}

// DeleteClient removes a service account; its tokens end.
func (s *Service) DeleteClient(ctx context.Context, a work.Actor, id uuid.UUID) error {
	if err := s.own(ctx, a); err != nil {
		return err
	}
	if err := s.Users.DeleteClient(ctx, internalapi.ActingOn{Acting: signin.ActingOf(a), ID: id}); err != nil {
		return err
	}
	s.endNow(ctx, internalapi.EndSessions{UserID: id, Reason: "client_deleted"})
	return nil
}

// errSecretShown answers a repeated request for a further secret: there is room
// for two, so that a third cannot be made in place of the one that got lost
// without ending the one in use.
var errSecretShown = apperr.Conflict("secret_already_shown", "The secret was made and shown. If the answer was lost, ask for another one with a new Idempotency-Key.")

// AddSecret makes a further secret of a service account and shows it once.
func (s *Service) AddSecret(ctx context.Context, a work.Actor, in internalapi.ClientSecretCreate) (internalapi.ClientSecret, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.ClientSecret{}, err
	}
	in.Acting = signin.ActingOf(a)
	var made internalapi.ClientSecret
	_, repeated, err := once.Do(ctx, s.Keys, func() (uuid.UUID, error) {
		var err error
		made, err = s.Users.AddClientSecret(ctx, in)
		return made.Client.ID, err
	})
	if err != nil {
		return made, err
	}
	if repeated {
		return made, errSecretShown
	}
	if in.RevokeOthers {
		s.endNow(ctx, internalapi.EndSessions{UserID: in.ID, Reason: "secrets_revoked", Epoch: made.Client.Epoch})
	}
	return made, nil
}

// SetGrants replaces what a service account may do; tokens of before end.
func (s *Service) SetGrants(ctx context.Context, a work.Actor, in internalapi.ClientGrants) (internalapi.Client, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.Client{}, err
	}
	in.Acting = signin.ActingOf(a)
	c, err := s.Users.SetClientGrants(ctx, in)
	if err == nil {
		s.endNow(ctx, internalapi.EndSessions{UserID: c.ID, Reason: "grants_changed", EpochOnly: true, Epoch: c.Epoch})
	}
	return c, err
}

// Providers lists the identity providers that the caller may see.
func (s *Service) Providers(ctx context.Context, a work.Actor, p page.Request) (page.Page[internalapi.IdentityProvider], error) {
	r, err := s.Users.ProviderList(ctx, list(a, p))
	return page.Page[internalapi.IdentityProvider]{Items: r.Items, NextCursor: r.NextCursor}, err
}

// CreateProvider makes an identity provider. Its issuer must be one that the
// operator allows: auth speaks to no address that somebody just names.
func (s *Service) CreateProvider(ctx context.Context, a work.Actor, in internalapi.IDPCreate) (internalapi.IdentityProvider, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.IdentityProvider{}, err
	}
	if !s.Allowed(in.Issuer) {
		return internalapi.IdentityProvider{}, apperr.Invalid(apperr.Field{Path: "issuer", Code: "not_allowed", Message: "is not an issuer that this installation allows"})
	}
	in.Acting = signin.ActingOf(a)
	made, _, err := once.Do(ctx, s.Keys, func() (internalapi.IdentityProvider, error) { return s.Users.CreateProvider(ctx, in) })
	return made, err
}

// UpdateProvider changes an identity provider.
func (s *Service) UpdateProvider(ctx context.Context, a work.Actor, in internalapi.IDPUpdate) (internalapi.IdentityProvider, error) {
	if err := s.own(ctx, a); err != nil {
		return internalapi.IdentityProvider{}, err
	}
	in.Acting = signin.ActingOf(a)
	return s.Users.UpdateProvider(ctx, in)
}

// DeleteProvider removes an identity provider.
func (s *Service) DeleteProvider(ctx context.Context, a work.Actor, id uuid.UUID) error {
	if err := s.own(ctx, a); err != nil {
		return err
	}
	return s.Users.DeleteProvider(ctx, internalapi.ActingOn{Acting: signin.ActingOf(a), ID: id})
}

// PublicProviders is what a login page shows.
func (s *Service) PublicProviders(ctx context.Context) (internalapi.IDPPublicList, error) {
	return s.Users.PublicProviders(ctx)
}
