package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/web"
)

type bulkInput struct {
	ID   uuid.UUID `path:"id"`
	Body struct {
		UserIDs  []uuid.UUID `json:"user_ids,omitempty" maxItems:"5000"`
		GroupIDs []uuid.UUID `json:"group_ids,omitempty" maxItems:"100"`
		Invite   bool        `json:"invite,omitempty"`
		Waive    []string    `json:"waive,omitempty" maxItems:"2" doc:"prerequisites, entitlement"`
		StartsAt *time.Time  `json:"starts_at,omitempty"`
		EndsAt   *time.Time  `json:"ends_at,omitempty"`
	}
}

func (a *API) bulk(ctx context.Context, in *bulkInput) (*web.JobAccepted, error) {
	b := in.Body
	job, err := a.Service.StartBulk(ctx, web.Actor(ctx), enrollment.Bulk{
		CourseID: in.ID, UserIDs: b.UserIDs, GroupIDs: b.GroupIDs, Invite: b.Invite, Waive: b.Waive, StartsAt: utc(b.StartsAt), EndsAt: utc(b.EndsAt),
	})
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

func (a *API) startImport(w http.ResponseWriter, req *http.Request) error {
	dry := false
	switch req.URL.Query().Get("dry_run") {
	case "", "false":
	case "true":
		dry = true
	default:
		return apperr.Invalid(apperr.Field{Path: "query.dry_run", Code: "boolean", Message: "is true or false"})
	}
	ctx := req.Context()
	job, err := a.Service.StartImport(ctx, web.Actor(ctx), enrollment.Import{CSV: string(web.RawBody(ctx)), DryRun: dry})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Location", "/api/v1/jobs/enrollment/"+job.ID.String())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, err = w.Write(raw)
	return err
}
