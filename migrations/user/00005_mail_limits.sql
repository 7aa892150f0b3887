-- +goose Up
-- What bounds mails counts by these: to one address, and caused by one place.
create index one_time_tokens_sent on one_time_tokens (lower(email), kind, created_at);
create index security_events_place on security_events (ip, kind, at) where ip <> '';
