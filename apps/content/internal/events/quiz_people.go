package events

import (
	"context"

	"lms/apps/content/internal/quiz"
	"lms/shared/contracts/internalapi"
	"lms/shared/pg"
)

// QuizPeople is what quizzes keep of people.
type QuizPeople struct {
	Service *quiz.Service
	Wrap    func(*pg.Unit) quiz.Tx
}

var _ Part = QuizPeople{}

// Merge implements Part.
func (p QuizPeople) Merge(ctx context.Context, u *pg.Unit, in internalapi.PersonStatus) error {
	return p.Service.SetPerson(ctx, p.Wrap(u), in.UserID, in.MergedInto)
}

// Erase implements Part.
func (p QuizPeople) Erase(ctx context.Context, u *pg.Unit, in internalapi.ErasePerson, reply *internalapi.ErasePersonReply) error {
	kept, err := p.Service.ErasePerson(ctx, p.Wrap(u), in.UserID, in.Pseudonym)
	if err != nil {
		return err
	}
	reply.Erased = append(reply.Erased, "quiz_texts", "quiz_comments", "quiz_overrides", "question_uploads")
	if kept > 0 {
		reply.Kept = append(reply.Kept, internalapi.KeptData{Category: "quiz_attempts", Reason: "Under a pseudonym, without what was written, for the numbers of the course."})
	}
	return nil
}

// Export implements Part.
func (p QuizPeople) Export(ctx context.Context, u *pg.Unit, in internalapi.ExportPerson, sections map[string]any) error {
	data, err := p.Service.ExportPerson(ctx, p.Wrap(u), in.UserID)
	if err != nil {
		return err
	}
	attempts := make([]map[string]any, len(data.Attempts))
	for i, a := range data.Attempts {
		answers := []map[string]any{}
		for _, q := range data.Answers[a.ID] {
			answers = append(answers, map[string]any{
				"question_id": q.QuestionID, "prompt": q.Definition.Prompt, "answer": q.Answer, "answered_at": q.AnsweredAt,
			})
		}
		attempts[i] = map[string]any{
			"id": a.ID, "quiz_id": a.QuizID, "course_id": a.CourseID, "number": a.Number, "state": a.State, "started_at": a.StartedAt,
			"finished_at": a.FinishedAt, "answers": answers,
		}
	}
	results := make([]map[string]any, len(data.Results))
	for i, r := range data.Results {
		results[i] = map[string]any{"quiz_id": r.QuizID, "course_id": r.CourseID, "submitted_at": r.SubmittedAt, "excused_at": r.ExcusedAt}
		if r.Posted { // what is not shown to the person yet stays a secret of the course
			results[i]["score"], results[i]["override_score"] = r.Score, r.OverrideScore
		}
	}
	overrides := make([]map[string]any, len(data.Overrides))
	for i, o := range data.Overrides {
		overrides[i] = map[string]any{"quiz_id": o.QuizID, "extra_time_seconds": int64(o.ExtraTime.Seconds()), "extra_attempts": o.ExtraAttempts, "due_at": o.Due}
	}
	sections["quiz_attempts"], sections["quiz_results"], sections["quiz_overrides"] = attempts, results, overrides
	return nil
}
