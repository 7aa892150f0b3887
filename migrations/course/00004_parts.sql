-- +goose Up
-- What other services make of a copy or an import, or give out for an export: part
-- by part, until the course has all of it.
create table transfer_parts (
  transfer_id uuid        not null,
  resource_id uuid        not null,
  tenant_id   uuid        not null,
  course_id   uuid        not null references courses (id),
  kind        text        not null check (kind in ('content', 'quiz', 'assignment', 'gradebook')),
  title       text        not null,
  items       uuid[]      not null, -- that wait for it
  state       text        not null check (state in ('pending', 'made', 'failed')),
  code        text        not null default '',
  message     text        not null default '',
  notes       jsonb       not null default '[]',
  package     bytea,
  main        text        not null default '',
  file        jsonb,
  n           bigint      generated always as identity,
  created_at  timestamptz not null,
  settled_at  timestamptz,
  primary key (transfer_id, resource_id),
  check ((state = 'pending') = (settled_at is null))
);
create index transfer_parts_age on transfer_parts (created_at);
select tenant_rls('transfer_parts');
