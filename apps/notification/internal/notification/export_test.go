package notification

import (
	"context"

	"lms/apps/notification/internal/due"
)

// MailTurn is one round of a mail shard, and how many people it served.
func (s *Service) MailTurn(ctx context.Context, shard int) (int, error) {
	claims, _, err := s.mail.Claim(ctx, shard, mailsAtOnce, mailLease)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	return len(claims), s.mail.Done(ctx, shard, s.sendTo(ctx, claims))
}

// FanoutTurn is one round of a shard of the fan-outs.
func (s *Service) FanoutTurn(ctx context.Context, shard int) (int, error) {
	claims, _, err := s.spread.Claim(ctx, shard, 2, fanoutLease)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	results := make([]due.Result, len(claims))
	for i, c := range claims {
		next, _ := s.turn(ctx, c.Key) // what failed is due again
		results[i] = due.Result{Claim: c, Next: next}
	}
	return len(claims), s.spread.Done(ctx, shard, results)
}

// Yielding is how mail makes way for events.
type Yielding struct{ y *yielding }

// NewYielding makes one.
func NewYielding() Yielding { return Yielding{newYielding()} }

// Apply is a batch of events at work.
func (y Yielding) Apply() (done func()) { return y.y.apply() }

// Turn is a document that mail changes.
func (y Yielding) Turn(ctx context.Context) (done func(), err error) { return y.y.turn(ctx) }
