-- +goose Up
-- Curricula: modules and items in order, what is known of the resources in them,
-- the documents that readers get, and the versions that learners saw.

-- What content and assignment say about their resources.
create table resources (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  course_id  uuid,
  kind       text        not null check (kind in ('content', 'quiz', 'assignment')),
  title      text        not null,
  published  boolean     not null,
  deleted    boolean     not null,
  points     bigint,
  updated_at timestamptz not null
);
comment on column resources.points is 'hundredths';
select tenant_rls('resources');

create table modules (
  id             uuid        primary key,
  course_id      uuid        not null references courses (id),
  tenant_id      uuid        not null,
  position       integer     not null check (position >= 0),
  title          text        not null check (title <> ''),
  published      boolean     not null,
  unlock_at      timestamptz,
  prerequisites  uuid[]      not null,
  sequential     boolean     not null,
  required_count integer     check (required_count > 0),
  relock         bigint      not null default 0
);
create index modules_course on modules (course_id, position);
select tenant_rls('modules');

create table items (
  id               uuid        primary key,
  course_id        uuid        not null references courses (id),
  module_id        uuid        not null references modules (id),
  tenant_id        uuid        not null,
  position         integer     not null check (position >= 0),
  kind             text        not null check (kind in ('content', 'quiz', 'assignment', 'link', 'page')),
  title            text        not null check (title <> ''),
  published        boolean     not null,
  resource_id      uuid        references resources (id),
  url              text        not null,
  unlock_at        timestamptz,
  requirement_kind text        check (requirement_kind in ('view', 'done', 'submit', 'min_score')),
  min_score        bigint      check (min_score > 0),
  score_unit       text        check (score_unit in ('percent', 'points')),
  placed_at        timestamptz not null,
  check (resource_id is null or kind in ('content', 'quiz', 'assignment')),
  check ((requirement_kind is not distinct from 'min_score') = (min_score is not null and score_unit is not null))
);
comment on column items.min_score is 'hundredths';
create index items_course on items (course_id);
create index items_module on items (module_id);
create index items_resource on items (resource_id) where resource_id is not null;
select tenant_rls('items');

-- Texts of pages, apart from the items, which are read far more often.
create table page_bodies (
  item_id   uuid primary key references items (id) on delete cascade,
  course_id uuid not null references courses (id),
  tenant_id uuid not null,
  body      text not null
);
create index page_bodies_course on page_bodies (course_id);
select tenant_rls('page_bodies');

-- The curriculum as readers get it, derived with every change in its transaction.
create table curriculum_documents (
  course_id uuid   primary key references courses (id),
  tenant_id uuid   not null,
  version   bigint not null,
  whole     bytea  not null,
  published bytea  not null
);
select tenant_rls('curriculum_documents');

create table curriculum_versions (
  course_id  uuid        not null references courses (id),
  number     bigint      not null check (number > 0),
  tenant_id  uuid        not null,
  version    bigint      not null,
  created_at timestamptz not null,
  created_by uuid,
  reason     text        not null,
  changes    jsonb       not null,
  document   json        not null,
  primary key (course_id, number)
);
select tenant_rls('curriculum_versions');
