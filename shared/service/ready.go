package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"lms/shared/apperr"
	"lms/shared/contracts"
	"lms/shared/dapr"
)

// Limits of the readiness check.
const (
	checkTimeout  = 2 * time.Second
	checkKeep     = 500 * time.Millisecond // an answer serves all who ask within
	componentKeep = 10 * time.Second
)

type check struct {
	name      string
	essential bool
	fn        func(ctx context.Context) error
}

// outcome is one check in the answer of /readyz.
type outcome struct {
	OK        bool   `json:"ok"`
	Essential bool   `json:"essential"`
	Error     string `json:"error,omitempty"`
}

type readiness struct {
	checks     []check
	components []string
	draining   <-chan struct{}

	mu     sync.Mutex
	asked  time.Time
	ok     bool
	answer []byte

	loadedAt time.Time
}

func (r *readiness) add(name string, essential bool, fn func(context.Context) error) {
	r.checks = append(r.checks, check{name, essential, fn})
}

// ServeHTTP answers 200 or 503 and names every check.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ok, body := r.look(req.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(body) // the prober has gone: nobody is left to tell
}

func (r *readiness) look(ctx context.Context) (bool, []byte) {
	select {
	case <-r.draining:
		return false, []byte(`{"ready":false,"checks":{"service":{"ok":false,"essential":true,"error":"it is stopping"}}}`)
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil && time.Since(r.asked) < checkKeep {
		return r.ok, r.answer
	}
	// The answer serves others too: it does not end with who asked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	results := make([]outcome, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() {
			results[i] = outcome{OK: true, Essential: c.essential}
			if err := guarded(ctx, c.fn); err != nil {
				results[i].OK, results[i].Error = false, oneLine(err)
			}
		})
	}
	wg.Wait()
	doc := struct {
		Ready  bool               `json:"ready"`
		Checks map[string]outcome `json:"checks"`
	}{true, map[string]outcome{}}
	for i, c := range r.checks {
		doc.Checks[c.name] = results[i]
		doc.Ready = doc.Ready && (results[i].OK || !c.essential)
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return false, []byte(`{"ready":false}`)
	}
	r.ok, r.answer, r.asked = doc.Ready, body, time.Now()
	return r.ok, r.answer
}

// oneLine is the first line of an error, short enough for a prober's log.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) > 300 {
		text = text[:300]
	}
	return text
}

// componentsLoaded checks that the sidecar has every required component: one
// that fails to start with ignoreErrors is otherwise noticed at its first use.
func (r *readiness) componentsLoaded(c *dapr.Client, app string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if len(r.components) == 0 || time.Since(r.loadedAt) < componentKeep {
			return nil
		}
		loaded, err := c.Components(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for _, name := range r.components {
			if !slices.ContainsFunc(loaded, func(l dapr.Component) bool { return l.Name == name }) && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return apperr.Unavailable(strings.ReplaceAll(missing[0], "-", "_")+"_missing", fmt.Sprintf(
				"The sidecar has not loaded %s: the profile lacks it, its scopes leave %s out, or it could not start; `lms profile check` and the sidecar's log say which.",
				strings.Join(missing, ", "), app))
		}
		r.loadedAt = time.Now()
		return nil
	}
}

// readinessKey is read to see whether a store answers; nobody writes it.
const readinessKey = "readyz"

// storesAnswer adds a check per state store. Only what a service keeps for good is
// essential: it works on without a cache, if more slowly.
func (k *Kit) storesAnswer() {
	for _, b := range contracts.BuildingBlocks() {
		if b.Kind != "state" || !slices.Contains(b.Apps, k.Name) {
			continue
		}
		k.Ready("store "+b.Name, b.Durable, func(ctx context.Context) error {
			if _, err := k.Dapr.GetState(ctx, b.Name, readinessKey); err != nil {
				return fmt.Errorf("the state store %s does not answer: %w", b.Name, err)
			}
			return nil
		})
	}
}
