-- +goose Up
-- Announcements, templates, and packages on their way in.

create table announcements (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  course_id    uuid        not null references courses (id),
  org_unit_id  uuid        not null,
  title        text        not null check (title <> ''),
  body         text        not null,
  pinned       boolean     not null,
  publish_at   timestamptz,
  published_at timestamptz,
  author_id    uuid        not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  version      bigint      not null default 1
);
create index announcements_course on announcements (course_id, pinned desc, created_at desc, id desc);
create index announcements_due on announcements (publish_at) where published_at is null and publish_at is not null;
create index announcements_author on announcements (author_id);
select tenant_rls('announcements');

create table course_templates (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  name        text        not null check (name <> ''),
  description text        not null,
  package     jsonb       not null,
  modules     integer     not null,
  items       integer     not null,
  created_by  uuid        not null,
  created_at  timestamptz not null,
  version     bigint      not null default 1
);
create unique index course_templates_name on course_templates (tenant_id, org_unit_id, lower(name));
select tenant_rls('course_templates');

create table import_uploads (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  owner_id   uuid        not null,
  key        text        not null unique,
  filename   text        not null,
  size       bigint      not null check (size > 0),
  sha256     text        not null check (length(sha256) = 64),
  created_at timestamptz not null
);
create index import_uploads_created on import_uploads (created_at);
select tenant_rls('import_uploads');
