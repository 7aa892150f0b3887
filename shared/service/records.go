package service

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/jobs"
	"lms/shared/journal"
	"lms/shared/journal/acts"
	"lms/shared/objects"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/web"
	"lms/shared/work"
)

// MountAudit mounts /api/v1/audit/<service> for a service that keeps its trail
// itself, without a database.
func MountAudit(r *web.Router, name string, trail func() *acts.Trail) {
	web.Register(r, web.Op{
		Method: http.MethodGet, Path: "/api/v1/audit/" + name, ID: "list-audit-" + name, Tag: "Audit",
		Summary: "List what people changed, the newest first", Access: web.Needs(authz.AuditRead),
	}, func(ctx context.Context, in *auditInput) (*web.List[AuditLine], error) {
		f := acts.Filter{ActorID: in.ActorID, ResourceID: in.ResourceID, ResourceType: in.ResourceType, Action: in.Action, Since: in.Since, Until: in.Until}
		q := in.Request()
		q.OldestFirst = in.oldestFirst()
		p, err := trail().List(ctx, web.Actor(ctx), f, q)
		return web.ListOf(p, func(e journal.Entry[acts.Act]) AuditLine {
			b := e.Body
			return AuditLine{
				ID: e.ID, At: e.At, TenantID: b.TenantID, ActorID: optionalID(b.ActorID), ImpersonatorID: optionalID(b.ImpersonatorID), Action: b.Action,
				ResourceType: b.ResourceType, ResourceID: b.ResourceID, IP: b.IP, UserAgent: b.UserAgent, RequestID: b.RequestID, Changes: b.Changes,
			}
		}), err
	})
}

// recordRoutes mounts the service's part of /api/v1/jobs and /api/v1/audit,
// under its own name, so that the gateway forwards them unchanged.
func (k *Kit) recordRoutes() {
	k.jobRoutes()
	web.Register(k.Web, web.Op{
		Method: http.MethodGet, Path: "/api/v1/audit/" + k.Name, ID: "list-audit-" + k.Name, Tag: "Audit",
		Summary: "List what people changed, the newest first", Access: web.Needs(authz.AuditRead),
	}, k.listAudit)
}

type jobsInput struct{ web.ByTime }

type rowsInput struct {
	web.Page
	ID     uuid.UUID `path:"id"`
	Status string    `query:"status" maxLength:"40" doc:"Only rows of this status"`
}

type jobResult struct{ Body any }

// Jobs are background jobs as their owners see them; *jobs.Runner has them.
type Jobs interface {
	List(ctx context.Context, owner uuid.UUID, q page.Request) (page.Page[work.Job], error)
	Get(ctx context.Context, id, owner uuid.UUID) (work.Job, error)
	Cancel(ctx context.Context, id, owner uuid.UUID) (work.Job, error)
	Result(ctx context.Context, id, owner uuid.UUID) (json.RawMessage, error)
	Rows(ctx context.Context, id, owner uuid.UUID, status string, q page.Request) (page.Page[jobs.Row], error)
}

func (k *Kit) jobRoutes() {
	MountJobs(k.Web, k.Name, func() Jobs { return k.Jobs }, k.showResult)
}

// MountJobs mounts /api/v1/jobs/<service> for a service that keeps its jobs itself,
// without a database. show makes an answer of a job's result.
func MountJobs(r *web.Router, name string, kept func() Jobs, show func(context.Context, json.RawMessage) (any, error)) {
	op := func(method, suffix, id, summary string) web.Op {
		return web.Op{Method: method, Path: "/api/v1/jobs/" + name + suffix, ID: id + "-" + name, Tag: "Jobs", Summary: summary, Access: web.SignedIn()}
	}
	same := func(j work.Job) work.Job { return j }
	web.Register(r, op(http.MethodGet, "", "list-jobs", "List my background jobs, the newest first"),
		func(ctx context.Context, in *jobsInput) (*web.List[work.Job], error) {
			p, err := kept().List(ctx, web.Actor(ctx).UserID, in.Request())
			return web.ListOf(p, same), err
		})
	web.Register(r, op(http.MethodGet, "/{id}", "get-job", "See how far a job is"),
		func(ctx context.Context, in *web.ByID) (*web.Resource[work.Job], error) {
			j, err := kept().Get(ctx, in.ID, web.Actor(ctx).UserID)
			return web.Res(j, 0), err
		})
	web.Register(r, op(http.MethodPost, "/{id}/cancel", "cancel-job", "Ask a job to stop"),
		func(ctx context.Context, in *web.ByID) (*web.Resource[work.Job], error) {
			j, err := kept().Cancel(ctx, in.ID, web.Actor(ctx).UserID)
			return web.Res(j, 0), err
		})
	web.Register(r, op(http.MethodGet, "/{id}/result", "get-job-result", "Get what a finished job returned; files as a signed link in `download`"),
		func(ctx context.Context, in *web.ByID) (*jobResult, error) {
			raw, err := kept().Result(ctx, in.ID, web.Actor(ctx).UserID)
			if err != nil {
				return nil, err
			}
			body, err := show(ctx, raw)
			return &jobResult{body}, err
		})
	web.Register(r, op(http.MethodGet, "/{id}/rows", "list-job-rows", "List the job's report, row by row"),
		func(ctx context.Context, in *rowsInput) (*web.List[jobs.Row], error) {
			p, err := kept().Rows(ctx, in.ID, web.Actor(ctx).UserID, in.Status, in.Request())
			return web.ListOf(p, func(r jobs.Row) jobs.Row { return r }), err
		})
}

// JobFile is embedded by the result of a job that wrote a file: who reads the
// result gets, instead of the key, a fresh signed link as `download`.
type JobFile struct {
	ObjectKey string `json:"object_key"`
	Filename  string `json:"filename"`
	MediaType string `json:"media_type"`
}

func (k *Kit) showResult(ctx context.Context, raw json.RawMessage) (any, error) {
	var file JobFile
	if json.Unmarshal(raw, &file) != nil || file.ObjectKey == "" {
		return raw, nil //nolint:nilerr // a result without a file
	}
	if k.Objects == nil {
		return nil, apperr.Unavailable("objects_unavailable", "The file store cannot be reached. Try again.")
	}
	link, err := k.Objects.PresignGet(ctx, file.ObjectKey, objects.Download{Filename: file.Filename, Type: file.MediaType, TTL: time.Minute})
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, apperr.Internal(err)
	}
	delete(body, "object_key")
	body["download"] = link
	return body, nil
}

type auditInput struct {
	web.Page
	ActorID      uuid.UUID `query:"actor_id"`
	ResourceID   uuid.UUID `query:"resource_id"`
	ResourceType string    `query:"resource_type" maxLength:"64"`
	Action       string    `query:"action" maxLength:"64" doc:"Such as course.publish"`
	Since        time.Time `query:"since" doc:"RFC 3339"`
	Until        time.Time `query:"until" doc:"RFC 3339, excluded"`
	Sort         string    `query:"sort" enum:"-at,at" default:"-at" doc:"at has the oldest first"`
}

func (in *auditInput) oldestFirst() bool { return in.Sort == "at" }

// AuditLine is one act as it is shown.
type AuditLine struct {
	ID             uuid.UUID              `json:"id"`
	At             time.Time              `json:"at"`
	TenantID       uuid.UUID              `json:"tenant_id"`
	OrgUnitID      *uuid.UUID             `json:"org_unit_id,omitempty"`
	ActorID        *uuid.UUID             `json:"actor_id,omitempty"`
	ImpersonatorID *uuid.UUID             `json:"impersonator_id,omitempty"`
	Service        string                 `json:"service,omitempty" doc:"The service that acted by itself"`
	Action         string                 `json:"action"`
	ResourceType   string                 `json:"resource_type"`
	ResourceID     uuid.UUID              `json:"resource_id"`
	IP             string                 `json:"ip,omitempty"`
	UserAgent      string                 `json:"user_agent,omitempty"`
	RequestID      string                 `json:"request_id,omitempty"`
	Changes        map[string]work.Change `json:"changes,omitempty"`
}

// A line without an org unit belongs to its tenant as a whole, which is the
// root unit of the same id.
const listAuditSQL = `
select id, at, tenant_id, org_unit_id, actor_id, impersonator_id, service, action, resource_type, resource_id, ip, user_agent, request_id, changes
from audit
where ($1 or coalesce(org_unit_id, tenant_id) = any ($2::uuid[]))
  and ($3::uuid is null or actor_id = $3) and ($4::uuid is null or resource_id = $4)
  and ($5 = '' or resource_type = $5) and ($6 = '' or action = $6)
  and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
  and ($9::timestamptz is null or (at, id) < ($9, $10::uuid))
order by at desc, id desc limit $11`

// listAuditOldestFirstSQL is the same from the other end.
const listAuditOldestFirstSQL = `
select id, at, tenant_id, org_unit_id, actor_id, impersonator_id, service, action, resource_type, resource_id, ip, user_agent, request_id, changes
from audit
where ($1 or coalesce(org_unit_id, tenant_id) = any ($2::uuid[]))
  and ($3::uuid is null or actor_id = $3) and ($4::uuid is null or resource_id = $4)
  and ($5 = '' or resource_type = $5) and ($6 = '' or action = $6)
  and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
  and ($9::timestamptz is null or (at, id) > ($9, $10::uuid))
order by at, id limit $11`

func (k *Kit) listAudit(ctx context.Context, in *auditInput) (*web.List[AuditLine], error) {
	actor := web.Actor(ctx)
	pol, err := k.Authz.Policy(ctx)
	if err != nil {
		return nil, err
	}
	reach := pol.Reach(actor, authz.AuditRead)
	var before *time.Time
	var id uuid.UUID
	if _, err := page.Decode(in.Cursor, &before, &id); err != nil {
		return nil, err
	}
	q, sql := in.Request(), listAuditSQL
	if in.oldestFirst() {
		sql = listAuditOldestFirstSQL
	}
	var p page.Page[AuditLine]
	err = k.DB.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[AuditLine](ctx, u, sql, reach.All, reach.OrgUnits, optionalID(in.ActorID), optionalID(in.ResourceID),
			in.ResourceType, in.Action, optionalTime(in.Since), optionalTime(in.Until), before, id, q.Size()+1)
		p = page.Cut(rows, q.Size(), func(l AuditLine) string { return page.Encode(l.At, l.ID) })
		return err
	})
	return web.ListOf(p, func(l AuditLine) AuditLine { return l }), err
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
