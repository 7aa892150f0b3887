-- +goose Up
-- The tree of org units and the people in it. A tenant is a root unit.
create table org_units (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  parent_id   uuid,
  -- From the root to the unit itself, both included. At most 12 levels.
  path        uuid[]      not null check (cardinality(path) between 1 and 12),
  kind        text        not null check (kind in ('organisation', 'faculty', 'department', 'school', 'class', 'other')),
  code        text        not null default '',
  name        text        not null check (name <> ''),
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  archived_at timestamptz,
  deleted_at  timestamptz,
  version     bigint      not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, parent_id) references org_units (tenant_id, id),
  constraint org_units_root check ((parent_id is null) = (id = tenant_id)),
  constraint org_units_path_ends check (path[1] = tenant_id and path[cardinality(path)] = id),
  constraint org_units_path_parent check (
    (parent_id is null and cardinality(path) = 1)
    or (parent_id is not null and cardinality(path) > 1 and path[cardinality(path) - 1] = parent_id))
);
create unique index org_units_code on org_units (tenant_id, lower(code)) where code <> '' and deleted_at is null;
create index org_units_parent on org_units (parent_id);
create index org_units_path on org_units using gin (path);
select tenant_rls('org_units');

-- The path of a unit is its parent's path and itself. Since a path is finite,
-- no cycle can satisfy this. Checked at the commit, so that a move may write
-- its subtree in any order.
-- +goose StatementBegin
create function org_units_check_path() returns trigger language plpgsql as $$
declare
  now_path uuid[];
  now_parent uuid;
  parent_path uuid[];
begin
  select path, parent_id into now_path, now_parent from org_units where id = new.id;
  if not found then
    return null;
  end if;
  if now_parent is not null then
    select path into parent_path from org_units where id = now_parent;
    if parent_path is null or now_path <> parent_path || new.id then
      raise exception 'path of org unit % does not continue that of its parent', new.id
        using errcode = 'check_violation', constraint = 'org_units_path_continues';
    end if;
  end if;
  if exists (select 1 from org_units c where c.parent_id = new.id and c.path <> now_path || c.id) then
    raise exception 'children of org unit % were left behind', new.id
      using errcode = 'check_violation', constraint = 'org_units_path_continues';
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create constraint trigger org_units_path_continues
  after insert or update of parent_id, path on org_units
  deferrable initially deferred for each row execute function org_units_check_path();

create table org_unit_external_ids (
  tenant_id   uuid not null,
  source      text not null check (source <> ''),
  external_id text not null check (external_id <> ''),
  org_unit_id uuid not null,
  primary key (tenant_id, source, external_id),
  unique (org_unit_id, source),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id) on delete cascade
);
select tenant_rls('org_unit_external_ids');

create table users (
  id                  uuid        primary key,
  tenant_id           uuid        not null,
  org_unit_id         uuid        not null,
  status              text        not null check (status in ('invited', 'active', 'deactivated', 'deleted', 'merged')),
  origin              text        not null check (origin in ('admin', 'invitation', 'registration', 'import', 'sso', 'bootstrap')),
  email               text        not null default '',
  -- The address by which an account is found, in one spelling; null when the
  -- account has none, or gave it free (deleted, merged).
  email_key           text,
  email_verified_at   timestamptz,
  name                text        not null,
  given_name          text        not null default '',
  family_name         text        not null default '',
  sort_name           text        collate "C" not null,
  locale              text        not null,
  time_zone           text        not null,
  bio                 text        not null default '',
  attributes          jsonb       not null default '{}' check (jsonb_typeof(attributes) = 'object'),
  avatar_hash         text        not null default '',
  search_text         text        not null default '',
  search              tsvector    generated always as (to_tsvector('simple', search_text)) stored,
  epoch               bigint      not null default 1 check (epoch > 0),
  last_signed_in_at   timestamptz,
  deactivated_reason  text        not null default '',
  merged_into         uuid        references users (id) on delete set null,
  created_at          timestamptz not null,
  updated_at          timestamptz not null,
  deactivated_at      timestamptz,
  deleted_at          timestamptz,
  version             bigint      not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id),
  constraint users_email_key_spelling check (email_key = lower(email_key) and email_key <> ''),
  constraint users_gone_frees_email check (status not in ('deleted', 'merged') or email_key is null),
  constraint users_merged check (merged_into is null or (status = 'merged' and merged_into <> id)),
  constraint users_deactivated check (status <> 'deactivated' or deactivated_at is not null),
  constraint users_deleted check (status not in ('deleted', 'merged') or deleted_at is not null)
);
create unique index users_email_unique on users (email_key);
create index users_by_name on users (tenant_id, sort_name, id);
create index users_by_created on users (tenant_id, created_at, id);
create index users_by_home on users (org_unit_id, id);
create index users_by_deleted on users (deleted_at) where status = 'deleted';
create index users_by_merged on users (merged_into) where merged_into is not null;
create index users_search on users using gin (search);
select tenant_rls('users');

create table user_external_ids (
  tenant_id   uuid not null,
  source      text not null check (source <> ''),
  external_id text not null check (external_id <> ''),
  user_id     uuid not null,
  primary key (tenant_id, source, external_id),
  unique (user_id, source),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
select tenant_rls('user_external_ids');

-- Pictures are small (at most 1 MiB, made again by us at 512 pixels), so that
-- they are kept, backed up and forgotten together with the person.
create table avatars (
  user_id    uuid        primary key,
  tenant_id  uuid        not null,
  media_type text        not null check (media_type in ('image/png', 'image/jpeg')),
  hash       text        not null,
  content    bytea       not null check (octet_length(content) between 1 and 1048576),
  updated_at timestamptz not null,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
select tenant_rls('avatars');

-- Membership besides the home unit, which is a column of users.
create table org_members (
  org_unit_id uuid        not null,
  user_id     uuid        not null,
  tenant_id   uuid        not null,
  title       text        not null default '',
  created_at  timestamptz not null,
  primary key (org_unit_id, user_id),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index org_members_user on org_members (user_id);
select tenant_rls('org_members');

create table group_sets (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  course_id   uuid        not null,
  name        text        not null check (name <> ''),
  self_signup boolean     not null default false,
  max_members integer     check (max_members between 1 and 1000),
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  version     bigint      not null default 1,
  unique (tenant_id, id)
);
create unique index group_sets_name on group_sets (course_id, lower(name));
select tenant_rls('group_sets');

create table groups (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  org_unit_id  uuid        not null,
  kind         text        not null check (kind in ('group', 'cohort', 'course')),
  course_id    uuid,
  set_id       uuid,
  name         text        not null check (name <> ''),
  description  text        not null default '',
  starts_on    date,
  ends_on      date,
  max_members  integer     check (max_members between 1 and 100000),
  member_count integer     not null default 0 check (member_count >= 0),
  created_by   uuid,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  version      bigint      not null default 1,
  unique (tenant_id, id),
  unique (set_id, id),
  foreign key (tenant_id, set_id) references group_sets (tenant_id, id),
  constraint groups_course check ((kind = 'course') = (course_id is not null) and (kind = 'course') = (set_id is not null)),
  constraint groups_dates check (ends_on is null or starts_on is null or starts_on <= ends_on),
  constraint groups_full check (max_members is null or member_count <= max_members)
);
create unique index groups_name_in_set on groups (set_id, lower(name)) where set_id is not null;
create index groups_by_unit on groups (tenant_id, org_unit_id);
create index groups_by_name on groups (tenant_id, name collate "C", id);
create index groups_by_course on groups (course_id) where course_id is not null;
select tenant_rls('groups');

create table group_members (
  group_id   uuid        not null,
  user_id    uuid        not null,
  tenant_id  uuid        not null,
  -- Repeated from the group, so that a person is in one group of a set at most.
  set_id     uuid,
  created_at timestamptz not null,
  primary key (group_id, user_id),
  constraint group_members_one_per_set unique (set_id, user_id),
  foreign key (tenant_id, group_id) references groups (tenant_id, id) on delete cascade,
  foreign key (set_id, group_id) references groups (set_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index group_members_user on group_members (user_id);
select tenant_rls('group_members');
