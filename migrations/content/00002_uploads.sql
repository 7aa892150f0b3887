-- +goose Up
-- Files on their way in, what must leave the object store, and further encodings of
-- a file.

-- An upload that is over stays for some days, so that who asks again gets the same
-- answer.
create table uploads (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  content_id  uuid        not null references contents (id),
  owner_id    uuid        not null,
  -- The label of the rendition that it becomes; '' for a version.
  rendition   text        not null,
  filename    text        not null check (filename <> ''),
  media_type  text        not null,
  size        bigint      not null check (size > 0),
  sha256      text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
  -- Where the client sends it, and where it stays, out of the client's reach.
  inbox_key   text        not null unique,
  key         text        not null unique,
  -- Of an upload in pieces; 0 of one in one piece. The token is the store's.
  part_size   bigint      not null check (part_size >= 0),
  token       text        not null,
  state       text        not null check (state in ('open', 'verifying', 'completed', 'rejected', 'aborted', 'expired')),
  -- Who verifies it holds it until then.
  leased_until timestamptz,
  -- Why it was rejected, and what was found instead of the announced type.
  code        text        not null,
  found       text        not null,
  -- The version that it became, or that the rendition belongs to.
  number      integer,
  created_at  timestamptz not null,
  expires_at  timestamptz not null,
  finished_at timestamptz,
  check ((state in ('open', 'verifying')) = (finished_at is null)),
  check ((state = 'rejected') = (code <> '')),
  check (state <> 'completed' or number is not null),
  check ((state = 'verifying') = (leased_until is not null))
);
create index uploads_open on uploads (expires_at) where state in ('open', 'verifying');
create index uploads_finished on uploads (finished_at) where finished_at is not null;
create index uploads_owner on uploads (owner_id);
create index uploads_content on uploads (content_id);
select tenant_rls('uploads');

-- Objects that nothing refers to any more. A row stays until no address is good by
-- which the object could come back.
create table discarded_objects (
  key        text        primary key,
  tenant_id  uuid        not null,
  token      text        not null,
  due_at     timestamptz not null,
  until      timestamptz not null
);
create index discarded_objects_due on discarded_objects (due_at);
select tenant_rls('discarded_objects');

create table renditions (
  content_id  uuid        not null,
  tenant_id   uuid        not null,
  number      integer     not null,
  label       text        not null check (label ~ '^[a-z0-9][a-z0-9._-]{0,31}$'),
  key         text        not null unique,
  filename    text        not null,
  media_type  text        not null,
  size        bigint      not null check (size > 0),
  sha256      text        not null,
  width       integer     check (width > 0),
  height      integer     check (height > 0),
  duration_ms bigint      check (duration_ms > 0),
  created_by  uuid        not null,
  created_at  timestamptz not null,
  primary key (content_id, number, label),
  foreign key (content_id, number) references content_versions (content_id, number)
);
create index renditions_creator on renditions (created_by);
select tenant_rls('renditions');
