package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"lms/shared/telemetry"
)

// loops owns the background work of a service.
type loops struct {
	log     *slog.Logger
	metrics *telemetry.Metrics

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the life of the loops, from start to stop
	waiting []func()
	wg      sync.WaitGroup
}

func (l *loops) add(name string, fn func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	run := func() { l.wg.Go(func() { l.supervise(l.ctx, name, fn) }) }
	if l.ctx == nil {
		l.waiting = append(l.waiting, run)
		return
	}
	run()
}

// start runs what was added so far, and from now on at once.
func (l *loops) start(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = ctx
	for _, run := range l.waiting {
		run()
	}
	l.waiting = nil
}

// wait waits for all loops until ctx ends.
func (l *loops) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("background loops did not end in time")
	}
}

func (l *loops) supervise(ctx context.Context, name string, fn func(context.Context) error) {
	for ctx.Err() == nil {
		err := guarded(ctx, fn)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.failed(name, err)
		sleep(ctx, time.Second)
	}
}

// periodic is a loop that runs fn with pauses. The first round comes soon, at a
// random time, so that what starts together does not work together.
func (l *loops) periodic(name string, d time.Duration, fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		sleep(ctx, rand.N(min(d, 2*time.Second)+1))
		for ctx.Err() == nil {
			if err := guarded(ctx, fn); err != nil && ctx.Err() == nil {
				l.failed(name, err)
			}
			sleep(ctx, d)
		}
		return nil
	}
}

func (l *loops) failed(name string, err error) {
	l.log.Error("background loop failed", "loop", name, "error", err)
	l.metrics.LoopFailed(name)
}

func guarded(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
