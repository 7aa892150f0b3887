package authn

import (
	"container/list"
	"sync"
	"time"

	"lms/shared/authz"
)

// verdict is what a verified token stands for.
type verdict struct {
	principal authz.Principal
	claims    Claims
	kid       string
	expires   time.Time
}

// verdicts is a bounded LRU of verified tokens by the SHA-256 of the raw
// token, so that a memory dump of the map holds no usable token.
type verdicts struct {
	mu    sync.Mutex
	max   int
	order *list.List // of *entry, newest first
	byKey map[[32]byte]*list.Element
}

type entry struct {
	key [32]byte
	v   *verdict
}

func newVerdicts(limit int) *verdicts {
	return &verdicts{max: limit, order: list.New(), byKey: make(map[[32]byte]*list.Element)}
}

func (c *verdicts) get(key [32]byte) *verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry).v //nolint:forcetypeassert // only put fills the list
}

func (c *verdicts) put(key [32]byte, v *verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	c.byKey[key] = c.order.PushFront(&entry{key, v})
	if c.order.Len() > c.max {
		oldest := c.order.Back()
		delete(c.byKey, c.order.Remove(oldest).(*entry).key) //nolint:forcetypeassert // only put fills the list
	}
}

func (c *verdicts) remove(key [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.Remove(e)
		delete(c.byKey, key)
	}
}
