package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/web"
	"lms/shared/work"
)

func (a *API) personRoutes(r *web.Router) {
	op := operation("Personal data")
	web.Register(r, accepted(op(http.MethodPost, user+"/merge", "merge-users", "Merge a user into another, in the background", web.Needs(authz.UserMerge))), a.mergeUsers)
	export := accepted(op(http.MethodPost, base+"/me/data-export", "export-my-data", "Collect everything that is kept of me, from all services, in the background", web.SignedIn()))
	web.Register(r, export, a.exportMine)
	erase := accepted(op(http.MethodPost, user+"/erasure", "erase-user", "Erase a person's data in all services, in the background", web.Needs(authz.UserErase)))
	erase.Description = "Cannot be undone. What the law lets one keep, such as invoices, stays under a pseudonym."
	web.Register(r, erase, a.eraseUser)
	web.Register(r, op(http.MethodGet, base+"/me/data-requests", "list-my-data-requests", "List exports and erasures of my data", web.SignedIn()), a.listMyRequests)
	web.Register(r, op(http.MethodGet, user+"/data-requests", "list-data-requests", "List exports and erasures of a person's data", web.Needs(authz.UserErase)), a.listRequests)
	web.Register(r, op(http.MethodGet, base+"/me/data-requests/{id}/download", "download-my-data", "Where the file of an export can be fetched, for a short while", web.SignedIn()), a.downloadExport)
}

type mergeInput struct {
	web.ByID
	Body struct {
		Into uuid.UUID `json:"into" doc:"The account that stays: it gets roles, memberships, groups, external ids and linked accounts"`
	}
}

func (a *API) mergeUsers(ctx context.Context, in *mergeInput) (*web.JobAccepted, error) {
	return started(a.Service.RequestMerge(ctx, web.Actor(ctx), in.ID, in.Body.Into))
}

func started(job work.Job, err error) (*web.JobAccepted, error) {
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

func (a *API) exportMine(ctx context.Context, _ *struct{}) (*web.JobAccepted, error) {
	return started(a.Service.RequestDataExport(ctx, web.Actor(ctx)))
}

type eraseInput struct {
	web.ByID
	Body *Reason
}

func (a *API) eraseUser(ctx context.Context, in *eraseInput) (*web.JobAccepted, error) {
	return started(a.Service.RequestErasure(ctx, web.Actor(ctx), in.ID, in.Body.text()))
}

// DataRequest is an export or erasure of all of a person's data.
type DataRequest struct {
	ID          uuid.UUID  `json:"id"`
	Kind        string     `json:"kind" enum:"export,erasure"`
	Status      string     `json:"status" enum:"running,completed,failed"`
	JobID       *uuid.UUID `json:"job_id,omitempty"`
	RequestedBy *uuid.UUID `json:"requested_by,omitempty" doc:"Absent: the retention of deleted accounts was over"`
	Reason      string     `json:"reason,omitempty"`
	WaitingFor  []string   `json:"waiting_for" doc:"Services that have not done their part"`
	Available   bool       `json:"available" doc:"The file of an export can be fetched"`
	CreatedAt   time.Time  `json:"created_at"`
	CompletedAt *time.Time `json:"completed_at,omitempty"`
}

func showRequest(r identity.PersonRequest) DataRequest {
	return DataRequest{
		ID: r.ID, Kind: string(r.Kind), Status: string(r.Status), JobID: r.JobID, RequestedBy: r.RequestedBy, Reason: r.Reason,
		WaitingFor: r.WaitingFor(), Available: r.Status == identity.RequestCompleted && r.ObjectKey != "", CreatedAt: r.CreatedAt, CompletedAt: r.CompletedAt,
	}
}

type listMineInput struct{ web.Page }

func (a *API) listMyRequests(ctx context.Context, in *listMineInput) (*web.List[DataRequest], error) {
	return a.dataRequests(ctx, web.Actor(ctx).UserID, in.Page)
}

func (a *API) listRequests(ctx context.Context, in *listByIDInput) (*web.List[DataRequest], error) {
	return a.dataRequests(ctx, in.ID, in.Page)
}

func (a *API) dataRequests(ctx context.Context, id uuid.UUID, q web.Page) (*web.List[DataRequest], error) {
	found, err := a.Service.DataRequests(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	p, err := cut(found, q)
	return web.ListOf(p, showRequest), err
}

// Download is where a file can be fetched.
type Download struct {
	URL string `json:"url" doc:"Signed, for a short while"`
}

func (a *API) downloadExport(ctx context.Context, in *web.ByID) (*web.Resource[Download], error) {
	link, err := a.Service.ExportLink(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(Download{URL: link}, 0), nil
}
