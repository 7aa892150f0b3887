-- +goose Up
-- What is asked of learners: assignments in their groups, rubrics, and who has
-- other dates. Points, scores and weights are whole hundredths.

-- People of whom user said that they are forgotten, or not to be let in.
create table people (
  user_id    uuid        primary key,
  tenant_id  uuid        not null,
  status     text        not null check (status in ('active', 'deactivated', 'deleted', 'merged', 'erased')),
  updated_at timestamptz not null
);
select tenant_rls('people');

-- Groups of a course's assignments with their weights and what is dropped of
-- them (rules 22, 23).
create table assignment_groups (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  org_unit_id  uuid        not null,
  course_id    uuid        not null,
  name         text        not null check (name <> ''),
  position     integer     not null check (position >= 0),
  weight       bigint      not null default 0 check (weight between 0 and 1000000), -- hundredths of a percent
  drop_lowest  integer     not null default 0 check (drop_lowest between 0 and 1000),
  drop_highest integer     not null default 0 check (drop_highest between 0 and 1000),
  never_drop   uuid[]      not null default '{}', -- assignments and quizzes
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  version      bigint      not null default 1,
  constraint assignment_groups_of_course unique (id, course_id),
  constraint assignment_groups_name unique (course_id, name)
);
create index assignment_groups_order on assignment_groups (course_id, position, id);
select tenant_rls('assignment_groups');

-- A rubric belongs to a course. Its criteria are kept by revision: what a grade
-- was given by never changes under it.
create table rubrics (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  course_id   uuid        not null,
  title       text        not null check (title <> ''),
  revision    integer     not null default 1 check (revision > 0), -- the newest
  created_by  uuid,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  version     bigint      not null default 1
);
create index rubrics_course on rubrics (course_id, id);
select tenant_rls('rubrics');

create table rubric_revisions (
  rubric_id  uuid        not null references rubrics (id) on delete cascade,
  revision   integer     not null check (revision > 0),
  tenant_id  uuid        not null,
  criteria   jsonb       not null,
  points     bigint      not null check (points >= 0),
  created_by uuid,
  created_at timestamptz not null,
  primary key (rubric_id, revision)
);
select tenant_rls('rubric_revisions');

-- A deleted assignment stays as a tombstone: its grades and their history are
-- still what happened.
create table assignments (
  id                 uuid        primary key,
  tenant_id          uuid        not null,
  org_unit_id        uuid        not null,
  course_id          uuid        not null,
  group_id           uuid,       -- of assignment_groups; none: counts in the course's rest
  position           integer     not null default 0 check (position >= 0),
  title              text        not null check (title <> ''),
  description        text        not null default '',
  grading_type       text        not null check (grading_type in ('points', 'percent', 'letter', 'pass_fail', 'gpa', 'not_graded')),
  scheme_id          uuid,       -- of grading_schemes; none: the course's
  points             bigint      not null check (points between 0 and 100000000),
  extra_points       bigint      not null default 0 check (extra_points between 0 and 100000000), -- a score may be above points by so much
  omit_from_final    boolean     not null default false, -- rule 24
  due_at             timestamptz,
  available_from     timestamptz,
  cutoff_at          timestamptz, -- open while now <= cutoff (rule 21)
  lock_at            timestamptz, -- from then on closed for everybody
  submission_types   text[]      not null default '{}' check (submission_types <@ '{text,file,link}'),
  file_extensions    text[]      not null default '{}', -- lower case without the dot; none: any
  max_files          integer     not null default 10 check (max_files between 1 and 50),
  max_file_bytes     bigint      not null check (max_file_bytes between 1 and 5368709120),
  attempts           integer     check (attempts > 0), -- null: unlimited
  group_set_id       uuid,       -- group work: one submission per group of the set
  anonymous          boolean     not null default false,
  posting            text        not null default 'automatic' check (posting in ('automatic', 'manual')),
  rubric_id          uuid,
  rubric_revision    integer,
  published          boolean     not null default false,
  published_at       timestamptz, -- first
  due_soon_told_for  timestamptz, -- the due time of which it was told that it comes
  missing_checked_at timestamptz, -- up to when the sweep looked for missing work
  deleted_at         timestamptz,
  created_by         uuid,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  version            bigint      not null default 1,
  constraint assignments_group foreign key (group_id, course_id) references assignment_groups (id, course_id),
  constraint assignments_rubric foreign key (rubric_id, rubric_revision) references rubric_revisions (rubric_id, revision),
  constraint assignments_rubric_pinned check ((rubric_id is null) = (rubric_revision is null)),
  constraint assignments_dates check ((available_from is null or due_at is null or available_from <= due_at)
    and (due_at is null or cutoff_at is null or due_at <= cutoff_at)
    and (available_from is null or cutoff_at is null or available_from <= cutoff_at)),
  constraint assignments_gone check (deleted_at is null or not published)
);
create index assignments_course on assignments (course_id, position, id) where deleted_at is null;
create index assignments_group on assignments (group_id) where group_id is not null;
create index assignments_rubric on assignments (rubric_id) where rubric_id is not null and deleted_at is null;
-- What the sweeps look for.
create index assignments_due on assignments (due_at) where published and due_at is not null;
select tenant_rls('assignments');

-- Other dates for a person, or for a group or cohort: what is null is not
-- overridden. The most generous of all that apply wins (rule 21).
create table assignment_overrides (
  assignment_id      uuid        not null references assignments (id),
  kind               text        not null check (kind in ('user', 'group')),
  subject_id         uuid        not null,
  tenant_id          uuid        not null,
  due_at             timestamptz,
  available_from     timestamptz,
  cutoff_at          timestamptz,
  attempts           integer     check (attempts > 0),
  unlimited_attempts boolean     not null default false,
  reason             text        not null default '',
  created_by         uuid,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  version            bigint      not null default 1,
  primary key (assignment_id, kind, subject_id),
  constraint assignment_overrides_attempts check (attempts is null or not unlimited_attempts),
  constraint assignment_overrides_something check (due_at is not null or available_from is not null or cutoff_at is not null
    or attempts is not null or unlimited_attempts)
);
create index assignment_overrides_subject on assignment_overrides (subject_id);
select tenant_rls('assignment_overrides');
