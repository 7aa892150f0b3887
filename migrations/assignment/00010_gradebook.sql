-- +goose Up
-- How a course counts: grading schemes, settings and the late policy, the columns
-- of quizzes, and totals. Points and percents are whole hundredths.

-- Letters by percent. A scheme never changes: grades were given by it.
create table grading_schemes (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  course_id   uuid,       -- none: for all courses in and below the org unit
  name        text        not null check (name <> ''),
  grades      jsonb       not null check (jsonb_typeof(grades) = 'array'),
  created_by  uuid,
  created_at  timestamptz not null
);
create unique index grading_schemes_name on grading_schemes (coalesce(course_id, org_unit_id), lower(name));
create index grading_schemes_list on grading_schemes (tenant_id, id);
select tenant_rls('grading_schemes');

-- One row per course with assignments or quizzes; what nobody set has its default.
-- Graders read it for share, so that a policy never changes under a grade that is
-- being entered. Versions are 1 until somebody sets something.
create table course_grading (
  course_id        uuid        primary key,
  tenant_id        uuid        not null,
  org_unit_id      uuid        not null,
  weighted         boolean     not null default false, -- rule 22
  scheme_id        uuid        references grading_schemes (id), -- none: the standard one
  show_totals      boolean     not null default true, -- to learners
  settings_version bigint      not null default 1,
  -- The late policy (rules 16, 18).
  late             boolean     not null default false,
  late_rate        bigint      not null default 0 check (late_rate between 0 and 10000),
  late_interval    text        not null default 'day' check (late_interval in ('hour', 'day')),
  late_floor       bigint      not null default 0 check (late_floor between 0 and 10000),
  missing          boolean     not null default false,
  missing_rate     bigint      not null default 10000 check (missing_rate between 0 and 10000),
  policy_version   bigint      not null default 1,
  -- revision is raised by whatever changes the totals of everybody; counted is the
  -- one under which all of them are stored.
  revision         bigint      not null default 1,
  counted          bigint      not null default 1,
  updated_at       timestamptz not null,
  constraint course_grading_counted check (counted <= revision)
);
create index course_grading_behind on course_grading (course_id) where counted < revision;
select tenant_rls('course_grading');

-- Quizzes as content tells them: read-only columns of the gradebook. Where they
-- stand in the gradebook is decided here.
create table quiz_columns (
  quiz_id             uuid        primary key,
  tenant_id           uuid        not null,
  org_unit_id         uuid        not null,
  course_id           uuid        not null,
  group_id            uuid,
  position            integer     not null default 0 check (position >= 0),
  omit_from_final     boolean     not null default false,
  title               text        not null,
  points              bigint      not null check (points between 0 and 100000000),
  due_at              timestamptz,
  published           boolean     not null,
  deleted             boolean     not null,
  missing_checked_for timestamptz, -- the due time for which missing work was looked for
  created_at          timestamptz not null,
  updated_at          timestamptz not null,
  version             bigint      not null default 1,
  constraint quiz_columns_group foreign key (group_id, course_id) references assignment_groups (id, course_id)
);
create index quiz_columns_course on quiz_columns (course_id) where not deleted;
create index quiz_columns_due on quiz_columns (due_at) where published and not deleted and due_at is not null;
select tenant_rls('quiz_columns');

-- What content says of a person's result, and what the late policy makes of it
-- (rules 16 to 18, 20).
create table quiz_scores (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  course_id     uuid        not null,
  quiz_id       uuid        not null references quiz_columns (quiz_id),
  user_id       uuid        not null,
  score         bigint      check (score between -200000000 and 200000000), -- as content keeps it
  pending       boolean     not null default false,
  posted        boolean     not null default false,
  excused_at    timestamptz,
  submitted_at  timestamptz,
  due_at        timestamptz, -- the person's own; none: that of the column, if told never
  told          boolean     not null default false, -- content spoke of this person
  graded_at     timestamptz,
  seconds_late  bigint      not null default 0 check (seconds_late >= 0),
  deduction     bigint      not null default 0 check (deduction >= 0),
  missing_score bigint      check (missing_score >= 0),
  missing_at    timestamptz,
  counted       bigint      generated always as (coalesce(score - deduction, missing_score)) stored,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  version       bigint      not null default 1,
  constraint quiz_scores_one unique (quiz_id, user_id),
  constraint quiz_scores_missing check (missing_score is null or score is null and excused_at is null),
  constraint quiz_scores_deduction check (deduction = 0 or score is not null and deduction <= score)
);
create index quiz_scores_course on quiz_scores (course_id, user_id);
create index quiz_scores_person on quiz_scores (user_id);
select tenant_rls('quiz_scores');

create table quiz_score_history (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  score_id   uuid        not null references quiz_scores (id),
  at         timestamptz not null,
  actor_id   uuid,       -- none: content, or a rule of the system
  cause      text        not null check (cause in ('told', 'policy', 'missing', 'dates', 'recomputed')),
  before     jsonb,
  after      jsonb       not null
);
create index quiz_score_history_of on quiz_score_history (score_id, at, id);
select tenant_rls('quiz_score_history');

-- Each total exists twice, for staff and posted (rule 25), in percent.
create table course_totals (
  id               uuid        primary key, -- the aggregate of events about it
  tenant_id        uuid        not null,
  org_unit_id      uuid        not null,
  course_id        uuid        not null,
  user_id          uuid        not null,
  current          bigint,
  final            bigint,
  letter           text        not null default '', -- of final, or of the override
  posted_current   bigint,
  posted_final     bigint,
  posted_letter    text        not null default '',
  -- A final grade that staff set instead of the computed one.
  override_percent bigint      check (override_percent between 0 and 100000),
  override_by      uuid,
  override_at      timestamptz,
  override_version bigint      not null default 1,
  revision         bigint      not null default 0, -- of course_grading, that it was computed under
  changed_at       timestamptz,
  posted_at        timestamptz, -- the posted numbers last changed
  created_at       timestamptz not null,
  version          bigint      not null default 1,
  constraint course_totals_one unique (course_id, user_id),
  constraint course_totals_override check ((override_percent is null) = (override_at is null))
) with (fillfactor = 80);
create index course_totals_behind on course_totals (course_id, revision, user_id);
create index course_totals_person on course_totals (user_id);
select tenant_rls('course_totals');

create table final_grade_history (
  id        uuid        primary key,
  tenant_id uuid        not null,
  total_id  uuid        not null references course_totals (id),
  at        timestamptz not null,
  actor_id  uuid,
  note      text        not null default '',
  before    bigint,
  after     bigint
);
create index final_grade_history_of on final_grade_history (total_id, at, id);
select tenant_rls('final_grade_history');

-- +goose StatementBegin
create function gradebook_history_only_grows() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and current_setting('lms.erasing', true) = 'on' and new.id = old.id then
    return new;
  end if;
  raise exception '% only grows', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;
-- +goose StatementEnd
create trigger quiz_score_history_only_grows before update or delete on quiz_score_history
  for each row execute function gradebook_history_only_grows();
create trigger final_grade_history_only_grows before update or delete on final_grade_history
  for each row execute function gradebook_history_only_grows();

-- Whatever moves everybody's totals raises the course's revision, whoever writes it.
-- +goose StatementBegin
create function course_counts_anew() returns trigger language plpgsql as $$
declare
  r record;
begin
  if tg_op = 'DELETE' then r := old; else r := new; end if;
  insert into course_grading (course_id, tenant_id, org_unit_id, revision, updated_at)
  values (r.course_id, r.tenant_id, r.org_unit_id, 2, r.updated_at)
  on conflict (course_id) do update set revision = course_grading.revision + 1;
  return null;
end
$$;
-- +goose StatementEnd
create trigger assignments_count_anew_first after insert on assignments for each row execute function course_counts_anew();
create trigger assignments_count_anew after update on assignments for each row
  when ((old.group_id, old.points, old.grading_type, old.omit_from_final, old.published, old.deleted_at)
    is distinct from (new.group_id, new.points, new.grading_type, new.omit_from_final, new.published, new.deleted_at))
  execute function course_counts_anew();
create trigger assignment_groups_count_anew after update on assignment_groups for each row
  when ((old.weight, old.drop_lowest, old.drop_highest, old.never_drop) is distinct from (new.weight, new.drop_lowest, new.drop_highest, new.never_drop))
  execute function course_counts_anew();
create trigger assignment_groups_count_anew_set after insert or delete on assignment_groups for each row execute function course_counts_anew();
create trigger quiz_columns_count_anew_first after insert on quiz_columns for each row execute function course_counts_anew();
create trigger quiz_columns_count_anew after update on quiz_columns for each row
  when ((old.group_id, old.points, old.omit_from_final, old.published, old.deleted)
    is distinct from (new.group_id, new.points, new.omit_from_final, new.published, new.deleted))
  execute function course_counts_anew();
