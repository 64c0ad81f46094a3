-- additive
-- Messages enter the ledger: each commit that stores messages of a scope adds one row with a hash of each of them; the
-- sequencer gathers a tenant's rows into one entry, about one a second (server/audit/fold.ts, decision 0018). What is
-- stored of a message never changes, so a message that does not give its hash any more was edited.

-- Partitioned as messages are, and dropped with them.
create table message_digests (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	-- Members: ids of concurrent commits interleave, so first and last would not tell them.
	message_ids uuid[] not null check (cardinality(message_ids) > 0),
	-- 32 bytes for each member, in the same order.
	leaves bytea not null,
	root bytea not null check (length(root) = 32),
	-- The entry of the tenant's log that holds it, once there is one.
	entry_id uuid,
	primary key (tenant_id, id),
	check (length(leaves) = 32 * cardinality(message_ids))
) partition by range (id);
-- Hashes do not shrink.
alter table message_digests alter message_ids set storage external, alter leaves set storage external;
create index message_digests_waiting on message_digests (tenant_id, id) where entry_id is null;
create index message_digests_by_entry on message_digests (tenant_id, entry_id) where entry_id is not null;
call wx.protect('message_digests', true, true);
create policy owner_reads on message_digests to waxwing_owner using (true);
grant select, insert on message_digests to waxwing_app, waxwing_worker;
grant update (entry_id) on message_digests to waxwing_worker;

-- Stored messages are compared with the ledger again and again: how far that has come in each tenant's log.
create table message_checks (
	tenant_id uuid primary key,
	-- The last entry whose messages were all looked at; null before the first of a round.
	entry_id uuid,
	-- Of the entry behind it, the last of its digests that was looked at; null when none was.
	digest_id uuid,
	checked_at timestamptz not null
);
call wx.protect('message_checks', false, true);
create policy owner_reads on message_checks to waxwing_owner using (true);
create index message_checks_by_time on message_checks (checked_at);
grant select, insert, update on message_checks to waxwing_worker;

-- Across tenants: narrow questions ------------------------------------------------------------------------------

-- What no entry holds yet.
create function wx.digests_waiting(most integer) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = public, wx as $$
	select d.tenant_id, d.id from message_digests d where d.entry_id is null order by d.tenant_id, d.id limit most
$$;
-- Tenants whose messages are to be compared next, those left alone for the longest first: new ones, those in the middle of
-- a round, and those whose last round ended before.
create function wx.message_checks_due(most integer, before timestamptz) returns table (tenant_id uuid)
language sql stable security definer set search_path = public, wx as $$
	(select distinct l.tenant_id from ledger_logs l
		where l.tenant_id <> '00000000-0000-0000-0000-000000000000' and not exists (select from message_checks c where c.tenant_id = l.tenant_id)
		limit most)
	union all
	(select c.tenant_id from message_checks c where c.checked_at < before or c.entry_id is not null or c.digest_id is not null
		order by c.checked_at, c.tenant_id limit most)
	limit most
$$;
revoke execute on function wx.digests_waiting(integer), wx.message_checks_due(integer, timestamptz) from public;
grant execute on function wx.digests_waiting(integer), wx.message_checks_due(integer, timestamptz) to waxwing_worker;

create or replace function wx.make_partitions(at timestamptz) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare parent text; month timestamptz; name text; made integer := 0;
begin
	perform pg_advisory_xact_lock(782364001);
	foreach parent in array array['messages', 'decisions', 'message_events', 'message_digests'] loop
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
