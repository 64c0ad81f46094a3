-- additive
-- Tenants that wait in a lane are looked for behind the one that was served last: the first sixteen had every turn as long as they had work.
-- wx.lane_tenants and wx.lease_lane stay for processes of the version before.

-- Whether a lane has anything due, however many tenants have only what is scheduled for later.
create index lane_entries_due on lane_entries (route_id, class, due_at) where batch_id is null;

create function wx.lanes_due(in_routes uuid[], at timestamptz) returns table (route_id uuid, class smallint)
language plpgsql stable security definer set search_path = public, wx as $$
#variable_conflict use_column
begin
	return query select r.id, c.class::smallint from unnest(in_routes) as r (id) cross join generate_series(0, 3) as c (class)
		cross join lateral (
			select 1 from lane_entries e where e.batch_id is null and e.route_id = r.id and e.class = c.class and e.due_at <= at
			order by e.due_at limit 1
		) due;
end $$;

-- Tenants of a lane behind this one, in order, and whether they have something due: until so many have, or so many were looked at.
create function wx.lane_tenants_after(in_route uuid, in_class smallint, at timestamptz, after uuid, most integer, looks integer)
returns table (tenant_id uuid, is_due boolean)
language plpgsql stable security definer set search_path = public, wx as $$
#variable_conflict use_column
declare last uuid := after; found_tenant uuid; first_due timestamptz; given integer := 0;
begin
	for look in 1 .. looks loop
		select e.tenant_id, e.due_at into found_tenant, first_due from lane_entries e
		where e.batch_id is null and e.route_id = in_route and e.class = in_class and e.tenant_id > last
		order by e.tenant_id, e.due_at limit 1;
		exit when found_tenant is null or given >= most;
		last := found_tenant;
		given := given + (first_due <= at)::integer;
		return query select found_tenant, first_due <= at;
	end loop;
end $$;

-- Leases due entries of a lane to batches, at most so many to each; a tenant may be named several times, for as many batches.
create function wx.lease_batches(in_route uuid, in_class smallint, in_tenants uuid[], at timestamptz, most integer, to_batches uuid[])
returns table (batch_id uuid, message_id uuid, attempt smallint, possible_duplicate boolean, abandoned boolean, environment text, apart boolean)
language plpgsql security definer set search_path = public, wx as $$
#variable_conflict use_column
begin
	return query with asked as (
		select a.tenant_id, a.batch_id, row_number() over (partition by a.tenant_id order by a.n) as nth
		from unnest(in_tenants, to_batches) with ordinality as a (tenant_id, batch_id, n)
	), due as materialized (
		select w.tenant_id, d.message_id, d.nth
		from (select tenant_id, count(*) as batches from asked group by tenant_id) w cross join lateral (
			select l.message_id, (row_number() over (order by l.due_at, l.message_id) - 1) / most + 1 as nth
			from (
				select e.message_id, e.due_at from lane_entries e
				where e.batch_id is null and e.route_id = in_route and e.class = in_class and e.tenant_id = w.tenant_id and e.due_at <= at
				order by e.due_at, e.message_id limit most * w.batches for update skip locked
			) l
		) d
	)
	update lane_entries e set batch_id = a.batch_id from due d join asked a on a.tenant_id = d.tenant_id and a.nth = d.nth
	where e.tenant_id = d.tenant_id and e.message_id = d.message_id
	returning a.batch_id, e.message_id, e.attempt, e.possible_duplicate, e.abandoned, e.environment::text, e.apart;
end $$;

revoke execute on function wx.lanes_due(uuid[], timestamptz), wx.lane_tenants_after(uuid, smallint, timestamptz, uuid, integer, integer),
	wx.lease_batches(uuid, smallint, uuid[], timestamptz, integer, uuid[]) from public;
grant execute on function wx.lanes_due(uuid[], timestamptz), wx.lane_tenants_after(uuid, smallint, timestamptz, uuid, integer, integer),
	wx.lease_batches(uuid, smallint, uuid[], timestamptz, integer, uuid[]) to waxwing_worker;
