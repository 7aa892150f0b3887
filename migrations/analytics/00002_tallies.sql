-- +goose Up
-- What the events add up to. Each row is merged from events in any order: a group
-- of columns that one event says as a whole is that of the highest seq, times are
-- the earliest or the latest, counts are sums. So it can be made again from
-- raw_events, to the same numbers: in the schema rebuild, which then takes the
-- place of what was there.

-- Up to where events were counted. One row.
create table tally_place (
  one        boolean     primary key default true check (one),
  ord        bigint      not null,
  updated_at timestamptz not null
);

create table courses (
  course_id      uuid   primary key,
  tenant_id      uuid   not null,
  org_unit_id    uuid,
  code           text   not null default '',
  title          text   not null default '',
  status         text   not null default '',
  language       text   not null default '',
  starts_at      timestamptz,
  ends_at        timestamptz,
  deleted        boolean not null default false,
  staff          jsonb  not null default '[]',
  seq            bigint not null default 0,
  items          jsonb  not null default '[]',
  curriculum_seq bigint not null default 0
);
create index courses_by_unit on courses (org_unit_id);
create index courses_by_staff on courses using gin (staff jsonb_path_ops);

create table org_units (
  org_unit_id uuid    primary key,
  tenant_id   uuid    not null,
  parent_id   uuid,
  name        text    not null default '',
  kind        text    not null default '',
  archived    boolean not null default false,
  deleted     boolean not null default false,
  seq         bigint  not null default 0
);

create table people (
  user_id     uuid   primary key,
  tenant_id   uuid   not null,
  org_unit_id uuid,
  status      text   not null default '',
  created_at  timestamptz,
  seq         bigint not null default 0
);

create table cohorts (
  group_id    uuid    primary key,
  tenant_id   uuid    not null,
  org_unit_id uuid,
  kind        text    not null default '',
  name        text    not null default '',
  course_id   uuid,
  deleted     boolean not null default false,
  seq         bigint  not null default 0
);

create table cohort_members (
  group_id  uuid    not null,
  user_id   uuid    not null,
  tenant_id uuid    not null,
  member    boolean not null,
  seq       bigint  not null,
  primary key (group_id, user_id)
);
create index cohort_members_by_user on cohort_members (user_id);

-- A person in a course, enrolled or only looking.
create table learners (
  course_id        uuid   not null,
  user_id          uuid   not null,
  tenant_id        uuid   not null,
  enrollment_id    uuid,
  state            text   not null default '',
  source           text   not null default '',
  ends_at          timestamptz,
  status_seq       bigint not null default 0,
  reset_seq        bigint not null default 0,
  required         integer not null default 0,
  met              integer not null default 0,
  progress_seq     bigint not null default 0,
  viewed_at        timestamptz,
  enrolled_at      timestamptz,
  started_at       timestamptz,
  completed_at     timestamptz,
  withdrawn_at     timestamptz,
  certified_at     timestamptz,
  last_activity_at timestamptz,
  current_grade    bigint,
  final_grade      bigint,
  letter           text   not null default '',
  grade_seq        bigint not null default 0,
  primary key (course_id, user_id)
);
create index learners_by_user on learners (user_id);

create table learner_items (
  course_id    uuid   not null,
  user_id      uuid   not null,
  item_id      uuid   not null,
  tenant_id    uuid   not null,
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  completed_at timestamptz,
  seq          bigint not null default 0,
  score        bigint,
  possible     bigint,
  primary key (course_id, item_id, user_id)
);
create index learner_items_by_user on learner_items (user_id);

-- Who did something on a UTC day: am and pm have a bit for each quarter of an
-- hour, so that days of any time zone can be told apart. course_id is all zeros
-- for a sign-in.
create table activities (
  day       date    not null,
  course_id uuid    not null,
  user_id   uuid    not null,
  tenant_id uuid    not null,
  am        bigint  not null,
  pm        bigint  not null,
  events    integer not null,
  primary key (day, course_id, user_id)
);
create index activities_by_course on activities (course_id, day);
create index activities_by_user on activities (user_id);

create table quizzes (
  quiz_id   uuid    primary key,
  tenant_id uuid    not null,
  course_id uuid,
  title     text    not null default '',
  points    bigint  not null default 0,
  deleted   boolean not null default false,
  seq       bigint  not null default 0
);

create table questions (
  question_id uuid    primary key,
  tenant_id   uuid    not null,
  kind        text    not null default '',
  title       text    not null default '',
  deleted     boolean not null default false,
  seq         bigint  not null default 0
);

create table attempts (
  attempt_id  uuid    primary key,
  tenant_id   uuid    not null,
  course_id   uuid    not null,
  quiz_id     uuid    not null,
  user_id     uuid    not null,
  number      integer not null default 0,
  state       text    not null default '',
  started_at  timestamptz not null,
  finished_at timestamptz,
  seq         bigint  not null default 0,
  score       bigint,
  possible    bigint,
  answers     jsonb   not null default '[]',
  graded_seq  bigint  not null default 0
);
create index attempts_by_course on attempts (course_id, quiz_id);
create index attempts_by_user on attempts (user_id);

create table assignments (
  assignment_id uuid    primary key,
  tenant_id     uuid    not null,
  course_id     uuid,
  title         text    not null default '',
  points        bigint  not null default 0,
  due_at        timestamptz,
  published     boolean not null default false,
  deleted       boolean not null default false,
  seq           bigint  not null default 0
);
create index assignments_by_course on assignments (course_id);

-- A person's work on an assignment: what was handed in last, and what was said of
-- it last.
create table works (
  assignment_id     uuid    not null,
  user_id           uuid    not null,
  tenant_id         uuid    not null,
  course_id         uuid    not null,
  submitted_at      timestamptz,
  due_at            timestamptz,
  seconds_late      bigint  not null default 0,
  withdrawn         boolean not null default false,
  submission_rank   bigint  not null default 0,
  missing           boolean not null default false,
  excused           boolean not null default false,
  late              boolean not null default false,
  judged_seconds    bigint  not null default 0,
  judged_submission timestamptz,
  standing_seq      bigint  not null default 0,
  grader_id         uuid,
  graded_at         timestamptz,
  score             bigint,
  possible          bigint,
  score_seq         bigint  not null default 0,
  -- A grader's word counts where it is about what was handed in last.
  judged            boolean not null generated always as (coalesce(judged_submission >= submitted_at, false)) stored,
  standing          text    not null generated always as (case
    when excused then 'excused'
    when submitted_at is not null and not withdrawn then
      case when coalesce(judged_submission >= submitted_at, false) and late or not coalesce(judged_submission >= submitted_at, false) and seconds_late > 0
        then 'late' else 'on_time' end
    when missing then 'missing'
    else 'open' end) stored,
  primary key (assignment_id, user_id)
);
create index works_by_course on works (course_id);
create index works_by_user on works (user_id);
create index works_by_grader on works (grader_id) where grader_id is not null;

create table plans (
  plan_id   uuid   primary key,
  tenant_id uuid   not null,
  name      text   not null default '',
  kind      text   not null default '',
  seq       bigint not null default 0
);

create table payments (
  payment_id  uuid   primary key,
  tenant_id   uuid   not null,
  org_unit_id uuid,
  course_id   uuid,
  plan_id     uuid   not null,
  user_id     uuid   not null,
  kind        text   not null check (kind in ('payment', 'refund')),
  at          timestamptz not null,
  amount      bigint not null,
  tax         bigint not null,
  currency    text   not null
);
create index payments_by_time on payments (at);
create index payments_by_user on payments (user_id);

create table subscription_changes (
  subscription_id uuid   not null,
  seq             bigint not null,
  tenant_id       uuid   not null,
  org_unit_id     uuid,
  course_id       uuid,
  plan_id         uuid   not null,
  user_id         uuid   not null,
  at              timestamptz not null,
  state           text   not null,
  currency        text   not null,
  monthly         bigint not null,
  primary key (subscription_id, seq)
);
create index subscription_changes_by_user on subscription_changes (user_id);

create table search_terms (
  tenant_id      uuid   not null,
  term           text   not null,
  slot           timestamptz not null,
  searches       integer not null,
  without_result integer not null,
  primary key (tenant_id, term, slot)
);
create index search_terms_by_time on search_terms (slot);

-- As tenant_rls, with the tenant read once for a statement and not for each of a
-- hundred thousand rows.
-- +goose StatementBegin
create function tally_rls(tbl regclass) returns void language plpgsql as $$
begin
  execute format('alter table %s enable row level security', tbl);
  execute format($p$create policy tenant on %s
    using ((select current_setting('lms.tenant', true)) = '*'
      or tenant_id = (select nullif(nullif(current_setting('lms.tenant', true), '*'), '')::uuid))
    with check (tenant_visible(tenant_id))$p$, tbl);
end
$$;
-- +goose StatementEnd

-- Names of all tables above but tally_place, which has no tenant.
-- +goose StatementBegin
create function tally_tables() returns setof text language sql immutable as $$
  select unnest(array['courses', 'org_units', 'people', 'cohorts', 'cohort_members', 'learners', 'learner_items', 'activities',
    'quizzes', 'questions', 'attempts', 'assignments', 'works', 'plans', 'payments', 'subscription_changes', 'search_terms'])
$$;
-- +goose StatementEnd

create schema rebuild;
-- +goose StatementBegin
do $$
declare
  name text;
begin
  create table rebuild.tally_place (like public.tally_place including all);
  for name in select tally_tables() loop
    execute format('create table rebuild.%I (like public.%I including all)', name, name);
    perform tally_rls(format('public.%I', name)::regclass);
    perform tally_rls(format('rebuild.%I', name)::regclass);
  end loop;
  -- Who may change the rows of the one may change those of the other.
  for name in select distinct r.rolname from pg_class c cross join lateral aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
    where c.oid = 'public.courses'::regclass and a.grantee <> c.relowner loop
    execute format('grant usage on schema rebuild to %I', name);
    execute format('grant select, insert, update, delete on all tables in schema rebuild to %I', name);
  end loop;
end
$$;
-- +goose StatementEnd
insert into public.tally_place (ord, updated_at) values (0, now());

-- A rebuild that is at work. One row at most.
create table rebuild_run (
  one        boolean     primary key default true check (one),
  id         uuid        not null,
  upto       bigint      not null,
  started_at timestamptz not null
);

-- Empties the schema rebuild for a new run.
-- +goose StatementBegin
create function rebuild_begin(at timestamptz) returns void
language plpgsql security definer set search_path = rebuild, pg_temp as $$
declare
  name text;
begin
  for name in select public.tally_tables() loop
    execute format('truncate rebuild.%I', name);
  end loop;
  delete from rebuild.tally_place;
  insert into rebuild.tally_place (ord, updated_at) values (0, at);
end
$$;
-- +goose StatementEnd

-- Rows that are not the same as they are stored and as they are made anew, by
-- table, at most so many of each side.
-- +goose StatementBegin
create function tally_differences(most integer) returns table (tbl text, stored jsonb, computed jsonb)
language plpgsql stable as $$
declare
  name text;
begin
  for name in select public.tally_tables() loop
    return query execute format($q$
      select %L, to_jsonb(x), null::jsonb from (table public.%I except table rebuild.%I limit %s) x
      union all
      select %L, null::jsonb, to_jsonb(x) from (table rebuild.%I except table public.%I limit %s) x$q$,
      name, name, name, most, name, name, name, most);
  end loop;
end
$$;
-- +goose StatementEnd

-- Puts what was made anew in the place of what was there.
-- +goose StatementBegin
create function rebuild_swap() returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  name text;
begin
  create schema swapping;
  for name in select tally_tables() union all select 'tally_place' loop
    execute format('alter table public.%I set schema swapping', name);
    execute format('alter table rebuild.%I set schema public', name);
    execute format('alter table swapping.%I set schema rebuild', name);
  end loop;
  drop schema swapping;
end
$$;
-- +goose StatementEnd
