-- +goose Up
-- What proves who somebody is, what was done with it, and requests about all
-- of a person's data.

create table credentials (
  user_id             uuid        primary key,
  tenant_id           uuid        not null,
  -- PHC string of argon2id; empty for who has no password.
  password_hash       text        not null default '',
  password_changed_at timestamptz,
  -- Sealed; counts once confirmed.
  totp_secret         bytea,
  totp_confirmed_at   timestamptz,
  -- The newest time step that was used: a code works once.
  totp_last_step      bigint      not null default 0,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  constraint credentials_totp check (totp_confirmed_at is null or totp_secret is not null)
);
select tenant_rls('credentials');

create table recovery_codes (
  user_id   uuid        not null,
  tenant_id uuid        not null,
  hash      bytea       not null check (octet_length(hash) = 32),
  used_at   timestamptz,
  primary key (user_id, hash),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
select tenant_rls('recovery_codes');

-- An account that nobody has proved the address of is none: it waits here.
create table registrations (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  org_unit_id   uuid        not null,
  email         text        not null,
  email_key     text        not null,
  name          text        not null,
  given_name    text        not null default '',
  family_name   text        not null default '',
  locale        text        not null,
  time_zone     text        not null,
  password_hash text        not null,
  created_at    timestamptz not null,
  expires_at    timestamptz not null,
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id)
);
create index registrations_email on registrations (email_key);
create index registrations_expire on registrations (expires_at);
select tenant_rls('registrations');

-- Single-use links. Only the hash of a token is kept; using one is an update
-- that succeeds once.
create table one_time_tokens (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  user_id         uuid,
  registration_id uuid        references registrations (id) on delete cascade,
  kind            text        not null check (kind in ('invitation', 'registration', 'email_verification', 'email_change', 'password_reset')),
  hash            bytea       not null unique check (octet_length(hash) = 32),
  -- The address that the link proves.
  email           text        not null,
  created_at      timestamptz not null,
  expires_at      timestamptz not null,
  used_at         timestamptz,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  constraint one_time_tokens_for check ((kind = 'registration') = (registration_id is not null) and (kind = 'registration') = (user_id is null)),
  constraint one_time_tokens_lifetime check (expires_at > created_at)
);
create index one_time_tokens_user on one_time_tokens (user_id, kind) where used_at is null;
create index one_time_tokens_expire on one_time_tokens (expires_at);
select tenant_rls('one_time_tokens');

-- Devices a person signed in from, as a hash of address range and agent: a new
-- one is told to the person.
create table known_devices (
  user_id       uuid        not null,
  tenant_id     uuid        not null,
  fingerprint   bytea       not null check (octet_length(fingerprint) = 32),
  first_seen_at timestamptz not null,
  last_seen_at  timestamptz not null,
  primary key (user_id, fingerprint),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index known_devices_seen on known_devices (last_seen_at);
select tenant_rls('known_devices');

-- The security audit. No foreign keys: it outlives what it speaks of. Nobody's
-- events (an unknown address) have the nil tenant.
create table security_events (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  user_id    uuid,
  actor_id   uuid,
  kind       text        not null,
  at         timestamptz not null,
  ip         text        not null default '',
  user_agent text        not null default '',
  request_id text        not null default '',
  details    jsonb       not null default '{}'
);
create index security_events_user on security_events (user_id, at desc, id desc);
create index security_events_at on security_events (at);
select tenant_rls('security_events');

-- Export and erasure of all of a person's data, tracked to completion.
create table person_requests (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  -- Becomes the pseudonym when an erasure is complete.
  user_id      uuid        not null,
  kind         text        not null check (kind in ('export', 'erasure')),
  status       text        not null check (status in ('running', 'completed', 'failed')),
  pseudonym    uuid,
  requested_by uuid,
  reason       text        not null default '',
  job_id       uuid,
  object_key   text        not null default '',
  created_at   timestamptz not null,
  completed_at timestamptz,
  constraint person_requests_pseudonym check ((kind = 'erasure') = (pseudonym is not null)),
  constraint person_requests_done check ((status = 'running') = (completed_at is null))
);
create unique index person_requests_one_running on person_requests (user_id, kind) where status = 'running';
create index person_requests_user on person_requests (user_id, created_at desc);
create index person_requests_done_at on person_requests (completed_at) where completed_at is not null;
select tenant_rls('person_requests');

create table person_request_parts (
  request_id  uuid        not null references person_requests (id) on delete cascade,
  tenant_id   uuid        not null,
  service     text        not null,
  call_id     uuid        not null unique,
  status      text        not null check (status in ('pending', 'done', 'failed')),
  reply       jsonb,
  error       text        not null default '',
  answered_at timestamptz,
  primary key (request_id, service),
  constraint person_request_parts_answered check ((status = 'pending') = (answered_at is null))
);
select tenant_rls('person_request_parts');
