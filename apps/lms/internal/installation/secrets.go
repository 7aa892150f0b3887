package installation

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// allServices may prove themselves to auth, those that are not built yet too:
// auth reads the whole list at its start.
func allServices() []string {
	return []string{
		"user", "auth", "course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics", "gateway",
	}
}

// operatorName is the service name of the operator's command towards auth.
const operatorName = "lms"

// SecretNames are the entries of the secrets file, each 32 random bytes in
// hexadecimal.
func SecretNames() []string {
	names := []string{
		"objects-signing-key", // signs links to local files
		"auth-sealing-key",    // seals auth's signing keys, derives refresh tokens
		// seals webhooks' secrets, signs links that stop mail
		"notification-sealing-key",
		"payment-webhook-secrets", // signs the webhooks of the mock gateway
		"user-sealing-key",        // seals second factors and identity providers' secrets
	}
	for _, s := range append(allServices(), operatorName) {
		names = append(names, "service-"+s)
	}
	return names
}

// Secrets are the generated secrets of an installation by name.
type Secrets map[string]string

// EnsureSecrets reads the secrets file and adds what it lacks; an existing
// secret is never changed. The file can be read by its owner only.
func (h Home) EnsureSecrets() (Secrets, error) {
	s := Secrets{}
	raw, err := os.ReadFile(h.SecretsFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the secrets: %w", err)
	default:
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("%s is damaged (%w): restore it from a backup; without it what it sealed is lost", h.SecretsFile(), err)
		}
	}
	added := map[string]string{}
	for _, name := range SecretNames() {
		if s[name] == "" {
			added[name] = randomHex()
		}
	}
	return s, h.SetSecrets(s, added)
}

// SetSecrets adds values to secrets and saves them where that changes anything.
func (h Home) SetSecrets(s Secrets, values map[string]string) error {
	changed := false
	for name, value := range values {
		if before, ok := s[name]; !ok || before != value {
			s[name] = value
			changed = true
		}
	}
	if !changed {
		return nil
	}
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the secrets: %w", err)
	}
	tmp := h.SecretsFile() + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("save the secrets: %w", err)
	}
	if err := os.Rename(tmp, h.SecretsFile()); err != nil {
		return fmt.Errorf("save the secrets: %w", err)
	}
	return nil
}

// NewSecret is a value that nobody can guess.
func NewSecret() string { return randomHex() }

// randomHex is 32 random bytes; rand.Read of Go 1.24 and later never fails.
func randomHex() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
