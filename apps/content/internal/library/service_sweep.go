package library

import (
	"context"
	"errors"
	"time"

	"lms/shared/work"
)

// sweepBatch is how many rows a round of a sweep takes at a time.
const sweepBatch = 200

// Sweep ends uploads whose time has passed, removes objects that nothing refers to
// any more, and forgets uploads that are long over. What fails is tried again in
// the next round.
func (s *Service) Sweep(ctx context.Context) error {
	return errors.Join(s.expireUploads(ctx), s.removeDiscarded(ctx), s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.ForgetUploads(ctx, s.Now().Add(-KeepUploads))
	}))
}

func (s *Service) expireUploads(ctx context.Context) error {
	for {
		n := 0
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			due, err := tx.ExpiredUploads(ctx, s.Now(), sweepBatch)
			n = len(due)
			for i := 0; i < n && err == nil; i++ {
				err = s.end(ctx, tx, &due[i], UploadExpired)
			}
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}

func (s *Service) removeDiscarded(ctx context.Context) error {
	var failed []error
	for {
		var due []Discarded
		now := s.Now()
		err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
			due, err = tx.DiscardedObjects(ctx, now, sweepBatch)
			return err
		})
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, d := range due {
			if err := s.removeOne(ctx, d, now); err != nil {
				// One that cannot be removed lets the others pass.
				failed = append(failed, err, s.postpone(ctx, d, now.Add(removeAgain)))
			}
		}
		if len(due) < sweepBatch || len(failed) >= sweepBatch {
			return errors.Join(failed...)
		}
	}
}

// removeAgain is when an object that could not be removed is tried again.
const removeAgain = 5 * time.Minute

func (s *Service) postpone(ctx context.Context, d Discarded, due time.Time) error {
	return s.Store.InTx(ctx, work.Tenant(d.TenantID), func(ctx context.Context, tx Tx) error {
		return tx.PostponeDiscarded(ctx, d.Key, due)
	})
}

// removeOne deletes an object, and looks for it once more when no address is good
// any more by which it could have come back.
func (s *Service) removeOne(ctx context.Context, d Discarded, now time.Time) error {
	if err := s.remove(ctx, d); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.Tenant(d.TenantID), func(ctx context.Context, tx Tx) error {
		if !d.Until.After(now) {
			return tx.ForgetDiscarded(ctx, d.Key)
		}
		return tx.PostponeDiscarded(ctx, d.Key, d.Until)
	})
}

// orphanAge is how old an object must be to be taken for one that nothing knows:
// every object is known before it can be sent.
const orphanAge = 48 * time.Hour

// Reconcile removes objects that no row knows, which only a restored database or a
// hand in the store can leave behind.
func (s *Service) Reconcile(ctx context.Context) error {
	before := s.Now().Add(-orphanAge)
	if err := s.Files.SweepUnfinished(ctx, before); err != nil {
		return err
	}
	var batch []string
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		var unknown []string
		err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
			unknown, err = tx.UnknownKeys(ctx, batch)
			return err
		})
		batch = batch[:0]
		for _, key := range unknown {
			err = errors.Join(err, s.Files.Delete(ctx, key))
		}
		return err
	}
	err := s.Files.Each(ctx, ObjectKind, before, func(key string) error {
		batch = append(batch, key)
		if len(batch) < 500 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
