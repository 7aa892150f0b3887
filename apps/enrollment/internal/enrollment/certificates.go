package enrollment

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// codeBytes are the random bytes of a verification code: 160 bits, above the 128
// that rule 15 asks for, and 32 letters without padding.
const codeBytes = 20

// letters without those that are mistaken for others when read from paper.
var letters = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // immutable

func (s *Service) randomCode(size int) (string, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(s.Random, b); err != nil {
		return "", fmt.Errorf("random code: %w", err)
	}
	return letters.EncodeToString(b), nil
}

// Earned says whether a certificate is due, or what is missing (rule 15):
// completed, and the posted course grade passes or the person is on the
// allowlist; never for who is not enrolled.
func Earned(e Enrollment, c Course, allowed bool) error {
	refuse := func(why string) error {
		return apperr.Conflict("certificate_not_earned", "The certificate is not earned.").Detail("reason", why)
	}
	settings := c.Completion.Certificate
	switch {
	case !settings.Enabled:
		return refuse("not_offered")
	case !e.State.Learning():
		return refuse("not_enrolled")
	case e.CompletedAt == nil:
		return refuse("not_completed")
	case !allowed && !progress.Passes(settings.MinGrade, e.Grade()):
		return refuse("grade_too_low")
	}
	return nil
}

// candidate is what decides about a certificate.
type candidate struct {
	standing Standing
	existing *Certificate
	allowed  bool
}

func (s *Service) candidate(ctx context.Context, tx Tx, id uuid.UUID) (candidate, error) {
	var out candidate
	var err error
	if out.standing, err = tx.StandingOf(ctx, id, s.Now()); err != nil {
		return out, err
	}
	if out.existing, err = tx.CertificateOf(ctx, id); err != nil {
		return out, err
	}
	out.allowed, err = tx.IsAllowed(ctx, out.standing.Course.ID, out.standing.Existing.UserID)
	return out, err
}

// IssueCertificate issues a certificate by itself where one is due; a refusal is
// no failure.
func (s *Service) IssueCertificate(ctx context.Context, id uuid.UUID) error {
	_, err := s.issue(ctx, work.AllTenants(), id, nil, nil)
	if apperr.IsKind(err, apperr.KindConflict) || apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	return err
}

// ClaimCertificate issues a certificate at the wish of staff or of the learner.
// One that exists is given as it is (rule 15: not regenerated).
func (s *Service) ClaimCertificate(ctx context.Context, actor authz.Principal, id uuid.UUID) (Certificate, error) {
	check := func(ctx context.Context, tx Tx, st Standing) error {
		return s.mayChange(ctx, tx, actor, st, authz.CertificateManage, true)
	}
	var by *uuid.UUID
	if actor.UserID != uuid.Nil {
		by = &actor.UserID
	}
	return s.issue(ctx, scopeOf(actor), id, by, check)
}

// issue asks user for the name first, since no transaction waits for another
// service; all is checked again when the certificate is written.
func (s *Service) issue(ctx context.Context, sc work.Scope, id uuid.UUID, by *uuid.UUID, check func(context.Context, Tx, Standing) error) (Certificate, error) {
	var can candidate
	err := s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) (err error) {
		if can, err = s.candidate(ctx, tx, id); err != nil || check == nil {
			return err
		}
		return check(ctx, tx, can.standing)
	})
	if err != nil {
		return Certificate{}, err
	}
	if c, err := can.decide(); c != nil || err != nil {
		return deref(c), err
	}
	user := can.standing.Existing.UserID
	cards, err := s.People.Cards(ctx, []uuid.UUID{user})
	if err != nil {
		return Certificate{}, err
	}
	card, ok := cards[user]
	if !ok {
		return Certificate{}, apperr.Conflict("person_unknown", "The person is not known any more.")
	}
	var issued Certificate
	err = s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &issued, func() error {
			can, err := s.candidate(ctx, tx, id)
			if err != nil {
				return err
			}
			c, err := can.decide()
			if c != nil || err != nil {
				issued = deref(c)
				return err
			}
			issued, err = s.write(ctx, tx, can, card.Name, by)
			return err
		})
	})
	return issued, err
}

func deref(c *Certificate) Certificate {
	if c == nil {
		return Certificate{}
	}
	return *c
}

// decide gives the certificate that exists, an error when none may be issued, or
// neither when one is due. An invalidated one is never replaced.
func (can candidate) decide() (*Certificate, error) {
	if c := can.existing; c != nil {
		if c.RevokedAt != nil {
			return nil, apperr.Conflict("certificate_revoked", "The certificate was revoked.").Detail("certificate_id", c.ID)
		}
		return c, nil
	}
	return nil, Earned(*can.standing.Existing, can.standing.Course, can.allowed)
}

func (s *Service) write(ctx context.Context, tx Tx, can candidate, name string, by *uuid.UUID) (Certificate, error) {
	code, err := s.randomCode(codeBytes)
	if err != nil {
		return Certificate{}, err
	}
	now, e, c := s.Now(), *can.standing.Existing, can.standing.Course
	settings := c.Completion.Certificate
	cert := Certificate{
		ID: s.NewID(), TenantID: e.TenantID, OrgUnitID: c.OrgUnitID, EnrollmentID: e.ID, CourseID: c.ID, UserID: e.UserID,
		Code: code, Name: name, CourseCode: c.Code, CourseTitle: c.Title, Title: settings.Title, Signatory: settings.Signatory,
		CompletedAt: *e.CompletedAt, Grade: e.GradeFinal, IssuedAt: now, IssuedBy: by, Version: 1,
	}
	if settings.ValidDays != nil {
		until := now.AddDate(0, 0, *settings.ValidDays)
		cert.ValidUntil = &until
	}
	if err := tx.InsertCertificate(ctx, cert); err != nil {
		return cert, err
	}
	if err := tx.Emit(ctx, events.CertificateIssued{CertificateState: certificateState(cert), VerifyURL: s.VerifyURL(cert.Code)}, meta(c)); err != nil {
		return cert, err
	}
	return cert, s.auditCertificate(ctx, tx, "certificate.issue", cert)
}

// VerifyURL is the public page of a certificate.
func (s *Service) VerifyURL(code string) string {
	return s.Settings.PublicURL + "/api/v1/certificates/verify/" + code
}

func certificateState(c Certificate) events.CertificateState {
	return events.CertificateState{
		CertificateID: c.ID, EnrollmentID: c.EnrollmentID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.CourseID,
		CourseCode: c.CourseCode, CourseTitle: c.CourseTitle, UserID: c.UserID, Name: c.Name, CompletedAt: &c.CompletedAt,
		IssuedAt: c.IssuedAt, ValidUntil: c.ValidUntil, Grade: c.Grade,
	}
}

func (s *Service) auditCertificate(ctx context.Context, tx Tx, action string, c Certificate) error {
	if work.ActorFrom(ctx).Principal.UserID == uuid.Nil {
		return nil
	}
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "certificate", ResourceID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID,
	})
}

// RevokeCertificate invalidates a certificate; its page says so from then on.
func (s *Service) RevokeCertificate(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (c Certificate, err error) {
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &c, func() error {
			if c, err = tx.Certificate(ctx, id); err != nil {
				return err
			}
			course, role, err := tx.Course(ctx, c.CourseID, actor.UserID)
			if err != nil {
				return err
			}
			if err := s.may(ctx, actor, authz.CertificateManage, course, role); err != nil {
				return err
			}
			if c.RevokedAt != nil {
				return nil
			}
			now := s.Now()
			c.RevokedAt, c.RevokedBy, c.RevokeReason = &now, &actor.UserID, reason
			c.Version++
			if err := tx.RevokeCertificate(ctx, c); err != nil {
				return err
			}
			err = tx.Emit(ctx, events.CertificateRevoked{CertificateState: certificateState(c), RevokedAt: now, Reason: reason}, meta(course))
			if err != nil {
				return err
			}
			return s.auditCertificate(ctx, tx, "certificate.revoke", c)
		})
	})
	return c, err
}

// CertificateOf reads the certificate of an enrollment, for the person or staff.
func (s *Service) CertificateOf(ctx context.Context, actor authz.Principal, enrollment uuid.UUID) (c Certificate, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		l, err := tx.Get(ctx, enrollment, actor.UserID)
		if err != nil {
			return err
		}
		if err := s.maySee(ctx, actor, l); err != nil {
			return err
		}
		found, err := tx.CertificateOf(ctx, enrollment)
		if err != nil {
			return err
		}
		if found == nil {
			return apperr.NotFound("certificate")
		}
		c = *found
		return nil
	})
	return c, err
}

// VerifyCertificate finds a certificate by its code, for anybody who has it.
func (s *Service) VerifyCertificate(ctx context.Context, code string) (c Certificate, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		c, err = tx.CertificateByCode(ctx, code)
		return err
	})
	return c, err
}

// MyCertificates are the caller's certificates that are not revoked.
func (s *Service) MyCertificates(ctx context.Context, actor authz.Principal, p page.Request) (out page.Page[Certificate], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Certificates(ctx, CertificateFilter{UserID: &actor.UserID, Valid: true}, p)
		return err
	})
	return out, err
}

// CourseCertificates are those of a course, for staff.
func (s *Service) CourseCertificates(ctx context.Context, actor authz.Principal, course uuid.UUID, p page.Request) (out page.Page[Certificate], err error) {
	err = s.inCourse(ctx, actor, course, authz.EnrollmentRead, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.Certificates(ctx, CertificateFilter{CourseID: &course}, p)
		return err
	})
	return out, err
}

// inCourse reads in a course in which the caller holds a permission.
func (s *Service) inCourse(ctx context.Context, actor authz.Principal, course uuid.UUID, perm authz.Permission, do func(context.Context, Tx, Course) error) error {
	return s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, role, err := tx.Course(ctx, course, actor.UserID)
		if err != nil {
			return err
		}
		if err := s.may(ctx, actor, perm, c, role); err != nil {
			return err
		}
		return do(ctx, tx, c)
	})
}

// Allowlist are the people whose certificate does not depend on a grade.
func (s *Service) Allowlist(ctx context.Context, actor authz.Principal, course uuid.UUID, p page.Request) (out page.Page[Allowed], err error) {
	err = s.inCourse(ctx, actor, course, authz.CertificateManage, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.Allowlist(ctx, course, p)
		return err
	})
	return out, err
}

// Allow puts a person on the allowlist, and issues what becomes due; Disallow
// takes off it, which takes no certificate back.
func (s *Service) Allow(ctx context.Context, actor authz.Principal, course, user uuid.UUID, note string) (added bool, err error) {
	err = s.changeAllowlist(ctx, actor, course, user, "certificate.allow", func(ctx context.Context, tx Tx, c Course) (bool, error) {
		added, err = tx.Allow(ctx, Allowed{CourseID: course, UserID: user, TenantID: c.TenantID, Note: note, CreatedBy: &actor.UserID, CreatedAt: s.Now()})
		if err != nil || !added {
			return added, err
		}
		l, err := tx.Learner(ctx, course, user)
		if apperr.IsKind(err, apperr.KindNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return true, s.plan(ctx, tx, c, l.Enrollment)
	})
	return added, err
}

// Disallow takes a person off the allowlist.
func (s *Service) Disallow(ctx context.Context, actor authz.Principal, course, user uuid.UUID) error {
	return s.changeAllowlist(ctx, actor, course, user, "certificate.disallow", func(ctx context.Context, tx Tx, _ Course) (bool, error) {
		removed, err := tx.Disallow(ctx, course, user)
		if err == nil && !removed {
			err = apperr.NotFound("entry of the allowlist")
		}
		return removed, err
	})
}

func (s *Service) changeAllowlist(ctx context.Context, actor authz.Principal, course, user uuid.UUID, action string,
	do func(context.Context, Tx, Course) (bool, error),
) error {
	return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, role, err := tx.Course(ctx, course, actor.UserID)
		if err != nil {
			return err
		}
		if err := s.may(ctx, actor, authz.CertificateManage, c, role); err != nil {
			return err
		}
		changed, err := do(ctx, tx, c)
		if err != nil || !changed {
			return err
		}
		return tx.Audit(ctx, work.AuditEntry{
			Action: action, ResourceType: "course", ResourceID: course, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID,
			Changes: map[string]work.Change{"user_id": {To: user}},
		})
	})
}

// Status is what the page of a certificate says: valid, expired or revoked.
func (c Certificate) Status(now time.Time) string {
	switch {
	case c.RevokedAt != nil:
		return "revoked"
	case after(now, c.ValidUntil):
		return "expired"
	}
	return "valid"
}
