package outgoing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"lms/apps/notification/internal/webhook"
)

// Limits of a request to an integrator.
const (
	postTimeout = 10 * time.Second
	dialTimeout = 3 * time.Second
	maxAnswer   = 64 << 10 // what is read of an answer, so that the connection can be used again
)

// Poster posts to addresses that integrators gave. Whether an address may be
// reached is decided when it is dialled, by the IP address that the name has at that
// moment: a name that answers first with a public and then with a private address
// (DNS rebinding) gets nowhere, and neither does a redirect, which is not followed.
// There is no proxy and there are no cookies.
type Poster struct {
	client  *http.Client
	allowed []netip.Prefix
	plain   bool
}

var _ webhook.Sender = (*Poster)(nil)

// ErrNotPublic says that an address is not one of the public internet.
var ErrNotPublic = errors.New("the address is not a public one")

// NewPoster makes a poster. allow are networks that may be reached although they are
// not public ("10.1.0.0/16"), for tests and for an operator's own integrators; with
// one, http:// is taken as well.
func NewPoster(allow []string) (*Poster, error) {
	p := &Poster{plain: len(allow) > 0}
	for _, a := range allow {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(a))
		if err != nil {
			return nil, fmt.Errorf("configuration: LMS_NOTIFICATION_WEBHOOK_NETWORKS: %w", err)
		}
		p.allowed = append(p.allowed, prefix)
	}
	dialer := &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s", ErrNotPublic, address)
		}
		return p.mayReach(ap.Addr())
	}}
	p.client = &http.Client{
		Timeout: postTimeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns: 100, MaxIdleConnsPerHost: 5, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// Close ends idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// notPublic are networks of the IANA special-purpose registries that netip's own
// questions do not cover, and those that lead to IPv4 addresses by another way.
func notPublic() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func (p *Poster) mayReach(ip netip.Addr) error {
	ip = ip.Unmap()
	if slices.ContainsFunc(p.allowed, func(n netip.Prefix) bool { return n.Contains(ip) }) {
		return nil
	}
	if ip.Zone() != "" || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		slices.ContainsFunc(notPublic(), func(n netip.Prefix) bool { return n.Contains(ip) }) {
		return fmt.Errorf("%w: %s", ErrNotPublic, ip)
	}
	return nil
}

// Check implements webhook.Sender: what can be said without asking for the name.
func (p *Poster) Check(u *url.URL) error {
	if u.Scheme != "https" && !p.plain {
		return errors.New("is no https address")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := p.mayReach(ip); err != nil {
			return errors.New("is not a public address")
		}
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if !p.plain && (host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal") || !strings.Contains(host, ".")) {
		return errors.New("is not a public name")
	}
	return nil
}

// Post implements webhook.Sender.
func (p *Poster) Post(ctx context.Context, address string, header map[string]string, body []byte) (webhook.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return webhook.Answer{}, errors.New("the address cannot be used")
	}
	if err := p.Check(req.URL); err != nil {
		return webhook.Answer{}, err
	}
	req.Header.Set("User-Agent", "LMS-Webhooks/1")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return webhook.Answer{}, told(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // its status says it all
	return webhook.Answer{Status: res.StatusCode}, nil
}

// told is what an integrator may read of a failure: nothing about the network that
// we stand in.
func told(err error) error {
	var ue *url.Error
	switch {
	case errors.Is(err, ErrNotPublic):
		return ErrNotPublic
	case errors.As(err, &ue) && ue.Timeout():
		return errors.New("it did not answer in time")
	}
	return errors.New("it could not be reached")
}
