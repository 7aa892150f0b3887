// Package app puts the content service together.
package app

import (
	"context"
	"time"

	"lms/apps/content/internal/events"
	"lms/apps/content/internal/files"
	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/library"
	"lms/apps/content/internal/postgres"
	"lms/shared/richtext"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_CONTENT_….
type Config struct {
	QuizConfig
	SweepEvery time.Duration `default:"1m" desc:"how often uploads expire and objects that nothing refers to are removed"`
	OpenedKept int           `default:"200000" desc:"first openings remembered in memory, so that the next ones ask no database"`
}

// Build wires the service into its kit.
func Build(_ context.Context, k *service.Kit) error {
	if err := k.NeedsDatabase(); err != nil {
		return err
	}
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	text := richtext.New()
	lib := &library.Service{
		Store: postgres.NewLibrary(k.DB), Authz: k.Authz, Members: events.NewMembers(k.Dapr, k.Now), Placements: events.Placements{Invoker: k.Dapr},
		Text: text, Files: files.Files{Store: k.Objects}, Calls: k.Outbox, Opened: library.NewOpenings(cfg.OpenedKept), Now: k.Now, NewID: k.NewID,
	}
	(&httpapi.API{Library: lib}).Mount(k.Web)
	quizzes := quizzes(k, cfg.QuizConfig, text.HTML)
	events.Receivers(k.Inbox, k.Objects, events.Library{Service: lib, Wrap: postgres.NewLibraryTx}, events.QuizPeople{Service: quizzes, Wrap: postgres.NewQuizTx})
	events.Parts{Library: lib, Quizzes: quizzes, WrapLibrary: postgres.NewLibraryTx, WrapQuiz: postgres.NewQuizTx}.Register(k.Inbox)
	events.LibraryJobs(k.Jobs, lib)
	k.Every("tell-watched", 10*time.Second, lib.TellWatched)
	if k.Objects != nil {
		k.Every("sweep-uploads", cfg.SweepEvery, lib.Sweep)
		k.Every("reconcile-objects", 24*time.Hour, lib.Reconcile)
	}
	return nil
}
