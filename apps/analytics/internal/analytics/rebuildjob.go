package analytics

import (
	"context"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// StartRebuild begins to add everything up anew in the background. One at a time.
func (s *Service) StartRebuild(ctx context.Context, actor authz.Principal) (job work.Job, err error) {
	policy, err := authz.Knowing(ctx, s.Authz, actor, uuid.Nil)
	if err != nil {
		return job, err
	}
	if !policy.AllowsPlatform(actor, authz.OperationManage) {
		return job, forbidden(authz.OperationManage)
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			if err := tx.Audit(ctx, work.AuditEntry{Action: "analytics.rebuild", ResourceType: "analytics", ResourceID: actor.TenantID, TenantID: actor.TenantID}); err != nil {
				return err
			}
			job, err = tx.Enqueue(ctx, JobRebuild, struct{}{}, work.JobOptions{TenantID: actor.TenantID, Key: JobRebuild})
			return err
		})
	})
	return job, err
}

// Rebuilt is what a rebuild found.
type Rebuilt struct {
	Events      int64 `json:"events"`
	Differences int   `json:"differences"` // at most so many as are told
}

// RebuildAll adds everything up anew and puts it in its place. begun is the run of
// an earlier attempt, nil for none; progress hears how far it is.
func (s *Service) RebuildAll(ctx context.Context, begun uuid.UUID, progress func(ctx context.Context, id uuid.UUID, place, upto int64) error) (out Rebuilt, err error) {
	id := begun
	if id == uuid.Nil {
		r, err := s.BeginRebuild(ctx)
		if err != nil {
			return out, err
		}
		id = r.ID
	}
	for more := true; more; {
		var n int
		var place, upto int64
		if more, n, place, upto, err = s.RebuildStep(ctx, id); err != nil {
			if begun != uuid.Nil && apperr.Code(err) == errReplaced.Code {
				return s.RebuildAll(ctx, uuid.Nil, progress) // another took its place meanwhile
			}
			return out, err
		}
		out.Events += int64(n)
		if err := progress(ctx, id, place, upto); err != nil {
			return out, err
		}
	}
	found, err := s.FinishRebuild(ctx, id, true)
	out.Differences = len(found)
	return out, err
}
