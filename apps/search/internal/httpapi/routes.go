// Package httpapi is search as clients, other services and the operator's command call
// it.
package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/search"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox/keyed"
	"lms/shared/jobs"
	"lms/shared/journal/acts"
	"lms/shared/once"
	"lms/shared/page"
	"lms/shared/service"
	"lms/shared/web"
	"lms/shared/work"
)

// Options of Mount.
type Options struct {
	Service  *search.Service
	Synonyms *search.SynonymStore
	Jobs     *search.Jobs
	Builder  *search.Builder
	Trail    *acts.Trail
	Once     *once.Keys
	Consumer *keyed.Consumer
}

type api struct{ Options }

const name = "search"

// Mount adds every route.
func Mount(r *web.Router, o Options) {
	a := &api{o}
	op := func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: "/api/v1/search" + path, ID: id, Summary: summary, Tag: "Search", Access: access}
	}
	find := op(http.MethodGet, "", "search", "Find courses and contents", web.Public())
	find.Description = "Words are found in any inflection of their language; \"words in quotes\" as they stand; bio* by their beginning; -word is left out. " +
		"Where nothing has all words, some letters may be wrong (`match` is similar), then half of the words suffices (partial). " +
		"Of a filter with several values any suffices. A facet counts what its own filter would leave if it were not set. Everybody finds only what they may see."
	web.Register(r, find, a.search)
	web.Register(r, op(http.MethodGet, "/suggest", "suggest", "Complete what is being typed", web.Public()), a.suggest)
	web.Register(r, op(http.MethodGet, "/synonyms", "get-synonyms", "What means the same", web.Needs(authz.SearchManage)), a.synonyms)
	web.Register(r, op(http.MethodPut, "/synonyms", "set-synonyms", "Replace what means the same, in use at once", web.Needs(authz.SearchManage)), a.setSynonyms)
	rebuild := op(http.MethodPost, "/rebuild", "rebuild-search-index", "Make the index anew from the services that own what is in it", web.Needs(authz.SearchManage))
	rebuild.Status = http.StatusAccepted
	web.Register(r, rebuild, a.rebuild)
	service.MountJobs(r, name, func() service.Jobs { return jobReader{a.Jobs} }, func(_ context.Context, raw json.RawMessage) (any, error) { return raw, nil })
	service.MountAudit(r, name, func() *acts.Trail { return a.Trail })
	o.Consumer.MountOperator(r)
	web.Register(r, web.Op{
		Method: http.MethodPost, Path: internalapi.PathRecompute, ID: "recompute", Summary: "Compare the index with its sources",
		Access: web.Internal(internalapi.OperatorApp), Timeout: 10 * time.Minute,
	}, func(ctx context.Context, in *recomputeInput) (*web.Resource[internalapi.RecomputeReply], error) {
		out, err := a.Builder.Differences(ctx, in.Body)
		return web.Res(out, 0), err
	})
}

type recomputeInput struct {
	Body internalapi.RecomputeRequest
}

// jobReader are the jobs with what a rebuild does not have: a result and rows.
type jobReader struct{ *search.Jobs }

// Result implements service.Jobs: how many documents were written.
func (j jobReader) Result(ctx context.Context, id, owner uuid.UUID) (json.RawMessage, error) {
	job, err := j.Get(ctx, id, owner)
	if err != nil {
		return nil, err
	}
	return search.ResultOf(job)
}

// Rows implements service.Jobs.
func (j jobReader) Rows(ctx context.Context, id, owner uuid.UUID, _ string, _ page.Request) (page.Page[jobs.Row], error) {
	_, err := j.Get(ctx, id, owner)
	return page.Page[jobs.Row]{Items: []jobs.Row{}}, err
}

type synonymsBody struct {
	Groups [][]string `json:"groups" doc:"Groups of terms that mean the same, 2 to 20 in each"`
}

func (a *api) synonyms(ctx context.Context, _ *web.Empty) (*web.Resource[synonymsBody], error) {
	v, err := a.Synonyms.Get(ctx)
	return web.Res(synonymsBody{v.Groups}, v.Version), err
}

type setSynonymsInput struct {
	web.IfMatch
	Body synonymsBody
}

func (a *api) setSynonyms(ctx context.Context, in *setSynonymsInput) (*web.Resource[synonymsBody], error) {
	if err := a.platformWide(ctx); err != nil {
		return nil, err
	}
	v, err := a.Synonyms.Set(ctx, in.Body.Groups, in.Version())
	return web.Res(synonymsBody{v.Groups}, v.Version), err
}

// platformWide: synonyms and the index are everybody's.
func (a *api) platformWide(ctx context.Context) error {
	policy, err := a.Service.Policy.Policy(ctx)
	if err != nil {
		return err
	}
	return search.MayManage(policy, web.Actor(ctx))
}

func (a *api) rebuild(ctx context.Context, _ *web.Empty) (*web.JobAccepted, error) {
	if err := a.platformWide(ctx); err != nil {
		return nil, err
	}
	actor := web.Actor(ctx)
	job, _, err := once.Do(ctx, a.Once, func() (work.Job, error) { return a.Jobs.Start(ctx, actor.UserID) })
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
