// Package app puts the content service together.
package app

import (
	"context"

	"lms/apps/content/internal/events"
	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/library"
	"lms/apps/content/internal/postgres"
	"lms/shared/richtext"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_CONTENT_….
type Config struct{}

// Build wires the service into its kit.
func Build(_ context.Context, k *service.Kit) error {
	if err := k.NeedsDatabase(); err != nil {
		return err
	}
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	lib := &library.Service{
		Store: postgres.NewLibrary(k.DB), Authz: k.Authz, Members: events.NewMembers(k.Dapr, k.Now), Placements: events.Placements{Invoker: k.Dapr},
		Text: richtext.New(), Now: k.Now, NewID: k.NewID,
	}
	(&httpapi.API{Library: lib}).Mount(k.Web)
	return nil
}
