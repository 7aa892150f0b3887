package throttle

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/record"
)

// Rules are the rules of each kind of count.
type Rules struct {
	Account Rule // a login name, for devices that are not known
	Address Rule // an IPv4 address or an IPv6 /64
	Device  Rule // a device that is known to the account
	Factor  Rule // codes of the second factor of a person
}

// DefaultRules: an unknown device gets 5 free guesses per account, then 1 s,
// 2 s, … up to 15 minutes; an address 100 (a school is one address), then up to
// 1 minute; a known device 10, then up to 15 minutes. At most 96 guesses per
// account and day from all unknown devices together after the first dozen.
func DefaultRules() Rules {
	return Rules{
		Account: Rule{Free: 5, Step: time.Second, Max: 15 * time.Minute, Forget: 24 * time.Hour},
		Address: Rule{Free: 100, Step: time.Second, Max: time.Minute, Forget: time.Hour},
		Device:  Rule{Free: 10, Step: time.Second, Max: 15 * time.Minute, Forget: 24 * time.Hour},
		Factor:  Rule{Free: 5, Step: time.Second, Max: 15 * time.Minute, Forget: 24 * time.Hour},
	}
}

// Throttle counts tries.
type Throttle struct {
	book  *record.Book[Count]
	rules Rules
	now   func() time.Time
	keys  [][]byte // the newest first
	life  time.Duration
}

// New makes a throttle. Device tokens are good for deviceLife; they are signed
// with the first secret, and recognised by any. A secret has at least 32 bytes.
func New(store record.Store, rules Rules, now func() time.Time, deviceLife time.Duration, secrets ...[]byte) (*Throttle, error) {
	if len(secrets) == 0 {
		return nil, errors.New("device tokens need a secret")
	}
	t := &Throttle{book: record.NewBook(store, now, CountEnds), rules: rules, now: now, life: deviceLife}
	for _, secret := range secrets {
		if len(secret) < 32 {
			return nil, errors.New("the secret of device tokens needs at least 32 bytes")
		}
		key, err := hkdf.Key(sha256.New, secret, nil, "lms auth known device", 32)
		if err != nil {
			return nil, err
		}
		t.keys = append(t.keys, key)
	}
	return t, nil
}

// Try is one login or code that was let through. It counts as a failure until
// Succeeded gives it back: of many guesses at once none is free.
type Try struct {
	// Device is the known device on which it was made, or nil.
	Device uuid.UUID

	t     *Throttle
	holds []hold
}

type hold struct {
	key   string
	rule  Rule
	clear bool // success forgets the count, instead of giving one try back
}

// Login lets a login through or says 429 `too_many_attempts` with Retry-After.
// device is the token of an earlier login on the device, or "".
func (t *Throttle) Login(ctx context.Context, login, address, device string) (*Try, error) {
	name := t.hash(Normalize(login))
	if id, ok := t.device(device, login); ok {
		return t.begin(ctx, id, hold{key: "throttle.device." + id.String(), rule: t.rules.Device, clear: true})
	}
	return t.begin(ctx, uuid.Nil,
		hold{key: "throttle.address." + t.hash(network(address)), rule: t.rules.Address},
		hold{key: "throttle.account." + name, rule: t.rules.Account, clear: true})
}

// Code lets a code of the second factor through. device is the id of a device
// that is known to the person, or nil: it has a count of its own, so that who
// knows the password cannot keep its owner from signing in.
func (t *Throttle) Code(ctx context.Context, person, device uuid.UUID) (*Try, error) {
	key := "throttle.factor." + person.String()
	if device != uuid.Nil {
		key += "." + device.String()
	}
	return t.begin(ctx, device, hold{key: key, rule: t.rules.Factor, clear: true})
}

// Guess lets a secret of somebody without a name through (an emailed link, a
// client secret): counted per address and kind.
func (t *Throttle) Guess(ctx context.Context, kind, address string) (*Try, error) {
	return t.begin(ctx, uuid.Nil, hold{key: "throttle." + kind + "." + t.hash(network(address)), rule: t.rules.Address})
}

func (t *Throttle) begin(ctx context.Context, device uuid.UUID, holds ...hold) (*Try, error) {
	try := &Try{t: t, Device: device}
	for _, h := range holds {
		if err := t.take(ctx, h); err != nil {
			// What was taken before is given back: a caller who must wait for
			// one count does not run up another.
			return nil, errors.Join(err, try.giveBack(ctx, false))
		}
		try.holds = append(try.holds, h)
	}
	return try, nil
}

func (t *Throttle) take(ctx context.Context, h hold) error {
	_, err := t.book.Update(ctx, h.key, func(current *Count) (*Count, error) {
		now := t.now()
		if wait := current.wait(now); wait > 0 {
			return nil, apperr.New(apperr.KindRateLimited, "too_many_attempts", "Too many attempts. Wait, or reset the password.").After(wait)
		}
		return h.rule.after(current, now), nil
	})
	return err
}

// Succeeded gives the try back and forgets the failures of the account or
// device. An address only gets its one try back: who has an account of their
// own could wash away the guesses at others.
func (t *Try) Succeeded(ctx context.Context) error { return t.giveBack(ctx, true) }

// Void gives the try back without a success: it was not answered.
func (t *Try) Void(ctx context.Context) error { return t.giveBack(ctx, false) }

func (t *Try) giveBack(ctx context.Context, success bool) error {
	var errs []error
	for _, h := range t.holds {
		_, err := t.t.book.Update(ctx, h.key, func(current *Count) (*Count, error) {
			if current == nil {
				return nil, record.ErrKeep
			}
			if success && h.clear {
				return nil, nil //nolint:nilnil // nil ends the record
			}
			return h.rule.less(current, t.t.now()), nil
		})
		errs = append(errs, err)
	}
	t.holds = nil
	return errors.Join(errs...)
}

// Forget clears the counts of an account: its password was reset.
func (t *Throttle) Forget(ctx context.Context, login string) error {
	_, err := t.book.Update(ctx, "throttle.account."+t.hash(Normalize(login)), func(current *Count) (*Count, error) {
		if current == nil {
			return nil, record.ErrKeep
		}
		return nil, nil //nolint:nilnil // nil ends the record
	})
	return err
}

// Normalize makes one name of the spellings of a login.
func Normalize(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// network is the address that a count is kept for: an IPv6 customer has a /64
// at least.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// hash keeps names and addresses out of the keys of the state store.
func (t *Throttle) hash(s string) string { return hashed(t.keys[0], s) }

func hashed(key []byte, s string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("name\x00" + s))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:18])
}

// A device token is an id, the second it was made, and a MAC that binds both to
// one login name: on a stolen token of one account nobody guesses at another.
const deviceBytes = 16 + 8 + 32

// DeviceToken is what a device keeps to be known to an account.
func (t *Throttle) DeviceToken(login string, id uuid.UUID) string {
	b := make([]byte, 0, deviceBytes)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.now().Unix())) // after 1970
	b = append(b, deviceMAC(t.keys[0], b, login)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func deviceMAC(key, head []byte, login string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("device\x00"))
	m.Write(head)
	m.Write([]byte(hashed(key, Normalize(login))))
	return m.Sum(nil)
}

func (t *Throttle) device(token, login string) (uuid.UUID, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != deviceBytes {
		return uuid.Nil, false
	}
	ours := func(key []byte) bool { return hmac.Equal(b[24:], deviceMAC(key, b[:24], login)) }
	if !slices.ContainsFunc(t.keys, ours) {
		return uuid.Nil, false
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(b[16:24])), 0) // under our MAC
	if t.now().Sub(made) >= t.life {
		return uuid.Nil, false
	}
	return uuid.UUID(b[:16]), true
}
