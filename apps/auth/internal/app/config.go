package app

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/session"
	"lms/apps/auth/internal/signin"
	"lms/apps/auth/internal/throttle"
)

// Config is what auth is told besides the settings of every service.
type Config struct {
	SealingKey         string `secret:"true" desc:"seals signing keys and makes refresh tokens; at least 32 characters; the secret auth-sealing-key if not set"`
	SealingKeyPrevious string `secret:"true" desc:"the one before, while it is being replaced; the secret auth-sealing-key-previous if not set"`

	AccessTTL        time.Duration `envconfig:"ACCESS_TTL" default:"5m" desc:"life of an access token, 1m to 15m"`
	ServiceTTL       time.Duration `envconfig:"SERVICE_TTL" default:"1h" desc:"life of a service's own token, 5m to 1h"`
	RefreshIdle      time.Duration `default:"168h" desc:"a session ends when it is not refreshed for so long"`
	RefreshAbsolute  time.Duration `default:"720h" desc:"a session ends so long after the login"`
	ImpersonationTTL time.Duration `envconfig:"IMPERSONATION_TTL" default:"1h" desc:"acting as another person ends after so long"`
	ChallengeTTL     time.Duration `envconfig:"CHALLENGE_TTL" default:"5m" desc:"time to enter the code of the second factor"`
	SSOTTL           time.Duration `envconfig:"SSO_TTL" default:"10m" desc:"time to sign in at an identity provider"`
	DeviceTTL        time.Duration `envconfig:"DEVICE_TTL" default:"4320h" desc:"how long a device stays known after a login"`

	KeyRotation time.Duration `default:"720h" desc:"a signing key signs for so long"`
	KeyLead     time.Duration `default:"10m" desc:"a signing key is published for so long before it signs, at least 6m"`

	AccountFree    int           `default:"5" desc:"failed logins per account that cost an unknown device nothing"`
	AccountMaxWait time.Duration `default:"15m" desc:"longest wait of an unknown device after failed logins"`
	AddressFree    int           `default:"100" desc:"failures per address that cost nothing"`
	AddressMaxWait time.Duration `default:"1m" desc:"longest wait of an address after failures"`

	OIDCIssuers   []string `envconfig:"OIDC_ISSUERS" desc:"issuers that identity providers may have, exactly as they name themselves, by commas; none: single sign-on is off"`
	OIDCHosts     []string `envconfig:"OIDC_HOSTS" desc:"further hosts that the issuers' discovery documents may point to"`
	ReturnOrigins []string `desc:"origins of web clients that single sign-on may return to, besides this site's own paths"`
}

func (c Config) check() error {
	var errs []error
	within := func(name string, d, low, high time.Duration) {
		if d < low || d > high {
			errs = append(errs, fmt.Errorf("configuration: LMS_AUTH_%s is %s, not between %s and %s", name, d, low, high))
		}
	}
	within("ACCESS_TTL", c.AccessTTL, time.Minute, 15*time.Minute)
	within("SERVICE_TTL", c.ServiceTTL, 5*time.Minute, time.Hour)
	within("REFRESH_ABSOLUTE", c.RefreshAbsolute, c.AccessTTL, 365*24*time.Hour)
	within("REFRESH_IDLE", c.RefreshIdle, c.AccessTTL, c.RefreshAbsolute)
	within("IMPERSONATION_TTL", c.ImpersonationTTL, c.AccessTTL, 12*time.Hour)
	within("CHALLENGE_TTL", c.ChallengeTTL, time.Minute, session.LongestLogin)
	within("SSO_TTL", c.SSOTTL, time.Minute, time.Hour)
	within("DEVICE_TTL", c.DeviceTTL, time.Hour, 365*24*time.Hour)
	within("KEY_LEAD", c.KeyLead, 6*time.Minute, 24*time.Hour)
	within("KEY_ROTATION", c.KeyRotation, 2*c.KeyLead, 365*24*time.Hour)
	within("ACCOUNT_MAX_WAIT", c.AccountMaxWait, time.Second, time.Hour)
	within("ADDRESS_MAX_WAIT", c.AddressMaxWait, time.Second, time.Hour)
	if c.AccountFree < 1 || c.AddressFree < 1 {
		errs = append(errs, errors.New("configuration: LMS_AUTH_ACCOUNT_FREE and LMS_AUTH_ADDRESS_FREE are at least 1"))
	}
	for _, o := range c.ReturnOrigins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || strings.TrimSuffix(o, "/") != u.Scheme+"://"+u.Host {
			errs = append(errs, fmt.Errorf("configuration: LMS_AUTH_RETURN_ORIGINS has %q, which is no origin", o))
		}
	}
	return errors.Join(errs...)
}

// keyTail is how long a key stays published after it signed: the longest life
// of a token, and time for clocks that differ.
func (c Config) schedule() keys.Schedule {
	return keys.Schedule{Every: c.KeyRotation, Lead: c.KeyLead, Tail: max(c.ServiceTTL, c.AccessTTL) + 5*time.Minute}
}

func (c Config) limits() session.Limits {
	return session.Limits{Idle: c.RefreshIdle, Absolute: c.RefreshAbsolute, Impersonation: c.ImpersonationTTL, Client: time.Hour}
}

func (c Config) lives() signin.Lives {
	return signin.Lives{Access: c.AccessTTL, Service: c.ServiceTTL, Challenge: c.ChallengeTTL, Flow: c.SSOTTL}
}

func (c Config) rules() throttle.Rules {
	r := throttle.DefaultRules()
	r.Account.Free, r.Account.Max = c.AccountFree, c.AccountMaxWait
	r.Address.Free, r.Address.Max = c.AddressFree, c.AddressMaxWait
	return r
}
