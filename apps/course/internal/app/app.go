// Package app puts the course service together.
package app

import (
	"context"
	"time"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/events"
	"lms/apps/course/internal/httpapi"
	"lms/apps/course/internal/postgres"
	"lms/apps/course/internal/transfer"
	"lms/shared/richtext"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_COURSE_….
type Config struct {
	ViewBuffer   int    `default:"20000" desc:"views kept in memory until they are written, each second; more are not counted"`
	ImportFolder string `desc:"where an uploaded package is kept while it is read; empty: the system's temporary folder"`
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
	svc := &catalog.Service{
		Store: postgres.NewStore(k.DB), Authz: k.Authz,
		People:     events.People{Invoker: k.Dapr},
		Membership: events.NewMembership(k.Dapr, k.Log, k.Now),
		Text:       richtext.New(), Views: catalog.NewViews(cfg.ViewBuffer), Now: k.Now, NewID: k.NewID,
	}
	api := &httpapi.API{Service: svc}
	if k.Objects != nil {
		api.Uploads = k.Objects
	}
	api.Mount(k.Web)
	events.Receivers(k.Inbox, svc, postgres.NewTx)
	events.Parts(k.Outbox, k.Inbox, svc, postgres.NewTx)
	background := &transfer.Jobs{Service: svc, Objects: k.Objects, Log: k.Log, Folder: cfg.ImportFolder}
	background.Handle(k.Jobs)

	// Each replica writes its own views, so that this loop runs in all of them.
	k.Go("course-views", func(ctx context.Context) error { return flushViews(ctx, svc) })
	k.Every("publish-announcements", 5*time.Second, svc.PublishDue)
	k.Every("purge-views", time.Hour, svc.PurgeViews)
	k.Every("sweep-uploads", time.Hour, background.Sweep)
	k.Every("purge-parts", time.Hour, svc.PurgeParts)
	return nil
}

// flushViews writes collected views every second, and once more at the end.
func flushViews(ctx context.Context, svc *catalog.Service) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := svc.FlushViews(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return svc.FlushViews(last)
		}
	}
}
