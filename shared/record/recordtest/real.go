package recordtest

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/record"
)

// Variables that name a state component of a sidecar that runs: component@host:port
// of its gRPC API, and what it wants to see.
const (
	stateVariable = "LMS_TEST_STATE"
	tokenVariable = "LMS_TEST_STATE_TOKEN"
)

// T is a test, or one case of a property.
type T interface {
	require.TestingT
	Cleanup(cleanup func())
}

// New is a store in memory. Where LMS_TEST_STATE names a state component, it is that
// one, with the same hooks, failures and losses: the suites of those who keep state
// then run on a real store. Each New has keys of its own.
func New(t T, now func() time.Time) *Memory {
	m := NewMemory(now)
	named := os.Getenv(stateVariable)
	if named == "" {
		return m
	}
	component, address, ok := strings.Cut(named, "@")
	require.True(t, ok, "%s is component@host:port", stateVariable)
	c, err := dapr.New(dapr.Options{HTTP: address, GRPC: address, APIToken: os.Getenv(tokenVariable)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	m.real = &real{
		store:  dapr.Records{Sidecar: c, Component: component, Timeout: 10 * time.Second, Away: apperr.Unavailable("state_unavailable", "The state store is away.")},
		prefix: uuid.NewString(), lost: map[string]int{}, used: map[string]bool{},
	}
	return m
}

// real is a state component below the hooks of Memory. What is to be forgotten is
// looked for under another name from then on: a component cannot be emptied.
type real struct {
	store  record.Store
	prefix string
	flush  int
	lost   map[string]int // how often a key was forgotten
	used   map[string]bool
}

func (r *real) name(key string) string {
	return strings.Join([]string{r.prefix, strconv.Itoa(r.flush), strconv.Itoa(r.lost[key]), key}, ".")
}

// below is the real store, and a key's name there; nil for a store in memory.
func (m *Memory) below(key string) (record.Store, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.real == nil {
		return nil, ""
	}
	return m.real.store, m.real.name(key)
}

// wrote counts a write to the real store.
func (m *Memory) wrote(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	m.real.used[key] = true
}

// realKeys are the keys that have a value there.
func (m *Memory) realKeys() (out []string) {
	m.mu.Lock()
	names := map[string]string{}
	for key := range m.real.used {
		names[key] = m.real.name(key)
	}
	store := m.real.store
	m.mu.Unlock()
	for key, name := range names {
		e, err := store.Get(context.Background(), name)
		if err != nil {
			return nil // the test sees that they are missing
		}
		if len(e.Value) > 0 {
			out = append(out, key)
		}
	}
	return out
}
