-- +goose Up
-- Who was told of which due time, so that each is told once; kept for a month.
create table due_notices (
  assignment_id uuid        not null references assignments (id),
  user_id       uuid        not null,
  due_at        timestamptz not null,
  tenant_id     uuid        not null,
  told_at       timestamptz not null,
  primary key (assignment_id, user_id, due_at)
);
create index due_notices_old on due_notices (told_at);
create index due_notices_person on due_notices (user_id);
select tenant_rls('due_notices');
