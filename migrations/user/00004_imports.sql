-- +goose Up
-- Files that are to be imported: announced, sent to the object store, read by
-- a job, deleted.
create table import_uploads (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  user_id    uuid        not null,
  filename   text        not null,
  size       bigint      not null check (size > 0),
  sha256     text        not null check (length(sha256) = 64),
  object_key text        not null,
  created_at timestamptz not null,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index import_uploads_created on import_uploads (created_at);
select tenant_rls('import_uploads');
