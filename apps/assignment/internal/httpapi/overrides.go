package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/web"
)

// Override is other dates for a person or a group; what is absent is not overridden.
type Override struct {
	Kind              string     `json:"kind" enum:"user,group"`
	SubjectID         uuid.UUID  `json:"subject_id" doc:"The person, group or cohort"`
	DueAt             *time.Time `json:"due_at,omitempty"`
	AvailableFrom     *time.Time `json:"available_from,omitempty"`
	CutoffAt          *time.Time `json:"cutoff_at,omitempty"`
	Attempts          *int       `json:"attempts,omitempty"`
	UnlimitedAttempts bool       `json:"unlimited_attempts,omitempty"`
	Reason            string     `json:"reason,omitempty"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
}

func showOverride(o coursework.Override) Override {
	return Override{
		Kind: o.Kind, SubjectID: o.SubjectID, DueAt: o.DueAt, AvailableFrom: o.AvailableFrom, CutoffAt: o.CutoffAt, Attempts: o.Attempts,
		UnlimitedAttempts: o.UnlimitedAttempts, Reason: o.Reason, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
}

func (a *API) listOverrides(ctx context.Context, in *web.ByID) (*web.List[Override], error) {
	all, err := a.Service.Overrides(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &web.List[Override]{Body: web.Items[Override]{Items: make([]Override, len(all))}}
	for i, o := range all {
		out.Body.Items[i] = showOverride(o)
	}
	return out, nil
}

type putOverrideInput struct {
	web.ByID
	web.OptionalIfMatch
	SubjectID uuid.UUID `path:"subject_id"`
	Body      struct {
		DueAt             *time.Time `json:"due_at,omitempty"`
		AvailableFrom     *time.Time `json:"available_from,omitempty"`
		CutoffAt          *time.Time `json:"cutoff_at,omitempty"`
		Attempts          *int       `json:"attempts,omitempty"`
		UnlimitedAttempts bool       `json:"unlimited_attempts,omitempty"`
		Reason            string     `json:"reason,omitempty" maxLength:"500"`
	}
}

func (a *API) putOverride(kind string) func(context.Context, *putOverrideInput) (*web.Resource[Override], error) {
	return func(ctx context.Context, in *putOverrideInput) (*web.Resource[Override], error) {
		b := in.Body
		o, err := a.Service.PutOverride(ctx, web.Actor(ctx), coursework.NewOverride{
			Override: coursework.Override{
				AssignmentID: in.ID, Kind: kind, SubjectID: in.SubjectID, DueAt: utc(b.DueAt), AvailableFrom: utc(b.AvailableFrom),
				CutoffAt: utc(b.CutoffAt), Attempts: b.Attempts, UnlimitedAttempts: b.UnlimitedAttempts, Reason: b.Reason,
			},
			IfVersion: wanted(&in.OptionalIfMatch),
		})
		if err != nil {
			return nil, err
		}
		return web.Res(showOverride(o), o.Version), nil
	}
}

type deleteOverrideInput struct {
	web.ByID
	web.OptionalIfMatch
	SubjectID uuid.UUID `path:"subject_id"`
}

func (a *API) deleteOverride(kind string) func(context.Context, *deleteOverrideInput) (*web.Empty, error) {
	return func(ctx context.Context, in *deleteOverrideInput) (*web.Empty, error) {
		return nil, a.Service.DeleteOverride(ctx, web.Actor(ctx), in.ID, kind, in.SubjectID, wanted(&in.OptionalIfMatch))
	}
}
