package httpapi

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// Quiz is a quiz of a course.
type Quiz struct {
	ID                uuid.UUID  `json:"id"`
	CourseID          uuid.UUID  `json:"course_id"`
	OrgUnitID         uuid.UUID  `json:"org_unit_id"`
	Title             string     `json:"title"`
	Instructions      string     `json:"instructions"`
	TimeLimitSeconds  *int64     `json:"time_limit_seconds,omitempty"`
	AttemptsAllowed   *int       `json:"attempts_allowed,omitempty" doc:"Absent exactly if unlimited_attempts"`
	UnlimitedAttempts bool       `json:"unlimited_attempts"`
	Keep              string     `json:"keep" doc:"highest, latest, first or average"`
	ShuffleQuestions  bool       `json:"shuffle_questions"`
	ShuffleChoices    bool       `json:"shuffle_choices"`
	AvailableFrom     *time.Time `json:"available_from,omitempty"`
	AvailableUntil    *time.Time `json:"available_until,omitempty"`
	DueAt             *time.Time `json:"due_at,omitempty"`
	CutoffAt          *time.Time `json:"cutoff_at,omitempty"`
	Feedback          string     `json:"feedback" doc:"When answers are shown: never, after_attempt or after_due"`
	Scores            string     `json:"scores" doc:"When points are shown"`
	Points            *Decimal   `json:"points" doc:"Of all questions together"`
	Questions         int        `json:"questions" doc:"How many an attempt has"`
	Published         bool       `json:"published"`
	PublishedAt       *time.Time `json:"published_at,omitempty"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
	RegradeNeeded     *bool      `json:"regrade_needed,omitempty" doc:"Finished attempts were marked by other points or versions of questions than a regrade would take now; only for staff, where one quiz is read"`
	Mine              *MyTerms   `json:"mine,omitempty" doc:"What holds for me, for learners"`
}

// MyTerms are what holds for one learner, with their override.
type MyTerms struct {
	TimeLimitSeconds *int64     `json:"time_limit_seconds,omitempty"`
	AvailableFrom    *time.Time `json:"available_from,omitempty"`
	AvailableUntil   *time.Time `json:"available_until,omitempty"`
	DueAt            *time.Time `json:"due_at,omitempty"`
	CutoffAt         *time.Time `json:"cutoff_at,omitempty"`
	AttemptsUsed     int        `json:"attempts_used"`
	AttemptsLeft     *int       `json:"attempts_left,omitempty" doc:"Absent: unlimited"`
}

func inSeconds(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	n := int64(*d / time.Second)
	return &n
}

func ofSeconds(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}

func showQuiz(q quiz.Quiz) Quiz {
	return Quiz{
		ID: q.ID, CourseID: q.CourseID, OrgUnitID: q.OrgUnitID, Title: q.Title, Instructions: q.Instructions, TimeLimitSeconds: inSeconds(q.TimeLimit),
		AttemptsAllowed: q.AttemptsAllowed, UnlimitedAttempts: q.Unlimited, Keep: q.Keep, ShuffleQuestions: q.ShuffleQuestions, ShuffleChoices: q.ShuffleChoices,
		AvailableFrom: q.From, AvailableUntil: q.Until, DueAt: q.Due, CutoffAt: q.Cutoff, Feedback: q.Feedback, Scores: q.ScoresPolicy(),
		Points: decimal(&q.Points), Questions: q.Questions, Published: q.Published(), PublishedAt: q.PublishedAt, CreatedAt: q.CreatedAt, UpdatedAt: q.UpdatedAt,
	}
}

type listQuizzesInput struct {
	web.ByID
	web.Page
	Query     string `query:"q" maxLength:"200"`
	Published string `query:"published" enum:"true,false"`
}

func (a *QuizAPI) listQuizzes(ctx context.Context, in *listQuizzesInput) (*web.List[Quiz], error) {
	f := quiz.QuizFilter{CourseID: in.ID, Query: in.Query}
	if in.Published != "" {
		yes := in.Published == "true"
		f.Published = &yes
	}
	p, _, err := a.Service.Quizzes(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showQuiz), err
}

type createQuizInput struct {
	web.ByID
	Body struct {
		Title             string     `json:"title" maxLength:"255"`
		Instructions      string     `json:"instructions,omitempty" maxLength:"50000" doc:"HTML"`
		TimeLimitSeconds  *int64     `json:"time_limit_seconds,omitempty" minimum:"1" maximum:"2592000"`
		AttemptsAllowed   *int       `json:"attempts_allowed,omitempty" minimum:"1" maximum:"1000" doc:"1 if absent"`
		UnlimitedAttempts bool       `json:"unlimited_attempts,omitempty"`
		Keep              string     `json:"keep,omitempty" enum:"highest,latest,first,average" doc:"highest if absent"`
		ShuffleQuestions  bool       `json:"shuffle_questions,omitempty"`
		ShuffleChoices    bool       `json:"shuffle_choices,omitempty"`
		AvailableFrom     *time.Time `json:"available_from,omitempty"`
		AvailableUntil    *time.Time `json:"available_until,omitempty" doc:"Attempts end here"`
		DueAt             *time.Time `json:"due_at,omitempty" doc:"What is handed in later is late"`
		CutoffAt          *time.Time `json:"cutoff_at,omitempty" doc:"The last moment for late work"`
		Feedback          string     `json:"feedback,omitempty" enum:"never,after_attempt,after_due" doc:"after_attempt if absent"`
		Scores            *string    `json:"scores,omitempty" enum:"never,after_attempt,after_due" doc:"As feedback if absent"`
	}
}

func (a *QuizAPI) createQuiz(ctx context.Context, in *createQuizInput) (*web.Resource[Quiz], error) {
	b, s := in.Body, quiz.DefaultSettings()
	s.Title, s.Instructions, s.TimeLimit = b.Title, b.Instructions, ofSeconds(b.TimeLimitSeconds)
	s.ShuffleQuestions, s.ShuffleChoices, s.Scores = b.ShuffleQuestions, b.ShuffleChoices, b.Scores
	s.From, s.Until, s.Due, s.Cutoff = b.AvailableFrom, b.AvailableUntil, b.DueAt, b.CutoffAt
	if b.AttemptsAllowed != nil || b.UnlimitedAttempts {
		s.AttemptsAllowed, s.Unlimited = b.AttemptsAllowed, b.UnlimitedAttempts
	}
	if b.Keep != "" {
		s.Keep = b.Keep
	}
	if b.Feedback != "" {
		s.Feedback = b.Feedback
	}
	q, err := a.Service.CreateQuiz(ctx, web.Actor(ctx), in.ID, s)
	if err != nil {
		return nil, err
	}
	return web.Created(showQuiz(q), q.Version, "/api/v1/quizzes/"+q.ID.String()), nil
}

func (a *QuizAPI) getQuiz(ctx context.Context, in *web.ByID) (*web.Resource[Quiz], error) {
	v, err := a.Service.Quiz(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := showQuiz(v.Quiz)
	if v.Staff {
		out.RegradeNeeded = &v.RegradeNeeded
		return &web.Resource[Quiz]{ETag: staffTag(v), Body: out}, nil
	}
	out.Mine = &MyTerms{
		TimeLimitSeconds: inSeconds(v.Terms.Limit), AvailableFrom: v.Terms.From, AvailableUntil: v.Terms.Until, DueAt: v.Terms.Due, CutoffAt: v.Terms.Cutoff,
		AttemptsUsed: v.Used, AttemptsLeft: v.Left,
	}
	return tagged(out), nil
}

// staffTag is the tag of the quiz's version, spelled otherwise while a regrade is
// needed: that changes without a new version, so If-None-Match tells the two apart,
// and If-Match takes both.
func staffTag(v quiz.View) string {
	tag := web.ETag(v.Version)
	if v.RegradeNeeded {
		tag = strings.Replace(tag, "v", "v0", 1)
	}
	return tag
}

type updateQuizInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title             patch.Field[string]    `json:"title"`
		Instructions      patch.Field[string]    `json:"instructions"`
		TimeLimitSeconds  patch.Field[int64]     `json:"time_limit_seconds"`
		AttemptsAllowed   patch.Field[int]       `json:"attempts_allowed"`
		UnlimitedAttempts patch.Field[bool]      `json:"unlimited_attempts"`
		Keep              patch.Field[string]    `json:"keep"`
		ShuffleQuestions  patch.Field[bool]      `json:"shuffle_questions"`
		ShuffleChoices    patch.Field[bool]      `json:"shuffle_choices"`
		AvailableFrom     patch.Field[time.Time] `json:"available_from"`
		AvailableUntil    patch.Field[time.Time] `json:"available_until"`
		DueAt             patch.Field[time.Time] `json:"due_at"`
		CutoffAt          patch.Field[time.Time] `json:"cutoff_at"`
		Feedback          patch.Field[string]    `json:"feedback"`
		Scores            patch.Field[string]    `json:"scores" doc:"null: as feedback"`
	}
}

func (a *QuizAPI) updateQuiz(ctx context.Context, in *updateQuizInput) (*web.Resource[Quiz], error) {
	b := in.Body
	q, err := a.Service.UpdateQuiz(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(s *quiz.Settings) {
		b.Title.Apply(&s.Title)
		b.Instructions.Apply(&s.Instructions)
		var limit *int64
		if b.TimeLimitSeconds.ApplyPtr(&limit) {
			s.TimeLimit = ofSeconds(limit)
		}
		// Saying one of the two is enough.
		if b.AttemptsAllowed.ApplyPtr(&s.AttemptsAllowed) && s.AttemptsAllowed != nil && !b.UnlimitedAttempts.Set {
			s.Unlimited = false
		}
		if b.UnlimitedAttempts.Apply(&s.Unlimited) && s.Unlimited && !b.AttemptsAllowed.Set {
			s.AttemptsAllowed = nil
		}
		b.Keep.Apply(&s.Keep)
		b.ShuffleQuestions.Apply(&s.ShuffleQuestions)
		b.ShuffleChoices.Apply(&s.ShuffleChoices)
		b.AvailableFrom.ApplyPtr(&s.From)
		b.AvailableUntil.ApplyPtr(&s.Until)
		b.DueAt.ApplyPtr(&s.Due)
		b.CutoffAt.ApplyPtr(&s.Cutoff)
		b.Feedback.Apply(&s.Feedback)
		b.Scores.ApplyPtr(&s.Scores)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showQuiz(q), q.Version), nil
}

type deleteQuizInput struct {
	web.ByID
	web.IfMatch
	Detach bool `query:"detach" doc:"Delete it although a curriculum shows it; a placeholder stays there"`
}

func (a *QuizAPI) deleteQuiz(ctx context.Context, in *deleteQuizInput) (*web.Empty, error) {
	return nil, a.Service.DeleteQuiz(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), in.Detach)
}

type transitionInput struct {
	web.ByID
	web.OptionalIfMatch
}

func (a *QuizAPI) publishQuiz(ctx context.Context, in *transitionInput) (*web.Resource[Quiz], error) {
	q, err := a.Service.Publish(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	return web.Res(showQuiz(q), q.Version), nil
}

func (a *QuizAPI) unpublishQuiz(ctx context.Context, in *transitionInput) (*web.Resource[Quiz], error) {
	q, err := a.Service.Unpublish(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch))
	if err != nil {
		return nil, err
	}
	return web.Res(showQuiz(q), q.Version), nil
}

// Slot is one place of a quiz: a question in a pinned version, or some drawn at
// random from a bank.
type Slot struct {
	ID              *uuid.UUID `json:"id,omitempty" doc:"Keep it to keep the slot; absent for a new one"`
	QuestionID      *uuid.UUID `json:"question_id,omitempty"`
	QuestionVersion *int       `json:"question_version,omitempty" minimum:"1" doc:"The newest if absent"`
	BankID          *uuid.UUID `json:"bank_id,omitempty"`
	Pick            *int       `json:"pick,omitempty" minimum:"1" maximum:"500" doc:"How many are drawn from the bank"`
	Points          *Decimal   `json:"points" doc:"Of each question"`
}

// Slots are the places of a quiz in order.
type Slots struct {
	Points *Decimal `json:"points" doc:"Of all together" readOnly:"true"`
	Slots  []Slot   `json:"slots"`
}

func showSlots(q quiz.Quiz, slots []quiz.Slot) Slots {
	out := Slots{Points: decimal(&q.Points), Slots: make([]Slot, len(slots))}
	for i, s := range slots {
		out.Slots[i] = Slot{ID: &s.ID, QuestionID: s.QuestionID, QuestionVersion: s.QuestionVersion, BankID: s.BankID, Pick: s.Pick, Points: decimal(&s.Points)}
	}
	return out
}

func (a *QuizAPI) getSlots(ctx context.Context, in *web.ByID) (*web.Resource[Slots], error) {
	q, slots, err := a.Service.Slots(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showSlots(q, slots), q.Version), nil
}

type putSlotsInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Slots []Slot `json:"slots" maxItems:"200"`
	}
}

func (a *QuizAPI) putSlots(ctx context.Context, in *putSlotsInput) (*web.Resource[Slots], error) {
	var f apperr.Fields
	slots := make([]quiz.Slot, len(in.Body.Slots))
	for i, s := range in.Body.Slots {
		slots[i] = quiz.Slot{QuestionID: s.QuestionID, QuestionVersion: s.QuestionVersion, BankID: s.BankID, Pick: s.Pick}
		if s.ID != nil {
			slots[i].ID = *s.ID
		}
		if p := s.Points.Value(&f, fmt.Sprintf("slots[%d].points", i)); p != nil {
			slots[i].Points = *p
		}
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	q, out, err := a.Service.PutSlots(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), slots)
	if err != nil {
		return nil, err
	}
	return web.Res(showSlots(q, out), q.Version), nil
}
