package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Version is a version of the published curriculum.
type Version struct {
	Number    int64                      `json:"number"`
	Version   int64                      `json:"curriculum_version"`
	CreatedAt time.Time                  `json:"created_at"`
	CreatedBy *uuid.UUID                 `json:"created_by,omitempty" doc:"Absent where another service caused it"`
	Reason    string                     `json:"reason" doc:"published, edited, resource_state, imported, copied, relock"`
	Changes   []catalog.CurriculumChange `json:"changes"`
	Document  *Curriculum                `json:"document,omitempty" doc:"What learners saw; only when a single version is read"`
}

func showVersion(v catalog.CurriculumVersion) Version {
	return Version{Number: v.Number, Version: v.Version, CreatedAt: v.CreatedAt, CreatedBy: v.CreatedBy, Reason: v.Reason, Changes: v.Changes}
}

type listVersionsInput struct {
	web.ByID
	web.Page
}

func (a *API) listVersions(ctx context.Context, in *listVersionsInput) (*web.List[Version], error) {
	p, err := a.Service.Versions(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showVersion), err
}

type versionInput struct {
	web.ByID
	Number int64 `path:"number" minimum:"1"`
}

func (a *API) getVersion(ctx context.Context, in *versionInput) (*web.Resource[Version], error) {
	v, err := a.Service.Version(ctx, web.Actor(ctx), in.ID, in.Number)
	if err != nil {
		return nil, err
	}
	out := showVersion(v)
	if err := json.Unmarshal(v.Document, &out.Document); err != nil {
		return nil, apperr.Internal(err)
	}
	return web.Res(out, v.Number), nil
}
