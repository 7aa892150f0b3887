// Package app puts the analytics service together.
package app

import (
	"context"
	"strings"
	"time"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/dashboard"
	"lms/apps/analytics/internal/events"
	"lms/apps/analytics/internal/export"
	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/httpapi"
	"lms/apps/analytics/internal/postgres"
	"lms/apps/analytics/internal/xapi"
	"lms/shared/contracts"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_ANALYTICS_….
type Config struct {
	MonthsEvery time.Duration `default:"6h" desc:"how often room for the events of the next months is made"`
}

// gather is how long events are gathered before they are delivered: a batch costs a
// transaction, however small, and a report that is a fifth of a second older is as
// good.
const gather = 200 * time.Millisecond

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
	svc := analytics.New(analytics.Service{
		Store: postgres.NewStore(k.DB), Archive: history.NewArchive(), Authz: k.Authz, Courses: events.NewCourses(k.Dapr, k.Now), People: people,
		Now: k.Now, NewID: k.NewID, Log: k.Log,
	})
	page, err := dashboard.NewPage()
	if err != nil {
		return err
	}
	(&httpapi.API{Service: svc, Page: page, Statements: xapi.Writer{Home: strings.TrimSuffix(k.Config.PublicURL, "/")}}).Mount(k.Web)
	events.Receivers{Service: svc, Wrap: postgres.NewTx, People: people, Objects: k.Objects}.Register(k.Inbox)
	k.Inbox.Gather(gather)
	(&export.Jobs{Service: svc, Objects: k.Objects}).Handle(k.Jobs)
	k.Recompute(svc.Recompute)
	k.Go("adding up", svc.AddUp)
	k.Ready("reports", false, svc.Current)
	k.Every("months", cfg.MonthsEvery, svc.MakeRoom)
	for _, t := range contracts.Topics() {
		k.Requires(t.Component)
	}
	return nil
}
