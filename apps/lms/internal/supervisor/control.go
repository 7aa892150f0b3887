package supervisor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Orders of other commands to a running supervisor go over loopback HTTP, with
// a token that only the owner of the state file can read.
const (
	pathRestart   = "/restart"
	controlHeader = "X-LMS-Control"
)

type restartOrder struct {
	Name string `json:"name"`
}

type answer struct {
	Error   string  `json:"error,omitempty"`
	Process *Status `json:"process,omitempty"`
}

// ServeControl takes orders until ctx ends. The returned function waits until
// the last one was answered.
func (s *Supervisor) ServeControl(ctx context.Context) (Control, func() error, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Control{}, nil, fmt.Errorf("listen for orders: %w", err)
	}
	c := Control{Address: ln.Addr().String(), Token: rand.Text()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathRestart, s.handleRestart)
	srv := &http.Server{
		Handler: authorised(c.Token, mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		MaxHeaderBytes: 8 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	go func() {
		<-ctx.Done()
		shut, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(shut); err != nil {
			_ = srv.Close() // nobody waits for these answers any more
		}
	}()
	return c, func() error {
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}

func authorised(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(controlHeader)), []byte(token)) != 1 {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Supervisor) handleRestart(w http.ResponseWriter, r *http.Request) {
	var o restartOrder
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&o); err != nil {
		reply(w, http.StatusBadRequest, answer{Error: err.Error()})
		return
	}
	if err := s.Restart(r.Context(), o.Name); err != nil {
		reply(w, http.StatusConflict, answer{Error: err.Error()})
		return
	}
	if err := s.WaitReady(r.Context(), o.Name); err != nil {
		reply(w, http.StatusConflict, answer{Error: err.Error()})
		return
	}
	for _, st := range s.Status() {
		if st.Name == o.Name {
			reply(w, http.StatusOK, answer{Process: &st})
			return
		}
	}
}

func reply(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the asker has gone: nobody is left to tell
}

// RequestRestart asks a running supervisor to restart a process and waits until
// that serves again.
func (c Control) RequestRestart(ctx context.Context, name string) (Status, error) {
	body, err := json.Marshal(restartOrder{Name: name})
	if err != nil {
		return Status{}, fmt.Errorf("encode the order: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Address+pathRestart, bytes.NewReader(body))
	if err != nil {
		return Status{}, fmt.Errorf("order a restart: %w", err)
	}
	req.Header.Set(controlHeader, c.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Status{}, fmt.Errorf("the supervisor does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read to its end
	var a answer
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&a); err != nil {
		return Status{}, fmt.Errorf("the supervisor answered %s: %w", res.Status, err)
	}
	if a.Error != "" {
		return Status{}, errors.New(a.Error)
	}
	if a.Process == nil {
		return Status{}, fmt.Errorf("the supervisor answered %s without a process", res.Status)
	}
	return *a.Process, nil
}
