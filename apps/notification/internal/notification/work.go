package notification

import (
	"context"
	"time"

	"lms/apps/notification/internal/due"
)

// idle is how often a shard is looked at when nothing woke it: what another replica
// added, or left behind.
const idle = 2 * time.Second

// work takes what is due in a shard, until ctx ends.
func (s *Service) work(ctx context.Context, q *due.Queue, shard, limit int, lease time.Duration, do func(context.Context, []due.Claim) []due.Result) error {
	return Work(ctx, q, shard, limit, lease, s.Now, do)
}

// Work takes what is due in a shard of a queue and gives it to do, until ctx ends.
// An error of the queue itself ends it: its owner starts it again.
func Work(ctx context.Context, q *due.Queue, shard, limit int, lease time.Duration, now func() time.Time, do func(context.Context, []due.Claim) []due.Result) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.Woken(shard):
		case <-timer.C:
		}
		for ctx.Err() == nil {
			claims, next, err := q.Claim(ctx, shard, limit, lease)
			if err != nil {
				return err
			}
			if len(claims) == 0 {
				wait := idle
				if !next.IsZero() {
					wait = min(idle, max(next.Sub(now()), time.Millisecond))
				}
				timer.Reset(wait)
				break
			}
			// What was begun is ended, also while the service stops.
			results := do(context.WithoutCancel(ctx), claims)
			if err := q.Done(context.WithoutCancel(ctx), shard, results); err != nil {
				return err
			}
		}
	}
}

// Queues are those of mail and of fan-outs.
func (s *Service) Queues() (mail, spread *due.Queue) { return s.mail, s.spread }
