package main

import (
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of many calls at once whose connections to the app break, daprd 1.18 answers one
// in some thousand with 200, no body, and none of the app's headers: it keeps one
// handler for all calls, and one failure is noted in a neighbour's place. That a
// header which every app sets is missing there is what our client goes by. A run
// without such an answer says nothing; one that carries the header would be the end
// of that.
func TestASuccessThatNeverWasLacksTheAppsHeader(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	var doomed crowd
	app := http.NewServeMux()
	app.HandleFunc("POST /x", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "of the app")
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		doomed.join(c)
	})
	home.start("course", sidecarOptions{app: app})
	gateway := home.start("gateway", sidecarOptions{})
	var mu sync.Mutex
	given := map[int]int{}
	var callers sync.WaitGroup
	for range lanes {
		callers.Go(func() {
			for i := range 100 {
				got, err := gateway.try(request{
					method: http.MethodPost, path: "/v1.0/invoke/course/method/x", body: map[string]int{"n": i},
					header: map[string]string{"Idempotency-Key": strconv.FormatUint(rand.Uint64(), 36)},
				})
				mu.Lock()
				if err == nil {
					given[got.status]++
				}
				if err == nil && got.status < http.StatusInternalServerError && got.header.Get("X-Request-Id") != "" {
					t.Errorf("%d with the app's header", got.status)
				}
				mu.Unlock()
			}
			doomed.leave()
		})
	}
	callers.Wait()
	t.Logf("answers by status: %v", given)
	require.NotZero(t, given[http.StatusInternalServerError])
}

// lanes is how many calls there are at once.
const lanes = 16

// crowd ends connections together: all at once when half of the callers wait, as a
// process that is killed does.
type crowd struct {
	mu   sync.Mutex
	left int // callers that are done
	in   []net.Conn
}

func (c *crowd) join(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, conn)
	c.end()
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left++
	c.end()
}

func (c *crowd) end() {
	if len(c.in) < min(lanes/2, lanes-c.left) {
		return
	}
	for _, conn := range c.in {
		_ = conn.Close() // whatever comes of it is what is tried
	}
	c.in = nil
}
