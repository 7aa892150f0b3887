package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/work"
)

// Limits of the server. Handlers that stream set their own deadlines through
// http.ResponseController.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
)

func (k *Kit) server() *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: k.Web, Protocols: protocols,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(k.Log.Handler(), slog.LevelWarn),
	}
}

// serve serves until ctx ends, then stops: first no more new requests, then no
// more requests, then no more background work. It needs no sidecar for that,
// which may be gone already.
func (k *Kit) serve(ctx context.Context, ln net.Listener) error {
	loopsCtx, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	srv := k.server()
	failed := make(chan error, 1)
	k.loops.start(loopsCtx) // first: they fetch what requests need
	go func() { failed <- srv.Serve(ln) }()

	var served error
	select {
	case <-ctx.Done():
	case served = <-failed:
		served = fmt.Errorf("serve: %w", served)
	}
	began := time.Now()
	close(k.draining)
	k.Log.Info("stopping")
	if k.Config.DrainDelay > 0 && served == nil {
		sleep(context.WithoutCancel(ctx), k.Config.DrainDelay)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.Config.ShutdownTimeout)
	defer cancel()
	var errs []error
	if err := srv.Shutdown(end); err != nil {
		errs = append(errs, fmt.Errorf("requests did not end in time: %w", err), srv.Close())
	}
	// What requests committed until now is in the outbox: what is in flight is
	// finished, the rest goes at the next start or from another replica.
	stopLoops()
	errs = append(errs, k.loops.wait(end))
	err := errors.Join(append(errs, served)...)
	k.Log.Info("stopped", "ms", time.Since(began).Milliseconds(), "clean", err == nil)
	return err
}

const (
	repairEvery  = 3 * time.Second
	backlogEvery = 10 * time.Second
	purgeEvery   = time.Hour
	// relayBehind is when undelivered events are worth a word in /readyz.
	relayBehind = time.Minute
)

// mountDatabase adds what a service with a database has besides its own.
func (k *Kit) mountDatabase() {
	k.internalRoutes()
	k.recordRoutes()
	k.Ready("database", true, k.DB.Pool.Ping)
	k.Ready("outbox", false, k.relayCaughtUp)
	for _, topic := range k.Inbox.Topics() {
		producer, _, _ := strings.Cut(topic, ".")
		k.Requires("events-" + producer)
	}
	k.Go("outbox", k.Outbox.Run)
	k.Go("jobs", k.Jobs.Run)
	k.Go("outbox backlog", k.loops.periodic("outbox backlog", backlogEvery, k.measureBacklog))
	if len(k.Inbox.Topics()) > 0 {
		k.Every("inbox repair", repairEvery, k.Inbox.Repair)
	}
	for name, purge := range map[string]func(context.Context) error{
		"purge outbox": k.Outbox.Purge, "purge inbox": k.Inbox.Purge, "purge dead letters": k.Inbox.PurgeDeadLetters,
		"purge idempotency keys": k.DB.PurgeIdempotency, "purge jobs": k.Jobs.Purge,
	} {
		k.Every(name, purgeEvery, purge)
	}
}

func (k *Kit) outboxStatus(ctx context.Context) (s outbox.Status, err error) {
	err = k.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		s, err = outbox.ReadStatus(ctx, u)
		return err
	})
	return s, err
}

func (k *Kit) age(t *time.Time) time.Duration {
	if t == nil {
		return 0
	}
	return k.Now().Sub(*t)
}

func (k *Kit) measureBacklog(ctx context.Context) error {
	s, err := k.outboxStatus(ctx)
	if err != nil {
		return err
	}
	k.Metrics.OutboxBacklog("event", s.Unpublished, k.age(s.OldestEvent))
	k.Metrics.OutboxBacklog("call", s.PendingCalls, k.age(s.OldestCall))
	k.Metrics.Waiting(s.DeadLetters, int64(len(s.Parked)))
	return nil
}

// relayCaughtUp is reported and not essential: a service whose broker is away
// still does its work, and nothing is lost.
func (k *Kit) relayCaughtUp(ctx context.Context) error {
	s, err := k.outboxStatus(ctx)
	if err != nil {
		return err
	}
	waiting := fmt.Sprintf("%d events wait to be published, the oldest for %s", s.Unpublished, k.age(s.OldestEvent).Round(time.Second))
	switch refused := k.Outbox.Refused(); {
	case refused != nil && s.Unpublished > 0:
		return fmt.Errorf("the broker behind events-%s takes no events: %s: %w", k.Name, waiting, refused)
	case k.age(s.OldestEvent) > relayBehind:
		return errors.New(waiting)
	}
	return nil
}
