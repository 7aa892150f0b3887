-- +goose Up
-- What learners hand in, and where each of them stands.

-- Every attempt, kept. It counts for its members: the one who submitted, or all
-- who were in the group then.
create table submissions (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  org_unit_id   uuid        not null,
  course_id     uuid        not null,
  assignment_id uuid        not null references assignments (id),
  user_id       uuid        not null, -- who handed it in
  group_id      uuid,                 -- of group work
  member_ids    uuid[]      not null check (cardinality(member_ids) > 0),
  attempt       integer     not null check (attempt > 0),
  body          text        not null default '', -- sanitised HTML
  links         text[]      not null default '{}',
  submitted_at  timestamptz not null, -- the server's receipt time
  due_at        timestamptz,          -- the effective due time then (rule 21)
  seconds_late  bigint      not null default 0 check (seconds_late >= 0),
  withdrawn_at  timestamptz,
  withdrawn_by  uuid,
  version       bigint      not null default 1,
  constraint submissions_withdrawn check ((withdrawn_at is null) = (withdrawn_by is null))
);
create unique index submissions_attempt on submissions (assignment_id, coalesce(group_id, user_id), attempt);
create index submissions_list on submissions (assignment_id, id);
create index submissions_members on submissions using gin (member_ids);
select tenant_rls('submissions');

-- Files on their way in and handed in. Those that nobody hands in are deleted.
create table submission_files (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  course_id     uuid        not null,
  assignment_id uuid        not null references assignments (id),
  user_id       uuid        not null, -- who uploaded it
  submission_id uuid        references submissions (id),
  position      integer     not null default 0,
  filename      text        not null check (filename <> ''),
  declared_type text        not null,
  media_type    text        not null default '', -- what the stored bytes show
  size          bigint      not null check (size > 0),
  sha256        text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
  object_key    text        not null unique,
  created_at    timestamptz not null,
  completed_at  timestamptz, -- the stored bytes were verified
  expires_at    timestamptz not null,
  constraint submission_files_complete check ((completed_at is null) = (media_type = '')),
  constraint submission_files_used check (submission_id is null or completed_at is not null)
);
create index submission_files_of on submission_files (submission_id, position) where submission_id is not null;
create index submission_files_waiting on submission_files (expires_at) where submission_id is null;
create index submission_files_person on submission_files (user_id);
select tenant_rls('submission_files');

-- Where one person stands in one assignment: what was handed in, what was
-- entered, and what the rules make of it. Entered score and deduction are kept
-- apart (rule 20); missing_score is what rule 18 gives where no score exists.
-- Version 1 is that of a row that does not exist yet.
create table grades (
  id                 uuid        primary key, -- the aggregate of events about the grade
  tenant_id          uuid        not null,
  org_unit_id        uuid        not null,
  course_id          uuid        not null,
  assignment_id      uuid        not null references assignments (id),
  user_id            uuid        not null,
  alias              uuid        not null, -- whom anonymous graders see
  -- The submission that counts: the newest that was not withdrawn.
  submission_id      uuid        references submissions (id),
  group_id           uuid,
  submitted_at       timestamptz,
  attempts           integer     not null default 0 check (attempts >= 0),      -- numbered so far
  attempts_used      integer     not null default 0 check (attempts_used >= 0), -- not withdrawn
  due_at             timestamptz, -- effective, as last judged (rule 21)
  seconds_late       bigint      not null default 0 check (seconds_late >= 0),  -- by the clock
  -- Entered by a person.
  entered_grade      text        not null default '', -- as typed: 'B+', '87.5%', 'pass'
  entered_score      bigint      check (entered_score between 0 and 200000000),
  status             text        check (status in ('late', 'missing', 'none')), -- overrides the clock (rule 18)
  status_seconds     bigint      check (status_seconds >= 0),
  excused_at         timestamptz,
  individual         boolean     not null default false, -- group work: graded apart from the group
  graded_at          timestamptz,
  grader_id          uuid,
  graded_submission  uuid        references submissions (id), -- what the grader had seen
  -- Made by the rules (16, 18).
  deduction          bigint      not null default 0 check (deduction >= 0),
  missing_score      bigint      check (missing_score >= 0),
  missing_at         timestamptz, -- missing since; told once
  score              bigint      generated always as (coalesce(entered_score - deduction, missing_score)) stored,
  -- Rule 25.
  posted_at          timestamptz,
  hidden             boolean     not null default false, -- taken back by staff
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  version            bigint      not null default 2 check (version > 1),
  constraint grades_one unique (assignment_id, user_id),
  constraint grades_alias unique (assignment_id, alias),
  constraint grades_deduction check (deduction <= coalesce(entered_score, 0)),
  constraint grades_missing check (missing_score is null or entered_score is null and excused_at is null),
  constraint grades_entered check (entered_score is null and entered_grade = '' or graded_at is not null),
  constraint grades_status check (status = 'late' or status_seconds is null),
  constraint grades_submission check ((submission_id is null) = (submitted_at is null)),
  constraint grades_hidden check (not hidden or posted_at is null)
) with (fillfactor = 80);
create index grades_course on grades (course_id, user_id);
create index grades_person on grades (user_id);
-- What waits for a grader.
create index grades_to_grade on grades (course_id, submitted_at)
  where submission_id is not null and excused_at is null and (graded_submission is null or graded_submission <> submission_id);
select tenant_rls('grades');

-- How a grade was reached by a rubric: of the revision that the grader saw.
create table assessments (
  grade_id    uuid        primary key references grades (id),
  tenant_id   uuid        not null,
  rubric_id   uuid        not null,
  revision    integer     not null,
  ratings     jsonb       not null,
  points      bigint      not null check (points >= 0),
  assessor_id uuid,
  assessed_at timestamptz not null,
  foreign key (rubric_id, revision) references rubric_revisions (rubric_id, revision)
);
create index assessments_rubric on assessments (rubric_id, revision);
select tenant_rls('assessments');

-- Every change of a grade: who, why, before and after. It only grows; whoever
-- is erased gets a pseudonym there, which only that transaction may write.
create table grade_history (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  course_id     uuid        not null,
  assignment_id uuid        not null,
  grade_id      uuid        not null references grades (id),
  user_id       uuid        not null,
  at            timestamptz not null,
  actor_id      uuid,       -- none: a rule of the system
  cause         text        not null check (cause in ('submitted', 'withdrawn', 'graded', 'bulk', 'import', 'deleted', 'posted', 'hidden',
                              'override', 'dates', 'policy', 'missing', 'merged', 'recomputed')),
  note          text        not null default '',
  before        jsonb,      -- none: there was no row
  after         jsonb       not null
);
create index grade_history_of on grade_history (grade_id, at, id);
create index grade_history_person on grade_history (user_id);
select tenant_rls('grade_history');
-- +goose StatementBegin
create function grade_history_only_grows() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and current_setting('lms.erasing', true) = 'on'
    and (new.id, new.grade_id, new.assignment_id, new.at, new.cause) = (old.id, old.grade_id, old.assignment_id, old.at, old.cause) then
    return new;
  end if;
  raise exception 'grade_history only grows' using errcode = 'integrity_constraint_violation', constraint = 'grade_history_only_grows';
end
$$;
-- +goose StatementEnd
create trigger grade_history_only_grows before update or delete on grade_history
  for each row execute function grade_history_only_grows();

create table submission_comments (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  course_id     uuid        not null,
  assignment_id uuid        not null references assignments (id),
  submission_id uuid        not null references submissions (id),
  author_id     uuid        not null,
  by_staff      boolean     not null,
  body          text        not null check (body <> ''),
  created_at    timestamptz not null
);
create index submission_comments_of on submission_comments (submission_id, id);
create index submission_comments_author on submission_comments (author_id);
select tenant_rls('submission_comments');
