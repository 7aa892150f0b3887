-- +goose Up
-- One row per person and course (rule 31). There is no foreign key to courses:
-- its check would lock the course's row in each enrollment, and courses are
-- never deleted from here. Fill factor: progress updates stay on their page.
create table enrollments (
  id                   uuid        primary key,
  tenant_id            uuid        not null,
  course_id            uuid        not null,
  user_id              uuid        not null,
  state                text        not null check (state in ('invited', 'requested', 'waitlisted', 'offered',
                                     'active', 'completed', 'withdrawn', 'rejected', 'suspended', 'expired')),
  source               text        not null check (source in ('self', 'staff', 'import', 'join_code', 'invitation', 'payment')),
  reason               text        not null default '',
  starts_at            timestamptz,
  ends_at              timestamptz,
  entitled_until       timestamptz,
  access_ends_at       timestamptz generated always as (least(ends_at, entitled_until)) stored,
  waitlist_number      bigint      check (waitlist_number > 0),
  answer_by            timestamptz,
  waived_prerequisites boolean     not null default false,
  waived_entitlement   boolean     not null default false,
  external_source      text        not null default '',
  external_id          text        not null default '',
  activated_at         timestamptz,
  completed_at         timestamptz,
  last_activity_at     timestamptz,
  expiry_told_at       timestamptz,
  -- Progress of the whole course, derived from item_progress (rule 10).
  required             integer     not null default 0 check (required >= 0),
  met                  integer     not null default 0 check (met >= 0),
  next_item_id         uuid,
  next_change_at       timestamptz,
  curriculum_seq       bigint      not null default 0,
  -- The posted course grade, in hundredths of a percent.
  grade_current        bigint,
  grade_final          bigint,
  grade_letter         text        not null default '',
  graded_at            timestamptz,
  grade_version        bigint      not null default 0,
  state_changed_at     timestamptz not null,
  created_at           timestamptz not null,
  updated_at           timestamptz not null,
  version              bigint      not null default 1,
  constraint enrollments_one_per_course unique (course_id, user_id),
  constraint enrollments_met check (met <= required),
  constraint enrollments_dates check (starts_at is null or ends_at is null or starts_at <= ends_at),
  constraint enrollments_number check ((state = 'waitlisted') = (waitlist_number is not null)),
  constraint enrollments_offer check (state <> 'offered' or answer_by is not null),
  constraint enrollments_activated check (state not in ('active', 'completed', 'suspended') or activated_at is not null),
  constraint enrollments_completed check (state <> 'completed' or completed_at is not null),
  constraint enrollments_external check ((external_source = '') = (external_id = ''))
) with (fillfactor = 80);
create index enrollments_user on enrollments (user_id, id desc);
create index enrollments_roster on enrollments (course_id, id);
-- Seats taken (rule 32).
create index enrollments_seats on enrollments (course_id, state, access_ends_at)
  where state in ('active', 'completed', 'suspended', 'offered');
create unique index enrollments_waitlist on enrollments (course_id, waitlist_number) where state = 'waitlisted';
create unique index enrollments_external_id on enrollments (tenant_id, external_source, external_id) where external_id <> '';
-- What the sweep looks for.
create index enrollments_ending on enrollments (access_ends_at) where state in ('active', 'suspended') and access_ends_at is not null;
create index enrollments_answer on enrollments (answer_by) where state in ('invited', 'offered') and answer_by is not null;
create index enrollments_change on enrollments (next_change_at) where state = 'active' and next_change_at is not null;
create index enrollments_behind on enrollments (course_id, curriculum_seq) where state in ('active', 'completed', 'suspended');
select tenant_rls('enrollments');

-- A seat is checked and taken under the course row's lock by the service; this
-- is the second line: nobody gets into a limited course beyond its capacity.
-- Who has a seat keeps it when the capacity is lowered.
-- +goose StatementBegin
create function enrollments_take_seat() returns trigger language plpgsql as $$
declare
  seats integer;
  taken bigint;
begin
  if tg_op = 'UPDATE' and old.state in ('active', 'completed', 'suspended', 'offered') then
    return null;
  end if;
  select capacity into seats from courses where id = new.course_id;
  if seats is null then
    return null;
  end if;
  perform 1 from courses where id = new.course_id for no key update;
  select count(*) into taken from enrollments
  where course_id = new.course_id and (state in ('active', 'suspended', 'offered')
    or state = 'completed' and (access_ends_at is null or access_ends_at >= new.updated_at));
  if taken > seats then
    raise exception 'course % has no free seat', new.course_id
      using errcode = 'check_violation', constraint = 'enrollments_within_capacity';
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger enrollments_within_capacity
  after insert or update of state on enrollments
  for each row when (new.state in ('active', 'completed', 'suspended', 'offered'))
  execute function enrollments_take_seat();

-- What is known of a learner and one subject: a resource, wherever it is placed
-- (rule 14), or an item without one. completed_items are the places that are
-- completed, completed_times since when, one to one.
create table item_progress (
  enrollment_id   uuid          not null references enrollments (id) on delete cascade,
  subject_id      uuid          not null,
  tenant_id       uuid          not null,
  viewed_at       timestamptz,
  done_at         timestamptz,
  submitted_at    timestamptz,
  watched         smallint      not null default 0 check (watched between 0 and 100),
  score           bigint,
  possible        bigint,
  graded_at       timestamptz,
  excused_at      timestamptz,
  completed_items uuid[]        not null default '{}',
  completed_times timestamptz[] not null default '{}',
  updated_at      timestamptz   not null,
  primary key (enrollment_id, subject_id),
  constraint item_progress_completed check (cardinality(completed_items) = cardinality(completed_times)),
  constraint item_progress_score check ((score is null) = (graded_at is null))
) with (fillfactor = 80);
select tenant_rls('item_progress');

-- Derived from item_progress, one row per module that was begun; kept_at and
-- kept_items are what stays open although the rules would lock it (rule 8).
create table module_progress (
  enrollment_id uuid        not null references enrollments (id) on delete cascade,
  module_id     uuid        not null,
  tenant_id     uuid        not null,
  state         text        not null check (state in ('locked', 'unlocked', 'started', 'completed')),
  needed        integer     not null check (needed >= 0),
  met           integer     not null,
  unlocked_at   timestamptz,
  completed_at  timestamptz,
  kept_at       timestamptz,
  kept_items    uuid[]      not null default '{}',
  updated_at    timestamptz not null,
  primary key (enrollment_id, module_id),
  constraint module_progress_met check (met between 0 and needed),
  constraint module_progress_completed check ((state = 'completed') = (completed_at is not null)),
  constraint module_progress_unlocked check ((state = 'locked') = (unlocked_at is null))
) with (fillfactor = 80);
select tenant_rls('module_progress');
