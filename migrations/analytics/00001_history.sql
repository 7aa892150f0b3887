-- +goose Up
-- Every event as it came, without what names a person. A month is a partition.
-- ord is the order of arrival: what was counted is everything up to one ord.
create sequence raw_events_ord;

create table raw_events (
  occurred_at  timestamptz not null,
  event_id     uuid        not null,
  ord          bigint      not null default nextval('raw_events_ord'),
  type         text        not null,
  aggregate_id uuid        not null,
  seq          bigint      not null,
  tenant_id    uuid        not null,
  org_unit_id  uuid,
  course_id    uuid,
  actor_id     uuid,
  user_id      uuid,
  others       uuid[],
  data         json        not null,
  received_at  timestamptz not null,
  primary key (occurred_at, event_id)
) partition by range (occurred_at);
create index raw_events_by_ord on raw_events (ord);
create index raw_events_by_course on raw_events (course_id, occurred_at, event_id) where course_id is not null;
create index raw_events_by_user on raw_events (user_id) where user_id is not null;
create index raw_events_by_others on raw_events using gin (others) where others is not null;
comment on column raw_events.user_id is 'the person that the event is about';
comment on column raw_events.others is 'all other persons in it, the actor included';
select tenant_rls('raw_events');

-- The service may not change the schema; months are what it may add.
-- +goose StatementBegin
create function make_month(month date) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  first timestamptz := date_trunc('month', month)::timestamp at time zone 'UTC';
  part  text        := 'raw_events_' || to_char(month, 'YYYY_MM');
begin
  if month < date '2000-01-01' or month >= date '2100-01-01' then
    raise exception 'no event is of %', month using errcode = '22008';
  end if;
  perform pg_advisory_xact_lock(hashtext('analytics months'));
  if to_regclass(part) is not null then
    return;
  end if;
  execute format('create table %I partition of raw_events for values from (%L) to (%L)',
    part, first, (first at time zone 'UTC' + interval '1 month') at time zone 'UTC');
  perform tenant_rls(part);
end
$$;
-- +goose StatementEnd

-- Who was forgotten, by the hash of the id, and what takes the id's place: events
-- that come later are written under it too.
create table forgotten (
  digest    bytea       primary key check (octet_length(digest) = 32),
  pseudonym uuid        not null,
  at        timestamptz not null
);
