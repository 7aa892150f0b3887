-- +goose Up
-- What the relay reads next, without a look at what it has sent already, and
-- without sorting what waits: the rows to be numbered, and the numbered ones.
create index outbox_unnumbered on outbox (shard, ord) where n is null;
create index outbox_to_publish on outbox (shard, n) where published_at is null and n is not null;
drop index outbox_unpublished;

-- Each destination has a queue of its own.
create index outbox_call_due_at on outbox_call (destination, next_attempt_at) where done_at is null and parked_at is null;
drop index outbox_call_due;

-- Which claim a running job is under: what an older one writes does not count.
alter table job add column claim uuid;
