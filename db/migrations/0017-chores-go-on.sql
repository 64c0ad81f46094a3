-- additive
-- Chores that looked at all of a day, or of three, each time they ran look at so many rows and go on from there. wx.overdue_messages,
-- wx.quiet_segments, wx.rematch_parked and wx.purge stay for processes of the version before.

-- How far the chores have come that walk over submissions in the order of their time, whichever process runs them.
create table chore_places (
	name text primary key check (name in ('presume', 'purge')),
	done_until timestamptz not null
);
alter table chore_places enable row level security;
alter table chore_places force row level security;
create policy owner_all on chore_places to waxwing_owner using (true) with check (true);
create policy worker_all on chore_places to waxwing_worker using (true) with check (true);
grant select, update on chore_places to waxwing_worker;
-- Nothing can be older than the product.
insert into chore_places (name, done_until) values ('presume', 'epoch'), ('purge', '2026-01-01Z');

-- Messages handed over between two moments that have no final state.
create function wx.unheard_between(since timestamptz, until timestamptz, most integer) returns table (tenant_id uuid, message_id uuid, environment text)
language sql stable security definer set search_path = public, wx as $$
	select distinct s.tenant_id, s.message_id, m.environment::text from submissions s cross join lateral (
		select f.environment, f.status from message_states f where f.tenant_id = s.tenant_id and f.message_id = s.message_id offset 0
	) m
	where s.submitted_at >= since and s.submitted_at < until and m.status < 30 limit most
$$;

create function wx.purge_submissions(since timestamptz, until timestamptz, most integer) returns integer
language sql security definer set search_path = public, wx as $$
	with gone as (
		delete from submissions where ctid = any (array(
			select ctid from submissions where submitted_at >= since and submitted_at < until limit most
		)) returning 1
	) select count(*)::integer from gone
$$;

create index parked_receipts_by_age on parked_receipts (received_at);
create index webhook_deliveries_by_age on webhook_deliveries (created_at);
-- What is kept for so long and no longer, at most `most` rows of each table; the largest number that went.
create function wx.purge_rows(at timestamptz, most integer) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare largest integer := 0; gone integer;
begin
	delete from idempotency_keys where ctid = any (array(select ctid from idempotency_keys where created_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; largest := greatest(largest, gone);
	delete from parked_receipts where ctid = any (array(select ctid from parked_receipts where received_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; largest := greatest(largest, gone);
	delete from inbound_parts where ctid = any (array(select ctid from inbound_parts where received_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; largest := greatest(largest, gone);
	delete from webhook_deliveries where ctid = any (array(select ctid from webhook_deliveries where created_at < at - interval '10 days' limit most));
	get diagnostics gone = row_count; largest := greatest(largest, gone);
	delete from webhook_attempts where ctid = any (array(select ctid from webhook_attempts where attempted_at < at - interval '14 days' limit most));
	get diagnostics gone = row_count; largest := greatest(largest, gone);
	return largest;
end $$;

-- Long messages whose last segment was reported delivered while the others had no receipt at all, among the `look` newest up to `before`. The last
-- one looked at comes too, quiet or not: the next look begins with it.
create function wx.quiet_before(before timestamptz, since timestamptz, look integer)
returns table (tenant_id uuid, message_id uuid, environment text, submitted_at timestamptz, quiet boolean)
language sql stable security definer set search_path = public, wx as $$
	with looked as materialized (
		select s.tenant_id, s.message_id, s.submitted_at, row_number() over () as n from (
			select * from submissions l where l.segments > 1 and l.segment = l.segments and l.state = 2
				and l.submitted_at <= before and l.submitted_at > since
			order by l.submitted_at desc limit look
		) s
	)
	select l.tenant_id, l.message_id, m.environment::text, l.submitted_at, coalesce(m.quiet, false) from looked l left join lateral (
		select f.environment, f.status < 30 and not exists (
			select from submissions o where o.tenant_id = l.tenant_id and o.message_id = l.message_id and o.submitted_at = l.submitted_at
				and o.segments > 1 and o.segment < o.segments and o.state <> 0
		) as quiet from message_states f where f.tenant_id = l.tenant_id and f.message_id = l.message_id offset 0
	) m on true
	where m.quiet or l.n = (select max(n) from looked) order by l.n
$$;

-- Takes back parked receipts whose submission is there, among the `look` from `from_id` on; a receipt is parked under each form of its id. The
-- last row says where the look ended, when there is more behind it: the next begins there.
create function wx.rematch_from(from_id uuid, look integer)
returns table (route_id uuid, carrier_id text, state smallint, error_code text, looked_to uuid)
language sql security definer set search_path = public, wx as $$
	with looked as materialized (
		select p.id, p.route_id, p.carrier_id, p.state, p.error_code from parked_receipts p where p.id >= from_id order by p.id limit look
	), hit as (
		select distinct on (l.id) l.id, l.route_id, l.carrier_id, l.state, l.error_code from looked l where exists (
			select from submissions s where s.route_id = l.route_id and s.carrier_id = l.carrier_id offset 0
		)
	), gone as (
		delete from parked_receipts p using hit where p.id = hit.id
	)
	select hit.route_id, hit.carrier_id, hit.state, hit.error_code, null::uuid from hit
	union all
	select null, null, null, null, (select l.id from looked l order by l.id desc limit 1) where (select count(*) from looked) = look
$$;

revoke execute on function wx.unheard_between(timestamptz, timestamptz, integer), wx.purge_submissions(timestamptz, timestamptz, integer),
	wx.purge_rows(timestamptz, integer), wx.quiet_before(timestamptz, timestamptz, integer), wx.rematch_from(uuid, integer) from public;
grant execute on function wx.unheard_between(timestamptz, timestamptz, integer), wx.purge_submissions(timestamptz, timestamptz, integer),
	wx.purge_rows(timestamptz, integer), wx.quiet_before(timestamptz, timestamptz, integer), wx.rematch_from(uuid, integer) to waxwing_worker;
