package events

import (
	"time"

	"github.com/google/uuid"
)

func exampleQuizID(last byte) uuid.UUID {
	id := uuid.MustParse("0197e1c0-0000-7000-8000-0000000c0000")
	id[15] = last
	return id
}

func exampleQuiz(published bool) QuizState {
	at := time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)
	due := at.AddDate(0, 0, 14)
	two := 2
	return QuizState{
		QuizID: exampleQuizID(1), TenantID: exampleQuizID(2), OrgUnitID: exampleQuizID(3), CourseID: exampleQuizID(4),
		Title: "The cell", Published: published, Points: 1000, Questions: 10, AttemptsAllowed: &two, Keep: "highest",
		TimeLimitSeconds: 1800, DueAt: &due, UpdatedAt: at, Version: 3,
	}
}

func exampleAttempt(state string) AttemptState {
	q := exampleQuiz(true)
	start := q.UpdatedAt.AddDate(0, 0, 7)
	end, finished := start.Add(30*time.Minute), start.Add(21*time.Minute)
	s := AttemptState{
		AttemptID: exampleQuizID(5), TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, CourseID: q.CourseID, QuizID: q.QuizID, QuizTitle: q.Title,
		UserID: exampleQuizID(6), Number: 1, State: state, StartedAt: start, EndsAt: &end,
	}
	if state != "in_progress" {
		s.FinishedAt = &finished
	}
	return s
}

func exampleGraded() GradedState {
	score, full, none := Hundredths(850), Hundredths(100), Hundredths(0)
	return GradedState{
		AttemptState: exampleAttempt("graded"), Score: &score, Possible: 1000, Kept: &score, Posted: true,
		Questions: []QuestionGrade{
			{QuestionID: exampleQuizID(7), Version: 2, Points: &full, Possible: 100, Class: "correct", Picked: []string{"k3xq7a2b"}},
			{QuestionID: exampleQuizID(8), Version: 1, Points: &none, Possible: 100, Class: "blank", Picked: []string{}},
		},
	}
}

// quizEvents are the events of quizzes.
func quizEvents() []Definition {
	old := Hundredths(750)
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicContent, Summary: summary, Example: e}
	}
	state := func(summary string, e Event) Definition {
		return Definition{Topic: TopicContent, Summary: summary, State: true, Example: e}
	}
	q, attempt := exampleQuiz(true), exampleAttempt("in_progress")
	deleted := exampleQuiz(false)
	deleted.Deleted = true
	return []Definition{
		state("A question was written, changed or deleted.", QuestionChanged{
			QuestionID: exampleQuizID(7), BankID: exampleQuizID(9), TenantID: q.TenantID, OrgUnitID: q.OrgUnitID, Kind: "single",
			Title: "Organelles", Tags: []string{"cell"}, Number: 2, At: q.UpdatedAt,
		}),
		state("A quiz was made.", QuizCreated{exampleQuiz(false)}),
		state("A quiz or its slots changed.", QuizUpdated{q, []string{"slots"}}),
		state("A quiz was published.", QuizPublished{q}),
		state("A quiz was taken back.", QuizUnpublished{exampleQuiz(false)}),
		state("A quiz was deleted.", QuizDeleted{deleted}),
		fact("A quiz is due within a day.", QuizDueSoon{q}),
		fact("A person began an attempt.", AttemptStarted{attempt}),
		fact("A person handed an attempt in.", AttemptSubmitted{exampleAttempt("submitted"), "learner", q.DueAt}),
		fact("The server ended an attempt whose time was over.", AttemptClosed{exampleAttempt("graded"), q.DueAt}),
		fact("An attempt was graded.", QuizGraded{exampleGraded()}),
		fact("A regrade changed what an attempt is worth.", QuizRegraded{exampleGraded(), &old, 1000}),
	}
}
