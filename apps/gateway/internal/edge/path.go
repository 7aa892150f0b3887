package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"lms/shared/apperr"
)

var errBadPath = apperr.Malformed("bad_path", "The path is not in its plain form.")

// checkPath refuses every path that another reader might read differently: the
// way to a service is decided once, here. Nothing is rewritten: a path that
// would have to be is no path of ours.
func checkPath(r *http.Request) error {
	raw := r.URL.EscapedPath()
	if r.URL.Opaque != "" || !strings.HasPrefix(raw, "/") || len(raw) > 2048 {
		return errBadPath
	}
	lower := strings.ToLower(raw)
	for _, bad := range []string{"//", "\\", "%2f", "%5c", "%2e", "%25", "%00", "%3b", ";"} {
		if strings.Contains(lower, bad) {
			return errBadPath
		}
	}
	for seg := range strings.SplitSeq(raw[1:], "/") {
		if seg == "." || seg == ".." {
			return errBadPath
		}
	}
	if !utf8.ValidString(r.URL.Path) || strings.IndexFunc(r.URL.Path, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0 {
		return errBadPath
	}
	return nil
}

// address is the client's: the peer, or what the trusted proxies before us say
// about it, read from the right up to the first that is not trusted.
func (g *Gateway) address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !g.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = hop.Unmap().WithZone("")
		if !g.trusted(addr) {
			return addr
		}
	}
	return addr
}

func (g *Gateway) trusted(a netip.Addr) bool { return within(g.proxies, a) }

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// network is what one household or office is counted as: an IPv4 address, or
// the /64 of an IPv6 one.
func network(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Masked().String()
		}
	}
	return a.String()
}
