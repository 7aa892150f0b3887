-- +goose Up
-- Captions, and what people opened and watched.

create table captions (
  content_id uuid        not null references contents (id),
  tenant_id  uuid        not null,
  language   text        not null,
  vtt        text        not null,
  -- The words alone, for a search.
  text       text        not null,
  cues       integer     not null check (cues > 0),
  created_by uuid        not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version    bigint      not null,
  primary key (content_id, language)
);
create index captions_creator on captions (created_by);
select tenant_rls('captions');

-- Who opened which content in which course, and when first.
create table content_views (
  user_id    uuid        not null,
  content_id uuid        not null references contents (id),
  course_id  uuid        not null,
  tenant_id  uuid        not null,
  viewed_at  timestamptz not null,
  primary key (user_id, content_id, course_id)
);
create index content_views_content on content_views (content_id);
select tenant_rls('content_views');

-- How far a person watched a recording. Intervals are pairs of milliseconds, in
-- order and apart from each other.
create table watches (
  user_id      uuid        not null,
  content_id   uuid        not null references contents (id),
  tenant_id    uuid        not null,
  -- The version that the intervals are of.
  number       integer     not null,
  intervals    integer[]   not null check (cardinality(intervals) % 2 = 0),
  watched_ms   bigint      not null check (watched_ms >= 0),
  position_ms  bigint      not null check (position_ms >= 0),
  -- The most that was ever watched; null where the length is not known.
  percent      smallint    check (percent between 0 and 100),
  -- When the percentage was reached.
  percent_at   timestamptz,
  -- What was watched since the last event, in which course and since when.
  pending       integer[]   not null check (cardinality(pending) % 2 = 0),
  pending_course uuid,
  pending_since timestamptz,
  -- Up to when time was accounted for.
  reported_at  timestamptz not null,
  primary key (user_id, content_id),
  check ((percent is null) = (percent_at is null)),
  check ((pending_since is null) = (cardinality(pending) = 0))
);
create index watches_content on watches (content_id);
create index watches_pending on watches (pending_since) where pending_since is not null;
select tenant_rls('watches');
