-- +goose Up
-- The questions of a bank are listed by title, or by the time they were made or changed.
create index questions_bank_created on questions (bank_id, created_at, id) where deleted_at is null;
create index questions_bank_updated on questions (bank_id, updated_at, id) where deleted_at is null;
