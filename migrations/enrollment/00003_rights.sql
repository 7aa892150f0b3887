-- +goose Up
-- Seats held for a checkout (rule 35), rights that payment granted (rule 33),
-- codes to join by, and certificates (rule 15).
create table seat_holds (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  course_id  uuid        not null,
  user_id    uuid        not null,
  state      text        not null check (state in ('held', 'used', 'released')),
  expires_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index seat_holds_live on seat_holds (course_id, user_id) where state = 'held';
create index seat_holds_expiry on seat_holds (expires_at) where state = 'held';
create index seat_holds_user on seat_holds (user_id);
select tenant_rls('seat_holds');

create table entitlements (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  course_id   uuid        not null,
  user_id     uuid        not null,
  state       text        not null check (state in ('granted', 'revoked')),
  valid_from  timestamptz,
  valid_until timestamptz,
  updated_at  timestamptz not null
);
create index entitlements_person on entitlements (user_id, course_id);
select tenant_rls('entitlements');

create table join_codes (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  course_id  uuid        not null,
  code       text        not null unique check (length(code) >= 10),
  label      text        not null default '',
  max_uses   integer     check (max_uses > 0),
  uses       integer     not null default 0,
  expires_at timestamptz,
  revoked_at timestamptz,
  created_by uuid,
  created_at timestamptz not null,
  constraint join_codes_limit check (uses >= 0 and (max_uses is null or uses <= max_uses))
);
create index join_codes_course on join_codes (course_id, id);
select tenant_rls('join_codes');

-- An issued certificate is never made anew (rule 15): one per enrollment, also
-- after it was revoked. Names are those at issue.
create table certificates (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  org_unit_id   uuid        not null,
  enrollment_id uuid        not null unique,
  course_id     uuid        not null,
  user_id       uuid        not null,
  code          text        not null unique check (length(code) >= 26),
  name          text        not null,
  course_code   text        not null,
  course_title  text        not null,
  title         text        not null default '',
  signatory     text        not null default '',
  completed_at  timestamptz not null,
  grade         bigint,
  issued_at     timestamptz not null,
  issued_by     uuid,
  valid_until   timestamptz,
  revoked_at    timestamptz,
  revoked_by    uuid,
  revoke_reason text        not null default '',
  version       bigint      not null default 1,
  constraint certificates_revoked check (revoked_at is not null or revoke_reason = '')
);
create index certificates_user on certificates (user_id, id desc);
create index certificates_course on certificates (course_id, id);
select tenant_rls('certificates');

create table certificate_allowlist (
  course_id  uuid        not null,
  user_id    uuid        not null,
  tenant_id  uuid        not null,
  note       text        not null default '',
  created_by uuid,
  created_at timestamptz not null,
  primary key (course_id, user_id)
);
create index certificate_allowlist_user on certificate_allowlist (user_id);
select tenant_rls('certificate_allowlist');

-- The address of a person's calendar: only its hash is kept, one at a time.
create table calendar_tokens (
  user_id    uuid        primary key,
  tenant_id  uuid        not null,
  token_hash bytea       not null unique check (octet_length(token_hash) = 32),
  created_at timestamptz not null
);
select tenant_rls('calendar_tokens');
