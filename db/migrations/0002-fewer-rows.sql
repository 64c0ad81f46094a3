-- breaking: stop, migrate, start. The verdicts move from `clearances` to their message, in one transaction; old processes cannot insert afterwards.
-- What acceptance decides is a fact of the message like the others, so it stands in the message's row: one row
-- and one index entry less for each message. What stands in a lane carries the seal of its clearance itself:
-- an entry without one cannot be written at all, which the trigger on inserted entries used to check.

alter table messages
	-- Null for what people send us. Each rule's verdict as a letter in the rule set's order: p pass, n not concerned, r refuse, d defer.
	add ruleset text check (length(ruleset) between 1 and 40),
	add verdicts text check (length(verdicts) <= 64 and translate(verdicts, 'pnrd', '') = ''),
	-- Set when a rule deferred the message: until when.
	add deferred_until timestamptz,
	-- The clearance: until when it may be used, and its seal; null for what was refused.
	add clear_until timestamptz,
	add seal bytea check (length(seal) = 32),
	add constraint messages_seal check ((seal is null) = (clear_until is null) and (seal is null or verdicts is not null));

-- A batch that is handed over in memory as it is accepted names its messages itself: they have no entry in the
-- lane, and need none unless something goes wrong. What is left of it when its holder dies, or when a message
-- must wait after all, becomes entries then. The others, leased from the table, are named by their entries.
alter table dispatch_batches
	add tenant_id uuid,
	add route_id uuid,
	add message_ids uuid[] check (cardinality(message_ids) between 1 and 64),
	add constraint dispatch_batches_messages check ((message_ids is null) = (tenant_id is null) and (message_ids is null) = (route_id is null));
drop policy app_hands_over on dispatch_batches;
create policy app_hands_over on dispatch_batches for insert to waxwing_app with check (started_at is null and tenant_id = (select wx.tenant()));

-- What of a batch has no result yet.
create or replace function wx.entries_of_batch(batch uuid)
returns table (tenant_id uuid, message_id uuid, route_id uuid, class smallint, attempt smallint, environment text, possible_duplicate boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.route_id, e.class, e.attempt, e.environment::text, e.possible_duplicate from lane_entries e where e.batch_id = batch
	union all
	select m.tenant_id, m.id, b.route_id, m.class, 0::smallint, m.environment::text, false
	from dispatch_batches b cross join unnest(b.message_ids) as i (id) join messages m on m.tenant_id = b.tenant_id and m.id = i.id
	where b.id = batch
		and not exists (select from lane_entries e where e.tenant_id = m.tenant_id and e.message_id = m.id)
		and not exists (select from message_states s where s.tenant_id = m.tenant_id and s.message_id = m.id and s.status >= 20)
$$;

-- Submissions are found by the carrier's id; by their message only those of several segments.
alter table submissions drop constraint submissions_pkey;
create unique index submissions_of_long on submissions (tenant_id, message_id, segment, submitted_at) where segments > 1;
create or replace function wx.quiet_segments(before timestamptz, most integer) returns table (tenant_id uuid, message_id uuid, environment text)
language sql stable security definer set search_path = public, wx as $$
	select s.tenant_id, s.message_id, m.environment::text from submissions s join message_states m using (tenant_id, message_id)
	where s.segments > 1 and s.segment = s.segments and s.state = 2 and s.submitted_at < before and s.submitted_at > before - interval '1 day'
		and m.status < 30 and not exists (
			select from submissions o where o.tenant_id = s.tenant_id and o.message_id = s.message_id and o.submitted_at = s.submitted_at
				and o.segments > 1 and o.segment < o.segments and o.state <> 0)
	limit most
$$;

drop trigger lane_entries_clearance on lane_entries;
drop function wx.demand_clearances();
-- The rows of all tenants are moved here, by their owner.
create policy owner_moves on messages to waxwing_owner using (true) with check (true);
create policy owner_reads on decisions to waxwing_owner using (true);
update messages m set ruleset = c.ruleset, verdicts = c.verdicts, deferred_until = c.until, clear_until = c.valid_until, seal = c.seal
	from clearances c where c.tenant_id = m.tenant_id and c.message_id = m.id;
update messages m set ruleset = d.ruleset, verdicts = d.verdicts
	from decisions d where d.tenant_id = m.tenant_id and d.message_id = m.id and d.judged_at = m.created_at and m.ruleset is null;
drop policy owner_moves on messages;
drop policy owner_reads on decisions;

alter table lane_entries add seal bytea check (length(seal) = 32);
update lane_entries l set seal = c.seal from clearances c where c.tenant_id = l.tenant_id and c.message_id = l.message_id;
alter table lane_entries alter seal set not null;
drop table clearances;

-- The usual life of a message is accepted, sent, delivered. Its present state tells the last two with their times;
-- message_events keeps the changes that are not told there.
alter table message_states add sent_event uuid;
-- A message delivered before this migration has its events in message_events; the state must not tell them again.
comment on column message_states.sent_event is 'The timeline entry of the change to sent, if that has no row in message_events.';

create or replace function wx.make_partitions(at timestamptz) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare parent text; month timestamptz; name text; made integer := 0;
begin
	perform pg_advisory_xact_lock(782364001);
	foreach parent in array array['messages', 'decisions', 'message_events'] loop
		for back in -1..2 loop
			month := (date_trunc('month', at at time zone 'UTC') + make_interval(months => back)) at time zone 'UTC';
			name := parent || '_' || to_char(month at time zone 'UTC', 'YYYYMM');
			continue when to_regclass('public.' || name) is not null;
			execute format('create table public.%I partition of public.%I for values from (%L) to (%L)', name, parent,
				wx.first_id(month), wx.first_id((month at time zone 'UTC' + interval '1 month') at time zone 'UTC'));
			call wx.protect(('public.' || quote_ident(name))::regclass, true, true);
			made := made + 1;
		end loop;
	end loop;
	return made;
end $$;
