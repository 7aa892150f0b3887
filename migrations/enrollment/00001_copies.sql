-- +goose Up
-- What course says, copied: a copy is as new as the event of its seq. Beside it
-- what belongs to the seats of a course, since the row is their lock.
create table courses (
  id                   uuid        primary key,
  tenant_id            uuid        not null,
  org_unit_id          uuid        not null,
  seq                  bigint      not null check (seq > 0),
  code                 text        not null,
  title                text        not null,
  language             text        not null default '',
  status               text        not null check (status in ('draft', 'published', 'archived')),
  deleted              boolean     not null default false,
  visibility           text        not null check (visibility in ('public', 'organisation', 'enrolled')),
  enrollment_mode      text        not null check (enrollment_mode in ('self', 'approval', 'invite_only')),
  capacity             integer     check (capacity >= 0),
  waitlist_enabled     boolean     not null,
  enrollment_opens_at  timestamptz,
  enrollment_closes_at timestamptz,
  starts_at            timestamptz,
  ends_at              timestamptz,
  prerequisites        uuid[]      not null default '{}',
  requires_entitlement boolean     not null,
  external_source      text        not null default '',
  external_id          text        not null default '',
  completion           jsonb       not null,
  curriculum_seq       bigint      not null default 0,
  -- Our own. The next number of the waiting list, drawn under the row's lock.
  waitlist_next        bigint      not null default 1 check (waitlist_next > 0),
  seats_state          text        not null default 'open' check (seats_state in ('open', 'few', 'full')),
  updated_at           timestamptz not null
);
create index courses_code on courses (tenant_id, lower(code)) where not deleted;
create index courses_external on courses (tenant_id, external_source, external_id) where external_id <> '';
select tenant_rls('courses');

-- Versions of curricula, as long as a learner's progress was made under them.
create table curricula (
  course_id  uuid        not null,
  seq        bigint      not null check (seq > 0),
  tenant_id  uuid        not null,
  document   json        not null,
  changed_at timestamptz not null,
  primary key (course_id, seq)
);
select tenant_rls('curricula');

create table course_staff (
  course_id uuid    not null,
  user_id   uuid    not null,
  tenant_id uuid    not null,
  role      text    not null check (role <> ''),
  active    boolean not null,
  primary key (course_id, user_id)
);
create index course_staff_user on course_staff (user_id);
select tenant_rls('course_staff');

-- People of whom user said that they may not act, or that they are forgotten.
create table people (
  user_id    uuid        primary key,
  tenant_id  uuid        not null,
  status     text        not null check (status in ('active', 'deactivated', 'deleted', 'merged', 'erased')),
  updated_at timestamptz not null
);
select tenant_rls('people');
