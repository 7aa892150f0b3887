package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/jobs"
	"lms/shared/work"
)

// A job decides by what who asked for it may do when it runs, and waits while
// nobody can say so.
func TestAJobActsWithTheGrantsOfItsOwnTime(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[authz.Principal]
	f := setup(t, nil)
	grant := authz.Grant{Role: authz.RoleInstructor, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: uuid.New()}}
	var answer atomic.Pointer[func() (internalapi.ActorStanding, error)]
	set := func(s internalapi.ActorStanding, err error) {
		fn := func() (internalapi.ActorStanding, error) { return s, err }
		answer.Store(&fn)
	}
	var asked atomic.Int64
	f.r = jobs.New(jobs.Options{DB: f.db, Standing: func(_ context.Context, id uuid.UUID) (internalapi.ActorStanding, error) {
		require.Equal(t, f.owner, id)
		asked.Add(1)
		return (*answer.Load())()
	}})
	jobs.Handle(f.r, "count", func(ctx context.Context, run *jobs.Run, _ input) (any, error) {
		p, err := run.Principal(ctx)
		seen.Store(&p)
		return struct{}{}, err
	})
	set(internalapi.ActorStanding{}, apperr.Unavailable("service_unavailable", "user is away"))
	waiting := f.enqueue(t, "a", 1)
	f.run(t)
	require.Eventually(t, func() bool { f.clock.Advance(10 * time.Second); return asked.Load() > 8 }, 15*time.Second, 20*time.Millisecond, "asked again more often than a job is tried")
	set(internalapi.ActorStanding{ID: f.owner, Active: true, Grants: []authz.Grant{grant}}, nil)
	f.until(t, waiting.ID, work.JobSucceeded)
	require.Equal(t, []authz.Grant{grant}, seen.Load().Grants)

	set(internalapi.ActorStanding{ID: f.owner, Grants: []authz.Grant{grant}}, nil)
	refused := f.until(t, f.enqueue(t, "b", 1).ID, work.JobFailed)
	require.Contains(t, refused.Error, "may not act any more")
	set(internalapi.ActorStanding{}, apperr.NotFound("user"))
	f.until(t, f.enqueue(t, "c", 1).ID, work.JobFailed)
}
