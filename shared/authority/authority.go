// Package authority prepares Dapr's certificate authority, sentry, for the sidecars
// of one machine. Out of the box sentry on one machine believes every caller: whoever
// reaches its port is given a certificate in any app's name. Here it wants a token
// that names the app; the tokens are made anew at each start, signed with a key that
// is then forgotten, and each lies in a file of its own that only this user can read.
package authority

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lms/shared/authn"
)

// Names that a certificate is made of, as the sidecars' access policies state them.
const (
	trustDomain  = "public" // of the apps; Dapr's own default
	controlPlane = "localhost"
	namespace    = "default"
)

// renewBefore is how long before their end trust anchors are made anew at a start.
// sentry's own live for a year, and it refuses to start with dead ones.
const renewBefore = 60 * 24 * time.Hour

// Authority is sentry as one installation runs it.
type Authority struct {
	// Folder holds the trust anchors, made at the first start, and the key that signs
	// certificates; it is kept.
	Folder string
	// Identities holds the tokens by which sidecars prove who they are, and the key
	// set that sentry checks them with; it is made anew at each start.
	Identities string
	// Address is where it listens: host:port.
	Address string
	// Now is the time; the machine's if nil.
	Now func() time.Time
}

const (
	anchorsFile = "ca.crt"
	issuerFile  = "issuer.crt"
	issuerKey   = "issuer.key"
	configFile  = "sentry.yaml"
	keysFile    = "keys.json"
)

// Prepare makes the folders, and a token for each app.
func (a *Authority) Prepare(apps []string) error {
	if err := os.RemoveAll(a.Identities); err != nil {
		return fmt.Errorf("identities of the last start: %w", err)
	}
	for _, dir := range []string{a.Folder, a.Identities} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("folder of the certificate authority: %w", err)
		}
	}
	if err := a.renew(); err != nil {
		return err
	}
	return a.identify(apps)
}

// renew removes trust anchors that end soon: sentry then makes new ones, which all
// sidecars are given when they start.
func (a *Authority) renew() error {
	raw, err := os.ReadFile(filepath.Join(a.Folder, issuerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("certificate of the authority: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return fmt.Errorf("%s is damaged: remove %s, and new ones are made", filepath.Join(a.Folder, issuerFile), a.Folder)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s is damaged (%w): remove %s, and new ones are made", filepath.Join(a.Folder, issuerFile), err, a.Folder)
	}
	if cert.NotAfter.Sub(a.now()) > renewBefore {
		return nil
	}
	for _, name := range []string{anchorsFile, issuerFile, issuerKey} {
		if err := os.Remove(filepath.Join(a.Folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("old trust anchors: %w", err)
		}
	}
	return nil
}

func (a *Authority) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// identify writes the tokens, the key set and sentry's configuration.
func (a *Authority) identify(apps []string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("key of the identities: %w", err)
	}
	const kid = "start"
	keys, err := json.Marshal(authn.JWKS{Keys: []authn.JWK{authn.PublicJWK(kid, public)}})
	if err != nil {
		return fmt.Errorf("key set of the identities: %w", err)
	}
	files := map[string][]byte{keysFile: keys, configFile: a.config()}
	for _, app := range apps {
		// Without an end: it is shown again whenever a certificate is renewed, for as long
		// as this start lasts.
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"sub": spiffe(trustDomain, app), "aud": []string{spiffe(controlPlane, "dapr-sentry")}, "iat": a.now().Unix(),
		})
		token.Header["kid"] = kid
		signed, err := token.SignedString(private)
		if err != nil {
			return fmt.Errorf("identity of %s: %w", app, err)
		}
		files[app+".token"] = []byte(signed)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(a.Identities, name), content, 0o600); err != nil {
			return fmt.Errorf("identities: %w", err)
		}
	}
	return nil
}

func spiffe(domain, name string) string {
	return "spiffe://" + domain + "/ns/" + namespace + "/" + name
}

// config names the validator. Naming one also switches off the one that believes
// everybody.
func (a *Authority) config() []byte {
	return fmt.Appendf(nil, `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: sentry
spec:
  mtls:
    tokenValidators:
      - name: jwks
        options:
          source: %q
`, filepath.Join(a.Identities, keysFile))
}

// Args start the sidecar's program as sentry.
func (a *Authority) Args() ([]string, error) {
	host, port, err := net.SplitHostPort(a.Address)
	if err != nil {
		return nil, fmt.Errorf("address of the certificate authority: %w", err)
	}
	return []string{
		"sentry", "--listen-address", host, "--port", port, "--issuer-credentials", a.Folder,
		"--trust-domain", controlPlane, "--config", filepath.Join(a.Identities, configFile),
		"--log-level", "warn", "--log-as-json",
	}, nil
}

// SidecarArgs are a sidecar's flags for mTLS.
func (a *Authority) SidecarArgs() []string {
	return []string{"--enable-mtls", "--sentry-address", a.Address}
}

// SidecarEnv is what the sidecar of an app finds in its environment: whom to trust,
// and how to prove who it is. sentry must have started, which makes the anchors.
func (a *Authority) SidecarEnv(app string) ([]string, error) {
	anchors, err := os.ReadFile(filepath.Join(a.Folder, anchorsFile))
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	return []string{
		"DAPR_TRUST_ANCHORS=" + string(anchors),
		"DAPR_SENTRY_TOKEN_FILE=" + filepath.Join(a.Identities, app+".token"),
		"NAMESPACE=" + namespace,
	}, nil
}
