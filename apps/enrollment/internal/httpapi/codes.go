package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/page"
	"lms/shared/web"
)

func pageOf[T any](items []T, next string) page.Page[T] {
	return page.Page[T]{Items: items, NextCursor: next}
}

// JoinCode lets whoever knows it into a course.
type JoinCode struct {
	ID        uuid.UUID  `json:"id"`
	CourseID  uuid.UUID  `json:"course_id"`
	Code      string     `json:"code"`
	Label     string     `json:"label"`
	MaxUses   *int       `json:"max_uses"`
	Uses      int        `json:"uses"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	Usable    bool       `json:"usable"`
	CreatedBy *uuid.UUID `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
}

func (a *API) showCode(j enrollment.JoinCode) JoinCode {
	return JoinCode{
		ID: j.ID, CourseID: j.CourseID, Code: j.Code, Label: j.Label, MaxUses: j.MaxUses, Uses: j.Uses, ExpiresAt: j.ExpiresAt,
		RevokedAt: j.RevokedAt, Usable: j.Usable(a.Now()), CreatedBy: j.CreatedBy, CreatedAt: j.CreatedAt,
	}
}

type codeBody struct {
	Label     string     `json:"label,omitempty" maxLength:"200"`
	MaxUses   *int       `json:"max_uses,omitempty" minimum:"1" maximum:"1000000"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

type createCodeInput struct {
	ID   uuid.UUID `path:"id"`
	Body *codeBody
}

func (a *API) createCode(ctx context.Context, in *createCodeInput) (*web.Resource[JoinCode], error) {
	b := given(in.Body)
	j, err := a.Service.CreateJoinCode(ctx, web.Actor(ctx), enrollment.NewJoinCode{
		CourseID: in.ID, Label: b.Label, MaxUses: b.MaxUses, ExpiresAt: utc(b.ExpiresAt),
	})
	if err != nil {
		return nil, err
	}
	return web.Created(a.showCode(j), 0, "/api/v1/join-codes/"+j.ID.String()), nil
}

func (a *API) listCodes(ctx context.Context, in *waitlistInput) (*web.List[JoinCode], error) {
	p, err := a.Service.JoinCodes(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, a.showCode), nil
}

func (a *API) revokeCode(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.RevokeJoinCode(ctx, web.Actor(ctx), in.ID)
}

type joinInput struct {
	Body struct {
		Code string `json:"code" minLength:"10" maxLength:"40"`
	}
}

func (a *API) join(ctx context.Context, in *joinInput) (*web.Resource[Enrollment], error) {
	r, err := a.Service.Join(ctx, web.Actor(ctx), in.Body.Code)
	if err != nil {
		return nil, err
	}
	return a.arrived(r), nil
}
