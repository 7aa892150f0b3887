package authn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lms/shared/apperr"
)

// ServiceTokens keeps the service's own token: fetched when first needed,
// again after half of its life, and by one caller at a time.
type ServiceTokens struct {
	fetch func(ctx context.Context) (token string, expires time.Time, err error)
	now   func() time.Time

	mu      sync.RWMutex
	token   string
	renew   time.Time // half-life
	expires time.Time
	tried   time.Time
	lastErr error

	fetching sync.Mutex
}

// NewServiceTokens makes the source. fetch asks auth for a token with the
// service's secret; now is time.Now if nil.
func NewServiceTokens(fetch func(ctx context.Context) (string, time.Time, error), now func() time.Time) *ServiceTokens {
	if now == nil {
		now = time.Now
	}
	return &ServiceTokens{fetch: fetch, now: now}
}

// How often auth is asked while it is away, and how long before its expiry a
// token is no longer handed out.
const (
	tokenRetry  = time.Second
	tokenMargin = 2 * time.Second
)

// Token is a token that is good for at least two seconds. The old one serves
// while a new one cannot be had; 503 `service_token_unavailable` after that.
func (s *ServiceTokens) Token(ctx context.Context) (string, error) {
	if t, fresh, _ := s.cached(); fresh {
		return t, nil
	}
	s.fetching.Lock()
	defer s.fetching.Unlock()
	t, fresh, usable := s.cached()
	if fresh {
		return t, nil
	}
	s.mu.RLock()
	soon, lastErr := s.now().Sub(s.tried) < tokenRetry, s.lastErr
	s.mu.RUnlock()
	if !soon || lastErr == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		token, expires, err := s.fetch(ctx)
		s.store(token, expires, err)
		if err == nil {
			return token, nil
		}
		lastErr = err
	}
	if usable {
		return t, nil
	}
	return "", apperr.Unavailable("service_token_unavailable", "Services cannot identify themselves at the moment. Try again.").
		With(fmt.Errorf("fetch service token: %w", lastErr))
}

// Forget drops the token, so that the next call fetches: for a 401 from a
// service that knows newer keys.
func (s *ServiceTokens) Forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

func (s *ServiceTokens) cached() (token string, fresh, usable bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	return s.token, s.token != "" && now.Before(s.renew), s.token != "" && now.Add(tokenMargin).Before(s.expires)
}

func (s *ServiceTokens) store(token string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.tried, s.lastErr = now, err
	if err == nil {
		s.token, s.expires, s.renew = token, expires, now.Add(expires.Sub(now)/2)
	}
}
