-- additive
-- With millions of messages two questions read all of them: a list whose filter few messages fit, and the search for
-- entries that expired on a route that stands still. Both look at so many rows at a time from now on, and go on later.

-- What people sent us is rare among what was sent to them, and is asked for alone.
create index messages_inbound on messages (tenant_id, environment, id desc) where inbound;

-- Where a look at `look` messages of this tenant ends, newest first or `backwards`, between two ids (exclusive): the last
-- one looked at and the one after it. Fewer than two rows: the look reaches the end. Messages of both environments are
-- counted, because a walk meets both; those from people have an index for each. Answers with ids of the caller's tenant.
create function wx.list_edge(before uuid, after uuid, look integer, backwards boolean, only_inbound boolean) returns setof uuid
language plpgsql stable security definer set search_path = public, wx as $$
begin
	if only_inbound and backwards then
		return query select m.id from messages m where m.inbound and m.tenant_id = wx.tenant() and m.environment = wx.environment()
			and m.id < before and m.id > after order by m.id asc offset look - 1 limit 2;
	elsif only_inbound then
		return query select m.id from messages m where m.inbound and m.tenant_id = wx.tenant() and m.environment = wx.environment()
			and m.id < before and m.id > after order by m.id desc offset look - 1 limit 2;
	elsif backwards then
		return query select m.id from messages m where m.tenant_id = wx.tenant()
			and m.id < before and m.id > after order by m.id asc offset look - 1 limit 2;
	else
		return query select m.id from messages m where m.tenant_id = wx.tenant()
			and m.id < before and m.id > after order by m.id desc offset look - 1 limit 2;
	end if;
end $$;

-- Entries of a route that wait beyond their message's time, among the next `look` that are due, in the order of the lane
-- behind (after_class, after_tenant, after_due, after_message). The last one looked at comes too, expired or not: the
-- next look begins behind it. What is not due yet is not looked at: it is when its time comes. wx.expired_entries stays
-- for processes of the version before.
create function wx.expired_after(in_route uuid, at timestamptz, look integer, after_class smallint, after_tenant uuid, after_due timestamptz, after_message uuid)
returns table (tenant_id uuid, message_id uuid, environment text, class smallint, due_at timestamptz, expired boolean)
language sql stable security definer set search_path = public, wx as $$
	with looked as materialized (
		select e.tenant_id, e.message_id, e.environment::text, e.class, e.due_at, e.expires_at < at as expired, row_number() over () as n
		from (
			select * from lane_entries e where e.batch_id is null and e.route_id = in_route
				and (e.class, e.tenant_id, e.due_at, e.message_id) > (after_class, after_tenant, after_due, after_message) and e.due_at <= at
			order by e.class, e.tenant_id, e.due_at, e.message_id limit look
		) e
	)
	select l.tenant_id, l.message_id, l.environment, l.class, l.due_at, l.expired
	from looked l where l.expired or l.n = (select max(n) from looked) order by l.n
$$;

revoke execute on function wx.list_edge(uuid, uuid, integer, boolean, boolean),
	wx.expired_after(uuid, timestamptz, integer, smallint, uuid, timestamptz, uuid) from public;
grant execute on function wx.list_edge(uuid, uuid, integer, boolean, boolean) to waxwing_app;
grant execute on function wx.expired_after(uuid, timestamptz, integer, smallint, uuid, timestamptz, uuid) to waxwing_worker;

-- As before, and route by route from its own lanes: the join was planned from all entries that wait.
create or replace function wx.stranded_entries(most integer)
returns table (tenant_id uuid, message_id uuid, environment text, route_id uuid, country text, due_at timestamptz, expires_at timestamptz,
	attempt smallint, possible_duplicate boolean, abandoned boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.environment::text, e.route_id, m.country, e.due_at, e.expires_at, e.attempt, e.possible_duplicate, e.abandoned
	from routes r cross join lateral (
		select * from lane_entries w where w.route_id = r.id and w.batch_id is null
		order by w.class, w.tenant_id, w.due_at, w.message_id limit most
	) e
	join messages m on m.tenant_id = e.tenant_id and m.id = e.message_id where not r.enabled limit most
$$;
