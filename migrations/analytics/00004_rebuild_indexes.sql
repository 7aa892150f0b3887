-- +goose Up
-- Rows of a rebuild are looked for by their keys alone. All other indexes are made at
-- its end, at once, and only if it is to be read: kept up row by row they cost more
-- than the rows.
-- +goose StatementBegin
create or replace function rebuild_begin(at timestamptz) returns void
language plpgsql security definer set search_path = rebuild, pg_temp as $$
declare
  name text;
begin
  for name in select public.tally_tables() loop
    execute format('truncate rebuild.%I', name);
  end loop;
  for name in select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
    where c.relnamespace = 'rebuild'::regnamespace and not i.indisunique loop
    execute 'drop index ' || name;
  end loop;
  delete from rebuild.tally_place;
  insert into rebuild.tally_place (ord, updated_at) values (0, at);
end
$$;
-- +goose StatementEnd

-- Gives the tables of a rebuild the indexes of those that reports read.
-- +goose StatementBegin
create function rebuild_index() returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  def text;
begin
  if exists (select from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = 'rebuild'::regnamespace and not i.indisunique) then
    return; -- it was done
  end if;
  for def in select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid
    where c.relnamespace = 'public'::regnamespace and c.relname in (select tally_tables()) and not i.indisunique loop
    execute regexp_replace(def, '^CREATE INDEX \S+ ON (ONLY )?public\.', 'create index on rebuild.');
  end loop;
end
$$;
-- +goose StatementEnd
