package history

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// maxTerm is how long a term may be, in characters.
const maxTerm = 200

// Searches are the events of a batch of searches. Their ids follow from the
// batch's, so that one that comes again brings nothing new.
func Searches(b internalapi.SearchBatch) ([]Event, error) {
	if b.BatchID == uuid.Nil || len(b.Searches) > internalapi.MaxSearches {
		return nil, apperr.Invalid(apperr.Field{Path: "searches", Code: "invalid", Message: "needs a batch id and at most " + strconv.Itoa(internalapi.MaxSearches)})
	}
	out := make([]Event, 0, len(b.Searches))
	for i, s := range b.Searches {
		s.Term = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(s.Term, ""), "\x00", "")))
		if utf8.RuneCountInString(s.Term) > maxTerm {
			s.Term = string([]rune(s.Term)[:maxTerm])
		}
		if s.Term == "" || s.At.Before(earliest) || !s.At.Before(latest) {
			continue // says nothing
		}
		data, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		out = append(out, Event{
			ID: uuid.NewSHA1(b.BatchID, []byte(strconv.Itoa(i))), Type: TypeSearched, Time: s.At, AggregateID: b.BatchID, Seq: int64(i) + 1,
			TenantID: s.TenantID, Data: data,
		})
	}
	return out, nil
}
