-- +goose Up
-- What services publish and tell each other belongs to a tenant as well: a
-- transaction for one tenant neither reads the rows of another nor speaks in its
-- name. The relay reads on a connection of its own, for nobody in particular: here
-- nothing said means all. Writing always says for whom.
-- +goose StatementBegin
create function tenant_relay(tbl text) returns void language plpgsql as $$
begin
  execute format('alter table %I enable row level security', tbl);
  execute format('create policy tenant on %I using (coalesce(current_setting(''lms.tenant'', true), '''') = '''' or tenant_visible(tenant_id)) with check (true)', tbl);
  execute format('create policy spoken_for on %I as restrictive for insert with check (tenant_visible(tenant_id))', tbl);
end
$$;
-- +goose StatementEnd
select tenant_relay('outbox');
select tenant_relay('outbox_call');
drop function tenant_relay;

-- A line of a report is visible where its job is.
alter table job_row enable row level security;
create policy of_visible_job on job_row
  using (exists (select 1 from job where job.id = job_row.job_id))
  with check (exists (select 1 from job where job.id = job_row.job_id));
