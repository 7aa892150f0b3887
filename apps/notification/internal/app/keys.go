package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"lms/apps/notification/internal/sealing"
	"lms/shared/service"
)

const (
	secretSealing         = "notification-sealing-key"
	secretSealingPrevious = "notification-sealing-key-previous"
)

var errNoKey = errors.New("the sealing key could not be read yet")

// loadKeys waits for the sealing secret, which comes through the sidecar.
func loadKeys(ctx context.Context, k *service.Kit, cfg Config, keys *sealing.Keys) error {
	told := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := useKeys(ctx, k.Dapr.Secret, cfg, keys)
		if err == nil {
			return nil
		}
		if !told {
			k.Log.InfoContext(ctx, "waiting for the sealing key", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func useKeys(ctx context.Context, read func(ctx context.Context, name string) (string, error), cfg Config, keys *sealing.Keys) (err error) {
	current, previous := cfg.SealingKey, cfg.SealingKeyPrevious
	if current == "" {
		if current, err = read(ctx, secretSealing); err != nil {
			return err
		}
	}
	if previous == "" {
		if previous, err = read(ctx, secretSealingPrevious); err != nil && !missing(err) {
			return err
		}
	}
	if previous == "" {
		return keys.Use([]byte(current))
	}
	return keys.Use([]byte(current), []byte(previous))
}

// missing says whether a secret store has answered that there is no such secret, as
// far as the sidecar lets one know.
func missing(err error) bool {
	text := err.Error()
	return strings.Contains(text, "not found") || strings.Contains(text, "not exist") || strings.Contains(text, "is missing or empty")
}
