package quiz

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/itemstats"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/authz"
)

// Sample is a question of a graded attempt, as statistics look at it.
type Sample struct {
	AttemptID       uuid.UUID
	Score           Points
	AttemptPossible Points
	QuestionID      uuid.UUID
	QuestionVersion int
	Points          Points
	AutoPoints      *Points
	ManualPoints    *Points
	Answer          *marking.Answer
}

// ItemStatistics is how a question behaved in a quiz.
type ItemStatistics struct {
	QuestionID uuid.UUID
	Title      string
	Kind       marking.Kind
	// Versions are those that attempts had.
	Versions []int
	itemstats.Item
}

// Statistics is how a quiz behaved.
type Statistics struct {
	Summary itemstats.Summary
	Items   []ItemStatistics
	// Truncated: there are more attempts than were looked at.
	Truncated bool
}

// Statistics look at the latest attempts, and at so many answers of them at most:
// that bounds their memory to some tens of MiB, also for the longest quizzes.
const (
	maxSampled = 5_000
	maxAnswers = 100_000
)

// sampled is how many attempts of a quiz are looked at.
func sampled(q Quiz) int { return max(100, min(maxSampled, maxAnswers/max(1, q.Questions))) }

// Statistics looks at the graded attempts of a quiz: the first of each person, who
// had not seen the questions yet, or all. Answers in progress and previews do not
// count.
func (s *Service) Statistics(ctx context.Context, actor authz.Principal, quiz uuid.UUID, first bool) (Statistics, error) {
	q, st, err := s.find(ctx, actor, quiz, false)
	if err != nil {
		return Statistics{}, err
	}
	if !st.may(authz.GradeRead) {
		return Statistics{}, forbidden(authz.GradeRead)
	}
	return read(ctx, s, func(ctx context.Context, tx Tx) (Statistics, error) {
		rows, err := tx.Samples(ctx, quiz, first, sampled(q)+1)
		if err != nil {
			return Statistics{}, err
		}
		keys, seen := []VersionKey{}, map[VersionKey]bool{}
		for _, r := range rows {
			if k := (VersionKey{r.QuestionID, r.QuestionVersion}); !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
		definitions, err := tx.Versions(ctx, keys)
		if err != nil {
			return Statistics{}, err
		}
		titles, err := tx.Titles(ctx, keys)
		if err != nil {
			return Statistics{}, err
		}
		return statistics(rows, definitions, titles, sampled(q)), nil
	})
}

func statistics(rows []Sample, definitions map[VersionKey]marking.Definition, titles map[uuid.UUID]string, most int) Statistics {
	byAttempt := map[uuid.UUID]*itemstats.Attempt[uuid.UUID]{}
	var order []uuid.UUID
	versions, kinds := map[uuid.UUID][]int{}, map[uuid.UUID]marking.Kind{}
	for _, r := range rows {
		a := byAttempt[r.AttemptID]
		if a == nil {
			a = &itemstats.Attempt[uuid.UUID]{Score: int64(r.Score), Possible: int64(r.AttemptPossible), Questions: map[uuid.UUID]itemstats.Answered{}}
			byAttempt[r.AttemptID] = a
			order = append(order, r.AttemptID)
		}
		d := definitions[VersionKey{r.QuestionID, r.QuestionVersion}]
		k := Taken{Points: r.Points, AutoPoints: r.AutoPoints, ManualPoints: r.ManualPoints}
		mark := marking.Mark(d, r.Answer)
		var earned Points
		if p := k.Earned(); p != nil {
			earned = *p
		}
		a.Questions[r.QuestionID] = itemstats.Answered{Earned: int64(earned), Possible: int64(r.Points), Class: classOf(k, mark), Picked: mark.Picked}
		kinds[r.QuestionID] = d.Kind
		if !slices.Contains(versions[r.QuestionID], r.QuestionVersion) {
			versions[r.QuestionID] = append(versions[r.QuestionID], r.QuestionVersion)
		}
	}
	out := Statistics{Items: []ItemStatistics{}}
	if len(order) > most {
		order, out.Truncated = order[:most], true
	}
	attempts := make([]itemstats.Attempt[uuid.UUID], len(order))
	for i, id := range order {
		attempts[i] = *byAttempt[id]
	}
	out.Summary = itemstats.Scores(attempts)
	for id, item := range itemstats.Items(attempts) {
		slices.Sort(versions[id])
		out.Items = append(out.Items, ItemStatistics{QuestionID: id, Title: titles[id], Kind: kinds[id], Versions: versions[id], Item: item})
	}
	slices.SortFunc(out.Items, func(a, b ItemStatistics) int {
		return cmp.Or(cmp.Compare(a.Title, b.Title), slices.Compare(a.QuestionID[:], b.QuestionID[:]))
	})
	return out
}
