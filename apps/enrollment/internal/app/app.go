// Package app puts the enrollment service together.
package app

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/events"
	"lms/apps/enrollment/internal/httpapi"
	"lms/apps/enrollment/internal/postgres"
	"lms/apps/enrollment/internal/printed"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_ENROLLMENT_….
type Config struct {
	CheckoutURL     string        `envconfig:"CHECKOUT_URL" desc:"where an offered seat is paid for; course_id is added; the public URL with /checkout if not set"`
	OfferFor        time.Duration `default:"48h" desc:"how long an offered seat is kept (rule 35)"`
	InviteFor       time.Duration `default:"720h" desc:"how long an invitation stands unless staff say otherwise"`
	HoldFor         time.Duration `default:"1h" desc:"the longest that a checkout may hold a seat"`
	NoticeBefore    time.Duration `default:"168h" desc:"how long before its end an enrollment is said to expire"`
	SweepEvery      time.Duration `default:"1m" desc:"how often dates become stored facts, and who waits is promoted"`
	CurriculumItems int           `default:"200000" desc:"items of compiled curricula kept in memory"`
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
	printer, err := printed.New()
	if err != nil {
		return err
	}
	public := strings.TrimSuffix(k.Config.PublicURL, "/")
	if cfg.CheckoutURL == "" {
		cfg.CheckoutURL = public + "/checkout"
	}
	people := events.NewPeople(k.Dapr, k.Now)
	svc := &enrollment.Service{
		Store: postgres.NewStore(k.DB), Authz: k.Authz, Courses: events.Courses{Invoker: k.Dapr}, People: people,
		Curricula: enrollment.NewCurricula(cfg.CurriculumItems),
		Settings: enrollment.Settings{
			PublicURL: public, CheckoutURL: cfg.CheckoutURL, OfferFor: cfg.OfferFor, InviteFor: cfg.InviteFor,
			HoldFor: cfg.HoldFor, NoticeBefore: cfg.NoticeBefore,
		},
		Now: k.Now, NewID: k.NewID, Random: rand.Reader,
	}
	(&httpapi.API{Service: svc, Printer: printer, Now: k.Now}).Mount(k.Web)
	events.Receivers{Service: svc, Wrap: postgres.NewTx, People: people, Now: k.Now, Objects: k.Objects}.Register(k.Inbox)
	events.Jobs(k.Jobs, svc)
	k.Recompute(svc.Recompute)
	k.Every("sweep", cfg.SweepEvery, svc.Sweep)
	return nil
}
