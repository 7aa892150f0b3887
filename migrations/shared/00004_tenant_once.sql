-- +goose Up
-- Whose rows a transaction sees is found out once for a statement, not once for each
-- row that it looks at: of a large read that was the larger part. What may be written
-- is checked as before.
-- +goose StatementBegin
create function tenant_now() returns uuid
language sql stable parallel safe as $$
  select case when current_setting('lms.tenant', true) not in ('', '*') then current_setting('lms.tenant', true)::uuid end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
create function tenant_all() returns boolean
language sql stable parallel safe as $$
  select coalesce(current_setting('lms.tenant', true) = '*', false)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tenant_rls(tbl text) returns void language plpgsql as $$
begin
  execute format('alter table %I enable row level security', tbl);
  execute format('create policy tenant on %I using ((select tenant_all()) or tenant_id = (select tenant_now())) with check (tenant_visible(tenant_id))', tbl);
end
$$;
-- +goose StatementEnd

-- Tables that are there already; those of outbox and calls say more than this.
-- +goose StatementBegin
do $$
declare
  p record;
begin
  for p in
    select c.relname from pg_policy o join pg_class c on c.oid = o.polrelid
    where o.polname = 'tenant' and c.relnamespace = 'public'::regnamespace and pg_get_expr(o.polqual, o.polrelid) = 'tenant_visible(tenant_id)'
  loop
    execute format('alter policy tenant on %I using ((select tenant_all()) or tenant_id = (select tenant_now()))', p.relname);
  end loop;
end
$$;
-- +goose StatementEnd
