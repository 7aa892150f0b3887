package recordtest

import (
	"context"
	"sync/atomic"

	"lms/shared/apperr"
	"lms/shared/record"
)

// Dying is the store of a process that dies after so many writes.
type Dying struct {
	record.Store
	left atomic.Int64
}

// NewDying lets a process make so many writes.
func NewDying(store record.Store, writes int) *Dying {
	d := &Dying{Store: store}
	d.left.Store(int64(writes))
	return d
}

// Dead says whether the process has tried to write more.
func (d *Dying) Dead() bool { return d.left.Load() < 0 }

func (d *Dying) spend(n int64) error {
	if d.left.Add(-n) < 0 {
		return apperr.Unavailable("state_unavailable", "The process is dead.")
	}
	return nil
}

// Get implements record.Store.
func (d *Dying) Get(ctx context.Context, key string) (record.Entry, error) {
	if err := d.spend(0); err != nil {
		return record.Entry{}, err
	}
	return d.Store.Get(ctx, key)
}

// Put implements record.Store.
func (d *Dying) Put(ctx context.Context, key string, value []byte, w record.Write) error {
	if err := d.spend(1); err != nil {
		return err
	}
	return d.Store.Put(ctx, key, value, w)
}
