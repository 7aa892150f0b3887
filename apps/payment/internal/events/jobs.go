package events

import (
	"context"

	"lms/apps/payment/internal/billing"
	"lms/shared/jobs"
)

// Jobs registers the background jobs.
func Jobs(r *jobs.Runner, s *billing.Service) {
	jobs.Handle(r, billing.JobRefund, func(ctx context.Context, _ *jobs.Run, in billing.RefundJob) (any, error) {
		done, err := s.ProcessRefund(ctx, in.RefundID)
		return map[string]string{"state": string(done.State.At())}, err
	})
	jobs.Handle(r, billing.JobReturnSurplus, func(ctx context.Context, _ *jobs.Run, in billing.PaymentJob) (any, error) {
		return struct{}{}, s.ReturnSurplus(ctx, in.PaymentID)
	})
	jobs.Handle(r, billing.JobReconcile, func(ctx context.Context, run *jobs.Run, in billing.ReconcileJob) (any, error) {
		var n int64
		checked, differences, err := s.Reconcile(ctx, in, func(ctx context.Context, d billing.Difference) error {
			n++
			run.Progress(n, 0)
			return run.Row(ctx, n, "difference", d.Code, d.String(), d.Ref)
		})
		return map[string]any{"checked": checked, "differences": differences}, err
	})
}
