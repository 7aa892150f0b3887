-- +goose Up
-- What the planner knows of tables that have grown at once, or were just made anew:
-- without it some reports take seconds until the server looks by itself, minutes
-- later. The service's role may not analyze what it does not own.
-- +goose StatementBegin
create function tally_analyze() returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  name text;
begin
  for name in select tally_tables() loop
    execute format('analyze public.%I', name);
  end loop;
end
$$;
-- +goose StatementEnd
