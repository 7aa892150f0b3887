-- +goose Up
-- What courses are put on: categories and terms.

create table categories (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  parent_id  uuid        references categories (id),
  name       text        not null check (name <> ''),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version    bigint      not null default 1,
  check (parent_id <> id)
);
create unique index categories_sibling_name on categories (tenant_id, parent_id, lower(name)) nulls not distinct;
create index categories_parent on categories (parent_id);
select tenant_rls('categories');

create table terms (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  code        text        not null check (code <> ''),
  name        text        not null check (name <> ''),
  starts_at   timestamptz,
  ends_at     timestamptz,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  version     bigint      not null default 1,
  check (ends_at >= starts_at)
);
create unique index terms_code on terms (tenant_id, lower(code));
select tenant_rls('terms');

-- A course without its curriculum. A deleted one stays as a tombstone.
create table courses (
  id                   uuid        primary key,
  tenant_id            uuid        not null,
  org_unit_id          uuid        not null,
  org_unit_path        uuid[]      not null,
  code                 text        not null check (code <> ''),
  title                text        not null check (title <> ''),
  description          text        not null,
  language             text        not null,
  level                text        not null,
  tags                 text[]      not null,
  category_id          uuid        references categories (id),
  cover_url            text        not null,
  term_id              uuid        references terms (id),
  external_source      text        not null,
  external_id          text        not null,
  status               text        not null check (status in ('draft', 'published', 'archived')),
  visibility           text        not null check (visibility in ('public', 'organisation', 'enrolled')),
  enrollment_mode      text        not null check (enrollment_mode in ('self', 'approval', 'invite_only')),
  capacity             integer     check (capacity >= 0),
  waitlist_enabled     boolean     not null,
  enrollment_opens_at  timestamptz,
  enrollment_closes_at timestamptz,
  starts_at            timestamptz,
  ends_at              timestamptz,
  pacing               text        not null check (pacing in ('instructor', 'self')),
  prerequisite_courses uuid[]      not null,
  price_plan_id        uuid,
  price                jsonb,
  seats                text        not null check (seats in ('open', 'few', 'full')),
  completion           jsonb       not null,
  created_by           uuid        not null,
  created_at           timestamptz not null,
  updated_at           timestamptz not null,
  published_at         timestamptz,
  archived_at          timestamptz,
  deleted_at           timestamptz,
  version              bigint      not null default 1,
  curriculum_version   bigint      not null default 1,
  curriculum_changed_at timestamptz not null,
  check (ends_at >= starts_at),
  check (enrollment_closes_at >= enrollment_opens_at),
  check ((external_id = '') = (external_source = ''))
);
create unique index courses_code on courses (tenant_id, lower(code)) where deleted_at is null;
create unique index courses_external_id on courses (tenant_id, external_source, external_id) where external_id <> '' and deleted_at is null;
create index courses_created on courses (created_at desc, id desc) where deleted_at is null;
create index courses_tenant_created on courses (tenant_id, created_at desc, id desc) where deleted_at is null;
create index courses_tenant_title on courses (tenant_id, lower(title), id) where deleted_at is null;
create index courses_updated on courses (updated_at desc, id desc) where deleted_at is null;
create index courses_category on courses (category_id) where category_id is not null;
create index courses_term on courses (term_id) where term_id is not null;
create index courses_org_unit on courses (org_unit_id);
create index courses_tags on courses using gin (tags);
create index courses_prerequisites on courses using gin (prerequisite_courses);
select tenant_rls('courses');

create table course_staff (
  course_id uuid        not null references courses (id),
  user_id   uuid        not null,
  tenant_id uuid        not null,
  role      text        not null check (role <> ''),
  active    boolean     not null,
  added_by  uuid        not null,
  added_at  timestamptz not null,
  primary key (course_id, user_id)
);
create index course_staff_user on course_staff (user_id);
select tenant_rls('course_staff');

-- Who looked at which course on which day; kept two days, to tell it once.
create table course_views (
  course_id   uuid        not null references courses (id),
  user_id     uuid        not null,
  day         date        not null,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  viewed_at   timestamptz not null,
  primary key (day, course_id, user_id)
);
create index course_views_user on course_views (user_id);
select tenant_rls('course_views');
