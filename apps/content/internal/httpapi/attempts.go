package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Attempt is one try of a person at a quiz, as the caller may see it.
type Attempt struct {
	ID              uuid.UUID         `json:"id"`
	QuizID          uuid.UUID         `json:"quiz_id"`
	QuizTitle       string            `json:"quiz_title"`
	CourseID        uuid.UUID         `json:"course_id"`
	UserID          uuid.UUID         `json:"user_id"`
	Number          int               `json:"number"`
	Preview         bool              `json:"preview,omitempty"`
	State           string            `json:"state" doc:"in_progress, submitted (waits to be graded) or graded"`
	StartedAt       time.Time         `json:"started_at"`
	EndsAt          *time.Time        `json:"ends_at,omitempty" doc:"It ends by itself; absent: never"`
	FinishedAt      *time.Time        `json:"finished_at,omitempty"`
	EndedBy         *string           `json:"ended_by,omitempty" doc:"learner, server or staff"`
	Score           *Decimal          `json:"score,omitempty" doc:"Absent while it is hidden, or not complete"`
	Possible        *Decimal          `json:"possible"`
	GradedAt        *time.Time        `json:"graded_at,omitempty"`
	ScoreShown      bool              `json:"score_shown"`
	FeedbackShown   bool              `json:"feedback_shown"`
	ShownAt         *time.Time        `json:"shown_at,omitempty" doc:"When more will be shown"`
	ProgressPending bool              `json:"progress_pending,omitempty" doc:"The course's progress does not show it yet"`
	Questions       []AttemptQuestion `json:"questions,omitempty" doc:"Not in lists"`
}

// AttemptQuestion is one question of an attempt.
type AttemptQuestion struct {
	QuestionID uuid.UUID `json:"question_id"`
	Position   int       `json:"position"`
	Points     *Decimal  `json:"points" doc:"That can be earned"`
	marking.Shown
	Answer     *marking.Answer `json:"answer,omitempty"`
	AnswerSeq  int64           `json:"answer_seq" doc:"0: never answered"`
	AnsweredAt *time.Time      `json:"answered_at,omitempty"`
	Earned     *Decimal        `json:"earned,omitempty" doc:"Once it is shown and known"`
	Review     *AnswerReview   `json:"review,omitempty" doc:"In a review"`
}

// AnswerReview is what is right, and what the answer gets to hear.
type AnswerReview struct {
	Class    string             `json:"class" doc:"blank, wrong, partial, correct or manual"`
	Solution marking.Definition `json:"solution"`
	Feedback []string           `json:"feedback"`
	Comment  string             `json:"comment,omitempty" doc:"Of who graded by hand"`
	Auto     *Decimal           `json:"auto_points,omitempty"`
	Manual   *Decimal           `json:"manual_points,omitempty"`
	Version  int                `json:"version,omitempty" doc:"Of the question; for staff"`
	GradedBy *uuid.UUID         `json:"graded_by,omitempty" doc:"For staff"`
	GradedAt *time.Time         `json:"graded_at,omitempty" doc:"For staff"`
}

func showAttempt(p quiz.Paper) Attempt {
	a := p.Attempt
	out := Attempt{
		ID: a.ID, QuizID: a.QuizID, QuizTitle: p.QuizTitle, CourseID: a.CourseID, UserID: a.UserID, Number: a.Number, Preview: a.Preview, State: a.State,
		StartedAt: a.StartedAt, EndsAt: a.EndsAt, FinishedAt: a.FinishedAt, EndedBy: a.EndedBy, Score: decimal(p.Score), Possible: decimal(&a.Possible),
		GradedAt: a.GradedAt, ScoreShown: p.ScoreShown, FeedbackShown: p.FeedbackShown, ShownAt: p.ShownAt, ProgressPending: p.ProgressPending,
	}
	for _, q := range p.Questions {
		v := AttemptQuestion{
			QuestionID: q.QuestionID, Position: q.Position, Points: decimal(&q.Possible), Shown: q.Shown, Answer: q.Answer, AnswerSeq: q.AnswerSeq,
			AnsweredAt: q.AnsweredAt, Earned: decimal(q.Earned),
		}
		if r := q.Review; r != nil {
			v.Review = &AnswerReview{
				Class: r.Class, Solution: r.Solution, Feedback: r.Feedback, Comment: r.Comment, Auto: decimal(r.Auto), Manual: decimal(r.Manual),
				Version: r.Version, GradedBy: r.GradedBy, GradedAt: r.GradedAt,
			}
			if v.Review.Feedback == nil {
				v.Review.Feedback = []string{}
			}
		}
		out.Questions = append(out.Questions, v)
	}
	return out
}

// attemptResource answers with an attempt. Staff get the version of a finished one
// as its tag, to grade with; everybody else's view also depends on answers and
// time.
func attemptResource(p quiz.Paper) *web.Resource[Attempt] {
	if p.Staff && p.Attempt.State != quiz.InProgress {
		return web.Res(showAttempt(p), p.Attempt.Version)
	}
	return tagged(showAttempt(p))
}

func startedResource(p quiz.Paper, isNew bool) *web.Resource[Attempt] {
	out := attemptResource(p)
	out.Status, out.Location = http.StatusOK, "/api/v1/attempts/"+p.Attempt.ID.String()
	if isNew {
		out.Status = http.StatusCreated
	}
	return out
}

func (a *QuizAPI) startAttempt(ctx context.Context, in *web.ByID) (*web.Resource[Attempt], error) {
	p, isNew, err := a.Service.Start(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return startedResource(p, isNew), nil
}

func (a *QuizAPI) previewQuiz(ctx context.Context, in *web.ByID) (*web.Resource[Attempt], error) {
	p, isNew, err := a.Service.Preview(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return startedResource(p, isNew), nil
}

type listAttemptsInput struct {
	web.ByID
	web.Page
	UserID  uuid.UUID `query:"user_id" doc:"For staff"`
	State   string    `query:"state" enum:"in_progress,submitted,graded" doc:"submitted: to be graded by hand"`
	Preview bool      `query:"preview" doc:"For staff: previews instead"`
}

func (a *QuizAPI) listAttempts(ctx context.Context, in *listAttemptsInput) (*web.List[Attempt], error) {
	f := quiz.AttemptFilter{QuizID: in.ID, UserID: optional(in.UserID), State: in.State, Preview: in.Preview}
	p, err := a.Service.Attempts(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showAttempt), err
}

func (a *QuizAPI) getAttempt(ctx context.Context, in *web.ByID) (*web.Resource[Attempt], error) {
	p, err := a.Service.Attempt(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return attemptResource(p), nil
}

func (a *QuizAPI) reviewAttempt(ctx context.Context, in *web.ByID) (*web.Resource[Attempt], error) {
	p, err := a.Service.Review(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return attemptResource(p), nil
}

type saveAnswerInput struct {
	ByAttemptAndQuestion
	Body struct {
		Seq    int64           `json:"seq" minimum:"1" doc:"Grows with each change: an older answer never replaces a newer one"`
		Answer *marking.Answer `json:"answer,omitempty" doc:"Absent: the answer is taken back"`
	}
}

// SavedAnswer says that an answer is stored.
type SavedAnswer struct {
	QuestionID uuid.UUID  `json:"question_id"`
	Seq        int64      `json:"seq"`
	SavedAt    time.Time  `json:"saved_at"`
	EndsAt     *time.Time `json:"ends_at,omitempty"`
}

func (a *QuizAPI) saveAnswer(ctx context.Context, in *saveAnswerInput) (*web.Resource[SavedAnswer], error) {
	r, err := a.Service.SaveAnswer(ctx, web.Actor(ctx), in.ID, in.QuestionID, in.Body.Seq, in.Body.Answer)
	if err != nil {
		return nil, err
	}
	return web.Res(SavedAnswer{QuestionID: r.QuestionID, Seq: r.Seq, SavedAt: r.SavedAt, EndsAt: r.EndsAt}, 0), nil
}

func (a *QuizAPI) submitAttempt(ctx context.Context, in *web.ByID) (*web.Resource[Attempt], error) {
	p, err := a.Service.Submit(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return attemptResource(p), nil
}

type gradeAnswerInput struct {
	ByAttemptAndQuestion
	web.IfMatch
	Body struct {
		Points  *Decimal `json:"points,omitempty" doc:"Absent: what was computed counts"`
		Comment string   `json:"comment,omitempty" maxLength:"10000"`
	}
}

func (a *QuizAPI) gradeAnswer(ctx context.Context, in *gradeAnswerInput) (*web.Resource[Attempt], error) {
	var f apperr.Fields
	marks := quiz.Marking{Points: in.Body.Points.Value(&f, "points"), Comment: in.Body.Comment}
	if err := f.Err(); err != nil {
		return nil, err
	}
	p, err := a.Service.GradeAnswer(ctx, web.Actor(ctx), in.ID, in.QuestionID, required(&in.IfMatch), marks)
	if err != nil {
		return nil, err
	}
	return attemptResource(p), nil
}

type reopenInput struct {
	web.ByID
	web.OptionalIfMatch
	Body struct {
		EndsAt *time.Time `json:"ends_at,omitempty" doc:"Absent: the quiz's time limit from now on, within its window"`
	}
}

func (a *QuizAPI) reopenAttempt(ctx context.Context, in *reopenInput) (*web.Resource[Attempt], error) {
	p, err := a.Service.Reopen(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch), in.Body.EndsAt)
	if err != nil {
		return nil, err
	}
	return attemptResource(p), nil
}
