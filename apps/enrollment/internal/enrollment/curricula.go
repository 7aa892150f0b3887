package enrollment

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
)

// Curricula keeps compiled curricula in memory. A version never changes, so that
// what is kept is never stale; only the number of items bounds it.
type Curricula struct {
	mu    sync.Mutex
	limit int
	items int
	order *list.List // of *keptCurriculum, the last used in front
	byKey map[curriculumKey]*list.Element
}

type curriculumKey struct {
	course uuid.UUID
	seq    int64
}

type keptCurriculum struct {
	key        curriculumKey
	curriculum *progress.Curriculum
	items      int
}

// NewCurricula keeps up to limit items of all curricula together.
func NewCurricula(limit int) *Curricula {
	return &Curricula{limit: limit, order: list.New(), byKey: map[curriculumKey]*list.Element{}}
}

// empty is the curriculum of a course of which none is known yet.
var empty = progress.Empty() //nolint:gochecknoglobals // immutable

// errNotAtHand: without a transaction only what is in memory can be given.
var errNotAtHand = errors.New("the curriculum is not in memory")

// Get gives a version of a course's curriculum; seq 0 is the empty one. A version
// that was pruned is nil: nobody's progress was made under it. tx may be nil where
// the caller falls back to a transaction.
func (c *Curricula) Get(ctx context.Context, tx CourseTx, course uuid.UUID, seq int64) (*progress.Curriculum, error) {
	if seq == 0 {
		return empty, nil
	}
	key := curriculumKey{course, seq}
	if kept := c.lookup(key); kept != nil {
		return kept, nil
	}
	if tx == nil {
		return nil, errNotAtHand
	}
	doc, err := tx.Curriculum(ctx, course, seq)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil //nolint:nilnil // absence is an answer here
	}
	if err != nil {
		return nil, err
	}
	compiled := progress.Compile(doc, seq)
	c.keep(key, compiled)
	return compiled, nil
}

func (c *Curricula) lookup(key curriculumKey) *progress.Curriculum {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*keptCurriculum).curriculum //nolint:forcetypeassert // only these are in the list
}

func (c *Curricula) keep(key curriculumKey, compiled *progress.Curriculum) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	k := &keptCurriculum{key: key, curriculum: compiled, items: compiled.Size() + 1}
	c.byKey[key] = c.order.PushFront(k)
	c.items += k.items
	for c.items > c.limit && c.order.Len() > 1 {
		last := c.order.Back()
		old := c.order.Remove(last).(*keptCurriculum) //nolint:forcetypeassert // only these are in the list
		delete(c.byKey, old.key)
		c.items -= old.items
	}
}
