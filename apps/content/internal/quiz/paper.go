package quiz

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
)

// Paper is an attempt as one caller may see it. It holds nothing else: what is
// hidden from the caller is not in it.
type Paper struct {
	Attempt   Attempt
	QuizTitle string
	Questions []PaperQuestion
	// Staff says that the caller grades or teaches.
	Staff bool
	// Score is nil while it is hidden, or nobody can say.
	Score *Points
	// ScoreShown and FeedbackShown say what the caller may see; ShownAt when more
	// will be shown, where that is known.
	ScoreShown    bool
	FeedbackShown bool
	ShownAt       *time.Time
	// ProgressPending: the course's progress does not show it yet.
	ProgressPending bool
}

// PaperQuestion is one question of it.
type PaperQuestion struct {
	QuestionID uuid.UUID
	Position   int
	Possible   Points
	Shown      marking.Shown
	Answer     *marking.Answer
	AnswerSeq  int64
	AnsweredAt *time.Time
	// Earned is set where the score is shown and known.
	Earned *Points
	// Review is set where feedback is shown, and was asked for.
	Review *Reviewed
}

// Reviewed is what is right, and what the answer gets to hear.
type Reviewed struct {
	Version  int
	Class    string
	Solution marking.Definition
	Feedback []string
	Comment  string
	Auto     *Points
	Manual   *Points
	GradedBy *uuid.UUID
	GradedAt *time.Time
}

// sight is what a caller may see of an attempt.
type sight struct{ staff, score, feedback bool }

// sightOf decides: staff see everything, but of a preview of theirs that is in
// progress only what a learner would; learners see their own finished attempts
// as the quiz's policies say.
func sightOf(a Attempt, q Quiz, t Terms, staff bool, now time.Time) sight {
	finished := a.State != InProgress
	switch {
	case a.Preview:
		return sight{staff: staff, score: finished, feedback: finished}
	case staff:
		return sight{staff: true, score: true, feedback: true}
	}
	return sight{
		score:    finished && t.shows(q.ScoresPolicy(), now),
		feedback: finished && t.shows(q.Feedback, now),
	}
}

// paper shows an attempt; review adds what is right, where that may be seen.
func paper(a Attempt, q Quiz, t Terms, questions []Taken, s sight, review bool) Paper {
	p := Paper{Attempt: a, QuizTitle: q.Title, Staff: s.staff, ScoreShown: s.score, FeedbackShown: s.feedback}
	if s.score && a.State == Graded {
		p.Score = a.Score
	}
	if !s.feedback && a.State != InProgress && (q.Feedback == AfterDue || q.ScoresPolicy() == AfterDue) {
		p.ShownAt = t.Due
	}
	p.Attempt.Score = nil // only Score says it
	if !s.score {
		p.Attempt.GradedAt = nil
	}
	p.Questions = make([]PaperQuestion, len(questions))
	for i, k := range questions {
		v := PaperQuestion{
			QuestionID: k.QuestionID, Position: k.Position, Possible: k.Points, Shown: k.Definition.Show(k.ChoiceOrder),
			Answer: k.Answer, AnswerSeq: k.AnswerSeq, AnsweredAt: k.AnsweredAt,
		}
		if s.score && a.State != InProgress {
			v.Earned = k.Earned()
		}
		if s.feedback && review {
			v.Review = reviewed(k, s.staff)
		}
		p.Questions[i] = v
	}
	return p
}

func reviewed(k Taken, staff bool) *Reviewed {
	r := &Reviewed{
		Class: classOf(k, marking.Mark(k.Definition, k.Answer)), Solution: k.Definition.Solution(),
		Feedback: k.Definition.Feedback(k.Answer), Comment: k.Comment, Manual: k.ManualPoints, Auto: k.AutoPoints,
	}
	if staff {
		r.Solution, r.Version, r.GradedBy, r.GradedAt = k.Definition, k.QuestionVersion, k.GradedBy, k.GradedAt
	}
	return r
}
