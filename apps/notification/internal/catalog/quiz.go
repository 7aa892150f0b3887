package catalog

import (
	"github.com/google/uuid"

	contract "lms/shared/contracts/events"
)

const groupQuizzes = "quizzes"

func quizKinds() []Kind {
	title := Variable{Name: "title", Type: Text, Sample: "Cells and tissues"}
	score := []Variable{title, {Name: "score", Type: Number, Sample: "8.5", Optional: true}, {Name: "possible", Type: Number, Sample: "10"}}
	kind := func(key string, d func() personDefault, vars ...Variable) Kind {
		return Kind{Key: key, Group: groupQuizzes, Default: d(), Variables: courseVars(vars...)}
	}
	return []Kind{
		kind("quiz.published", daily, title, Variable{Name: "due_at", Type: Moment, Sample: "2026-10-25T00:30:00Z", Optional: true}),
		kind("quiz.due_soon", telling, title, Variable{Name: "due_at", Type: Moment, Sample: "2026-10-25T00:30:00Z", Optional: true}),
		kind("quiz.closed", telling, title),
		kind("quiz.graded", listed, score...),
		kind("quiz.regraded", telling, score...),
	}
}

func quizPath(course, quiz uuid.UUID) string { return coursePath(course) + "/quizzes/" + quiz.String() }

func toLearners(kind string, q contract.QuizState) []Notice {
	return []Notice{{
		Kind: kind, Audience: Learners, CourseID: q.CourseID, Path: quizPath(q.CourseID, q.QuizID),
		Vars: map[string]string{"title": q.Title, "due_at": moment(q.DueAt)},
	}}
}

// graded tells a result that the learner may see (rule 25).
func graded(kind string, g contract.GradedState) []Notice {
	if !g.Posted {
		return nil
	}
	return one(kind, g.UserID, g.CourseID, quizPath(g.CourseID, g.QuizID),
		map[string]string{"title": g.QuizTitle, "score": hundredths(g.Score), "possible": g.Possible.String()})
}

func quizRules() []Rule {
	return []Rule{
		none(contract.TypeQuestionChanged, "Work of authors."),
		none(contract.TypeQuizCreated, "A draft concerns its author."),
		none(contract.TypeQuizUpdated, "The course shows it."),
		on(contract.TypeQuizPublished, func(_ Event, q contract.QuizPublished) []Notice { return toLearners("quiz.published", q.QuizState) }),
		none(contract.TypeQuizUnpublished, "It is often for minutes; the course shows it."),
		none(contract.TypeQuizDeleted, "The course shows it."),
		on(contract.TypeQuizDueSoon, func(_ Event, q contract.QuizDueSoon) []Notice { return toLearners("quiz.due_soon", q.QuizState) }),
		none(contract.TypeAttemptStarted, "A person's own act."),
		none(contract.TypeAttemptSubmitted, "A person's own act; what waits for a grader is in the grader's list."),
		on(contract.TypeAttemptClosed, func(_ Event, a contract.AttemptClosed) []Notice {
			return one("quiz.closed", a.UserID, a.CourseID, quizPath(a.CourseID, a.QuizID), map[string]string{"title": a.QuizTitle})
		}),
		on(contract.TypeQuizGraded, func(_ Event, g contract.QuizGraded) []Notice { return graded("quiz.graded", g.GradedState) }),
		on(contract.TypeQuizRegraded, func(_ Event, g contract.QuizRegraded) []Notice { return graded("quiz.regraded", g.GradedState) }),
	}
}
