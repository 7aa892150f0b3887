// Package app puts the assignment service together.
package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/archive"
	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/events"
	"lms/apps/assignment/internal/httpapi"
	"lms/apps/assignment/internal/postgres"
	"lms/shared/richtext"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_ASSIGNMENT_….
type Config struct {
	DueSoonBefore time.Duration `default:"24h" desc:"how long before its due time work is said to be due"`
	MaxFileBytes  int64         `default:"1073741824" desc:"the largest file that an assignment may allow, in bytes; at most 5 GiB"`
	UploadFor     time.Duration `default:"24h" desc:"how long an uploaded file waits to be handed in"`
	SweepEvery    time.Duration `default:"1m" desc:"how often work that is due soon or missing is looked for"`
	CountEvery    time.Duration `default:"1s" desc:"how often totals that a changed course moves are looked for"`
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
	people := events.NewPeople(k.Dapr, k.Now)
	svc := &coursework.Service{
		Store: postgres.NewStore(k.DB), Authz: k.Authz, Access: events.NewAccess(k.Dapr, k.Now), People: people, Text: richtext.New(), Calls: k.Outbox,
		Settings: coursework.Settings{DueSoonBefore: cfg.DueSoonBefore, MaxFileBytes: cfg.MaxFileBytes, UploadFor: cfg.UploadFor},
		Now:      k.Now, NewID: k.NewID, NewAlias: uuid.New,
	}
	api := &httpapi.API{Service: svc, Now: k.Now}
	if k.Objects != nil {
		api.Files, svc.Files = k.Objects, k.Objects
	}
	api.Mount(k.Web)
	events.Receivers{Service: svc, Wrap: postgres.NewTx, People: people, Objects: k.Objects}.Register(k.Inbox)
	events.Jobs(k.Jobs, svc)
	(&archive.Jobs{Service: svc, Objects: k.Objects}).Handle(k.Jobs)
	k.Every("sweep", cfg.SweepEvery, svc.Sweep)
	k.Every("sweep-quizzes", cfg.SweepEvery, svc.SweepQuizzes)
	k.Every("count-totals", cfg.CountEvery, svc.CountAll)
	k.Recompute(svc.Recompute)
	k.Every("sweep-files", time.Hour, svc.SweepFiles)
	return nil
}
