-- +goose Up
-- Whether access rests on an entitlement: only then does it end with it. Who came
-- in while the course was free, or was let in by staff, stays.
alter table enrollments add column entitled boolean not null default false;
update enrollments set entitled = true
where not waived_entitlement and (source = 'payment' or entitled_until is not null);
update enrollments set entitled_until = null where waived_entitlement and entitled_until is not null;
