-- additive
-- What a batch names is looked up message by message, also for a tenant that has many more than others, and in a month without rows. A
-- join would be planned for the average tenant.

create or replace function wx.entries_of_batch(batch uuid)
returns table (tenant_id uuid, message_id uuid, route_id uuid, class smallint, attempt smallint, environment text, possible_duplicate boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.route_id, e.class, e.attempt, e.environment::text, e.possible_duplicate from lane_entries e where e.batch_id = batch
	union all
	select m.tenant_id, m.id, b.route_id, m.class, 0::smallint, m.environment::text, false
	from dispatch_batches b cross join unnest(b.message_ids) as i (id) cross join lateral (
		select * from messages f where f.tenant_id = b.tenant_id and f.id = i.id offset 0
	) m
	where b.id = batch
		and not exists (select from lane_entries e where e.tenant_id = m.tenant_id and e.message_id = m.id)
		and not exists (select from message_states s where s.tenant_id = m.tenant_id and s.message_id = m.id and s.status >= 20)
$$;

create or replace function wx.stranded_entries(most integer)
returns table (tenant_id uuid, message_id uuid, environment text, route_id uuid, country text, due_at timestamptz, expires_at timestamptz,
	attempt smallint, possible_duplicate boolean, abandoned boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.environment::text, e.route_id, m.country, e.due_at, e.expires_at, e.attempt, e.possible_duplicate, e.abandoned
	from routes r cross join lateral (
		select * from lane_entries w where w.route_id = r.id and w.batch_id is null
		order by w.class, w.tenant_id, w.due_at, w.message_id limit most
	) e cross join lateral (
		select f.country from messages f where f.tenant_id = e.tenant_id and f.id = e.message_id offset 0
	) m
	where not r.enabled limit most
$$;
