package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/itemstats"
	"lms/shared/apperr"
	"lms/shared/web"
)

// QuizOverride is what is different for one person.
type QuizOverride struct {
	UserID           uuid.UUID  `json:"user_id"`
	ExtraTimeSeconds int64      `json:"extra_time_seconds"`
	ExtraAttempts    int        `json:"extra_attempts"`
	AvailableFrom    *time.Time `json:"available_from,omitempty"`
	AvailableUntil   *time.Time `json:"available_until,omitempty"`
	DueAt            *time.Time `json:"due_at,omitempty"`
	UpdatedBy        uuid.UUID  `json:"updated_by"`
	UpdatedAt        time.Time  `json:"updated_at"`
}

func showOverride(o quiz.Override) QuizOverride {
	return QuizOverride{
		UserID: o.UserID, ExtraTimeSeconds: int64(o.ExtraTime / time.Second), ExtraAttempts: o.ExtraAttempts, AvailableFrom: o.From, AvailableUntil: o.Until,
		DueAt: o.Due, UpdatedBy: o.UpdatedBy, UpdatedAt: o.UpdatedAt,
	}
}

type quizListInput struct {
	web.ByID
	web.Page
}

func (a *QuizAPI) listOverrides(ctx context.Context, in *quizListInput) (*web.List[QuizOverride], error) {
	p, err := a.Service.Overrides(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showOverride), err
}

type putOverrideInput struct {
	ByQuizAndUser
	web.OptionalIfMatch
	Body struct {
		ExtraTimeSeconds int64      `json:"extra_time_seconds,omitempty" minimum:"0" maximum:"2592000"`
		ExtraAttempts    int        `json:"extra_attempts,omitempty" minimum:"0" maximum:"1000"`
		AvailableFrom    *time.Time `json:"available_from,omitempty" doc:"Instead of the quiz's"`
		AvailableUntil   *time.Time `json:"available_until,omitempty" doc:"Instead of the quiz's"`
		DueAt            *time.Time `json:"due_at,omitempty" doc:"An extension: only a later one counts"`
	}
}

func (a *QuizAPI) putOverride(ctx context.Context, in *putOverrideInput) (*web.Resource[QuizOverride], error) {
	b := in.Body
	o, isNew, err := a.Service.PutOverride(ctx, web.Actor(ctx), quiz.Override{
		QuizID: in.ID, UserID: in.UserID, ExtraTime: time.Duration(b.ExtraTimeSeconds) * time.Second, ExtraAttempts: b.ExtraAttempts,
		From: b.AvailableFrom, Until: b.AvailableUntil, Due: b.DueAt,
	}, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	out := web.Res(showOverride(o), o.Version)
	if isNew {
		out = out.WithStatus(http.StatusCreated)
	}
	return out, nil
}

func (a *QuizAPI) deleteOverride(ctx context.Context, in *ByQuizAndUser) (*web.Empty, error) {
	return nil, a.Service.DeleteOverride(ctx, web.Actor(ctx), in.ID, in.UserID)
}

// QuizGrade is what counts for a person in a quiz.
type QuizGrade struct {
	UserID          uuid.UUID    `json:"user_id"`
	Score           *Decimal     `json:"score,omitempty" doc:"Absent while there is none, or it is not shown yet"`
	Possible        *Decimal     `json:"possible,omitempty"`
	Pending         bool         `json:"pending" doc:"An attempt that would count waits to be graded"`
	Posted          bool         `json:"posted" doc:"The learner may see the score"`
	SubmittedAt     *time.Time   `json:"submitted_at,omitempty"`
	GradedAt        *time.Time   `json:"graded_at,omitempty"`
	ExcusedAt       *time.Time   `json:"excused_at,omitempty"`
	Override        *GradeByHand `json:"override,omitempty" doc:"For staff: what a teacher set instead of what the attempts give"`
	AttemptID       *uuid.UUID   `json:"attempt_id,omitempty" doc:"For staff: the one that counts; absent for an average"`
	KeptScore       *Decimal     `json:"kept_score,omitempty" doc:"For staff: what the attempts give"`
	ProgressPending bool         `json:"progress_pending,omitempty" doc:"The course's progress does not show it yet"`
}

// GradeByHand is what a teacher set.
type GradeByHand struct {
	Score *Decimal   `json:"score"`
	Note  string     `json:"note,omitempty"`
	By    *uuid.UUID `json:"by,omitempty"`
	At    *time.Time `json:"at,omitempty"`
}

func showGrade(g quiz.Grade) QuizGrade {
	out := QuizGrade{
		UserID: g.UserID, Score: decimal(g.Score), Possible: decimal(g.Possible), Pending: g.Waits(), Posted: g.Posted, SubmittedAt: g.SubmittedAt,
		GradedAt: g.GradedAt, ExcusedAt: g.ExcusedAt, ProgressPending: g.ProgressPending,
	}
	if !g.Staff {
		return out
	}
	out.AttemptID, out.KeptScore = g.AttemptID, decimal(g.Result.Score)
	if g.OverrideScore != nil {
		out.Override = &GradeByHand{Score: decimal(g.OverrideScore), Note: g.OverrideNote, By: g.OverriddenBy, At: g.OverriddenAt}
	}
	return out
}

func gradeResource(g quiz.Grade) *web.Resource[QuizGrade] {
	if g.Staff {
		return web.Res(showGrade(g), g.Version)
	}
	return tagged(showGrade(g))
}

func (a *QuizAPI) listGrades(ctx context.Context, in *quizListInput) (*web.List[QuizGrade], error) {
	p, err := a.Service.Grades(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showGrade), err
}

func (a *QuizAPI) getGrade(ctx context.Context, in *ByQuizAndUser) (*web.Resource[QuizGrade], error) {
	g, err := a.Service.Grade(ctx, web.Actor(ctx), in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return gradeResource(g), nil
}

type putGradeInput struct {
	ByQuizAndUser
	web.OptionalIfMatch
	Body struct {
		Score   *Decimal `json:"score,omitempty" doc:"Absent: the attempts count"`
		Excused bool     `json:"excused,omitempty"`
		Note    string   `json:"note,omitempty" maxLength:"10000"`
	}
}

func (a *QuizAPI) putGrade(ctx context.Context, in *putGradeInput) (*web.Resource[QuizGrade], error) {
	var f apperr.Fields
	edit := quiz.GradeEdit{Score: in.Body.Score.Value(&f, "score"), Excused: in.Body.Excused, Note: in.Body.Note}
	if err := f.Err(); err != nil {
		return nil, err
	}
	g, err := a.Service.PutGrade(ctx, web.Actor(ctx), in.ID, in.UserID, wanted(&in.OptionalIfMatch), edit)
	if err != nil {
		return nil, err
	}
	return gradeResource(g), nil
}

func (a *QuizAPI) regradeQuiz(ctx context.Context, in *web.ByID) (*web.JobAccepted, error) {
	job, err := a.Service.StartRegrade(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

// QuizStatistics is how a quiz behaved. Shares are between 0 and 1.
type QuizStatistics struct {
	Attempts  int              `json:"attempts"`
	Truncated bool             `json:"truncated,omitempty" doc:"Only the latest 5,000 attempts were looked at"`
	Mean      *float64         `json:"mean,omitempty"`
	Median    *float64         `json:"median,omitempty"`
	Deviation *float64         `json:"deviation,omitempty"`
	Lowest    *float64         `json:"lowest,omitempty"`
	Highest   *float64         `json:"highest,omitempty"`
	Questions []ItemStatistics `json:"questions"`
}

// ItemStatistics is how a question behaved.
type ItemStatistics struct {
	QuestionID     uuid.UUID      `json:"question_id"`
	Title          string         `json:"title"`
	Kind           string         `json:"kind"`
	Versions       []int          `json:"versions"`
	Attempts       int            `json:"attempts"`
	Facility       *float64       `json:"facility,omitempty" doc:"Mean share of the points: 1 is a question that everybody answers right"`
	Discrimination *float64       `json:"discrimination,omitempty" doc:"Facility among the best 27 % of the attempts minus that among the worst 27 %"`
	PointBiserial  *float64       `json:"point_biserial,omitempty" doc:"Correlation with what the rest of the attempt earned"`
	Classes        map[string]int `json:"classes" doc:"How many answers were blank, wrong, partial, correct, manual"`
	Picked         map[string]int `json:"picked" doc:"How often each choice, option or accepted answer was given"`
}

func showItem(i quiz.ItemStatistics) ItemStatistics {
	return ItemStatistics{
		QuestionID: i.QuestionID, Title: i.Title, Kind: string(i.Kind), Versions: i.Versions, Attempts: i.Attempts, Facility: i.Facility,
		Discrimination: i.Discrimination, PointBiserial: i.PointBiserial, Classes: i.Classes, Picked: i.Picked,
	}
}

type statisticsInput struct {
	web.ByID
	Attempts string `query:"attempts" enum:"first,all" default:"first" doc:"The first of each person, or all"`
}

func (a *QuizAPI) statistics(ctx context.Context, in *statisticsInput) (*web.Resource[QuizStatistics], error) {
	s, err := a.Service.Statistics(ctx, web.Actor(ctx), in.ID, in.Attempts != "all")
	if err != nil {
		return nil, err
	}
	out := summary(s.Summary)
	out.Truncated, out.Questions = s.Truncated, make([]ItemStatistics, len(s.Items))
	for i, item := range s.Items {
		out.Questions[i] = showItem(item)
	}
	return tagged(out), nil
}

func summary(s itemstats.Summary) QuizStatistics {
	return QuizStatistics{Attempts: s.Attempts, Mean: s.Mean, Median: s.Median, Deviation: s.Deviation, Lowest: s.Lowest, Highest: s.Highest}
}
