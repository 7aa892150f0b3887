-- +goose Up
-- Questions live in banks of an org unit. A deleted bank or question keeps its
-- rows: attempts rest on versions.
create table question_banks (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  course_id   uuid,
  title       text        not null check (title <> ''),
  description text        not null default '',
  created_by  uuid        not null,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  deleted_at  timestamptz,
  version     bigint      not null default 1
);
create index question_banks_units on question_banks (org_unit_id, id) where deleted_at is null;
create index question_banks_courses on question_banks (course_id) where deleted_at is null and course_id is not null;
select tenant_rls('question_banks');

create table questions (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  bank_id     uuid        not null references question_banks (id),
  kind        text        not null check (kind in ('single', 'multiple', 'true_false', 'numeric', 'short_text', 'matching', 'ordering', 'essay')),
  title       text        not null check (title <> ''),
  tags        text[]      not null default '{}',
  external_id text        not null default '',
  current     integer     not null check (current > 0),
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  deleted_at  timestamptz,
  version     bigint      not null default 1
);
create index questions_bank on questions (bank_id, lower(title), id) where deleted_at is null;
create unique index questions_external_id on questions (bank_id, external_id) where external_id <> '' and deleted_at is null;
select tenant_rls('questions');

create table question_versions (
  question_id uuid        not null references questions (id),
  number      integer     not null check (number > 0),
  tenant_id   uuid        not null,
  definition  jsonb       not null,
  created_by  uuid        not null,
  created_at  timestamptz not null,
  primary key (question_id, number)
);
select tenant_rls('question_versions');
-- A question always has the version that it says is current.
alter table questions add constraint questions_current foreign key (id, current)
  references question_versions (question_id, number) deferrable initially deferred;

-- A version is never changed: attempts were marked by it.
-- +goose StatementBegin
create function question_versions_fixed() returns trigger language plpgsql as $$
begin
  raise exception 'version % of question % is fixed', old.number, old.question_id
    using errcode = 'check_violation', constraint = 'question_versions_fixed';
end
$$;
-- +goose StatementEnd
create trigger question_versions_fixed before update of question_id, number, tenant_id, definition, created_at on question_versions
  for each row execute function question_versions_fixed();

create table question_uploads (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  owner_id   uuid        not null,
  key        text        not null unique,
  filename   text        not null,
  size       bigint      not null check (size > 0),
  sha256     text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz not null
);
create index question_uploads_age on question_uploads (created_at);
select tenant_rls('question_uploads');
