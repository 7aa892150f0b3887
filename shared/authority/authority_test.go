package authority_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"lms/shared/authn"
	"lms/shared/authority"
)

func prepared(t *testing.T) *authority.Authority {
	t.Helper()
	home := t.TempDir()
	a := &authority.Authority{Folder: filepath.Join(home, "sentry"), Identities: filepath.Join(home, "identities"), Address: "127.0.0.1:4000"}
	require.NoError(t, a.Prepare([]string{"course", "gateway"}))
	return a
}

func TestEachAppHasATokenInItsOwnName(t *testing.T) {
	t.Parallel()
	a := prepared(t)
	set, err := os.ReadFile(filepath.Join(a.Identities, "keys.json"))
	require.NoError(t, err)
	keys, err := authn.ParseJWKS(set)
	require.NoError(t, err)
	raw, err := os.ReadFile(filepath.Join(a.Identities, "course.token"))
	require.NoError(t, err)
	token, err := jwt.Parse(string(raw), func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil },
		jwt.WithAudience("spiffe://localhost/ns/default/dapr-sentry"), jwt.WithSubject("spiffe://public/ns/default/course"))
	require.NoError(t, err)
	require.True(t, token.Valid)
}

func TestNobodyElseMayReadWhatProvesAnIdentity(t *testing.T) {
	t.Parallel()
	a := prepared(t)
	for _, dir := range []string{a.Folder, a.Identities} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := d.Info()
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, path)
			return nil
		}))
	}
}

func TestAnotherStartHasOtherIdentities(t *testing.T) {
	t.Parallel()
	a := prepared(t)
	before, err := os.ReadFile(filepath.Join(a.Identities, "course.token"))
	require.NoError(t, err)
	require.NoError(t, a.Prepare([]string{"course"}))
	after, err := os.ReadFile(filepath.Join(a.Identities, "course.token"))
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	require.NoFileExists(t, filepath.Join(a.Identities, "gateway.token"))
}

func TestTrustAnchorsAreKeptUntilTheirEndIsNear(t *testing.T) {
	t.Parallel()
	a := prepared(t)
	end := time.Now().Add(300 * 24 * time.Hour)
	anchors := filepath.Join(a.Folder, "ca.crt")
	require.NoError(t, os.WriteFile(anchors, []byte("anchors"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(a.Folder, "issuer.crt"), certificate(t, end), 0o600))
	require.NoError(t, a.Prepare([]string{"course"}))
	require.FileExists(t, anchors)

	a.Now = func() time.Time { return end.Add(-59 * 24 * time.Hour) }
	require.NoError(t, a.Prepare([]string{"course"}))
	require.NoFileExists(t, anchors, "sentry makes new ones where there are none")

	require.NoError(t, os.WriteFile(filepath.Join(a.Folder, "issuer.crt"), []byte("no certificate"), 0o600))
	require.ErrorContains(t, a.Prepare([]string{"course"}), "is damaged: remove")
}

func certificate(t *testing.T, end time.Time) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
