-- +goose Up
-- A group's members are listed in the order in which they came.
create index group_members_by_added on group_members (group_id, created_at, user_id);
