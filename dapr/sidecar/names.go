package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dapr/components-contrib/nameresolution"
	"github.com/dapr/components-contrib/nameresolution/sqlite"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/kit/logger"
)

const (
	// drawsPerLookup bounds how often one lookup asks the table. The resolver gives
	// one replica at random per query, so a list is made by drawing: with two
	// replicas, eight draws miss one of them once in 128 lookups, and the next
	// lookup corrects it.
	drawsPerLookup = 8
	// drawsForAnother is how often a replica that leaves looks for another one: with
	// two, it overlooks the other one never that anybody would see.
	drawsForAnother = 64
	// keepNames is how long a lookup serves calls. Without it each invocation costs
	// a SQL query, a quarter of the calls per second; daprd's own cache (20 s) would
	// go on sending calls to replicas that have left, and none to new ones.
	keepNames = time.Second
	// whileAsked is for how much longer it serves those that come while one asks.
	whileAsked = keepNames / 2
	// forgotten is when nobody calls an address any more that is not in the table.
	forgotten = 2 * keepNames
	// askFor bounds one lookup, leaveIn all that a replica does before it ends.
	askFor  = 3 * time.Second
	leaveIn = 2 * forgotten
	// failFor is how long a lookup that found nothing answers those that waited for
	// it: each of them would ask the same.
	failFor = 100 * time.Millisecond
	// readyPoll is how often the sidecar looks whether it can be called by now, and
	// latePoll the same once soonPolls were in vain.
	readyPoll  = 20 * time.Millisecond
	latePoll   = 500 * time.Millisecond
	soonPolls  = 1000
	enterTries = 5
)

// names is the table in which sidecars find each other. The SQLite resolver
// writes a sidecar into it before anything of it listens, and takes it out
// while others still call it, so that a replica which comes or goes fails
// calls. Here it stands there under its app's name from when it can be called
// until it is told to end: before, and while it leaves where the app has another
// replica, under a name that nobody calls.
type names struct {
	open func() nameresolution.Resolver // a new resolver on the same table
	used chan struct{}                  // closed by Init: names are resolved by this table
	once sync.Once

	mu       sync.RWMutex // written while the name changes
	resolver nameresolution.Resolver
	metadata nameresolution.Metadata
	entered  bool // under the present name
	arrived  bool
	left     bool
	closed   bool

	lookups sync.Map // app id → *lookup
}

var _ nameresolution.Resolver = (*names)(nil)

// lookup is what is known of one app.
type lookup struct {
	asking chan struct{} // holds who asks; the others take what is known, or wait

	mu        sync.RWMutex
	addresses []string
	at        time.Time // when they were asked for
	failed    time.Time // when the table last did not answer
	err       error
}

func newNames(log logger.Logger) *names {
	return &names{used: make(chan struct{}), open: func() nameresolution.Resolver { return sqlite.NewResolver(log) }}
}

// Init implements nameresolution.Resolver.
func (n *names) Init(ctx context.Context, md nameresolution.Metadata) error {
	n.metadata = md
	defer n.once.Do(func() { close(n.used) }) // also where it failed: arrive tries again
	return n.appear(ctx, n.starting())
}

// appear stands in the table under a name from now on.
func (n *names) appear(ctx context.Context, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.left {
		return nil
	}
	n.left = name == n.leaving()
	if n.resolver != nil {
		_ = n.resolver.Close() // it takes out a row that is written anew at once
	}
	n.resolver, n.entered = n.open(), false
	md := n.metadata
	md.Instance.AppID = name
	if err := n.resolver.Init(ctx, md); err != nil {
		return fmt.Errorf("enter the table of names as %s: %w", name, err)
	}
	n.entered = true
	n.arrived = n.arrived || name == n.metadata.Instance.AppID
	return nil
}

func (n *names) starting() string { return n.metadata.Instance.AppID + ".starting" }
func (n *names) leaving() string  { return n.metadata.Instance.AppID + ".leaving" }

// listed is the health of a sidecar that also wants to be found by others, where
// they find each other by this table.
type listed struct {
	healthz.Healthz
	table *names
}

// IsReady implements healthz.Healthz.
func (l listed) IsReady() bool {
	if !l.Healthz.IsReady() {
		return false
	}
	l.table.mu.RLock()
	defer l.table.mu.RUnlock()
	return l.table.arrived || l.table.resolver == nil
}

// arrive lets others find the app once ready says so, and returns when ctx ends.
// Before Init ready says nothing yet: the runtime has not said what it waits for.
func (n *names) arrive(ctx context.Context, ready func() bool) error {
	select {
	case <-n.used:
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	tries := 0
	for polls := 1; ; polls++ {
		if ready() {
			// All sidecars of an installation start at once, and one writes at a time.
			err := n.appear(ctx, n.metadata.Instance.AppID)
			if err == nil {
				break
			}
			if tries++; tries == enterTries {
				return err
			}
		}
		if polls == soonPolls {
			tick.Reset(latePoll)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	<-ctx.Done()
	return nil
}

// leave takes the app out of the table and returns when nobody calls it here any
// more. Where there is no other replica it does nothing: calls could go nowhere
// else.
func (n *names) leave(ctx context.Context, log logger.Logger) {
	select {
	case <-n.used:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveIn)
	defer cancel()
	if !n.another(ctx) {
		return
	}
	if err := n.appear(ctx, n.leaving()); err != nil {
		log.Warnf("This replica leaves without a name to leave under: %v", err) // it is out of the table all the same
	}
	select {
	case <-time.After(forgotten):
	case <-ctx.Done():
	}
}

// another says whether the app has another replica.
func (n *names) another(ctx context.Context) bool {
	i := n.metadata.Instance
	own := net.JoinHostPort(i.Address, strconv.Itoa(i.DaprInternalPort))
	for range drawsForAnother {
		address, err := n.drawOne(ctx, nameresolution.ResolveRequest{ID: i.AppID, Namespace: i.Namespace})
		if err != nil {
			return false // not even this one
		}
		if address != own {
			return true
		}
	}
	return false
}

// ResolveID implements nameresolution.Resolver: one of the app's replicas.
func (n *names) ResolveID(ctx context.Context, req nameresolution.ResolveRequest) (string, error) {
	kept, ok := n.lookups.Load(req.ID)
	if !ok {
		kept, _ = n.lookups.LoadOrStore(req.ID, &lookup{asking: make(chan struct{}, 1)})
	}
	l := kept.(*lookup) //nolint:forcetypeassert // the map holds nothing else
	believe := keepNames
	if address, err, ok := l.answer(believe); ok {
		return address, err
	}
	select {
	case l.asking <- struct{}{}:
	default:
		believe += whileAsked
		if address, err, ok := l.answer(believe); ok {
			return address, err
		}
		select {
		case l.asking <- struct{}{}:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	defer func() { <-l.asking }()
	if address, err, ok := l.answer(believe); ok { // somebody asked meanwhile
		return address, err
	}
	// The answer is for all who come: it does not end with who happened to ask.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
	defer cancel()
	return l.note(time.Now(), func() ([]string, error) { return n.draw(asking, req) })
}

// answer is what is known and may be believed: addresses that were asked for in the
// last while, older ones where the table did not answer just now, or that there are
// none, as somebody was told a moment ago.
func (l *lookup) answer(while time.Duration) (address string, err error, ok bool) { //nolint:revive // an answer may be an error
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case len(l.addresses) > 0:
		if time.Since(l.at) < while || time.Since(l.failed) < keepNames {
			return pick(l.addresses), nil, true
		}
	case l.err != nil && time.Since(l.failed) < failFor:
		return "", l.err, true
	}
	return "", nil, false
}

// note keeps what the table says, and gives one address of it.
func (l *lookup) note(asked time.Time, draw func() ([]string, error)) (string, error) {
	found, err := draw()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.addresses, l.at, l.err, l.failed = found, asked, nil, time.Time{}
	case errors.Is(err, sqlite.ErrNoHost):
		l.addresses, l.err, l.failed = nil, err, time.Now()
	default:
		l.err, l.failed = err, time.Now()
	}
	if len(l.addresses) == 0 {
		return "", err
	}
	return pick(l.addresses), nil // what was known, while the table does not answer
}

func pick(addresses []string) string { return addresses[rand.IntN(len(addresses))] }

// draw asks the table for all addresses under which the app stands in it. The
// first draw's error is the answer's; a later draw that fails (the last replica
// left meanwhile) only ends the drawing.
func (n *names) draw(ctx context.Context, req nameresolution.ResolveRequest) (found []string, err error) {
	for range drawsPerLookup {
		address, err := n.drawOne(ctx, req)
		if err != nil {
			if len(found) == 0 {
				return nil, err
			}
			return found, nil
		}
		if !slices.Contains(found, address) {
			found = append(found, address)
		}
	}
	return found, nil
}

// drawOne holds the resolver for one query: the name may change between two.
func (n *names) drawOne(ctx context.Context, req nameresolution.ResolveRequest) (string, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.resolver.ResolveID(ctx, req) //nolint:wrapcheck // as if this type were not there
}

// Close implements io.Closer.
func (n *names) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.resolver == nil {
		return nil
	}
	if err := n.resolver.Close(); n.entered {
		return err //nolint:wrapcheck // as if this type were not there
	}
	return nil // it did not stand in the table, and cannot be taken out
}
