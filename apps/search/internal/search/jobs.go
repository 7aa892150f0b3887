package search

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/journal/acts"
	"lms/shared/page"
	"lms/shared/record"
	"lms/shared/work"
)

// KindRebuild is the kind of the one job there is.
const KindRebuild = "search_rebuild"

const (
	jobsKey    = "jobs"
	jobsKept   = 50
	beatEvery  = 2 * time.Second
	aliveFor   = 20 * time.Second // a job without a beat for so long has lost its process
	maxReasons = 500              // bytes of why a job failed
	fillPause  = 30 * time.Second // between rebuilds that the service begins by itself
)

// job is a rebuild with what its runner needs.
type job struct {
	work.Job
	Owner  uuid.UUID `json:"owner"` // nil: the service itself
	Cancel bool      `json:"cancel,omitempty"`
	Beat   time.Time `json:"beat"`
	Runner uuid.UUID `json:"runner"`
}

func (j job) finished() bool {
	return j.State == work.JobSucceeded || j.State == work.JobFailed || j.State == work.JobCanceled
}

type jobList struct {
	Jobs []job      `json:"jobs"` // the newest first
	Acts acts.Lines `json:"acts,omitempty"`
}

// MayManage: synonyms and the index are everybody's, so that only who may do it for
// the whole platform changes them.
func MayManage(policy *authz.Policy, actor authz.Principal) error {
	if !policy.AllowsPlatform(actor, authz.SearchManage) {
		return apperr.Forbidden("This needs the permission " + string(authz.SearchManage) + " for the platform.")
	}
	return nil
}

// ResultOf says what a finished job did.
func ResultOf(j work.Job) (json.RawMessage, error) {
	if j.State != work.JobSucceeded {
		return nil, apperr.Conflict("job_not_finished", "The job has no result: it is "+string(j.State)+".")
	}
	return mustJSON(map[string]int64{"documents": j.Done}), nil
}

// Jobs are the rebuilds, in one record: at most one is under way.
type Jobs struct {
	book    *record.Book[jobList]
	audited *acts.Documents[jobList]
	now     func() time.Time
	newID   func() uuid.UUID
	self    uuid.UUID
	log     *slog.Logger
}

// NewJobs makes them.
func NewJobs(store record.Store, now func() time.Time, newID func() uuid.UUID, trail *acts.Trail, log *slog.Logger) *Jobs {
	book := record.Durable[jobList](store, now, nil)
	return &Jobs{
		book: book, audited: acts.Of(trail, book, func(l *jobList) *acts.Lines { return &l.Acts }, log), now: now, newID: newID, self: newID(), log: log,
	}
}

// Follow writes what was done and is not in the audit trail yet.
func (s *Jobs) Follow(ctx context.Context) error { return s.audited.Follow(ctx, jobsKey) }

// Start makes a rebuild for a person; one that waits or runs already is given instead.
func (s *Jobs) Start(ctx context.Context, owner uuid.UUID) (out work.Job, err error) {
	act := func() acts.Act {
		return acts.Act{Action: "search_index.rebuild", ResourceType: "job", ResourceID: out.ID}
	}
	_, err = s.audited.Update(ctx, jobsKey, nil, act, s.starting(owner, &out))
	return out, err
}

// starting adds a job to the list, if there is none that is not at its end.
func (s *Jobs) starting(owner uuid.UUID, out *work.Job) func(*jobList) (*jobList, error) {
	return func(l *jobList) (*jobList, error) {
		if l == nil {
			l = &jobList{}
		}
		if i := slices.IndexFunc(l.Jobs, func(j job) bool { return !j.finished() }); i >= 0 {
			*out = l.Jobs[i].Job
			if l.Jobs[i].Owner != uuid.Nil || owner == uuid.Nil {
				return l, record.ErrKeep
			}
			l.Jobs[i].Owner = owner // the service began by itself: whoever asks may follow it
			return l, nil
		}
		*out = work.Job{ID: s.newID(), Kind: KindRebuild, State: work.JobQueued, CreatedAt: s.now()}
		l.Jobs = append([]job{{Job: *out, Owner: owner}}, l.Jobs...)
		l.Jobs = l.Jobs[:min(len(l.Jobs), jobsKept)]
		return l, nil
	}
}

func (s *Jobs) of(ctx context.Context, owner uuid.UUID) ([]work.Job, error) {
	l, err := s.book.Get(ctx, jobsKey)
	if err != nil || l == nil {
		return nil, err
	}
	var out []work.Job
	for _, j := range l.Jobs {
		if j.Owner == owner {
			out = append(out, j.Job)
		}
	}
	return out, nil
}

// List are an owner's jobs, the newest first unless asked otherwise.
func (s *Jobs) List(ctx context.Context, owner uuid.UUID, r page.Request) (page.Page[work.Job], error) {
	var last work.Job
	more, err := page.Decode(r.Cursor, &last.CreatedAt, &last.ID)
	if err != nil {
		return page.Page[work.Job]{}, err
	}
	list, err := s.of(ctx, owner)
	if err != nil {
		return page.Page[work.Job]{}, err
	}
	order := func(a, b work.Job) int {
		if r.OldestFirst {
			a, b = b, a
		}
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(b.ID[:], a.ID[:]))
	}
	slices.SortFunc(list, order)
	list = slices.DeleteFunc(list, func(j work.Job) bool { return more && order(j, last) <= 0 })
	return page.Cut(list, r.Size(), func(j work.Job) string { return page.Encode(j.CreatedAt, j.ID) }), nil
}

// Get is a job of an owner.
func (s *Jobs) Get(ctx context.Context, id, owner uuid.UUID) (work.Job, error) {
	list, err := s.of(ctx, owner)
	if err != nil {
		return work.Job{}, err
	}
	if i := slices.IndexFunc(list, func(j work.Job) bool { return j.ID == id }); i >= 0 {
		return list[i], nil
	}
	return work.Job{}, apperr.NotFound("job")
}

// Cancel asks a job to stop: at once when it has not begun, else within seconds.
func (s *Jobs) Cancel(ctx context.Context, id, owner uuid.UUID) (work.Job, error) {
	return s.change(ctx, id, func(j *job) error {
		if j.Owner != owner {
			return apperr.NotFound("job")
		}
		switch j.State {
		case work.JobQueued:
			j.State, j.FinishedAt = work.JobCanceled, s.at()
		case work.JobRunning:
			j.Cancel = true
		case work.JobSucceeded, work.JobFailed, work.JobCanceled:
		}
		return nil
	})
}

func (s *Jobs) at() *time.Time {
	now := s.now()
	return &now
}

func (s *Jobs) change(ctx context.Context, id uuid.UUID, fn func(*job) error) (out work.Job, err error) {
	_, err = s.book.Update(ctx, jobsKey, func(l *jobList) (*jobList, error) {
		if l != nil {
			for i := range l.Jobs {
				if l.Jobs[i].ID == id {
					if err := fn(&l.Jobs[i]); err != nil {
						return nil, err
					}
					out = l.Jobs[i].Job
					return l, nil
				}
			}
		}
		return nil, apperr.NotFound("job")
	})
	return out, err
}

// claim takes the job that waits, or one whose process is gone: it begins anew.
func (s *Jobs) claim(ctx context.Context) (mine *job, err error) {
	_, err = s.book.Update(ctx, jobsKey, func(l *jobList) (*jobList, error) {
		mine = nil
		if l == nil {
			return nil, record.ErrKeep
		}
		for i := range l.Jobs {
			j := &l.Jobs[i]
			lost := j.State == work.JobRunning && s.now().Sub(j.Beat) > aliveFor
			if j.State != work.JobQueued && !lost {
				continue
			}
			if j.Cancel {
				j.State, j.FinishedAt = work.JobCanceled, s.at()
				return l, nil
			}
			j.State, j.StartedAt, j.Beat, j.Runner, j.Done, j.Total = work.JobRunning, s.at(), s.now(), s.self, 0, 0
			taken := *j
			mine = &taken
			return l, nil
		}
		return l, record.ErrKeep
	})
	return mine, err
}

var (
	errCanceled  = errors.New("canceled")
	errOvertaken = errors.New("another replica has taken the job over")
)

// beat says how far a job is; an error ends it.
func (s *Jobs) beat(ctx context.Context, id uuid.UUID, done, total int64) error {
	_, err := s.change(ctx, id, func(j *job) error {
		switch {
		case j.Runner != s.self || j.State != work.JobRunning:
			return errOvertaken
		case j.Cancel:
			return errCanceled
		}
		j.Done, j.Total, j.Beat = done, total, s.now()
		return nil
	})
	return err
}

// Work does one job, if there is one to do: once now, again by its caller.
func (s *Jobs) Work(ctx context.Context, b *Builder) error {
	j, err := s.claim(ctx)
	if err != nil || j == nil {
		return err
	}
	s.log.InfoContext(ctx, "the index is made anew", "job", j.ID)
	began := time.Now()
	var last time.Time
	var done int64
	err = b.Rebuild(ctx, func(d, total int64) error {
		if done = d; time.Since(last) < beatEvery {
			return nil
		}
		last = time.Now()
		return s.beat(ctx, j.ID, d, total)
	})
	if ctx.Err() != nil || errors.Is(err, errOvertaken) {
		return err // whoever starts next begins anew
	}
	_, ended := s.change(ctx, j.ID, func(j *job) error {
		if j.Runner != s.self {
			return errOvertaken
		}
		if apperr.IsKind(err, apperr.KindUnavailable) && j.Owner == uuid.Nil {
			j.State, j.StartedAt = work.JobQueued, nil // nobody waits: until all that is needed is there
			return nil
		}
		j.FinishedAt, j.Done, j.Total = s.at(), done, done
		switch {
		case err == nil:
			j.State = work.JobSucceeded
		case errors.Is(err, errCanceled):
			j.State, err = work.JobCanceled, nil
		default:
			j.State, j.Error = work.JobFailed, beginning(apperr.From(err).Message, maxReasons)
		}
		return nil
	})
	if apperr.IsKind(err, apperr.KindUnavailable) {
		s.log.InfoContext(ctx, "the index cannot be made anew yet", "job", j.ID, "error", err)
		return ended
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rebuild: %w", err), ended)
	}
	s.log.InfoContext(ctx, "the index was made anew", "job", j.ID, "documents", done, "ms", time.Since(began).Milliseconds())
	return ended
}

// Fill begins a rebuild where the index was never made whole, or by other rules.
func (s *Jobs) Fill(ctx context.Context, e Engine) error {
	filled, err := e.Filled(ctx, Rules())
	if err != nil || filled {
		return err
	}
	l, err := s.book.Get(ctx, jobsKey)
	if err != nil {
		return err
	}
	if l != nil && len(l.Jobs) > 0 && l.Jobs[0].State == work.JobFailed && s.now().Sub(*l.Jobs[0].FinishedAt) < fillPause {
		return nil
	}
	_, err = s.book.Update(ctx, jobsKey, s.starting(uuid.Nil, new(work.Job)))
	return err
}
