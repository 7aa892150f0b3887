package edge

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// readiness answers /readyz: ready when every deployed service is and the
// gateway can check sessions, and naming what is down, by code: what went wrong
// inside is not for everybody. All is asked at once, however many ask us: at most
// once a second, and five times while something is down.
type readiness struct {
	checks map[string]func(ctx context.Context) error
	now    func() time.Time

	mu    sync.Mutex
	at    time.Time
	state Readiness
}

func newReadiness(sidecar Sidecar, services []string, more map[string]func(context.Context) error, now func() time.Time) *readiness {
	r := &readiness{checks: map[string]func(context.Context) error{}, now: now}
	for _, s := range services {
		r.checks[s] = func(ctx context.Context) error {
			_, err := sidecar.Invoke(ctx, dapr.Call{App: s, Path: "/readyz", Timeout: readyTimeout, Anonymous: true})
			return err //nolint:wrapcheck // already an apperr
		}
	}
	r.checks["sessions"] = func(ctx context.Context) error {
		_, err := sidecar.GetState(ctx, internalapi.SessionStore, internalapi.SessionKey(uuid.Nil))
		return err //nolint:wrapcheck // already an apperr
	}
	for name, check := range more {
		r.checks[name] = check
	}
	return r
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Status string            `json:"status"` // "ready" or "not_ready"
	Checks map[string]string `json:"checks"` // by service, and `sessions`: "ok", or the code of what is wrong
	Down   []string          `json:"down,omitempty"`
}

const (
	readyFor     = time.Second
	notReadyFor  = 200 * time.Millisecond // who waits for the start wants to know
	readyTimeout = 2 * time.Second
)

// ServeHTTP implements http.Handler.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s := r.Check(req.Context())
	status := http.StatusOK
	if s.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone; nobody is left to tell
}

// Check asks everything.
func (r *readiness) Check(ctx context.Context) Readiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := readyFor
	if r.state.Status != "ready" {
		keep = notReadyFor
	}
	if !r.at.IsZero() && r.now().Sub(r.at) < keep {
		return r.state
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(r.checks))
	codes := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			codes[i] = "ok"
			if err := r.checks[name](ctx); err != nil {
				codes[i] = apperr.Code(err)
			}
		})
	}
	wg.Wait()
	state := Readiness{Status: "ready", Checks: make(map[string]string, len(codes))}
	for i, name := range names {
		state.Checks[name] = codes[i]
		if codes[i] != "ok" {
			state.Status = "not_ready"
			state.Down = append(state.Down, name)
		}
	}
	r.state, r.at = state, r.now()
	return state
}
