package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

type secretReader func(ctx context.Context, name string) (string, error)

// sealingReader reads the sealing secrets from the configuration or from the
// `secrets` block.
type sealingReader struct {
	read   secretReader
	log    *slog.Logger
	failed int // reads of the previous secret
}

// maxFailed is how often the previous secret may fail to be read before it
// counts as not there: stores say "there is none" in words of their own.
const maxFailed = 5

// secrets are the sealing secrets, the newest first.
func (r *sealingReader) secrets(ctx context.Context, cfg Config) ([][]byte, error) {
	current, previous := cfg.SealingKey, cfg.SealingKeyPrevious
	var err error
	if current == "" {
		if current, err = r.read(ctx, secretSealing); err != nil {
			return nil, err
		}
	}
	if len(current) < 32 {
		return nil, errors.New("the secret " + secretSealing + " has fewer than 32 characters")
	}
	if previous == "" {
		previous, err = r.read(ctx, secretSealingPrevious)
		if r.failed++; err != nil && !missing(err) && r.failed < maxFailed {
			return nil, err
		}
		if err != nil && !missing(err) {
			r.log.WarnContext(ctx, "no previous sealing secret could be read", "error", err)
		}
	}
	out := [][]byte{[]byte(current)}
	if err == nil && previous != "" {
		out = append(out, []byte(previous))
	}
	return out, nil
}

// missing says whether a secret store has answered that there is no such
// secret, as far as the sidecar lets one know.
func missing(err error) bool {
	text := err.Error()
	return strings.Contains(text, "not found") || strings.Contains(text, "not exist") || strings.Contains(text, "is missing or empty")
}

// serviceSecrets reads the services' secrets and keeps them for a minute.
type serviceSecrets struct {
	read secretReader
	now  func() time.Time

	mu   sync.Mutex
	kept map[string]keptSecret
}

type keptSecret struct {
	value string
	until time.Time
}

// maxKept bounds the names in memory: who asks is not known yet.
const maxKept = 64

// ServiceSecret implements signin.Secrets. A name without a secret is empty.
func (s *serviceSecrets) ServiceSecret(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	k, ok := s.kept[name]
	s.mu.Unlock()
	if ok && s.now().Before(k.until) {
		return k.value, nil
	}
	value, err := s.read(ctx, secretService+name)
	if err != nil && !missing(err) {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKept {
		clear(s.kept)
	}
	s.kept[name] = keptSecret{value: value, until: s.now().Add(time.Minute)}
	return value, nil
}
