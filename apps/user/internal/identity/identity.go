// Package identity is who people are and what they may do: users and their
// credentials, the tree of org units, roles and grants, groups, and the
// requests that concern all of a person's data. It does no I/O of its own: it
// decides, and its Store, Calls and other neighbours do.
package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Config is what an operator may decide.
type Config struct {
	// PublicURL is where links in mails begin, without a slash at the end.
	PublicURL string
	// Registration lets people make their own accounts, in RegistrationOrgUnit
	// unless they name a tenant that is allowed.
	Registration        bool
	RegistrationOrgUnit uuid.UUID
	// RequireVerifiedEmail refuses a login by password until the address is proved.
	RequireVerifiedEmail bool
	DefaultLocale        string // BCP 47
	DefaultTimeZone      string // IANA
	InvitationTTL        time.Duration
	VerificationTTL      time.Duration
	ResetTTL             time.Duration
	// DeletedRetention is how long a deleted account keeps its data before it is
	// erased everywhere.
	DeletedRetention time.Duration
	// SecurityRetention is how long the security audit is kept.
	SecurityRetention time.Duration
	// ExportRetention is how long the file of a data export can be fetched.
	ExportRetention time.Duration
	// PersonServices are the services that keep personal data: told of a person's
	// status, asked to export and to erase.
	PersonServices []string
}

// DefaultConfig is what applies when an operator says nothing.
func DefaultConfig() Config {
	return Config{
		PublicURL: "http://127.0.0.1:8080", DefaultLocale: "en", DefaultTimeZone: "UTC",
		InvitationTTL: 7 * 24 * time.Hour, VerificationTTL: 24 * time.Hour, ResetTTL: 30 * time.Minute,
		DeletedRetention: 30 * 24 * time.Hour, SecurityRetention: 400 * 24 * time.Hour, ExportRetention: 7 * 24 * time.Hour,
	}
}

// Service is the service layer. Every field is required unless said otherwise.
type Service struct {
	Store     Store
	Policy    authz.Source
	Passwords Passwords
	Sealer    Sealer
	Mails     Mails
	Calls     Calls
	Courses   Courses
	Sessions  Sessions
	Files     Files
	Now       func() time.Time
	NewID     func() uuid.UUID
	// Random fills b with random bytes.
	Random func(b []byte)
	Config Config
}

// Passwords does the slow part of password checking.
type Passwords interface {
	// Hash makes a PHC string. It waits for one of a bounded number of slots;
	// when none comes free in time it is Unavailable `busy`.
	Hash(ctx context.Context, password string) (string, error)
	// Verify compares. An empty hash costs the same and is never right. Upgrade
	// says that the hash was made with other parameters than today's.
	Verify(ctx context.Context, hash, password string) (ok, upgrade bool, err error)
	// Common says that many people use this password.
	Common(password string) bool
}

// Sealer encrypts what must be read again: second factors, client secrets of
// identity providers, signing keys. Context binds a value to its place, so
// that it cannot be moved to another row.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// MailKind names a message.
type MailKind string

// The messages that this service sends. All are about security, so that nobody
// can unsubscribe from them.
const (
	MailInvitation       MailKind = "invitation"
	MailVerification     MailKind = "email_verification"
	MailRegistration     MailKind = "registration"
	MailAlreadyHere      MailKind = "registration_known" // somebody registered with a known address
	MailReset            MailKind = "password_reset"
	MailPasswordChanged  MailKind = "password_changed"
	MailEmailChange      MailKind = "email_change"         // to the new address
	MailEmailChangeAsked MailKind = "email_change_asked"   // to the old address
	MailEmailChanged     MailKind = "email_changed"        // to the old address
	MailNewDevice        MailKind = "new_device"           //
	MailMFAEnabled       MailKind = "mfa_enabled"          //
	MailMFADisabled      MailKind = "mfa_disabled"         //
	MailImpersonated     MailKind = "impersonated"         // support acted as the person
	MailExportReady      MailKind = "data_export_ready"    //
	MailDeactivated      MailKind = "account_deactivated"  //
	MailTokenCreated     MailKind = "access_token_created" //
)

// MailData is what texts may speak of.
type MailData struct {
	Name    string
	Link    string
	Email   string
	IP      string
	Device  string
	When    time.Time
	Expires time.Time
	Detail  string
}

// Mails writes texts in the language nearest to a locale.
type Mails interface {
	Render(kind MailKind, locale string, d MailData) (subject, text, html string, err error)
}

// Calls tells other services reliably, within the transaction of a unit.
type Calls interface {
	// EndSessions ends the sessions of a user or client: all, or all but one; or
	// none but makes access tokens of an earlier epoch worthless.
	EndSessions(ctx context.Context, u work.Unit, e SessionEnd) error
	// PersonStatus says to every service of Config.PersonServices what became of
	// a person.
	PersonStatus(ctx context.Context, u work.Unit, p User) error
	// Erase and Export ask one service and return the call's id, by which its
	// answer is recognised.
	Erase(ctx context.Context, u work.Unit, service string, r PersonRequest) (uuid.UUID, error)
	Export(ctx context.Context, u work.Unit, service string, r PersonRequest) (uuid.UUID, error)
}

// SessionEnd says whose sessions end, and why.
type SessionEnd struct {
	Subject   uuid.UUID
	TenantID  uuid.UUID
	Except    uuid.UUID // a session that goes on
	Reason    string
	EpochOnly bool
	Epoch     int64 // of the subject after the change
}

// CourseAccess is how a person stands to a course.
type CourseAccess struct {
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	StaffRole string // "" for learners and admins
}

// Courses asks enrollment.
type Courses interface {
	// Access is how the actor stands to a course; NotFound for who may not know it.
	Access(ctx context.Context, actor authz.Principal, course uuid.UUID) (CourseAccess, error)
	// Learners are the people who learn in a course now.
	Learners(ctx context.Context, course uuid.UUID) ([]uuid.UUID, error)
}

// Session is a live session of a person, as auth knows it.
type Session struct {
	ID         uuid.UUID
	Kind       string
	Method     string
	Device     string
	IP         string
	UserAgent  string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
}

// Sessions asks auth.
type Sessions interface {
	List(ctx context.Context, user uuid.UUID) ([]Session, error)
	// End ends one session, or all when session is nil.
	End(ctx context.Context, user, session uuid.UUID) error
}

// Files keeps the files of data exports and reads uploaded imports.
type Files interface {
	Put(ctx context.Context, key, mediaType string, content []byte) error
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	Delete(ctx context.Context, key string) error
	// Link is an address from which the file can be fetched for a short while.
	Link(ctx context.Context, key, filename, mediaType string) (string, error)
}

// policy is the present tree and roles.
func (s *Service) policy(ctx context.Context) (*authz.Policy, error) {
	p, err := s.Policy.Policy(ctx)
	if err != nil {
		return nil, apperr.Unavailable("policy_unavailable", "Permissions cannot be read at the moment.").With(err)
	}
	return p, nil
}

// covers says whether the actor holds, where the grant holds, everything that
// the granted role may do: nobody gives, or gains power over, more than that.
func covers(p *authz.Policy, actor authz.Principal, g authz.Grant) bool {
	unit := uuid.Nil
	if g.Scope.Kind == authz.ScopeOrgUnit {
		unit = g.Scope.ID
	}
	for _, perm := range authz.AllPermissions() {
		if p.RoleHas(g.Role, perm) && !p.Allows(actor, perm, unit) {
			return false
		}
	}
	return true
}

func coversAll(p *authz.Policy, actor authz.Principal, grants []authz.Grant) bool {
	for _, g := range grants {
		if !covers(p, actor, g) {
			return false
		}
	}
	return true
}

// meta places an event of a user.
func (u User) meta() work.Meta { return work.Meta{TenantID: u.TenantID, OrgUnitID: u.OrgUnitID} }

// randomBytes makes n random bytes.
func (s *Service) randomBytes(n int) []byte {
	b := make([]byte, n)
	s.Random(b)
	return b
}
