-- +goose Up
-- Files that are to be imported: announced, sent to the object store, read by
-- a job, deleted. No foreign key: the row leads to the file, and outlives who
-- sent it until the file is gone.
create table import_uploads (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  user_id    uuid        not null,
  filename   text        not null,
  size       bigint      not null check (size > 0),
  sha256     text        not null check (length(sha256) = 64),
  object_key text        not null,
  created_at timestamptz not null
);
create index import_uploads_created on import_uploads (created_at);
select tenant_rls('import_uploads');

-- When the file of an export is deleted.
alter table person_requests add column expires_at timestamptz;
drop index person_requests_done_at;
create index person_requests_expire on person_requests (expires_at) where object_key <> '';
