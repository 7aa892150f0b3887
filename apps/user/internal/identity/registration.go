package identity

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Registration is an account that nobody has proved the address of yet.
type Registration struct {
	ID           uuid.UUID
	TenantID     uuid.UUID
	OrgUnitID    uuid.UUID
	Email        string
	Name         string
	GivenName    string
	FamilyName   string
	Locale       string
	TimeZone     string
	PasswordHash string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// NewRegistration is what somebody says who makes an account.
type NewRegistration struct {
	Email      string
	Password   string
	Name       string
	GivenName  string
	FamilyName string
	Locale     string
	TimeZone   string
	From       From
}

// JobRegister is the kind of the job that looks a registration's address up.
const JobRegister = "register"

// RegisterJob is its input. The password is hashed already.
type RegisterJob struct {
	Registration Registration
	From         From
}

// Register takes a registration. The answer and its time are the same whether
// the address has an account or not: the password is hashed in any case, and
// the looking up is done by a job, which mails the link to prove the address,
// or tells the account's owner that there is one.
func (s *Service) Register(ctx context.Context, in NewRegistration) error {
	if !s.Config.Registration {
		return apperr.Forbidden("Accounts are made by the organisation here.").Detail("reason", "registration_closed")
	}
	now := s.Now()
	u := User{
		Email: strings.TrimSpace(in.Email), Name: strings.TrimSpace(in.Name), GivenName: strings.TrimSpace(in.GivenName),
		FamilyName: strings.TrimSpace(in.FamilyName), Locale: in.Locale, TimeZone: in.TimeZone,
	}
	s.defaults(&u)
	u.complete()
	var f apperr.Fields
	u.check(&f)
	f.Require(u.Email != "", "email", "required", "An account needs an address.")
	s.checkPassword(&f, "password", in.Password, u.Email, u.Name)
	if err := f.Err(); err != nil {
		return err
	}
	hash, err := s.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return err
	}
	r := Registration{
		ID: s.NewID(), Email: u.Email, Name: u.Name, GivenName: u.GivenName, FamilyName: u.FamilyName, Locale: u.Locale, TimeZone: u.TimeZone,
		PasswordHash: hash, CreatedAt: now, ExpiresAt: now.Add(s.Config.VerificationTTL),
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		// The same for every address, so it may be told: the job would tell nobody.
		if _, err := s.registrationUnit(ctx, tx); err != nil {
			return err
		}
		return tx.Once(ctx, &struct{}{}, func() error {
			_, err := tx.Enqueue(ctx, JobRegister, RegisterJob{Registration: r, From: in.From}, work.JobOptions{})
			return err
		})
	})
}

// FinishRegister is the job. The answer was given before, so what is not sent
// because too much was is told to nobody.
func (s *Service) FinishRegister(ctx context.Context, j RegisterJob) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		r := j.Registration
		if full, err := s.written(ctx, tx, TokenRegistration, r.Email); err != nil || full {
			return err
		}
		n, err := tx.EventsSince(ctx, "registration_asked", uuid.Nil, j.From.IP, s.Now().Add(-time.Hour))
		if err != nil || n >= registrationsPerHour {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "registration_asked", From: j.From}); err != nil {
			return err
		}
		u, err := tx.LockUserByEmail(ctx, EmailKey(r.Email))
		if err == nil {
			return s.registerAgain(ctx, tx, u, j.From)
		}
		if !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		unit, err := s.registrationUnit(ctx, tx)
		if err != nil {
			return err
		}
		r.TenantID, r.OrgUnitID = unit.TenantID, unit.ID
		if err := tx.InsertRegistration(ctx, r); err != nil {
			return err
		}
		return s.sendRegistration(ctx, tx, r)
	})
}

// registerAgain writes to who has an account already.
func (s *Service) registerAgain(ctx context.Context, tx Tx, u User, from From) error {
	if u.Status == StatusInvited {
		return s.inviteAgain(ctx, tx, u)
	}
	n, err := tx.EventsSince(ctx, "registration_known", u.ID, "", s.Now().Add(-time.Hour))
	if err != nil || n >= linksPerHour {
		return err
	}
	if err := s.security(ctx, tx, SecurityEvent{Kind: "registration_known", UserID: u.ID, TenantID: u.TenantID, From: from}); err != nil {
		return err
	}
	return s.mailTo(ctx, tx, u, u.Email, MailAlreadyHere, MailData{Email: u.Email, Link: s.link("/login", "")})
}

// inviteAgain sends an invited person the invitation at somebody's wish, but not
// as often as they like.
func (s *Service) inviteAgain(ctx context.Context, tx Tx, u User) error {
	if full, err := s.written(ctx, tx, TokenInvitation, u.Email); err != nil || full {
		return err
	}
	return s.sendInvitation(ctx, tx, u)
}

// registrationUnit is where new accounts go: the configured unit, or the only
// tenant there is.
func (s *Service) registrationUnit(ctx context.Context, tx Tx) (OrgUnit, error) {
	if s.Config.RegistrationOrgUnit != uuid.Nil {
		return openUnit(ctx, tx, s.Config.RegistrationOrgUnit)
	}
	roots, err := tx.Roots(ctx)
	if err != nil {
		return OrgUnit{}, err
	}
	if len(roots) != 1 {
		return OrgUnit{}, apperr.Conflict("registration_unit_unknown", "With several organisations, the unit of new accounts must be configured.")
	}
	return roots[0], nil
}

func (s *Service) sendRegistration(ctx context.Context, tx Tx, r Registration) error {
	text, expires, err := s.newToken(ctx, tx, OneTimeToken{TenantID: r.TenantID, RegistrationID: r.ID, Kind: TokenRegistration, Email: r.Email})
	if err != nil {
		return err
	}
	to := User{TenantID: r.TenantID, Name: r.Name, Locale: r.Locale, TimeZone: r.TimeZone}
	return s.mailTo(ctx, tx, to, r.Email, MailRegistration, MailData{Link: s.link(paths[TokenRegistration], text), Email: r.Email, Expires: expires})
}

func (s *Service) resendRegistration(ctx context.Context, tx Tx, key string) error {
	r, err := tx.NewestRegistration(ctx, key, s.Now())
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if full, err := s.written(ctx, tx, TokenRegistration, r.Email); err != nil || full {
		return err
	}
	return s.sendRegistration(ctx, tx, r)
}

// completeRegistration makes the account whose address was just proved. All
// other registrations of the address end with it.
func (s *Service) completeRegistration(ctx context.Context, tx Tx, t OneTimeToken) (User, error) {
	r, err := tx.Registration(ctx, t.RegistrationID)
	if err != nil {
		return User{}, err
	}
	unit, err := openUnit(ctx, tx, r.OrgUnitID)
	if err != nil {
		return User{}, err
	}
	now := s.Now()
	u := User{
		ID: s.NewID(), TenantID: r.TenantID, OrgUnitID: r.OrgUnitID, Status: StatusActive, Origin: OriginRegistration,
		Email: r.Email, EmailVerifiedAt: &now, Name: r.Name, GivenName: r.GivenName, FamilyName: r.FamilyName,
		Locale: r.Locale, TimeZone: r.TimeZone, Epoch: 1, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	u.complete()
	if err := s.insertUser(ctx, tx, u, r.PasswordHash, unit.Path); err != nil {
		if apperr.Code(err) == "email_taken" {
			return User{}, errTokenInvalid()
		}
		return User{}, err
	}
	if err := tx.DeleteRegistrations(ctx, EmailKey(r.Email)); err != nil {
		return User{}, err
	}
	return u, s.security(ctx, tx, SecurityEvent{Kind: "registered", UserID: u.ID, TenantID: u.TenantID})
}

// Invite sends an invitation, again if need be.
func (s *Service) Invite(ctx context.Context, actor authz.Principal, id uuid.UUID) (User, error) {
	return s.changeStatus(ctx, actor, id, authz.UserCreate, func(ctx context.Context, tx Tx, u *User) error {
		if u.Status != StatusInvited {
			return apperr.Conflict("already_active", "The account was accepted already.")
		}
		if u.Email == "" {
			return apperr.Conflict("no_email", "The account has no address.")
		}
		if full, err := s.written(ctx, tx, TokenInvitation, u.Email); err != nil {
			return err
		} else if full {
			return apperr.New(apperr.KindRateLimited, "too_many_invitations", "This person was invited several times within the hour.").After(time.Hour)
		}
		if err := tx.Audit(ctx, work.AuditEntry{Action: "user.invite", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
			return err
		}
		return s.sendInvitation(ctx, tx, *u)
	})
}

// Acceptance is what an invited person says.
type Acceptance struct {
	Token    string
	Password string
	Name     string
	Locale   string
	TimeZone string
	From     From
}

// AcceptInvitation makes an invited account active; the link proves the
// address.
func (s *Service) AcceptInvitation(ctx context.Context, in Acceptance) (u User, err error) {
	t, known, err := s.peekToken(ctx, in.Token, TokenInvitation)
	if err != nil {
		return u, err
	}
	known.Name = firstOf(strings.TrimSpace(in.Name), known.Name)
	known.Locale, known.TimeZone = firstOf(in.Locale, known.Locale), firstOf(in.TimeZone, known.TimeZone)
	var f apperr.Fields
	known.check(&f)
	s.checkPassword(&f, "password", in.Password, t.Email, known.Name)
	if err := f.Err(); err != nil {
		return u, err
	}
	hash, err := s.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return u, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if _, err := s.useToken(ctx, tx, in.Token, TokenInvitation); err != nil {
			return err
		}
		before, err := tx.LockUser(ctx, t.UserID)
		if err != nil {
			return err
		}
		if before.Status != StatusInvited || EmailKey(before.Email) != EmailKey(t.Email) {
			return errTokenInvalid()
		}
		u = before
		now := s.Now()
		u.Status, u.Name, u.Locale, u.TimeZone, u.EmailVerifiedAt = StatusActive, known.Name, known.Locale, known.TimeZone, &now
		if err := tx.SetPassword(ctx, u.TenantID, u.ID, hash, now); err != nil {
			return err
		}
		if err := s.security(ctx, tx, SecurityEvent{Kind: "invitation_accepted", UserID: u.ID, TenantID: u.TenantID, From: in.From}); err != nil {
			return err
		}
		return s.saveUser(ctx, tx, before, &u, "user.accept_invitation")
	})
	return u, err
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
