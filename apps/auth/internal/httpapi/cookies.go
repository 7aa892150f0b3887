package httpapi

import (
	"context"
	"net/http"
	"time"

	"lms/shared/web"
)

// Paths that cookies go to, and no other.
const (
	refreshPath = base + "/auth/refresh"
	loginPath   = base + "/auth/login"
	ssoPath     = base + "/auth/sso"
)

// cookies are those that auth sets. All are Secure; on https their names carry
// the prefix by which browsers enforce it.
type cookies struct{ https bool }

func (c cookies) name(plain string) string {
	if c.https {
		return "__Secure-" + plain
	}
	return plain
}

func (c cookies) refresh() string { return c.name("lms_refresh") }
func (c cookies) csrf() string    { return c.name("lms_csrf") }
func (c cookies) device() string  { return c.name("lms_device") }
func (c cookies) browser() string { return c.name("lms_sso") }

func read(ctx context.Context, name string) string {
	req := web.Request(ctx)
	if req == nil {
		return ""
	}
	v, err := req.Cookie(name)
	if err != nil {
		return ""
	}
	return v.Value
}

func cookie(name, value, path string, life time.Duration, site http.SameSite, httpOnly bool) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: path, MaxAge: int(life.Seconds()), Secure: true, HttpOnly: httpOnly, SameSite: site}
}

// deviceLife is how long a browser is asked to keep its device token; the token
// itself says how long it is good.
const deviceLife = 180 * 24 * time.Hour

// setRefresh gives the refresh token to the browser, where no script reads it.
// The CSRF token is for our own pages: the refresh needs both.
func (c cookies) setRefresh(ctx context.Context, token, csrf, device string, life time.Duration) {
	web.SetCookie(ctx, cookie(c.refresh(), token, refreshPath, life, http.SameSiteStrictMode, true))
	web.SetCookie(ctx, cookie(c.csrf(), csrf, "/", life, http.SameSiteStrictMode, false))
	if device != "" {
		web.SetCookie(ctx, cookie(c.device(), device, loginPath, deviceLife, http.SameSiteStrictMode, true))
	}
}

// clear takes the refresh token back. The device stays known.
func (c cookies) clear(ctx context.Context) {
	web.SetCookie(ctx, cookie(c.refresh(), "", refreshPath, -time.Second, http.SameSiteStrictMode, true))
	web.SetCookie(ctx, cookie(c.csrf(), "", "/", -time.Second, http.SameSiteStrictMode, false))
}

// setBrowser binds a sign-in at a provider to this browser. Lax, since the way
// back comes from another site.
func (c cookies) setBrowser(ctx context.Context, value string, life time.Duration) {
	web.SetCookie(ctx, cookie(c.browser(), value, ssoPath, life, http.SameSiteLaxMode, true))
}
