package mockgateway

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"lms/apps/payment/internal/provider"
	"lms/shared/pg"
)

// Poster sends a webhook and gives the status of the answer.
type Poster func(ctx context.Context, url string, header map[string]string, body []byte) (status int, err error)

const (
	insertDeliverySQL = `insert into mock_deliveries (event_id, body, due_at, created_at) values ($1, $2, $3, $4)`
	claimSQL          = `
update mock_deliveries d set due_at = $1::timestamptz + interval '30 seconds', attempts = d.attempts + 1
from (select id from mock_deliveries where done_at is null and due_at <= $1 order by due_at limit $2 for update skip locked) due
where d.id = due.id
returning d.id, d.event_id, d.body, d.attempts`
	deliveredSQL = `update mock_deliveries set done_at = $2, status = $3 where id = $1`
	againSQL     = `update mock_deliveries set due_at = $2, status = $3 where id = $1`
	purgeSQL     = `delete from mock_deliveries where id in (select id from mock_deliveries where done_at < $1 limit $2)`
)

// tell writes a webhook to be sent, or what becomes of it by the faults.
func (g *Gateway) tell(ctx context.Context, u *pg.Unit, kind string, data eventData) error {
	e := event{ID: newID("evt_"), Type: kind, CreatedAt: g.o.Now(), Data: data}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	f := g.o.Faults
	if g.o.Float() < f.Never {
		return nil
	}
	times := 1
	if g.o.Float() < f.Twice {
		times = 2
	}
	for range times {
		due := e.CreatedAt.Add(f.Delay + time.Duration(g.o.Float()*float64(f.Jitter)))
		if _, err := pg.Exec(ctx, u, insertDeliverySQL, e.ID, string(body), due, e.CreatedAt); err != nil {
			return err
		}
	}
	return nil
}

type delivery struct {
	ID       int64
	EventID  string
	Body     string
	Attempts int
}

const (
	claimBatch = 64
	inFlight   = 8
	postLimit  = 10 * time.Second
)

// Deliver sends what is due and says how much that was. What is not answered by a 2xx
// is sent again after growing pauses, and given up after the last one.
func (g *Gateway) Deliver(ctx context.Context) (int, error) {
	if g.o.Faults.Refuse {
		return 0, nil
	}
	var due []delivery
	err := g.tx(ctx, func(ctx context.Context, u *pg.Unit) (err error) {
		due, err = pg.Many[delivery](ctx, u, claimSQL, g.o.Now(), claimBatch)
		return err
	})
	if err != nil || len(due) == 0 {
		return 0, err
	}
	secrets, err := g.o.Secrets(ctx)
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	errs := make(chan error, len(due))
	for _, d := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs <- g.deliver(ctx, d, secrets)
		})
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		if e != nil {
			err = e
		}
	}
	return len(due), err
}

func (g *Gateway) deliver(ctx context.Context, d delivery, secrets []string) error {
	pctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	now := g.o.Now()
	status, err := g.o.Post(pctx, g.o.PublicURL+"/api/v1/payments/webhooks/"+Name, map[string]string{
		"Content-Type": "application/json", SignatureHeader: provider.Sign(secrets, now, []byte(d.Body)),
	}, []byte(d.Body))
	if err != nil {
		status = 0
	}
	sql, at := deliveredSQL, now
	if status/100 != 2 && d.Attempts <= len(g.o.Faults.Retries) {
		sql, at = againSQL, now.Add(g.o.Faults.Retries[d.Attempts-1])
	}
	return g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, sql, d.ID, at, status)
		return err
	})
}

// Run delivers until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := g.Deliver(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if n == claimBatch {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// keepDeliveries is how long delivered webhooks can be looked at.
const keepDeliveries = 30 * 24 * time.Hour

// Purge forgets old deliveries.
func (g *Gateway) Purge(ctx context.Context) error {
	return g.o.DB.Purge(ctx, purgeSQL, g.o.Now().Add(-keepDeliveries))
}
