package service_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/authn"
	"lms/shared/service"
	"lms/shared/testkit"
	"lms/shared/web"
)

// whoami is a service that tells anybody with a good token so.
func whoami(_ context.Context, k *service.Kit) error {
	web.Register(k.Web, web.Op{Method: http.MethodGet, Path: "/api/v1/whoami", ID: "whoami", Summary: "Who", Status: http.StatusNoContent, Access: web.SignedIn()},
		func(context.Context, *web.Empty) (*web.Empty, error) { return nil, nil })
	return nil
}

func TestAKeySetInTheSharedStoreIsBelievedOnlyFromOneself(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t).start()
	good, forged := n.tokens.For(testkit.PlatformAdmin()), testkit.NewTokens(t)
	forger := forged.For(testkit.PlatformAdmin())
	first := run(t, n.env(), whoami)
	require.Eventually(t, func() bool { return len(n.kept()["jwks-course"]) > 0 }, 10*time.Second, 10*time.Millisecond, "the set is kept")
	require.NoError(t, first.stop())
	own := n.kept()["jwks-course"]

	n.setAuthAway()
	second := run(t, n.env(), whoami)
	status, body := second.do(http.MethodGet, "/api/v1/whoami", good, "")
	require.Equal(t, http.StatusNoContent, status, "started while auth is away, it knows the keys: %s", body)
	require.NoError(t, second.stop())

	// Another service can write to the store, but not with this one's secret.
	foreign, err := authn.SealJWKS("another's secret", time.Now(), forged.JWKS())
	require.NoError(t, err)
	for name, poison := range map[string][]byte{"as auth serves it": forged.JWKS(), "sealed by another service": foreign, "nothing": nil} {
		n.keep("jwks", forged.JWKS())
		n.keep("jwks-course", poison)
		third := run(t, n.env(), whoami)
		status, body = third.do(http.MethodGet, "/api/v1/whoami", forger, "")
		require.Equal(t, http.StatusServiceUnavailable, status, "%s: %s", name, body)
		require.NoError(t, third.stop())
	}
	n.keep("jwks-course", own)
	last := run(t, n.env(), whoami)
	status, body = last.do(http.MethodGet, "/api/v1/whoami", forger, "")
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, status, body)
}
