// Package itemstats says how questions behave: how hard they are, and whether they
// tell those who know from those who do not. It is the one place of quizzes where
// floats are right: nothing of it becomes a grade.
package itemstats

import (
	"cmp"
	"math"
	"slices"
)

// Answered is what one attempt earned for one question.
type Answered struct {
	Earned, Possible int64 // hundredths
	Class            string
	Picked           []string
}

// Attempt is an attempt with its questions by key.
type Attempt[K comparable] struct {
	Score, Possible int64
	Questions       map[K]Answered
}

// Item is the statistics of a question.
type Item struct {
	Attempts int
	// Facility is the mean share of the points: 1 is a question that everybody
	// answers right. Nil without an attempt, or where there is nothing to earn.
	Facility *float64
	// Discrimination is the facility among the best 27 % of the attempts minus that
	// among the worst 27 %. Nil below four attempts.
	Discrimination *float64
	// PointBiserial is the correlation between what the question earned and what
	// the rest of the attempt earned. Nil where one of them never differs.
	PointBiserial *float64
	Classes       map[string]int
	Picked        map[string]int
}

// Summary is the statistics of the scores, as shares of what was possible.
type Summary struct {
	Attempts                int
	Mean, Median, Deviation *float64
	Lowest, Highest         *float64
	distribution            []float64
}

// Scores summarises attempts that had something to earn.
func Scores[K comparable](attempts []Attempt[K]) Summary {
	var s Summary
	for _, a := range attempts {
		if a.Possible > 0 {
			s.distribution = append(s.distribution, float64(a.Score)/float64(a.Possible))
		}
	}
	x := s.distribution
	if s.Attempts = len(x); s.Attempts == 0 {
		return s
	}
	slices.Sort(x)
	m := mean(x)
	middle := (x[(len(x)-1)/2] + x[len(x)/2]) / 2
	s.Mean, s.Median, s.Lowest, s.Highest = &m, &middle, &x[0], &x[len(x)-1]
	if len(x) > 1 {
		var squares float64
		for _, v := range x {
			squares += (v - m) * (v - m)
		}
		d := math.Sqrt(squares / float64(len(x)-1))
		s.Deviation = &d
	}
	return s
}

// group is the share of attempts that are the best, and the worst.
const group = 0.27

// Items is the statistics of each question.
func Items[K comparable](attempts []Attempt[K]) map[K]Item {
	ranked := slices.Clone(attempts)
	slices.SortStableFunc(ranked, func(a, b Attempt[K]) int { return cmp.Compare(share(a.Score, a.Possible), share(b.Score, b.Possible)) })
	found := map[K]*series{}
	for _, a := range ranked {
		for key, q := range a.Questions {
			s := found[key]
			if s == nil {
				s = &series{classes: map[string]int{}, picked: map[string]int{}}
				found[key] = s
			}
			s.add(a.Score, q)
		}
	}
	out := make(map[K]Item, len(found))
	for key, s := range found {
		out[key] = s.item()
	}
	return out
}

// series is what a question earned, the worst attempt first.
type series struct {
	credit, rest    []float64
	n               int
	classes, picked map[string]int
}

func (s *series) add(score int64, q Answered) {
	s.n++
	s.classes[q.Class]++
	for _, p := range q.Picked {
		s.picked[p]++
	}
	if q.Possible > 0 {
		s.credit = append(s.credit, share(q.Earned, q.Possible))
		s.rest = append(s.rest, float64(score-q.Earned))
	}
}

func (s *series) item() Item {
	it := Item{Attempts: s.n, Classes: s.classes, Picked: s.picked}
	if len(s.credit) > 0 {
		f := mean(s.credit)
		it.Facility = &f
	}
	if n := len(s.credit); n >= 4 {
		k := max(1, int(math.Round(float64(n)*group)))
		d := mean(s.credit[n-k:]) - mean(s.credit[:k])
		it.Discrimination = &d
	}
	it.PointBiserial = correlation(s.credit, s.rest)
	return it
}

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func mean(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// correlation is Pearson's; of a question that is right or wrong, that is the
// point-biserial one.
func correlation(x, y []float64) *float64 {
	if len(x) < 2 {
		return nil
	}
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	const never = 1e-12
	if xx < never || yy < never {
		return nil
	}
	r := max(-1, min(1, xy/math.Sqrt(xx*yy)))
	return &r
}
