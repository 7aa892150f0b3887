package app

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/events"
	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/postgres"
	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/transfer"
	"lms/shared/service"
)

// QuizConfig is what can be set of quizzes, LMS_CONTENT_QUIZ_….
type QuizConfig struct {
	QuizGrace        time.Duration `default:"10s" desc:"how long after the end of an attempt what was on its way is still taken"`
	QuizSweepEvery   time.Duration `default:"2s" desc:"how often attempts whose time is over are closed, and results shown that are due"`
	QuizNoticeBefore time.Duration `default:"24h" desc:"how long before its due time a quiz is said to be due"`
	QuizImportFolder string        `desc:"where an uploaded package of questions is kept while it is read; empty: the system's temporary folder"`
}

// settledWithin is how long an answer waits for the course's progress to know.
const settledWithin = 2 * time.Second

// quizzes wires question banks, quizzes and attempts.
func quizzes(k *service.Kit, cfg QuizConfig, html func(string) string) *quiz.Service {
	svc := &quiz.Service{
		Store: postgres.NewQuizStore(k.DB), Authz: k.Authz, Members: events.NewQuizMembers(k.Dapr, k.Now), Placements: events.QuizPlacements{Invoker: k.Dapr},
		HTML: html, Limits: quiz.Limits{Grace: cfg.QuizGrace, NoticeBefore: cfg.QuizNoticeBefore}, Now: k.Now, NewID: k.NewID, Random: rand.Reader,
		Settled: func(ctx context.Context, call uuid.UUID) bool { return k.Outbox.Settled(ctx, call, settledWithin) },
	}
	api := &httpapi.QuizAPI{Service: svc}
	if k.Objects != nil {
		api.Uploads = k.Objects
	}
	api.Mount(k.Web)
	events.QuizJobs(k.Jobs, svc)
	imports := &transfer.Questions{Service: svc, Objects: k.Objects, Folder: cfg.QuizImportFolder}
	imports.Handle(k.Jobs)
	k.Recompute(svc.Recompute)
	k.Every("quiz-sweep", cfg.QuizSweepEvery, svc.Sweep)
	k.Every("sweep-question-uploads", time.Hour, imports.Sweep)
	return svc
}
