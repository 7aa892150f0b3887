package jobs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
)

// lookAgain is how old what Principal gave may be while a job runs.
const lookAgain = 30 * time.Second

// Principal is who asked for the job with what they may do now. A job that has
// asked is stopped within half a minute after that changes, and goes on from its
// cursor with what may be done then. Who may not act any more is refused (403): the
// job fails.
func (r *Run) Principal(ctx context.Context) (authz.Principal, error) {
	p, err := r.standing(ctx)
	if err != nil {
		return authz.Principal{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acting, r.looked = &p, time.Now()
	return p, nil
}

func (r *Run) standing(ctx context.Context) (authz.Principal, error) {
	p := r.Actor.Principal
	if r.runner.o.Standing == nil {
		return p, nil
	}
	for _, id := range []uuid.UUID{p.Impersonator, p.UserID} {
		if id == uuid.Nil {
			continue
		}
		now, err := r.runner.o.Standing(ctx, id)
		switch {
		case apperr.IsKind(err, apperr.KindNotFound), err == nil && !now.Active:
			return authz.Principal{}, apperr.Forbidden("Who asked for this may not act any more.")
		case err != nil:
			return authz.Principal{}, fmt.Errorf("%w: %w", errStandingUnknown, err)
		case id == p.UserID:
			p.Grants, p.OrgUnitID = now.Grants, now.OrgUnitID
		}
	}
	return p, nil
}

// changed says whether what Principal gave does not hold any more. When nobody
// can be asked, nothing has changed that is known of.
func (r *Run) changed(ctx context.Context) bool {
	r.mu.Lock()
	acting, due := r.acting, time.Since(r.looked) >= lookAgain
	r.mu.Unlock()
	if acting == nil || !due {
		return false
	}
	now, err := r.standing(ctx)
	if err != nil {
		return apperr.IsKind(err, apperr.KindForbidden)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Now()
	return now.OrgUnitID != acting.OrgUnitID || !slices.Equal(now.Grants, acting.Grants)
}
