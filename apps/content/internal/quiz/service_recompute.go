package quiz

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// Recompute finds attempts' scores anew from their stored answers, and kept scores
// from their attempts, and says where what is stored differs; with repair it is
// put right and told. One call is one page: attempts first, then results. Erased
// attempts have no answers any more and are passed over.
func (s *Service) Recompute(ctx context.Context, in internalapi.RecomputeRequest) (internalapi.RecomputeReply, error) {
	at := recomputeCursor{}
	if _, err := page.Decode(in.Cursor, &at); err != nil {
		return internalapi.RecomputeReply{}, err
	}
	if at.Results {
		return s.recomputeResults(ctx, at, in.Repair)
	}
	ids, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]uuid.UUID, error) {
		return tx.AttemptsAfter(ctx, nil, at.Attempt, jobBatch)
	})
	if err != nil {
		return internalapi.RecomputeReply{}, err
	}
	out := internalapi.RecomputeReply{Checked: int64(len(ids)), Differences: []internalapi.Difference{}}
	for _, id := range ids {
		list, err := s.recomputeAttempt(ctx, id, in.Repair)
		if err != nil {
			return internalapi.RecomputeReply{}, err
		}
		out.Differences = append(out.Differences, list...)
		at.Attempt = id
	}
	at.Results = len(ids) < jobBatch
	out.NextCursor = page.Encode(at)
	return out, nil
}

// recomputeCursor is where a recomputation stands.
type recomputeCursor struct {
	Attempt uuid.UUID `json:"attempt"`
	Results bool      `json:"results"`
	Quiz    uuid.UUID `json:"quiz"`
	User    uuid.UUID `json:"user"`
}

func (s *Service) recomputeResults(ctx context.Context, at recomputeCursor, repair bool) (internalapi.RecomputeReply, error) {
	rows, err := read(ctx, s, func(ctx context.Context, tx Tx) ([]Result, error) {
		return tx.ResultsAfter(ctx, nil, ResultKey{at.Quiz, at.User}, jobBatch)
	})
	if err != nil {
		return internalapi.RecomputeReply{}, err
	}
	out := internalapi.RecomputeReply{Checked: int64(len(rows)), Differences: []internalapi.Difference{}}
	for _, r := range rows {
		list, err := s.recomputeResult(ctx, ResultKey{r.QuizID, r.UserID}, repair)
		if err != nil {
			return internalapi.RecomputeReply{}, err
		}
		out.Differences = append(out.Differences, list...)
		at.Quiz, at.User = r.QuizID, r.UserID
	}
	if len(rows) == jobBatch {
		out.NextCursor = page.Encode(at)
	}
	return out, nil
}

func asText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

func (s *Service) recomputeAttempt(ctx context.Context, id uuid.UUID, repair bool) (out []internalapi.Difference, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out = nil
		_, a, err := s.lockAttempt(ctx, tx, id)
		if err != nil || a.State == InProgress || a.ErasedAt != nil {
			return err
		}
		questions, err := tx.Taken(ctx, id)
		if err != nil {
			return err
		}
		note := func(field string, stored, computed any) {
			out = append(out, internalapi.Difference{Kind: "quiz_attempt", ID: a.ID, Field: field, Stored: asText(stored), Computed: asText(computed)})
		}
		before := a
		for i := range questions {
			k := &questions[i]
			was := k.AutoPoints
			k.mark()
			if !sameJSON(was, k.AutoPoints) {
				note("points of "+k.QuestionID.String(), was, k.AutoPoints)
			}
		}
		a.settle(questions, s.Now())
		if !sameJSON(before.Score, a.Score) {
			note("score", before.Score, a.Score)
		}
		if before.State != a.State {
			note("state", before.State, a.State)
		}
		if len(out) == 0 || !repair {
			return nil
		}
		if err := tx.SaveMarks(ctx, questions); err != nil {
			return err
		}
		return tx.SaveAttempt(ctx, &a)
	})
	return out, err
}

func (s *Service) recomputeResult(ctx context.Context, key ResultKey, repair bool) (out []internalapi.Difference, err error) {
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out = nil
		q, err := tx.ShareQuiz(ctx, key.QuizID)
		if err != nil {
			return err
		}
		r, err := tx.LockResult(ctx, s.emptyResult(q, key.UserID))
		if err != nil {
			return err
		}
		attempts, err := tx.Finished(ctx, key.QuizID, key.UserID)
		if err != nil {
			return err
		}
		k := Keep(q.Keep, attempts)
		note := func(field string, stored, computed any) {
			if !sameJSON(stored, computed) {
				out = append(out, internalapi.Difference{Kind: "quiz_score", ID: q.ID, Field: field + " of " + key.UserID.String(), Stored: asText(stored), Computed: asText(computed)})
			}
		}
		note("score", r.Score, k.Score)
		note("possible", r.Possible, k.Possible)
		note("pending", r.Pending, k.Pending)
		note("submitted_at", utc(r.SubmittedAt), utc(k.SubmittedAt))
		if len(out) == 0 || !repair {
			return nil
		}
		_, err = s.judge(ctx, tx, q, key.UserID)
		return err
	})
	return out, err
}

func utc(t *time.Time) *time.Time { return stored(t) }
