package signin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"regexp"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// Secrets reads the `secrets` block. An unknown name is an empty secret.
type Secrets interface {
	ServiceSecret(ctx context.Context, service string) (string, error)
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,30}$`)

// errService is the same for an unknown service and a wrong secret.
var errService = apperr.Unauthenticated("invalid_service_secret", "The service or its secret is not right.")

// ServiceToken gives a service its own token for the proof of its secret,
// compared in constant time.
func (s *Service) ServiceToken(ctx context.Context, in internalapi.ServiceTokenRequest) (internalapi.ServiceToken, error) {
	if !serviceName.MatchString(in.Service) || len(in.Secret) < 16 {
		return internalapi.ServiceToken{}, errService
	}
	want, err := s.Secrets.ServiceSecret(ctx, in.Service)
	if err != nil {
		return internalapi.ServiceToken{}, err
	}
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(in.Secret))
	if same := subtle.ConstantTimeCompare(a[:], b[:]) == 1; !same || len(want) < 16 {
		s.Log.WarnContext(ctx, "service token refused", "service", in.Service)
		return internalapi.ServiceToken{}, errService
	}
	now := s.Now()
	raw, err := s.Minter.MintService(in.Service, now, now.Add(s.Lives.Service))
	if err != nil {
		return internalapi.ServiceToken{}, err
	}
	return internalapi.ServiceToken{AccessToken: raw, TokenType: "Bearer", ExpiresIn: int(s.Lives.Service.Seconds())}, nil
}
