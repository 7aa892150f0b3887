// Package app puts the user service together.
package app

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/events"
	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/mails"
	"lms/apps/user/internal/passwords"
	"lms/apps/user/internal/postgres"
	"lms/apps/user/internal/seal"
	"lms/shared/contracts/internalapi"
	"lms/shared/jobs"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_USER_….
type Config struct {
	Registration         bool          `default:"true" desc:"people may make their own accounts"`
	RegistrationOrgUnit  string        `envconfig:"REGISTRATION_ORG_UNIT" desc:"id of the org unit of who registers; the only root if not set"`
	RequireVerifiedEmail bool          `envconfig:"REQUIRE_VERIFIED_EMAIL" desc:"no login by password before the address is proved; who registers has proved it in any case"`
	DefaultLocale        string        `default:"en" desc:"BCP 47, of who says nothing"`
	DefaultTimeZone      string        `default:"UTC" desc:"IANA name, of who says nothing"`
	InvitationTTL        time.Duration `envconfig:"INVITATION_TTL" default:"168h" desc:"how long an invitation is good"`
	VerificationTTL      time.Duration `envconfig:"VERIFICATION_TTL" default:"24h" desc:"how long a link that proves an address is good"`
	ResetTTL             time.Duration `envconfig:"RESET_TTL" default:"30m" desc:"how long a link for a new password is good"`
	DeletedRetention     time.Duration `default:"720h" desc:"how long a deleted account keeps its data before it is erased everywhere"`
	SecurityRetention    time.Duration `default:"9600h" desc:"how long the security audit is kept"`
	ExportRetention      time.Duration `default:"168h" desc:"how long the file of a data export can be fetched"`
	PersonServices       []string      `default:"course,enrollment,content,assignment,notification,payment,search,analytics" desc:"services that keep personal data, by commas"`
	PasswordSlots        int           `default:"4" desc:"passwords hashed at once; each takes 19 MiB"`
	LongJobs             int           `default:"4" desc:"imports, merges, exports and erasures that run at once"`
}

const (
	passwordWait = 5 * time.Second
	sealingKey   = "user-sealing-key"
	// patience is how long the job of an export or erasure waits for the answers
	// of other services. An erasure goes on without its job.
	patience = 10 * time.Minute
)

func (c Config) domain(publicURL string) (identity.Config, error) {
	out := identity.Config{
		PublicURL: strings.TrimSuffix(publicURL, "/"), Registration: c.Registration, RequireVerifiedEmail: c.RequireVerifiedEmail,
		DefaultLocale: c.DefaultLocale, DefaultTimeZone: c.DefaultTimeZone, InvitationTTL: c.InvitationTTL, VerificationTTL: c.VerificationTTL,
		ResetTTL: c.ResetTTL, DeletedRetention: c.DeletedRetention, SecurityRetention: c.SecurityRetention, ExportRetention: c.ExportRetention,
		PersonServices: c.PersonServices,
	}
	var err error
	if c.RegistrationOrgUnit != "" {
		out.RegistrationOrgUnit, err = uuid.Parse(c.RegistrationOrgUnit)
	}
	return out, err
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
	domain, err := cfg.domain(k.Config.PublicURL)
	if err != nil {
		return err
	}
	hasher, err := passwords.New(passwords.Default(), max(cfg.PasswordSlots, 1), passwordWait)
	if err != nil {
		return err
	}
	texts, err := mails.New()
	if err != nil {
		return err
	}
	store := postgres.NewStore(k.DB)
	snapshots := &identity.Snapshots{Store: store}
	k.UseAuthz(snapshots)
	svc := &identity.Service{
		Store: store, Policy: snapshots, Passwords: hasher, Mails: texts,
		Sealer: &seal.Box{Secret: func(ctx context.Context) (string, error) { return k.Dapr.Secret(ctx, sealingKey) }},
		Calls:  events.Calls{Services: cfg.PersonServices}, Courses: events.Courses{Invoker: k.Dapr}, Sessions: events.Sessions{Invoker: k.Dapr},
		Files: files{k.Objects}, Now: k.Now, NewID: k.NewID, Random: func(b []byte) { _, _ = rand.Read(b) }, // it never fails (Go 1.24)
		Config: domain,
	}
	standing := func(ctx context.Context, id uuid.UUID) (internalapi.ActorStanding, error) {
		who, err := svc.ActorOf(ctx, id)
		return internalapi.ActorStanding(who), err
	}
	k.UseStanding(standing)
	api := &httpapi.API{Service: svc, Snapshots: snapshots}
	if k.Objects != nil {
		api.Uploads = k.Objects
	}
	api.Mount(k.Web)
	events.Replies(k.Outbox, svc, postgres.NewTx)
	b := &background{svc: svc, objects: k.Objects, now: k.Now, patience: patience}
	b.mails(k.Jobs)
	// What takes long, or waits for other services, must not hold up a link that
	// somebody waits for: it has a runner of its own.
	long := jobs.New(jobs.Options{DB: k.DB, Log: k.Log, Parallel: cfg.LongJobs, Standing: standing})
	b.long(long)
	k.Go("long-jobs", long.Run)
	k.Every("expire", time.Hour, svc.Expire)
	k.Every("erase-deleted", time.Hour, svc.EraseDeleted)
	k.Every("drop-exports", time.Hour, svc.DropExports)
	k.Every("drop-uploads", time.Hour, svc.DropUploads)
	return nil
}
