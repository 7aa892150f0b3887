package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Certificate says that a person completed a course.
type Certificate struct {
	ID           uuid.UUID  `json:"id"`
	EnrollmentID uuid.UUID  `json:"enrollment_id"`
	CourseID     uuid.UUID  `json:"course_id"`
	UserID       uuid.UUID  `json:"user_id"`
	Name         string     `json:"name" doc:"Of the person, as it was at issue"`
	CourseCode   string     `json:"course_code"`
	CourseTitle  string     `json:"course_title"`
	Title        string     `json:"title,omitempty"`
	Status       string     `json:"status" enum:"valid,expired,revoked"`
	CompletedAt  time.Time  `json:"completed_at"`
	Grade        *float64   `json:"grade,omitempty"`
	IssuedAt     time.Time  `json:"issued_at"`
	ValidUntil   *time.Time `json:"valid_until,omitempty"`
	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
	RevokeReason string     `json:"revoke_reason,omitempty"`
	Code         string     `json:"code"`
	VerifyURL    string     `json:"verify_url"`
}

func (a *API) showCertificate(c enrollment.Certificate) Certificate {
	return Certificate{
		ID: c.ID, EnrollmentID: c.EnrollmentID, CourseID: c.CourseID, UserID: c.UserID, Name: c.Name, CourseCode: c.CourseCode,
		CourseTitle: c.CourseTitle, Title: c.Title, Status: c.Status(a.Now()), CompletedAt: c.CompletedAt, Grade: decimal(c.Grade),
		IssuedAt: c.IssuedAt, ValidUntil: c.ValidUntil, RevokedAt: c.RevokedAt, RevokeReason: c.RevokeReason, Code: c.Code,
		VerifyURL: a.Service.VerifyURL(c.Code),
	}
}

type certificateInput struct {
	web.ByID
	FormatQuery
}

func (a *API) certificate(ctx context.Context, in *certificateInput, w http.ResponseWriter, req *http.Request) error {
	c, err := a.Service.CertificateOf(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return err
	}
	if !in.wants(req, typePDF) {
		return writeJSON(w, a.showCertificate(c))
	}
	if c.RevokedAt != nil {
		return apperr.Conflict("certificate_revoked", "The certificate was revoked.").Detail("certificate_id", c.ID)
	}
	pdf, err := a.Printer.PDF(c, a.Service.VerifyURL(c.Code))
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Content-Disposition", `attachment; filename="certificate-`+c.ID.String()+`.pdf"`)
	return write(w, typePDF, pdf)
}

func (a *API) claim(ctx context.Context, in *web.ByID) (*web.Resource[Certificate], error) {
	c, err := a.Service.ClaimCertificate(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showCertificate(c), c.Version), nil
}

func (a *API) courseCertificates(ctx context.Context, in *waitlistInput) (*web.List[Certificate], error) {
	p, err := a.Service.CourseCertificates(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, a.showCertificate), nil
}

func (a *API) myCertificates(ctx context.Context, in *web.Page) (*web.List[Certificate], error) {
	p, err := a.Service.MyCertificates(ctx, web.Actor(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, a.showCertificate), nil
}

type revokeInput struct {
	web.ByID
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}

func (a *API) revokeCertificate(ctx context.Context, in *revokeInput) (*web.Resource[Certificate], error) {
	c, err := a.Service.RevokeCertificate(ctx, web.Actor(ctx), in.ID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showCertificate(c), c.Version), nil
}

// AllowlistEntry is a person who gets a certificate whatever the grade.
type AllowlistEntry struct {
	UserID    uuid.UUID  `json:"user_id"`
	Note      string     `json:"note"`
	CreatedBy *uuid.UUID `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
}

func (a *API) allowlist(ctx context.Context, in *waitlistInput) (*web.List[AllowlistEntry], error) {
	p, err := a.Service.Allowlist(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, func(e enrollment.Allowed) AllowlistEntry {
		return AllowlistEntry{UserID: e.UserID, Note: e.Note, CreatedBy: e.CreatedBy, CreatedAt: e.CreatedAt}
	}), nil
}

type noteBody struct {
	Note string `json:"note,omitempty" maxLength:"500"`
}

type allowInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
	Body   *noteBody
}

func (a *API) allow(ctx context.Context, in *allowInput) (*web.Empty, error) {
	_, err := a.Service.Allow(ctx, web.Actor(ctx), in.ID, in.UserID, given(in.Body).Note)
	return nil, err
}

type disallowInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
}

func (a *API) disallow(ctx context.Context, in *disallowInput) (*web.Empty, error) {
	return nil, a.Service.Disallow(ctx, web.Actor(ctx), in.ID, in.UserID)
}

// Verification is what anybody with the code may know of a certificate.
type Verification struct {
	Status      string     `json:"status" enum:"valid,expired,revoked"`
	Name        string     `json:"name"`
	CourseTitle string     `json:"course_title"`
	Title       string     `json:"title,omitempty"`
	CompletedAt time.Time  `json:"completed_at"`
	IssuedAt    time.Time  `json:"issued_at"`
	ValidUntil  *time.Time `json:"valid_until,omitempty"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
}

type verifyInput struct {
	Code string `path:"code" maxLength:"100"`
	FormatQuery
}

func (a *API) verify(ctx context.Context, in *verifyInput, w http.ResponseWriter, req *http.Request) error {
	c, err := a.Service.VerifyCertificate(ctx, enrollment.NormalizeCode(in.Code))
	if err != nil {
		return err
	}
	if in.wants(req, typeHTML) {
		html, err := a.Printer.HTML(c, c.Status(a.Now()), a.Service.VerifyURL(c.Code))
		if err != nil {
			return apperr.Internal(err)
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		return write(w, typeHTML+"; charset=utf-8", html)
	}
	return writeJSON(w, Verification{
		Status: c.Status(a.Now()), Name: c.Name, CourseTitle: c.CourseTitle, Title: c.Title, CompletedAt: c.CompletedAt,
		IssuedAt: c.IssuedAt, ValidUntil: c.ValidUntil, RevokedAt: c.RevokedAt,
	})
}
