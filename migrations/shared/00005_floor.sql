-- +goose Up
-- How new a program must be to run on this database. Most changes only add, and
-- programs of before go on beside new ones: they need nothing here. A migration
-- that takes away what those programs use says so, in the file that does it:
--   select programs_from('goose_service', 7);
-- From then on a program that knows less than migration 7 of that set does not start.
create table schema_floor (
  version_table text   primary key check (version_table in ('goose_shared', 'goose_service')),
  version       bigint not null
);

-- +goose StatementBegin
create function programs_from(tbl text, needed bigint) returns void language sql as $$
  insert into schema_floor as f (version_table, version) values (tbl, needed)
  on conflict (version_table) do update set version = greatest(f.version, excluded.version)
$$;
-- +goose StatementEnd
