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
	// keepNames is how long a lookup serves calls. Without it each invocation costs
	// a SQL query, a quarter of the calls per second; daprd's own cache (20 s) would
	// go on sending calls to replicas that have left, and none to new ones.
	keepNames = time.Second
	// forgotten is when nobody calls an address any more that is not in the table.
	forgotten = 2 * keepNames
	// readyPoll is how often the sidecar looks whether it can be called by now.
	readyPoll  = 20 * time.Millisecond
	enterTries = 5
)

// names is the table in which sidecars find each other. The SQLite resolver
// writes a sidecar into it before anything of it listens, and takes it out
// while others still call it, so that a replica which comes or goes fails
// calls. Here it stands there under its app's name only while it can be called:
// before, and while it leaves, under a name that nobody calls.
type names struct {
	open func() nameresolution.Resolver // a new resolver on the same table

	mu       sync.RWMutex // written while the name changes
	resolver nameresolution.Resolver
	metadata nameresolution.Metadata
	arrived  bool
	left     bool
	closed   bool

	lookups sync.Map // app id → *lookup
}

var _ nameresolution.Resolver = (*names)(nil)

// lookup is what is known of one app.
type lookup struct {
	mu        sync.RWMutex
	asking    sync.Mutex // one asks, the others take what they have
	addresses []string
	at        time.Time
}

func newNames(log logger.Logger) *names {
	return &names{open: func() nameresolution.Resolver { return sqlite.NewResolver(log) }}
}

// Init implements nameresolution.Resolver.
func (n *names) Init(ctx context.Context, md nameresolution.Metadata) error {
	n.metadata = md
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
	n.resolver = n.open()
	md := n.metadata
	md.Instance.AppID = name
	if err := n.resolver.Init(ctx, md); err != nil {
		return fmt.Errorf("enter the table of names as %s: %w", name, err)
	}
	n.arrived = n.arrived || name == n.metadata.Instance.AppID
	return nil
}

func (n *names) starting() string { return n.metadata.Instance.AppID + ".starting" }
func (n *names) leaving() string  { return n.metadata.Instance.AppID + ".leaving" }

// used says whether names are resolved by this table at all.
func (n *names) used() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.resolver != nil
}

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
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !n.used() || !ready() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	// All sidecars of an installation start at once, and one writes at a time.
	for try := 1; ; try++ {
		err := n.appear(ctx, n.metadata.Instance.AppID)
		if err == nil {
			break
		}
		if try == enterTries {
			return err
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
	if !n.used() || len(n.others(ctx)) == 0 {
		return
	}
	if err := n.appear(ctx, n.leaving()); err != nil {
		log.Warnf("Others still call this replica: %v", err)
		return
	}
	select {
	case <-time.After(forgotten):
	case <-ctx.Done():
	}
}

// others are the addresses of the app's other replicas.
func (n *names) others(ctx context.Context) []string {
	i := n.metadata.Instance
	all, err := n.draw(ctx, nameresolution.ResolveRequest{ID: i.AppID, Namespace: i.Namespace})
	if err != nil {
		return nil // not even this one
	}
	own := net.JoinHostPort(i.Address, strconv.Itoa(i.DaprInternalPort))
	return slices.DeleteFunc(all, func(a string) bool { return a == own })
}

// ResolveID implements nameresolution.Resolver: one of the app's replicas.
func (n *names) ResolveID(ctx context.Context, req nameresolution.ResolveRequest) (string, error) {
	kept, ok := n.lookups.Load(req.ID)
	if !ok {
		kept, _ = n.lookups.LoadOrStore(req.ID, &lookup{})
	}
	l := kept.(*lookup) //nolint:forcetypeassert // the map holds nothing else
	addresses, fresh := l.get()
	switch {
	case fresh:
		return pick(addresses), nil
	case len(addresses) == 0:
		l.asking.Lock()
	case !l.asking.TryLock():
		return pick(addresses), nil
	}
	defer l.asking.Unlock()
	if addresses, fresh = l.get(); fresh { // somebody asked meanwhile
		return pick(addresses), nil
	}
	found, err := n.draw(ctx, req)
	switch {
	case err == nil:
		addresses = found
	case errors.Is(err, sqlite.ErrNoHost):
		addresses = nil
	}
	if l.set(addresses); len(addresses) == 0 {
		return "", err
	}
	return pick(addresses), nil // what was known, while the table is busy
}

func pick(addresses []string) string { return addresses[rand.IntN(len(addresses))] }

func (l *lookup) get() (addresses []string, fresh bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.addresses, len(l.addresses) > 0 && time.Since(l.at) < keepNames
}

func (l *lookup) set(addresses []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses, l.at = addresses, time.Now()
}

// draw asks the table for all addresses under which the app stands in it. The
// first draw's error is the answer's; a later draw that fails (the last replica
// left meanwhile) only ends the drawing.
func (n *names) draw(ctx context.Context, req nameresolution.ResolveRequest) (found []string, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for range drawsPerLookup {
		address, err := n.resolver.ResolveID(ctx, req)
		if err != nil {
			if len(found) == 0 {
				return nil, err //nolint:wrapcheck // as if this type were not there
			}
			return found, nil
		}
		if !slices.Contains(found, address) {
			found = append(found, address)
		}
	}
	return found, nil
}

// Close implements io.Closer.
func (n *names) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.resolver == nil {
		return nil
	}
	return n.resolver.Close() //nolint:wrapcheck // as if this type were not there
}
