-- +goose Up
-- A plan is on sale once enrollment knows that its courses cost something: until then
-- they could still be entered without paying. told is the call that says so; the
-- courses that have a price already are known.
alter table priced_courses add column told uuid;
alter table priced_courses add column known boolean not null default true;
alter table priced_courses alter column known set default false;
