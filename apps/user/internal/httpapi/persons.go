package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

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
	return started(a.Service.RequestExport(ctx, web.Actor(ctx)))
}

type eraseInput struct {
	web.ByID
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"500"`
	} `required:"false"`
}

func (a *API) eraseUser(ctx context.Context, in *eraseInput) (*web.JobAccepted, error) {
	return started(a.Service.RequestErasure(ctx, web.Actor(ctx), in.ID, in.Body.Reason))
}
