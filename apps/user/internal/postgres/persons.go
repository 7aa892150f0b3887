package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	insertSecuritySQL = `
insert into security_events (id, tenant_id, user_id, actor_id, kind, at, ip, user_agent, request_id, details)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (id) do nothing`
	expireSecuritySQL = `delete from security_events where id in (select id from security_events where at < $1 limit $2)`
	// Both trails in one order; each part stops at the limit by itself.
	auditOfSQL = `
select id, at, source, action, actor_id, impersonator_id, service, resource_type, resource_id, ip, user_agent, request_id, changes from (
  (select a.id, a.at, 'audit' as source, a.action, a.actor_id, a.impersonator_id, a.service, a.resource_type, a.resource_id, a.ip, a.user_agent,
    a.request_id, a.changes
  from audit a
  where (a.resource_id = $1 or a.actor_id = $1 or a.impersonator_id = $1) and ($2::timestamptz is null or (a.at, a.id) < ($2, $3::uuid))
  order by a.at desc, a.id desc limit $4)
  union all
  (select e.id, e.at, 'security', e.kind, e.actor_id, null, '', 'user', e.user_id, e.ip, e.user_agent, e.request_id, e.details
  from security_events e
  where e.user_id = $1 and ($2::timestamptz is null or (e.at, e.id) < ($2, $3::uuid))
  order by e.at desc, e.id desc limit $4)
) l
order by l.at desc, l.id desc limit $4`
)

func cutText(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// InsertSecurityEvent implements identity.SecurityRows.
func (t tx) InsertSecurityEvent(ctx context.Context, e identity.SecurityEvent) error {
	_, err := pg.Exec(ctx, t, insertSecuritySQL, e.ID, e.TenantID, nilID(e.UserID), nilID(e.ActorID), e.Kind, e.At,
		cutText(e.From.IP, 64), cutText(e.From.UserAgent, 400), cutText(e.From.RequestID, 100), e.Details)
	return err
}

// ExpireSecurityEvents implements identity.SecurityRows.
func (t tx) ExpireSecurityEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	return pg.Exec(ctx, t, expireSecuritySQL, before, limit)
}

// AuditOf implements identity.SecurityRows.
func (t tx) AuditOf(ctx context.Context, user uuid.UUID, q page.Request) (p page.Page[identity.AuditLine], err error) {
	var before *time.Time
	var id uuid.UUID
	if _, err := page.Decode(q.Cursor, &before, &id); err != nil {
		return p, err
	}
	rows, err := pg.Many[identity.AuditLine](ctx, t, auditOfSQL, user, before, id, q.Size()+1)
	if err != nil {
		return p, err
	}
	return page.Cut(rows, q.Size(), func(l identity.AuditLine) string { return page.Encode(l.At, l.ID) }), nil
}

const requestColumns = `
id, tenant_id, user_id, kind, status, pseudonym, requested_by, reason, job_id, object_key, created_at, completed_at, expires_at from person_requests`

const partColumns = `
request_id, tenant_id, service, call_id, status, coalesce(reply, 'null') as reply, error, answered_at from person_request_parts`

const (
	insertRequestSQL = `
insert into person_requests (id, tenant_id, user_id, kind, status, pseudonym, requested_by, reason, job_id, object_key, created_at, completed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	requestSQL     = `select` + requestColumns + ` where id = $1`
	lockRequestSQL = requestSQL + ` for update`
	runningSQL     = `select` + requestColumns + ` where user_id = $1 and kind = $2 and status = 'running'`
	requestsOfSQL  = `select` + requestColumns + ` where user_id = $1 order by created_at desc, id desc limit 200`
	updateReqSQL   = `
update person_requests set user_id = $2, status = $3, requested_by = $4, object_key = $5, completed_at = $6, expires_at = $7 where id = $1`
	insertPartSQL  = `insert into person_request_parts (request_id, tenant_id, service, call_id, status) values ($1, $2, $3, $4, $5)`
	partsSQL       = `select` + partColumns + ` where request_id = any ($1) order by request_id, service`
	partByCallSQL  = `select` + partColumns + ` where call_id = $1 for update`
	updatePartSQL  = `update person_request_parts set status = $3, reply = $4, error = $5, answered_at = $6 where request_id = $1 and service = $2`
	expiredFileSQL = `select` + requestColumns + ` where object_key <> '' and expires_at < $1 order by expires_at limit $2`
)

// InsertPersonRequest implements identity.PersonRows.
func (t tx) InsertPersonRequest(ctx context.Context, r identity.PersonRequest) error {
	_, err := pg.Exec(ctx, t, insertRequestSQL, r.ID, r.TenantID, r.UserID, r.Kind, r.Status, r.Pseudonym, r.RequestedBy, r.Reason, r.JobID,
		r.ObjectKey, r.CreatedAt, r.CompletedAt)
	return conflict(err, "person_requests_one_running", "request_running", "Such a request is running already.")
}

func (t tx) withParts(ctx context.Context, rs []identity.PersonRequest) ([]identity.PersonRequest, error) {
	ids := make([]uuid.UUID, len(rs))
	at := map[uuid.UUID]int{}
	for i, r := range rs {
		ids[i], at[r.ID] = r.ID, i
	}
	parts, err := pg.Many[identity.RequestPart](ctx, t, partsSQL, ids)
	for _, p := range parts {
		i := at[p.RequestID]
		rs[i].Parts = append(rs[i].Parts, p)
	}
	return rs, err
}

func (t tx) oneRequest(ctx context.Context, sql string, args ...any) (identity.PersonRequest, error) {
	r, err := pg.One[identity.PersonRequest](ctx, t, "request", sql, args...)
	if err != nil {
		return r, err
	}
	rs, err := t.withParts(ctx, []identity.PersonRequest{r})
	return rs[0], err
}

// PersonRequest implements identity.PersonRows.
func (t tx) PersonRequest(ctx context.Context, id uuid.UUID) (identity.PersonRequest, error) {
	return t.oneRequest(ctx, requestSQL, id)
}

// LockPersonRequest implements identity.PersonRows.
func (t tx) LockPersonRequest(ctx context.Context, id uuid.UUID) (identity.PersonRequest, error) {
	return t.oneRequest(ctx, lockRequestSQL, id)
}

// RunningPersonRequest implements identity.PersonRows.
func (t tx) RunningPersonRequest(ctx context.Context, user uuid.UUID, kind identity.RequestKind) (identity.PersonRequest, error) {
	return t.oneRequest(ctx, runningSQL, user, kind)
}

// PersonRequests implements identity.PersonRows.
func (t tx) PersonRequests(ctx context.Context, user uuid.UUID) ([]identity.PersonRequest, error) {
	rs, err := pg.Many[identity.PersonRequest](ctx, t, requestsOfSQL, user)
	if err != nil {
		return nil, err
	}
	return t.withParts(ctx, rs)
}

// UpdatePersonRequest implements identity.PersonRows.
func (t tx) UpdatePersonRequest(ctx context.Context, r identity.PersonRequest) error {
	_, err := pg.Exec(ctx, t, updateReqSQL, r.ID, r.UserID, r.Status, r.RequestedBy, r.ObjectKey, r.CompletedAt, r.ExpiresAt)
	return err
}

// ExpiredExports implements identity.PersonRows.
func (t tx) ExpiredExports(ctx context.Context, before time.Time, limit int) ([]identity.PersonRequest, error) {
	return pg.Many[identity.PersonRequest](ctx, t, expiredFileSQL, before, limit)
}

// InsertPart implements identity.PersonRows.
func (t tx) InsertPart(ctx context.Context, p identity.RequestPart) error {
	_, err := pg.Exec(ctx, t, insertPartSQL, p.RequestID, p.TenantID, p.Service, p.CallID, p.Status)
	return err
}

// LockPartByCall implements identity.PersonRows.
func (t tx) LockPartByCall(ctx context.Context, call uuid.UUID) (identity.RequestPart, error) {
	return pg.One[identity.RequestPart](ctx, t, "request", partByCallSQL, call)
}

// UpdatePart implements identity.PersonRows.
func (t tx) UpdatePart(ctx context.Context, p identity.RequestPart) error {
	var reply *string
	if len(p.Reply) > 0 {
		s := string(p.Reply)
		reply = &s
	}
	_, err := pg.Exec(ctx, t, updatePartSQL, p.RequestID, p.Service, p.Status, reply, p.Error, p.AnsweredAt)
	return err
}

const uploadColumns = ` id, tenant_id, user_id, filename, size, sha256, object_key as key, created_at from import_uploads`

const (
	insertUploadSQL = `
insert into import_uploads (id, tenant_id, user_id, filename, size, sha256, object_key, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	uploadSQL       = `select` + uploadColumns + ` where id = $1`
	deleteUploadSQL = `delete from import_uploads where id = $1`
	staleUploadsSQL = `select` + uploadColumns + ` where created_at < $1 order by created_at limit $2`
)

// InsertUpload implements identity.PersonRows.
func (t tx) InsertUpload(ctx context.Context, u identity.Upload) error {
	_, err := pg.Exec(ctx, t, insertUploadSQL, u.ID, u.TenantID, u.UserID, u.Filename, u.Size, u.SHA256, u.Key, u.CreatedAt)
	return err
}

// Upload implements identity.PersonRows.
func (t tx) Upload(ctx context.Context, id uuid.UUID) (identity.Upload, error) {
	return pg.One[identity.Upload](ctx, t, "upload", uploadSQL, id)
}

// DeleteUpload implements identity.PersonRows.
func (t tx) DeleteUpload(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteUploadSQL, id)
	return err
}

// StaleUploads implements identity.PersonRows.
func (t tx) StaleUploads(ctx context.Context, before time.Time, limit int) ([]identity.Upload, error) {
	return pg.Many[identity.Upload](ctx, t, staleUploadsSQL, before, limit)
}

// Sections of an export: each is one JSON array. What proves who somebody is
// (hashes, secrets) is nobody's business, not even the person's.
const (
	exportProfileSQL = `
select coalesce(json_agg(json_build_object('id', id, 'tenant_id', tenant_id, 'org_unit_id', org_unit_id, 'status', status, 'origin', origin, 'email', email,
  'email_verified_at', email_verified_at, 'name', name, 'given_name', given_name, 'family_name', family_name, 'locale', locale, 'time_zone', time_zone,
  'bio', bio, 'attributes', attributes, 'last_signed_in_at', last_signed_in_at, 'created_at', created_at, 'updated_at', updated_at)), '[]')::text
from users where id = $1`
	exportExternalSQL = `
select coalesce(json_agg(json_build_object('source', source, 'id', external_id)), '[]')::text from user_external_ids where user_id = $1`
	exportMembersSQL = `
select coalesce(json_agg(json_build_object('org_unit_id', m.org_unit_id, 'org_unit', o.name, 'title', m.title, 'since', m.created_at)), '[]')::text
from org_members m join org_units o on o.id = m.org_unit_id where m.user_id = $1`
	exportGrantsSQL = `
select coalesce(json_agg(json_build_object('role', role, 'scope', scope_kind, 'scope_id', scope_id, 'since', created_at)), '[]')::text
from grants where user_id = $1`
	exportGroupsSQL = `
select coalesce(json_agg(json_build_object('group_id', g.id, 'name', g.name, 'kind', g.kind, 'course_id', g.course_id, 'since', m.created_at)), '[]')::text
from group_members m join groups g on g.id = m.group_id where m.user_id = $1`
	exportLinksSQL = `
select coalesce(json_agg(json_build_object('provider', p.name, 'issuer', p.issuer, 'subject', l.subject, 'email', l.email, 'linked_at', l.linked_at,
  'last_used_at', l.last_used_at)), '[]')::text
from linked_accounts l join identity_providers p on p.id = l.provider_id where l.user_id = $1`
	exportTokensSQL = `
select coalesce(json_agg(json_build_object('name', name, 'permissions', permissions, 'created_at', created_at, 'expires_at', expires_at,
  'last_used_at', last_used_at, 'revoked_at', revoked_at)), '[]')::text
from personal_tokens where user_id = $1`
	exportSecuritySQL = `
select coalesce(json_agg(json_build_object('kind', kind, 'at', at, 'ip', ip, 'user_agent', user_agent, 'details', details) order by at), '[]')::text
from (select * from security_events where user_id = $1 order by at desc limit 10000) e`
	exportAuditSQL = `
select coalesce(json_agg(json_build_object('action', action, 'at', at, 'resource_type', resource_type, 'resource_id', resource_id, 'ip', ip,
  'user_agent', user_agent, 'changes', changes) order by at), '[]')::text
from (select * from audit where actor_id = $1 or resource_id = $1 order by at desc limit 10000) a`
	exportAvatarSQL = `
select coalesce(json_agg(json_build_object('media_type', media_type, 'base64', encode(content, 'base64'), 'updated_at', updated_at)), '[]')::text
from avatars where user_id = $1`
)

// ExportOwn implements identity.PersonRows.
func (t tx) ExportOwn(ctx context.Context, user uuid.UUID) (map[string][]byte, error) {
	out := map[string][]byte{}
	for section, sql := range map[string]string{
		"profile": exportProfileSQL, "external_ids": exportExternalSQL, "memberships": exportMembersSQL, "roles": exportGrantsSQL,
		"groups": exportGroupsSQL, "linked_accounts": exportLinksSQL, "access_tokens": exportTokensSQL, "security": exportSecuritySQL,
		"audit": exportAuditSQL, "avatar": exportAvatarSQL,
	} {
		doc, err := pg.Scalar[string](ctx, t, "export", sql, user)
		if err != nil {
			return nil, err
		}
		out[section] = []byte(doc)
	}
	return out, nil
}

// What stays after an erasure speaks of the pseudonym. Changes in the audit
// trail that mention the person are cleared: they can hold names and addresses.
const (
	forgetAuditSQL = `
update audit set resource_id = case when resource_id = $1 then $2 else resource_id end,
  actor_id = case when actor_id = $1 then $2 else actor_id end,
  impersonator_id = case when impersonator_id = $1 then $2 else impersonator_id end,
  ip = case when actor_id = $1 then '' else ip end, user_agent = case when actor_id = $1 then '' else user_agent end,
  changes = case when resource_id = $1 or changes::text like '%' || $1::text || '%' then '{}' else changes end
where resource_id = $1 or actor_id = $1 or impersonator_id = $1 or changes::text like '%' || $1::text || '%'`
	forgetSecuritySQL = `
update security_events set user_id = case when user_id = $1 then $2 else user_id end, actor_id = case when actor_id = $1 then $2 else actor_id end,
  ip = '', user_agent = '', request_id = '', details = '{}'
where user_id = $1 or actor_id = $1`
	forgetRequestsSQL = `
update person_requests set user_id = case when user_id = $1 then $2 else user_id end,
  requested_by = case when requested_by = $1 then $2 else requested_by end,
  expires_at = case when user_id = $1 and object_key <> '' then created_at else expires_at end
where user_id = $1 or requested_by = $1`
	// What has still to run must know whom it is for; what has run need not.
	forgetJobsSQL = `
update job set owner_id = $2, actor = '{}', input = case when finished_at is null then input else '{}' end, result = null where owner_id = $1`
	forgetRegisteredSQL = `delete from registrations where email_key in (select lower(email) from users where id = $1)`
	forgetGrantedSQL    = `update grants set granted_by = $2 where granted_by = $1`
	forgetGroupsSQL     = `update groups set created_by = $2 where created_by = $1`
	forgetClientsSQL    = `update clients set created_by = $2 where created_by = $1`
	forgetUploadsSQL    = `update import_uploads set user_id = $2, filename = '' where user_id = $1`
)

// Pseudonymise implements identity.PersonRows.
func (t tx) Pseudonymise(ctx context.Context, user, pseudonym uuid.UUID) error {
	if _, err := pg.Exec(ctx, t, forgetRegisteredSQL, user); err != nil {
		return err
	}
	for _, sql := range []string{
		forgetAuditSQL, forgetSecuritySQL, forgetRequestsSQL, forgetJobsSQL, forgetGrantedSQL, forgetGroupsSQL, forgetClientsSQL, forgetUploadsSQL,
	} {
		if _, err := pg.Exec(ctx, t, sql, user, pseudonym); err != nil {
			return err
		}
	}
	return nil
}

const (
	moveExternalSQL = `
update user_external_ids e set user_id = $2 where e.user_id = $1
  and not exists (select 1 from user_external_ids o where o.user_id = $2 and o.source = e.source)`
	leaveExternalSQL = `delete from user_external_ids where user_id = $1`
	moveMembersSQL   = `
update org_members m set user_id = $2 where m.user_id = $1 and m.org_unit_id <> $3
  and not exists (select 1 from org_members o where o.user_id = $2 and o.org_unit_id = m.org_unit_id)`
	moveLinksSQL = `
update linked_accounts l set user_id = $2 where l.user_id = $1
  and not exists (select 1 from linked_accounts o where o.user_id = $2 and o.provider_id = l.provider_id)`
)

// MoveBelongings implements identity.PersonRows.
func (t tx) MoveBelongings(ctx context.Context, from, to identity.User) (map[string]int, error) {
	if from.TenantID != to.TenantID {
		return nil, apperr.Internal(nil)
	}
	out := map[string]int{}
	for _, m := range []struct {
		kind, sql string
		args      []any
	}{
		{"external_ids", moveExternalSQL, []any{from.ID, to.ID}},
		{"memberships", moveMembersSQL, []any{from.ID, to.ID, to.OrgUnitID}},
		{"linked_accounts", moveLinksSQL, []any{from.ID, to.ID}},
	} {
		n, err := pg.Exec(ctx, t, m.sql, m.args...)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			out[m.kind] = int(n)
		}
	}
	_, err := pg.Exec(ctx, t, leaveExternalSQL, from.ID)
	return out, err
}
