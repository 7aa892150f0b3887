-- +goose Up
-- The media library: contents and the versions of their files and texts.

-- A deleted content stays as a tombstone.
create table contents (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  org_unit_id   uuid        not null,
  org_unit_path uuid[]      not null,
  course_id     uuid,
  kind          text        not null check (kind in ('video', 'pdf', 'document', 'image', 'audio', 'page')),
  title         text        not null check (title <> ''),
  description   text        not null,
  language      text        not null,
  tags          text[]      not null,
  licence       text        not null check (licence in ('all_rights_reserved', 'public_domain', 'cc_by', 'cc_by_sa', 'cc_by_nc', 'cc_by_nc_sa', 'cc_by_nd', 'cc_by_nc_nd')),
  attribution   text        not null,
  status        text        not null check (status in ('draft', 'published')),
  -- The number of the version that is shown; null while there is none.
  current       integer,
  created_by    uuid        not null,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  published_at  timestamptz,
  deleted_at    timestamptz,
  version       bigint      not null default 1,
  check (status <> 'published' or current is not null),
  check ((status = 'published') = (published_at is not null))
);
create index contents_unit on contents (org_unit_id, created_at desc, id desc) where deleted_at is null;
create index contents_tenant on contents (tenant_id, created_at desc, id desc) where deleted_at is null;
create index contents_course on contents (course_id, created_at desc, id desc) where course_id is not null and deleted_at is null;
create index contents_tags on contents using gin (tags) where deleted_at is null;
create index contents_updated on contents (updated_at, id);
create index contents_creator on contents (created_by);
select tenant_rls('contents');

-- A version is never changed: of a page it is the text, else an object in the
-- store with what its bytes told.
create table content_versions (
  content_id  uuid        not null references contents (id),
  tenant_id   uuid        not null,
  number      integer     not null check (number > 0),
  key         text        unique,
  filename    text        not null,
  media_type  text        not null,
  size        bigint      not null check (size >= 0),
  sha256      text        not null check (sha256 ~ '^[0-9a-f]{64}$'),
  pages       integer     check (pages >= 0),
  width       integer     check (width > 0),
  height      integer     check (height > 0),
  duration_ms bigint      check (duration_ms > 0),
  body        text,
  text        text        not null,
  created_by  uuid        not null,
  created_at  timestamptz not null,
  primary key (content_id, number),
  check ((key is null) <> (body is null))
);
create index content_versions_creator on content_versions (created_by);
select tenant_rls('content_versions');

alter table contents add constraint contents_current_is_a_version
  foreign key (id, current) references content_versions (content_id, number) deferrable initially deferred;
