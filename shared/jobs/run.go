package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/pg"
	"lms/shared/work"
)

var (
	errCanceled  = errors.New("canceled by its owner")
	errLeaseLost = errors.New("the job's lease ran out")
	// What concerns who asked for the job.
	errStandingChanged = errors.New("who asked for the job may do other things now")
	errStandingUnknown = errors.New("it is not known what who asked for the job may do")
)

// Run is a job while it runs.
type Run struct {
	ID       uuid.UUID
	TenantID uuid.UUID
	// Actor is who asked for it, as of then: for records. What a handler decides by
	// is Principal.
	Actor work.Actor

	runner *Runner
	claim  uuid.UUID
	mu     sync.Mutex
	cursor json.RawMessage
	done   int64
	total  int64
	acting *authz.Principal // that Principal gave
	looked time.Time        // when it was asked for
}

// Row is one line of a job's report.
type Row struct {
	N       int64           `json:"n"`
	Status  string          `json:"status"` // "created", "updated", "skipped", "failed", …
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Ref     json.RawMessage `json:"ref,omitempty"`
}

// Progress says how far it is. It is written every few seconds.
func (r *Run) Progress(done, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.total = done, total
}

func (r *Run) progress() (done, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done, r.total
}

// Cursor reads where an earlier attempt stood into v; false at the first.
func (r *Run) Cursor(v any) (bool, error) {
	if len(r.cursor) == 0 {
		return false, nil
	}
	return true, json.Unmarshal(r.cursor, v)
}

// SaveCursor keeps where it stands, so that another process can go on. It is
// written at once. It fails when another process has taken the job over.
func (r *Run) SaveCursor(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("job cursor: %w", err)
	}
	done, total := r.progress()
	return r.runner.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		n, err := pg.Exec(ctx, u, cursorSQL, r.ID, raw, done, total, r.claim)
		if err == nil && n == 0 {
			return errLeaseLost
		}
		return err
	})
}

// Row adds a line to the report; the same n again replaces it.
func (r *Run) Row(ctx context.Context, n int64, status, code, message string, ref any) error {
	return r.runner.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		return r.RowIn(ctx, u, n, status, code, message, ref)
	})
}

// RowIn is Row within a transaction of the handler.
func (r *Run) RowIn(ctx context.Context, q pg.Querier, n int64, status, code, message string, ref any) error {
	raw, err := json.Marshal(ref)
	if err != nil {
		return fmt.Errorf("job row: %w", err)
	}
	_, err = pg.Exec(ctx, q, rowSQL, r.ID, n, status, code, message, raw)
	return err
}

// keepLease renews the lease and watches for the owner's wish to cancel. A run
// that may have lost its lease is stopped: another process goes on from the
// cursor, and two would do it twice.
func (r *Run) keepLease(ctx context.Context, cancel context.CancelCauseFunc, stop <-chan struct{}) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	held := time.Now() // the lease was good from then on
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-t.C:
		}
		asked := time.Now()
		wish, err := r.renew(ctx)
		switch {
		case apperr.IsKind(err, apperr.KindNotFound), err != nil && time.Since(held) > lease-renewEvery:
			cancel(errLeaseLost)
			return
		case err != nil:
			r.runner.o.Log.Warn("job lease not renewed", "job", r.ID, "error", err)
		case wish:
			cancel(errCanceled)
			return
		case r.changed(ctx):
			cancel(errStandingChanged)
			return
		default:
			held = asked
		}
	}
}

func (r *Run) renew(ctx context.Context) (canceled bool, err error) {
	ctx, stop := context.WithTimeout(ctx, renewEvery)
	defer stop()
	done, total := r.progress()
	err = r.runner.o.DB.InTx(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		canceled, err = pg.Scalar[bool](ctx, u, "job", renewSQL, r.ID, u.Now().Add(lease), done, total, r.claim)
		return err
	})
	return canceled, err
}
