-- +goose Up
-- Files that a course import brings: the import hears what became of them.
alter table uploads
  add column transfer_id uuid,
  add column publish     boolean not null default false;
