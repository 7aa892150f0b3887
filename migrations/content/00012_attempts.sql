-- +goose Up
-- What counts for a person in a quiz. Its row is the lock under which attempts are
-- counted and started (rule 27).
create table quiz_results (
  quiz_id        uuid        not null references quizzes (id),
  user_id        uuid        not null,
  tenant_id      uuid        not null,
  course_id      uuid        not null,
  score          bigint      check (score >= 0),
  possible       bigint      check (possible >= 0),
  attempt_id     uuid,
  pending        boolean     not null default false,
  submitted_at   timestamptz,
  graded_at      timestamptz,
  override_score bigint      check (override_score >= 0),
  override_note  text        not null default '',
  overridden_by  uuid,
  overridden_at  timestamptz,
  excused_by     uuid,
  excused_at     timestamptz,
  posted         boolean     not null default false,
  posts_at       timestamptz,
  updated_at     timestamptz not null,
  version        bigint      not null default 1,
  primary key (quiz_id, user_id),
  constraint quiz_results_score check ((score is null) = (possible is null)),
  constraint quiz_results_override check ((override_score is null) = (overridden_at is null) and (overridden_at is null) = (overridden_by is null)),
  constraint quiz_results_excused check ((excused_at is null) = (excused_by is null)),
  constraint quiz_results_posts check (posts_at is null or not posted)
);
create index quiz_results_user on quiz_results (user_id);
create index quiz_results_posts on quiz_results (posts_at) where posts_at is not null;
select tenant_rls('quiz_results');

create table attempts (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  org_unit_id  uuid        not null,
  quiz_id      uuid        not null references quizzes (id),
  course_id    uuid        not null,
  user_id      uuid        not null,
  number       integer     not null check (number > 0),
  preview      boolean     not null,
  state        text        not null check (state in ('in_progress', 'submitted', 'graded')),
  started_at   timestamptz not null,
  access_until timestamptz,
  ends_at      timestamptz,
  finished_at  timestamptz,
  ended_by     text        check (ended_by in ('learner', 'server', 'staff')),
  submitted_at timestamptz,
  score        bigint      check (score >= 0),
  possible     bigint      not null check (possible >= 0),
  graded_at    timestamptz,
  erased_at    timestamptz,
  version      bigint      not null default 1,
  constraint attempts_number unique (quiz_id, user_id, preview, number),
  constraint attempts_finished check ((state = 'in_progress') = (finished_at is null) and (finished_at is null) = (ended_by is null)),
  constraint attempts_submitted check (finished_at is null or submitted_at is not null),
  -- Rule 28: nothing is finished after its end.
  constraint attempts_end check (finished_at <= ends_at),
  constraint attempts_graded check (state <> 'graded' or score is not null and graded_at is not null and score <= possible)
);
-- One at a time.
create unique index attempts_running on attempts (quiz_id, user_id, preview) where state = 'in_progress';
create index attempts_overdue on attempts (ends_at) where state = 'in_progress' and ends_at is not null;
create index attempts_user on attempts (user_id);
create index attempts_quiz on attempts (quiz_id, id);
select tenant_rls('attempts');

create table attempt_questions (
  attempt_id       uuid        not null references attempts (id),
  question_id      uuid        not null,
  tenant_id        uuid        not null,
  question_version integer     not null,
  slot_id          uuid        not null,
  position         integer     not null check (position >= 0),
  points           bigint      not null check (points >= 0),
  choice_order     text[]      not null default '{}',
  answer           jsonb,
  answer_seq       bigint      not null default 0 check (answer_seq >= 0),
  answered_at      timestamptz,
  auto_points      bigint      check (auto_points between 0 and points),
  manual_points    bigint      check (manual_points between 0 and points),
  comment          text        not null default '',
  graded_by        uuid,
  graded_at        timestamptz,
  primary key (attempt_id, question_id),
  constraint attempt_questions_order unique (attempt_id, position),
  constraint attempt_questions_version foreign key (question_id, question_version) references question_versions (question_id, number),
  constraint attempt_questions_graded check (manual_points is null or graded_by is not null and graded_at is not null)
) with (fillfactor = 85);
create index attempt_questions_question on attempt_questions (question_id);
select tenant_rls('attempt_questions');

-- An answer is changed only while its attempt is in progress (rule 28). The service
-- holds the attempt's row when it writes; this is the second line. Erasing a
-- person's answers is allowed.
-- +goose StatementBegin
create function attempt_questions_open() returns trigger language plpgsql as $$
begin
  if not exists (select 1 from attempts where id = new.attempt_id and state = 'in_progress') then
    raise exception 'attempt % is not in progress', new.attempt_id
      using errcode = 'check_violation', constraint = 'attempt_questions_open';
  end if;
  return new;
end
$$;
-- +goose StatementEnd
create trigger attempt_questions_open before update of answer on attempt_questions
  for each row when (new.answer is not null and new.answer is distinct from old.answer)
  execute function attempt_questions_open();
