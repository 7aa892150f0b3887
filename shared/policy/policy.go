// Package policy keeps the authorization snapshot that the user service
// serves: fresh to five seconds, and no longer than sixty while user is away.
// After that every check that needs it fails closed.
package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// How old a policy may be.
const (
	Fresh    = 5 * time.Second  // older ones are asked for anew
	Usable   = 60 * time.Second // older ones serve nobody
	ahead    = time.Second      // Run asks this long before Fresh ends
	timeout  = 2 * time.Second  // of one question
	cooldown = time.Second      // after a failed question
	// renewPause is between two questions for what is not known yet.
	renewPause = 200 * time.Millisecond
	// A replica that has just started may be asked before it could ask user: its
	// callers wait for the first policy, at most this long after the start.
	warmUp    = 5 * time.Second
	firstTick = 100 * time.Millisecond // between questions until then
)

// Answer is what user said: NotModified for the ETag that was sent, else a
// snapshot with its own.
type Answer struct {
	NotModified bool
	ETag        string
	Snapshot    authz.Snapshot
}

// Fetch asks user for /internal/authz/snapshot with If-None-Match: etag ("" at
// first).
type Fetch func(ctx context.Context, etag string) (Answer, error)

// Cache is an authz.Source.
type Cache struct {
	fetch Fetch
	now   func() time.Time

	current atomic.Pointer[held]
	begun   atomic.Pointer[time.Time] // when Run began
	first   chan struct{}             // closed with the first policy

	mu      sync.Mutex // one question at a time
	tried   time.Time  // when the last question went out
	failed  time.Time
	lastErr error
}

type held struct {
	policy *authz.Policy
	etag   string
	asked  time.Time // when the question went out, so that its age is never flattered
}

var _ authz.Renewer = (*Cache)(nil)

// New makes an empty cache; now is time.Now if nil.
func New(fetch Fetch, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	return &Cache{fetch: fetch, now: now, first: make(chan struct{})}
}

// Policy is the current policy. Error: 503 `policy_unavailable` when none is
// younger than sixty seconds and user does not answer.
func (c *Cache) Policy(ctx context.Context) (*authz.Policy, error) {
	h := c.current.Load()
	if h != nil && c.now().Sub(h.asked) < Fresh {
		return h.policy, nil
	}
	if h != nil && c.now().Sub(h.asked) < Usable {
		// Somebody else may be asking already; this caller need not wait.
		if c.mu.TryLock() {
			c.askLocked(ctx)
			c.mu.Unlock()
		}
	} else {
		c.awaitFirst(ctx) // Run asks already
		c.mu.Lock()
		c.askLocked(ctx)
		c.mu.Unlock()
	}
	h = c.current.Load()
	if h != nil && c.now().Sub(h.asked) < Usable {
		return h.policy, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return nil, unavailable(c.lastErr)
}

// awaitFirst returns when Run has got a policy, or may no longer be waited for.
func (c *Cache) awaitFirst(ctx context.Context) {
	begun := c.begun.Load()
	if begun == nil {
		return
	}
	t := time.NewTimer(time.Until(begun.Add(warmUp)))
	defer t.Stop()
	select {
	case <-c.first:
	case <-t.C:
	case <-ctx.Done():
	}
}

// Renew implements authz.Renewer: the policy as it is now, asked for after the
// call began, at most five times a second for all callers together. Error: 503
// `policy_unavailable` when user does not answer: an older policy would call
// what it does not know not there.
func (c *Cache) Renew(ctx context.Context) (*authz.Policy, error) {
	came := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried.Before(came) { // else another caller has asked meanwhile, for both
		if err := sleep(ctx, renewPause-came.Sub(c.tried)); err != nil {
			return nil, err
		}
		c.refreshLocked(ctx)
	}
	if c.lastErr != nil {
		return nil, unavailable(c.lastErr)
	}
	return c.current.Load().policy, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errNone says that nothing may be decided by what is known.
var errNone = apperr.Unavailable("policy_unavailable", "The user service has not said yet what roles may do, or not for a minute.")

func unavailable(cause error) error {
	return apperr.Unavailable("policy_unavailable", "Permissions cannot be checked at the moment. Try again.").With(cause)
}

// askLocked asks unless another caller has just done so, or has just failed.
func (c *Cache) askLocked(ctx context.Context) {
	now := c.now()
	if h := c.current.Load(); h != nil && now.Sub(h.asked) < Fresh {
		return
	}
	if !c.failed.IsZero() && now.Sub(c.failed) < cooldown {
		return
	}
	c.refreshLocked(ctx)
}

func (c *Cache) refreshLocked(ctx context.Context) {
	etag := ""
	h := c.current.Load()
	if h != nil {
		etag = h.etag
	}
	asked := c.now()
	c.tried = asked
	// The answer serves everybody: the first caller's hang-up must not end it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	a, err := c.fetch(ctx, etag)
	switch {
	case err != nil:
		c.failed, c.lastErr = c.now(), fmt.Errorf("fetch authorization snapshot: %w", err)
	case a.NotModified && h == nil:
		c.failed, c.lastErr = c.now(), errors.New("fetch authorization snapshot: not modified, but nothing was asked for")
	case a.NotModified:
		c.failed, c.lastErr = time.Time{}, nil
		c.current.Store(&held{policy: h.policy, etag: h.etag, asked: asked})
	default:
		c.failed, c.lastErr = time.Time{}, nil
		c.current.Store(&held{policy: authz.NewPolicy(a.Snapshot), etag: a.ETag, asked: asked})
		if h == nil {
			close(c.first)
		}
	}
}

// Run keeps the policy fresh until ctx ends, so that requests hardly ever wait
// for user. It always returns nil.
func (c *Cache) Run(ctx context.Context) error {
	begun := time.Now()
	c.begun.Store(&begun)
	for {
		c.mu.Lock()
		c.refreshLocked(ctx)
		c.mu.Unlock()
		pause := Fresh - ahead
		if c.current.Load() == nil && time.Since(begun) < warmUp {
			pause = firstTick
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Ready is nil when a policy is at hand, for /readyz: it neither asks nor waits.
func (c *Cache) Ready() error {
	if h := c.current.Load(); h != nil && c.now().Sub(h.asked) < Usable {
		return nil
	}
	return errNone
}
