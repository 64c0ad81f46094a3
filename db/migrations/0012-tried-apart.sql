-- additive
-- Messages whose last submit ended with the connection, or with the process: one of them may be what ended it, so they are tried apart.

alter table lane_entries add column apart boolean not null default false;
grant update (apart) on lane_entries to waxwing_worker;

-- As before, and tells which are to be tried apart.
drop function wx.lease_lane(uuid, smallint, uuid, timestamptz, integer, uuid);
create function wx.lease_lane(in_route uuid, in_class smallint, in_tenant uuid, at timestamptz, most integer, to_batch uuid)
returns table (message_id uuid, attempt smallint, possible_duplicate boolean, abandoned boolean, environment text, apart boolean)
language sql security definer set search_path = public, wx as $$
	with due as (
		select e.tenant_id, e.message_id from lane_entries e
		where e.batch_id is null and e.route_id = in_route and e.class = in_class and e.tenant_id = in_tenant and e.due_at <= at
		order by e.due_at, e.message_id limit most for update skip locked
	)
	update lane_entries e set batch_id = to_batch from due
	where e.tenant_id = due.tenant_id and e.message_id = due.message_id
	returning e.message_id, e.attempt, e.possible_duplicate, e.abandoned, e.environment::text, e.apart
$$;
revoke execute on function wx.lease_lane(uuid, smallint, uuid, timestamptz, integer, uuid) from public;
grant execute on function wx.lease_lane(uuid, smallint, uuid, timestamptz, integer, uuid) to waxwing_worker;
