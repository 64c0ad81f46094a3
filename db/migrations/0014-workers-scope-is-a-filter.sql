-- additive
-- What a worker may see is checked for each row, and no longer a way to find rows. Every statement of a worker names its tenants itself.
-- As a condition that an index can use it was a second one on the tenant: the planner multiplied both, took any index that begins with
-- the tenant to find one row, and read all of a tenant's rows by the wrong one as soon as there were many tenants.

do $$
declare
	target regclass;
begin
	for target in select polrelid from pg_policy where polname = 'batch_of_tenants'
	loop
		execute format('alter policy batch_of_tenants on %s using ((tenant_id = any ((select wx.tenants())::uuid[])) is true)', target);
	end loop;
end
$$;

create or replace procedure wx.protect(target regclass, has_environment boolean, worker_too boolean) language plpgsql as $$
declare predicate text := 'tenant_id = (select wx.tenant())';
begin
	if has_environment then predicate := predicate || ' and environment = (select wx.environment())'; end if;
	execute format('alter table %s enable row level security', target);
	execute format('alter table %s force row level security', target);
	execute format('create policy one_tenant on %s to waxwing_app using (%s) with check (%s)', target, predicate, predicate);
	if worker_too then
		execute format('create policy batch_of_tenants on %s to waxwing_worker using ((tenant_id = any ((select wx.tenants())::uuid[])) is true) with check (tenant_id = any ((select wx.tenants())::uuid[]))', target);
	end if;
end $$;
