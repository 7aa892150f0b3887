-- +goose Up
-- Courses that payment has priced. It is told before the price counts, and so before
-- the course's own event says that enrolling needs an entitlement.
create table priced_courses (
  course_id  uuid        primary key,
  tenant_id  uuid        not null,
  created_at timestamptz not null
);
select tenant_rls('priced_courses');
