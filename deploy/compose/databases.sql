-- One database per service, with an owner who migrates and a role that changes
-- rows only: no service reaches another's. psql gives the passwords as variables
-- (setup.sh). make generate writes this file from the table of services.
revoke connect, temporary on database postgres, template1 from public;

create role lms_user_owner login password :'user_owner';
create role lms_user login password :'user';
create database lms_user owner lms_user_owner template template0;
revoke all on database lms_user from public;
grant connect on database lms_user to lms_user;
\connect lms_user
alter schema public owner to lms_user_owner;
revoke all on schema public from public;
grant usage on schema public to lms_user;
alter default privileges for role lms_user_owner grant select, insert, update, delete on tables to lms_user;
alter default privileges for role lms_user_owner grant usage, select on sequences to lms_user;
alter default privileges for role lms_user_owner revoke execute on functions from public;
alter default privileges for role lms_user_owner grant execute on functions to lms_user;

create role lms_course_owner login password :'course_owner';
create role lms_course login password :'course';
create database lms_course owner lms_course_owner template template0;
revoke all on database lms_course from public;
grant connect on database lms_course to lms_course;
\connect lms_course
alter schema public owner to lms_course_owner;
revoke all on schema public from public;
grant usage on schema public to lms_course;
alter default privileges for role lms_course_owner grant select, insert, update, delete on tables to lms_course;
alter default privileges for role lms_course_owner grant usage, select on sequences to lms_course;
alter default privileges for role lms_course_owner revoke execute on functions from public;
alter default privileges for role lms_course_owner grant execute on functions to lms_course;

create role lms_enrollment_owner login password :'enrollment_owner';
create role lms_enrollment login password :'enrollment';
create database lms_enrollment owner lms_enrollment_owner template template0;
revoke all on database lms_enrollment from public;
grant connect on database lms_enrollment to lms_enrollment;
\connect lms_enrollment
alter schema public owner to lms_enrollment_owner;
revoke all on schema public from public;
grant usage on schema public to lms_enrollment;
alter default privileges for role lms_enrollment_owner grant select, insert, update, delete on tables to lms_enrollment;
alter default privileges for role lms_enrollment_owner grant usage, select on sequences to lms_enrollment;
alter default privileges for role lms_enrollment_owner revoke execute on functions from public;
alter default privileges for role lms_enrollment_owner grant execute on functions to lms_enrollment;

create role lms_content_owner login password :'content_owner';
create role lms_content login password :'content';
create database lms_content owner lms_content_owner template template0;
revoke all on database lms_content from public;
grant connect on database lms_content to lms_content;
\connect lms_content
alter schema public owner to lms_content_owner;
revoke all on schema public from public;
grant usage on schema public to lms_content;
alter default privileges for role lms_content_owner grant select, insert, update, delete on tables to lms_content;
alter default privileges for role lms_content_owner grant usage, select on sequences to lms_content;
alter default privileges for role lms_content_owner revoke execute on functions from public;
alter default privileges for role lms_content_owner grant execute on functions to lms_content;

create role lms_assignment_owner login password :'assignment_owner';
create role lms_assignment login password :'assignment';
create database lms_assignment owner lms_assignment_owner template template0;
revoke all on database lms_assignment from public;
grant connect on database lms_assignment to lms_assignment;
\connect lms_assignment
alter schema public owner to lms_assignment_owner;
revoke all on schema public from public;
grant usage on schema public to lms_assignment;
alter default privileges for role lms_assignment_owner grant select, insert, update, delete on tables to lms_assignment;
alter default privileges for role lms_assignment_owner grant usage, select on sequences to lms_assignment;
alter default privileges for role lms_assignment_owner revoke execute on functions from public;
alter default privileges for role lms_assignment_owner grant execute on functions to lms_assignment;

create role lms_payment_owner login password :'payment_owner';
create role lms_payment login password :'payment';
create database lms_payment owner lms_payment_owner template template0;
revoke all on database lms_payment from public;
grant connect on database lms_payment to lms_payment;
\connect lms_payment
alter schema public owner to lms_payment_owner;
revoke all on schema public from public;
grant usage on schema public to lms_payment;
alter default privileges for role lms_payment_owner grant select, insert, update, delete on tables to lms_payment;
alter default privileges for role lms_payment_owner grant usage, select on sequences to lms_payment;
alter default privileges for role lms_payment_owner revoke execute on functions from public;
alter default privileges for role lms_payment_owner grant execute on functions to lms_payment;

create role lms_analytics_owner login password :'analytics_owner';
create role lms_analytics login password :'analytics';
create database lms_analytics owner lms_analytics_owner template template0;
revoke all on database lms_analytics from public;
grant connect on database lms_analytics to lms_analytics;
\connect lms_analytics
alter schema public owner to lms_analytics_owner;
revoke all on schema public from public;
grant usage on schema public to lms_analytics;
alter default privileges for role lms_analytics_owner grant select, insert, update, delete on tables to lms_analytics;
alter default privileges for role lms_analytics_owner grant usage, select on sequences to lms_analytics;
alter default privileges for role lms_analytics_owner revoke execute on functions from public;
alter default privileges for role lms_analytics_owner grant execute on functions to lms_analytics;

-- The state store of the profile rabbitmq: its sidecar makes the tables.
create role lms_state login password :'state';
create database lms_state owner lms_state template template0;
revoke all on database lms_state from public;
