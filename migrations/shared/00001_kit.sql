-- +goose Up
-- The tables that every service with a database has: what it publishes and
-- calls, what it received, what it answered, who did what, and its jobs.

-- Row-level security is the second line behind queries that name the tenant.
-- A transaction sets lms.tenant to a tenant's id, or to '*' for work that
-- belongs to no tenant. Nothing set means nothing visible.
-- +goose StatementBegin
create function tenant_visible(tenant uuid) returns boolean
language sql stable parallel safe as $$
  select current_setting('lms.tenant', true) = '*' or tenant::text = current_setting('lms.tenant', true)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tenant_rls(tbl text) returns void language plpgsql as $$
begin
  execute format('alter table %I enable row level security', tbl);
  execute format('create policy tenant on %I using (tenant_visible(tenant_id)) with check (tenant_visible(tenant_id))', tbl);
end
$$;
-- +goose StatementEnd

-- The last seq of each aggregate. Its row lock makes the seq order of an
-- aggregate the order of the commits.
create table aggregate_seq (
  aggregate_id uuid   primary key,
  seq          bigint not null check (seq > 0)
);

-- Events, kept after publishing and served to consumers that missed some.
create table outbox (
  ord          bigint generated always as identity,
  id           uuid        primary key,
  shard        smallint    not null check (shard between 0 and 7),
  type         text        not null,
  aggregate_id uuid        not null,
  seq          bigint      not null,
  tenant_id    uuid        not null,
  event        json        not null,
  created_at   timestamptz not null,
  n            bigint,
  published_at timestamptz,
  unique (aggregate_id, seq),
  unique (shard, n),
  check (published_at is null or n is not null)
);
create index outbox_unpublished on outbox (shard, ord) where published_at is null;
create index outbox_published on outbox (published_at) where published_at is not null;

-- The highest n of each shard: numbers are gap-free and outlive the rows.
create table outbox_stream (
  shard smallint primary key check (shard between 0 and 7),
  head  bigint   not null default 0
);
insert into outbox_stream (shard) select generate_series(0, 7);

create table call_seq (
  destination text   not null,
  name        text   not null,
  key         text   not null,
  seq         bigint not null,
  primary key (destination, name, key)
);

-- Reliable calls and outgoing mail: repeated until done or parked.
create table outbox_call (
  ord             bigint generated always as identity,
  id              uuid        primary key,
  destination     text        not null,
  name            text        not null,
  key             text        not null,
  seq             bigint      not null,
  tenant_id       uuid        not null,
  body            json,
  traceparent     text        not null default '',
  created_at      timestamptz not null,
  attempts        integer     not null default 0,
  next_attempt_at timestamptz not null,
  done_at         timestamptz,
  parked_at       timestamptz,
  last_error      text        not null default '',
  reply           json,
  check (done_at is null or parked_at is null)
);
create index outbox_call_due on outbox_call (next_attempt_at) where done_at is null and parked_at is null;
create index outbox_call_parked on outbox_call (parked_at) where parked_at is not null;
create index outbox_call_done on outbox_call (done_at) where done_at is not null;

-- Fact handlers: each event has its effect once.
create table inbox (
  handler     text        not null,
  event_id    uuid        not null,
  received_at timestamptz not null,
  primary key (handler, event_id)
);
create index inbox_received on inbox (received_at);

-- State handlers: the newest seq applied to each aggregate.
create table inbox_position (
  handler      text   not null,
  aggregate_id uuid   not null,
  seq          bigint not null,
  primary key (handler, aggregate_id)
);

-- Which numbers of a stream arrived. A hole that stays is fetched from the
-- producer.
create table stream_position (
  stream     text           primary key,
  seen       int8multirange not null,
  updated_at timestamptz    not null
);

create table dead_letter (
  id          uuid        primary key,
  handler     text        not null,
  event_id    uuid,
  event       json,
  payload     text        not null default '',
  code        text        not null,
  reason      text        not null,
  created_at  timestamptz not null,
  attempts    integer     not null default 1,
  redriven_at timestamptz,
  unique (handler, event_id)
);

-- Reliable calls received: the highest seq per source, name and key.
create table call_received (
  source      text        not null,
  name        text        not null,
  key         text        not null,
  seq         bigint      not null,
  call_id     uuid        not null,
  reply       json,
  received_at timestamptz not null,
  primary key (source, name, key)
);

create table idempotency_key (
  id         bytea       primary key check (octet_length(id) = 32),
  body_hash  bytea       not null check (octet_length(body_hash) = 32),
  result     json,
  error      json,
  created_at timestamptz not null,
  check ((result is null) <> (error is null))
);
create index idempotency_key_created on idempotency_key (created_at);

create table audit (
  id              uuid        primary key,
  at              timestamptz not null,
  tenant_id       uuid        not null,
  org_unit_id     uuid,
  actor_id        uuid,
  impersonator_id uuid,
  service         text        not null default '',
  action          text        not null,
  resource_type   text        not null,
  resource_id     uuid        not null,
  ip              text        not null default '',
  user_agent      text        not null default '',
  request_id      text        not null default '',
  changes         jsonb       not null default '{}'
);
create index audit_tenant on audit (tenant_id, at desc, id desc);
create index audit_resource on audit (resource_id, at desc);
create index audit_actor on audit (actor_id, at desc);
select tenant_rls('audit');

create table job (
  id               uuid        primary key,
  kind             text        not null,
  key              text        not null default '',
  tenant_id        uuid        not null,
  owner_id         uuid,
  state            text        not null check (state in ('queued', 'running', 'succeeded', 'failed', 'canceled')),
  input            jsonb       not null,
  cursor           jsonb,
  done             bigint      not null default 0,
  total            bigint      not null default 0,
  result           jsonb,
  error            text        not null default '',
  attempts         integer     not null default 0,
  cancel_requested boolean     not null default false,
  actor            jsonb       not null default '{}',
  created_at       timestamptz not null,
  run_at           timestamptz not null,
  lease_until      timestamptz,
  started_at       timestamptz,
  finished_at      timestamptz
);
create unique index job_unfinished_key on job (kind, key) where key <> '' and state in ('queued', 'running');
create index job_due on job (run_at) where state in ('queued', 'running');
create index job_owner on job (owner_id, created_at desc, id desc);
select tenant_rls('job');

create table job_row (
  job_id  uuid   not null references job (id) on delete cascade,
  n       bigint not null,
  status  text   not null,
  code    text   not null default '',
  message text   not null default '',
  ref     jsonb,
  primary key (job_id, n)
);
