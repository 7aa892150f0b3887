package person

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// remember is longer than a producer can send an event again (30 days).
	remember = 32
	// maxTold bounds the memory, 8 bytes each: more than 250 messages a day. Above
	// it the oldest day is forgotten.
	maxTold = 8192
	idBytes = 8
)

// Memory knows what was told: the first 64 bits of each message's id, which is a
// hash, by the day of telling.
type Memory map[int64][]byte

func day(t time.Time) int64 { return t.Unix() / 86400 }

// Has says whether a message was told.
func (m Memory) Has(id uuid.UUID) bool {
	for _, ids := range m {
		for i := 0; i+idBytes <= len(ids); i += idBytes {
			if bytes.Equal(ids[i:i+idBytes], id[:idBytes]) {
				return true
			}
		}
	}
	return false
}

// Add remembers a message and forgets what nobody can send again. It returns how
// many it had to forget before their time.
func (m *Memory) Add(id uuid.UUID, now time.Time) (forgotten int) {
	if *m == nil {
		*m = Memory{}
	}
	today := day(now)
	(*m)[today] = append((*m)[today], id[:idBytes]...)
	maps.DeleteFunc(*m, func(d int64, _ []byte) bool { return d < today-remember })
	total := 0
	for _, ids := range *m {
		total += len(ids) / idBytes
	}
	for total > maxTold {
		oldest := slices.Min(slices.Collect(maps.Keys(*m)))
		n := len((*m)[oldest]) / idBytes
		if drop := total - maxTold; drop < n {
			(*m)[oldest] = slices.Clone((*m)[oldest][drop*idBytes:])
			n = drop
		} else {
			delete(*m, oldest)
		}
		total, forgotten = total-n, forgotten+n
	}
	return forgotten
}
