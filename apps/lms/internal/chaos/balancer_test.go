//go:build chaos

package chaos_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// balancer stands before gateways like the one of a cluster: each request goes to
// the next of them.
type balancer struct {
	URL string

	mu   sync.Mutex
	all  []*upstream
	next int
}

// upstream is a gateway behind the balancer.
type upstream struct {
	url    string
	proxy  *httputil.ReverseProxy
	open   sync.WaitGroup // requests
	served atomic.Int64
}

func newBalancer(t testing.TB, gateway string) *balancer {
	t.Helper()
	b := &balancer{}
	b.add(t, gateway)
	front := httptest.NewServer(b)
	t.Cleanup(front.Close)
	b.URL = front.URL
	return b
}

// add sends requests to one more gateway.
func (b *balancer) add(t testing.TB, gateway string) *upstream {
	t.Helper()
	target, err := url.Parse(gateway)
	require.NoError(t, err)
	u := &upstream{url: gateway, proxy: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, u)
	return u
}

// without takes a gateway out, and returns when it has answered what it was sent.
func (b *balancer) without(gateway string) {
	b.mu.Lock()
	i := slices.IndexFunc(b.all, func(u *upstream) bool { return u.url == gateway })
	out := b.all[i]
	b.all = slices.Delete(b.all, i, i+1)
	b.mu.Unlock()
	out.open.Wait()
}

// of is a gateway behind the balancer.
func (b *balancer) of(gateway string) *upstream {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[slices.IndexFunc(b.all, func(u *upstream) bool { return u.url == gateway })]
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.next++
	u := b.all[b.next%len(b.all)]
	u.open.Add(1)
	b.mu.Unlock()
	defer u.open.Done()
	u.proxy.ServeHTTP(w, r)
	u.served.Add(1)
}
