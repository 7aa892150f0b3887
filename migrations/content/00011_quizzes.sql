-- +goose Up
create table quizzes (
  id                 uuid        primary key,
  tenant_id          uuid        not null,
  org_unit_id        uuid        not null,
  course_id          uuid        not null,
  title              text        not null check (title <> ''),
  instructions       text        not null default '',
  time_limit_seconds bigint      check (time_limit_seconds between 1 and 2592000),
  -- Unlimited attempts are said explicitly (rule 27).
  attempts_allowed   integer     check (attempts_allowed > 0),
  unlimited          boolean     not null,
  keep               text        not null check (keep in ('highest', 'latest', 'first', 'average')),
  shuffle_questions  boolean     not null,
  shuffle_choices    boolean     not null,
  available_from     timestamptz,
  available_until    timestamptz,
  due_at             timestamptz,
  cutoff_at          timestamptz,
  feedback           text        not null check (feedback in ('never', 'after_attempt', 'after_due')),
  scores             text        check (scores in ('never', 'after_attempt', 'after_due')),
  -- Sums of the slots.
  points             bigint      not null default 0 check (points >= 0),
  questions          integer     not null default 0 check (questions >= 0),
  published_at       timestamptz,
  deleted_at         timestamptz,
  due_soon_told      timestamptz,
  created_by         uuid        not null,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  version            bigint      not null default 1,
  constraint quizzes_attempts check (unlimited = (attempts_allowed is null)),
  constraint quizzes_window check (available_from <= available_until),
  constraint quizzes_cutoff check (due_at <= cutoff_at),
  constraint quizzes_after_due check (due_at is not null or feedback <> 'after_due' and coalesce(scores, feedback) <> 'after_due'),
  constraint quizzes_published check (published_at is null or deleted_at is null and questions > 0)
);
create index quizzes_course on quizzes (course_id, created_at, id) where deleted_at is null;
create index quizzes_due on quizzes (due_at) where published_at is not null and due_at is not null;
select tenant_rls('quizzes');

-- A question in a pinned version, or some drawn from a bank.
create table quiz_slots (
  id               uuid    primary key,
  quiz_id          uuid    not null references quizzes (id),
  tenant_id        uuid    not null,
  position         integer not null check (position >= 0),
  question_id      uuid,
  question_version integer,
  bank_id          uuid    references question_banks (id),
  pick             integer check (pick > 0),
  points           bigint  not null check (points >= 0),
  constraint quiz_slots_order unique (quiz_id, position) deferrable initially deferred,
  constraint quiz_slots_pinned foreign key (question_id, question_version) references question_versions (question_id, number),
  constraint quiz_slots_once unique (quiz_id, question_id),
  constraint quiz_slots_kind check (
    question_id is not null and question_version is not null and bank_id is null and pick is null
    or question_id is null and question_version is null and bank_id is not null and pick is not null)
);
create index quiz_slots_questions on quiz_slots (question_id) where question_id is not null;
create index quiz_slots_banks on quiz_slots (bank_id) where bank_id is not null;
select tenant_rls('quiz_slots');

create table quiz_overrides (
  quiz_id            uuid        not null references quizzes (id),
  user_id            uuid        not null,
  tenant_id          uuid        not null,
  extra_time_seconds bigint      not null default 0 check (extra_time_seconds >= 0),
  extra_attempts     integer     not null default 0 check (extra_attempts >= 0),
  available_from     timestamptz,
  available_until    timestamptz,
  due_at             timestamptz,
  updated_by         uuid        not null,
  updated_at         timestamptz not null,
  version            bigint      not null default 1,
  primary key (quiz_id, user_id),
  constraint quiz_overrides_window check (available_from <= available_until)
);
create index quiz_overrides_user on quiz_overrides (user_id);
select tenant_rls('quiz_overrides');
