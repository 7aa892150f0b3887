package internalapi

import (
	"time"

	"github.com/google/uuid"
)

// PathSearches takes a SearchBatch and answers Done; POST. Caller: search, from
// memory, retried and bounded. A batch that comes again with the same id counts
// once.
const PathSearches = "/internal/searches"

// MaxSearches is how many searches one batch may carry.
const MaxSearches = 1000

// SearchBatch is what was searched for since the batch before. Who searched is no
// part of it.
type SearchBatch struct {
	BatchID  uuid.UUID         `json:"batch_id"`
	Searches []SearchPerformed `json:"searches"`
}

// SearchPerformed is one answered search.
type SearchPerformed struct {
	At time.Time `json:"at"`
	// TenantID is the searching person's; nil for a visitor.
	TenantID uuid.UUID `json:"tenant_id"`
	// Term is what was typed, trimmed, in lower case, at most 200 characters.
	Term string `json:"term"`
	// Results is how many there were for this person.
	Results int64 `json:"results"`
}
