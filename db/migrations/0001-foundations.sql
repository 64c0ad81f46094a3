-- additive
-- Tenants, keys, policy facts, messages, dispatch, webhooks. Rules that every table here keeps, and that
-- tests/architecture/tenancy.test.ts audits in the catalogue:
--   * tenant_id comes first in every primary key, unique index and foreign key of a tenant's table;
--   * row-level security is enabled and forced, on partitions too;
--   * no text that a caller can write is stored in clear: it is sealed (…_sealed, sealed) or indexed blindly.
-- Owned by waxwing_owner (no login). waxwing_app serves one tenant and environment at a time;
-- waxwing_worker serves the tenants of the batch it holds. Neither can bypass row-level security.

create schema wx;
grant usage on schema wx to waxwing_app, waxwing_worker;

-- Whose rows this transaction may see. Loud when unset: a forgotten scope is an error, not an empty list.
create function wx.tenant() returns uuid language plpgsql stable parallel safe as $$
declare value text := nullif(current_setting('app.tenant', true), '');
begin
	if value is null then raise exception 'no tenant is set for this transaction' using errcode = 'WX001'; end if;
	return value::uuid;
end $$;

create function wx.environment() returns text language plpgsql stable parallel safe as $$
declare value text := nullif(current_setting('app.environment', true), '');
begin
	if value is null then raise exception 'no environment is set for this transaction' using errcode = 'WX001'; end if;
	return value;
end $$;

create function wx.tenants() returns uuid[] language plpgsql stable parallel safe as $$
declare value text := nullif(current_setting('app.tenants', true), '');
begin
	if value is null then raise exception 'no tenants are set for this transaction' using errcode = 'WX001'; end if;
	return value::uuid[];
end $$;

create domain wx.environment_name as text check (value in ('live', 'test'));

-- Gives a table (or partition) its policies. `has_environment` is false for what both environments share.
create procedure wx.protect(target regclass, has_environment boolean, worker_too boolean) language plpgsql as $$
declare predicate text := 'tenant_id = (select wx.tenant())';
begin
	if has_environment then predicate := predicate || ' and environment = (select wx.environment())'; end if;
	execute format('alter table %s enable row level security', target);
	execute format('alter table %s force row level security', target);
	execute format('create policy one_tenant on %s to waxwing_app using (%s) with check (%s)', target, predicate, predicate);
	if worker_too then
		execute format('create policy batch_of_tenants on %s to waxwing_worker using (tenant_id = any ((select wx.tenants())::uuid[])) with check (tenant_id = any ((select wx.tenants())::uuid[]))', target);
	end if;
end $$;

-- Tenants and keys ------------------------------------------------------------------------------------------

create table tenants (
	tenant_id uuid primary key,
	name_sealed bytea not null,
	suspended_at timestamptz,
	created_at timestamptz not null
);
call wx.protect('tenants', false, true);
create policy owner_reads on tenants to waxwing_owner using (true) with check (true);
grant select on tenants to waxwing_app, waxwing_worker;

-- Keys of tenants, wrapped under the root key. One row per epoch; the newest seals, all open.
create table tenant_keys (
	tenant_id uuid not null references tenants,
	epoch integer not null check (epoch > 0),
	wrapped bytea not null,
	created_at timestamptz not null,
	primary key (tenant_id, epoch)
);
call wx.protect('tenant_keys', false, true);
create policy owner_reads on tenant_keys to waxwing_owner using (true) with check (true);
grant select on tenant_keys to waxwing_app, waxwing_worker;

create table api_keys (
	tenant_id uuid not null references tenants,
	id uuid not null,
	environment wx.environment_name not null,
	secret_hash bytea not null check (length(secret_hash) = 32),
	name_sealed bytea,
	scopes text[] not null,
	created_at timestamptz not null,
	expires_at timestamptz,
	revoked_at timestamptz,
	primary key (tenant_id, id)
);
call wx.protect('api_keys', false, false);
create policy owner_reads on api_keys to waxwing_owner using (true) with check (true);
grant select, insert on api_keys to waxwing_app;
grant update (revoked_at) on api_keys to waxwing_app;
create index api_keys_by_id on api_keys (id);

-- Keys of the platform's operator: no tenant. Only the definer functions below touch them.
create table operator_keys (
	id uuid primary key,
	secret_hash bytea not null check (length(secret_hash) = 32),
	created_at timestamptz not null,
	expires_at timestamptz,
	revoked_at timestamptz
);
alter table operator_keys enable row level security;
alter table operator_keys force row level security;
create policy owner_only on operator_keys to waxwing_owner using (true) with check (true);

-- Authentication comes before the tenant is known, so it is a function that answers only for ids asked.
create function wx.find_api_keys(ids uuid[])
returns table (id uuid, tenant_id uuid, environment text, secret_hash bytea, scopes text[], expires_at timestamptz,
	revoked_at timestamptz, suspended_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select k.id, k.tenant_id, k.environment, k.secret_hash, k.scopes, k.expires_at, k.revoked_at, t.suspended_at
	from api_keys k join tenants t using (tenant_id) where k.id = any (ids)
$$;
create function wx.find_operator_keys(ids uuid[])
returns table (id uuid, secret_hash bytea, expires_at timestamptz, revoked_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select id, secret_hash, expires_at, revoked_at from operator_keys where id = any (ids)
$$;
create function wx.create_tenant(new_id uuid, name_sealed bytea, wrapped bytea, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into tenants (tenant_id, name_sealed, created_at) values (new_id, name_sealed, at);
	insert into tenant_keys (tenant_id, epoch, wrapped, created_at) values (new_id, 1, wrapped, at);
$$;
create function wx.create_operator_key(new_id uuid, hash bytea, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into operator_keys (id, secret_hash, created_at) values (new_id, hash, at)
$$;
create function wx.list_tenants(after uuid, page integer) returns table (tenant_id uuid, name_sealed bytea, suspended_at timestamptz, created_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select tenant_id, name_sealed, suspended_at, created_at from tenants where after is null or tenant_id < after order by tenant_id desc limit page
$$;
create function wx.suspend_tenant(which uuid, at timestamptz) returns integer
language sql security definer set search_path = public, wx as $$
	with changed as (update tenants set suspended_at = at where tenant_id = which returning 1) select count(*)::integer from changed
$$;
-- Keys by tenant for the vault, which serves requests (app) and batches (worker) alike.
create function wx.tenant_keys_of(ids uuid[]) returns table (tenant_id uuid, epoch integer, wrapped bytea)
language sql stable security definer set search_path = public, wx as $$
	select tenant_id, epoch, wrapped from tenant_keys where tenant_id = any (ids)
$$;

-- Facts for policy ------------------------------------------------------------------------------------------

create table tenant_settings (
	tenant_id uuid not null references tenants,
	environment wx.environment_name not null,
	countries text[] not null default '{}',
	-- Minutes after local midnight; null means the law's own bound. A tenant narrows, never widens.
	promotional_from smallint check (promotional_from between 0 and 1440),
	promotional_until smallint check (promotional_until between 0 and 1440),
	outside_window text not null default 'defer' check (outside_window in ('defer', 'refuse')),
	-- India's Distributed Ledger registration: digits only, so nothing personal fits.
	dlt_entity_id text check (dlt_entity_id ~ '^[0-9]{19}$'),
	dlt_telemarketers text[] not null default '{}',
	updated_at timestamptz not null,
	primary key (tenant_id, environment)
);
call wx.protect('tenant_settings', true, true);
grant select, insert, update on tenant_settings to waxwing_app;
grant select on tenant_settings to waxwing_worker;

create table senders (
	tenant_id uuid not null references tenants,
	id uuid not null,
	environment wx.environment_name not null,
	address_index bytea not null,
	address_sealed bytea not null,
	kind text not null check (kind in ('alphanumeric', 'number', 'short_code')),
	active boolean not null default true,
	created_at timestamptz not null,
	primary key (tenant_id, id)
);
create unique index senders_by_address on senders (tenant_id, environment, address_index);
call wx.protect('senders', true, true);
grant select, insert, delete on senders to waxwing_app;
grant update (active) on senders to waxwing_app;
grant select on senders to waxwing_worker;

-- A sender belongs to one tenant: registers and inbound replies need a single owner. The index is under a
-- platform key; that a sender is taken can be learnt, as at any registrar (docs/decisions).
create table sender_owners (
	environment wx.environment_name not null,
	platform_index bytea not null,
	tenant_id uuid not null,
	sender_id uuid not null,
	primary key (environment, platform_index),
	foreign key (tenant_id, sender_id) references senders (tenant_id, id) on delete cascade
);
alter table sender_owners enable row level security;
alter table sender_owners force row level security;
create policy owner_all on sender_owners to waxwing_owner using (true) with check (true);
create policy one_tenant on sender_owners to waxwing_app using (tenant_id = (select wx.tenant())) with check (tenant_id = (select wx.tenant()) and environment = (select wx.environment()));
grant select, insert on sender_owners to waxwing_app;
create function wx.owners_of_senders(env text, indexes bytea[]) returns table (platform_index bytea, tenant_id uuid, sender_id uuid)
language sql stable security definer set search_path = public, wx as $$
	select o.platform_index, o.tenant_id, o.sender_id from sender_owners o where o.environment = env and o.platform_index = any (indexes)
$$;

-- Statements of consent: appended, never changed; the newest of an address and coverage holds.
create table consent_statements (
	tenant_id uuid not null references tenants,
	id uuid not null,
	environment wx.environment_name not null,
	address_index bytea not null,
	channel text not null check (channel in ('sms', 'whatsapp', 'email', 'voice')),
	coverage text not null check (coverage in ('all', 'non_transactional')),
	granted boolean not null,
	consented_at timestamptz not null,
	-- Address, source and evidence as given.
	sealed bytea not null,
	recorded_at timestamptz not null,
	primary key (tenant_id, id)
);
create index consent_statements_by_address on consent_statements (tenant_id, environment, channel, address_index, id desc);
create index consent_statements_revoking_all on consent_statements (tenant_id, environment, address_index) where not granted and coverage = 'all';
call wx.protect('consent_statements', true, true);
grant select, insert on consent_statements to waxwing_app;
grant select, insert on consent_statements to waxwing_worker;

-- Suppressions are ended, not deleted.
create table suppressions (
	tenant_id uuid not null references tenants,
	id uuid not null,
	environment wx.environment_name not null,
	channel text not null check (channel in ('sms', 'whatsapp', 'email', 'voice')),
	address_index bytea not null,
	address_sealed bytea not null,
	reason text not null check (reason in ('stop', 'manual', 'complaint')),
	created_at timestamptz not null,
	ended_at timestamptz,
	ended_reason text check (ended_reason in ('start', 'manual')),
	primary key (tenant_id, id)
);
-- By reason: a person's START ends their STOP and leaves what the tenant or a complaint suppressed.
create unique index suppressions_in_force on suppressions (tenant_id, environment, channel, address_index, reason) where ended_at is null;
call wx.protect('suppressions', true, true);
grant select, insert on suppressions to waxwing_app, waxwing_worker;
grant update (ended_at, ended_reason) on suppressions to waxwing_app, waxwing_worker;

-- Accepting ---------------------------------------------------------------------------------------------------

-- An executed request, under the caller's Idempotency-Key. Sends keep the ids of their messages, from which
-- the first answer is made again; other requests keep the answer itself, sealed.
create table idempotency_keys (
	tenant_id uuid not null,
	environment wx.environment_name not null,
	key_hash bytea not null,
	fingerprint bytea not null,
	status smallint not null,
	message_ids uuid[],
	answer_sealed bytea,
	created_at timestamptz not null,
	primary key (tenant_id, environment, key_hash)
);
call wx.protect('idempotency_keys', true, false);
create policy owner_purges on idempotency_keys to waxwing_owner using (true) with check (true);
create index idempotency_keys_by_age on idempotency_keys (created_at);
grant select, insert, delete on idempotency_keys to waxwing_app;
grant update (status, message_ids, answer_sealed) on idempotency_keys to waxwing_app;

-- Immutable facts of a message. The id is a UUIDv7, so partitions by id are partitions by month.
create table messages (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	inbound boolean not null default false,
	class smallint not null check (class between 0 and 3),
	address_index bytea not null,
	sender_index bytea not null,
	-- Address, sender, text, values, tags and metadata.
	sealed bytea not null,
	encoding smallint not null check (encoding between 0 and 1),
	segments smallint not null,
	characters integer not null,
	country text not null,
	dlt_template_id text check (length(dlt_template_id) = 19 and translate(dlt_template_id, '0123456789', '') = ''),
	-- 16 bytes of blind index per tag name and per name:value pair, joined.
	tag_indexes bytea,
	api_key_id uuid,
	scheduled_at timestamptz,
	expires_at timestamptz not null,
	created_at timestamptz not null,
	primary key (tenant_id, id)
) partition by range (id);
create index messages_by_address on messages (tenant_id, environment, address_index, id desc);
call wx.protect('messages', true, true);
create policy owner_reads on messages to waxwing_owner using (true);
grant select, insert on messages to waxwing_app, waxwing_worker;

-- A message that every rule in force has passed, with each rule's verdict as letters in the rule set's order
-- (p pass, n not concerned, r refuse, d defer). Nothing can stand in a lane without a row here. `until` is set
-- when a rule defers: the clearance then stands, but is not usable before it has been renewed.
create table clearances (
	tenant_id uuid not null,
	message_id uuid not null,
	environment wx.environment_name not null,
	ruleset text not null check (length(ruleset) between 1 and 40),
	verdicts text not null check (length(verdicts) <= 64 and translate(verdicts, 'pnd', '') = ''),
	until timestamptz,
	judged_at timestamptz not null,
	valid_until timestamptz not null,
	seal bytea not null,
	primary key (tenant_id, message_id)
) partition by range (message_id);
call wx.protect('clearances', true, true);
create policy owner_demands on clearances to waxwing_owner using (true);
grant select, insert on clearances to waxwing_app, waxwing_worker;
grant update (ruleset, valid_until, seal) on clearances to waxwing_worker;

-- What else was decided: refusals, and judgements on the way out.
create table decisions (
	tenant_id uuid not null,
	message_id uuid not null,
	environment wx.environment_name not null,
	ruleset text not null check (length(ruleset) between 1 and 40),
	verdicts text not null check (length(verdicts) <= 64 and translate(verdicts, 'pnrd', '') = ''),
	outcome text not null check (outcome in ('cleared', 'refused', 'deferred')),
	until timestamptz,
	judged_at timestamptz not null,
	primary key (tenant_id, message_id, judged_at)
) partition by range (message_id);
call wx.protect('decisions', true, true);
grant select, insert on decisions to waxwing_app, waxwing_worker;

-- Routes of the platform: how messages leave. The configuration (hosts, passwords) is sealed under the root.
create table routes (
	id uuid primary key,
	environment wx.environment_name not null,
	countries text[] not null,
	priority integer not null,
	config_sealed bytea not null,
	enabled boolean not null default true,
	created_at timestamptz not null
);
alter table routes enable row level security;
alter table routes force row level security;
create policy owner_only on routes to waxwing_owner using (true) with check (true);
create policy all_read on routes for select to waxwing_app, waxwing_worker using (true);
grant select on routes to waxwing_app, waxwing_worker;
create function wx.save_route(new_id uuid, env text, new_countries text[], new_priority integer, config bytea, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into routes (id, environment, countries, priority, config_sealed, created_at) values (new_id, env, new_countries, new_priority, config, at)
	on conflict (id) do update set environment = env, countries = new_countries, priority = new_priority, config_sealed = config, enabled = true
$$;
create function wx.disable_route(which uuid) returns integer
language sql security definer set search_path = public, wx as $$
	with changed as (update routes set enabled = false where id = which and enabled returning 1) select count(*)::integer from changed
$$;

-- What waits to be sent: hot, small, rows deleted when done. A batch is the unit of lease: its row says who
-- holds it until when, and when its first byte may have left.
create table dispatch_batches (
	id uuid primary key,
	owner uuid not null,
	lease_until timestamptz not null,
	started_at timestamptz
) with (fillfactor = 70);
alter table dispatch_batches enable row level security;
alter table dispatch_batches force row level security;
create policy owner_all on dispatch_batches to waxwing_owner using (true) with check (true);
create policy app_hands_over on dispatch_batches for insert to waxwing_app with check (started_at is null);
create policy worker_all on dispatch_batches to waxwing_worker using (true) with check (true);
grant insert on dispatch_batches to waxwing_app;
grant select, insert, update, delete on dispatch_batches to waxwing_worker;

create table lane_entries (
	tenant_id uuid not null,
	message_id uuid not null,
	environment wx.environment_name not null,
	route_id uuid not null,
	class smallint not null,
	due_at timestamptz not null,
	expires_at timestamptz not null,
	attempt smallint not null default 0,
	batch_id uuid,
	possible_duplicate boolean not null default false,
	-- An at-most-once message whose submit has an unknown outcome: never sent again, given up when due.
	abandoned boolean not null default false,
	primary key (tenant_id, message_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index lane_entries_waiting on lane_entries (route_id, class, tenant_id, due_at, message_id) where batch_id is null;
create index lane_entries_leased on lane_entries (batch_id) where batch_id is not null;
call wx.protect('lane_entries', true, true);
create policy owner_claims on lane_entries to waxwing_owner using (true) with check (true);
grant select, insert, delete on lane_entries to waxwing_app;
grant select, insert, delete on lane_entries to waxwing_worker;
grant update (route_id, due_at, attempt, batch_id, possible_duplicate, abandoned) on lane_entries to waxwing_worker;

-- Nothing stands in a lane without a clearance: the foreign key of lane_entries to clearances, checked once per
-- statement. PostgreSQL's own checks row by row, which against a partitioned table costs 28 µs each. Nobody may
-- delete a clearance or change an entry's message, so checking at insertion is enough.
create function wx.demand_clearances() returns trigger language plpgsql security definer set search_path = public, wx as $$
declare first_message uuid;
begin
	select message_id into first_message from added order by message_id limit 1;
	if exists (select from added a where not exists (
		select from clearances c where c.tenant_id = a.tenant_id and c.message_id = a.message_id and c.message_id >= first_message)) then
		raise exception 'a lane entry without a clearance' using errcode = '23503', table = 'lane_entries', constraint = 'lane_entries_clearance';
	end if;
	return null;
end $$;
create trigger lane_entries_clearance after insert on lane_entries referencing new table as added
	for each statement execute function wx.demand_clearances();

-- Tenants with due work in a lane: a loose index scan, a few pages however long the lane is.
create function wx.lane_tenants(in_route uuid, in_class smallint, at timestamptz, most integer) returns setof uuid
language plpgsql stable security definer set search_path = public, wx as $$
declare last uuid := '00000000-0000-0000-0000-000000000000'; found_tenant uuid; first_due timestamptz; given integer := 0;
begin
	loop
		select e.tenant_id, e.due_at into found_tenant, first_due from lane_entries e
		where e.batch_id is null and e.route_id = in_route and e.class = in_class and e.tenant_id > last
		order by e.tenant_id, e.due_at limit 1;
		exit when found_tenant is null or given >= most;
		last := found_tenant;
		if first_due <= at then given := given + 1; return next found_tenant; end if;
	end loop;
end $$;

-- Entries of a route that wait beyond their message's time.
create function wx.expired_entries(in_route uuid, at timestamptz, most integer) returns table (tenant_id uuid, message_id uuid, environment text)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.environment::text from lane_entries e where e.batch_id is null and e.route_id = in_route and e.expires_at < at limit most
$$;

-- Entries that wait on a route that is switched off: nobody sends there any more.
create function wx.stranded_entries(most integer)
returns table (tenant_id uuid, message_id uuid, environment text, route_id uuid, country text, due_at timestamptz, expires_at timestamptz,
	attempt smallint, possible_duplicate boolean, abandoned boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.environment::text, e.route_id, m.country, e.due_at, e.expires_at, e.attempt, e.possible_duplicate, e.abandoned
	from routes r join lane_entries e on e.route_id = r.id and e.batch_id is null
	join messages m on m.tenant_id = e.tenant_id and m.id = e.message_id where not r.enabled limit most
$$;

-- Leases up to `most` due entries of one tenant's lane to a batch; returns their message ids in order.
create function wx.lease_lane(in_route uuid, in_class smallint, in_tenant uuid, at timestamptz, most integer, to_batch uuid)
returns table (message_id uuid, attempt smallint, possible_duplicate boolean, abandoned boolean, environment text)
language sql security definer set search_path = public, wx as $$
	with due as (
		select e.tenant_id, e.message_id from lane_entries e
		where e.batch_id is null and e.route_id = in_route and e.class = in_class and e.tenant_id = in_tenant and e.due_at <= at
		order by e.due_at, e.message_id limit most for update skip locked
	)
	update lane_entries e set batch_id = to_batch from due
	where e.tenant_id = due.tenant_id and e.message_id = due.message_id
	returning e.message_id, e.attempt, e.possible_duplicate, e.abandoned, e.environment::text
$$;

-- Batches whose holder is gone. Not started: their entries wait again. Started: each entry's outcome is unknown.
create function wx.expired_batches(at timestamptz, most integer) returns table (batch_id uuid, started boolean)
language sql security definer set search_path = public, wx as $$
	select id, started_at is not null from dispatch_batches where lease_until < at order by lease_until limit most for update skip locked
$$;
create function wx.entries_of_batch(batch uuid)
returns table (tenant_id uuid, message_id uuid, route_id uuid, class smallint, attempt smallint, environment text, possible_duplicate boolean)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, e.message_id, e.route_id, e.class, e.attempt, e.environment::text, e.possible_duplicate from lane_entries e where e.batch_id = batch
$$;

-- What was handed to a carrier, by the carrier's id: receipts arrive under it, before their tenant is known.
create table submissions (
	tenant_id uuid not null,
	message_id uuid not null,
	segment smallint not null,
	segments smallint not null,
	route_id uuid not null,
	carrier_id text not null,
	-- 0 waiting, else the message_state of its final receipt (SMPP 3.4 §5.2.28).
	state smallint not null default 0,
	submitted_at timestamptz not null,
	primary key (tenant_id, message_id, segment, submitted_at)
);
create index submissions_by_carrier on submissions (route_id, carrier_id);
-- Rows come in order of time, so a block range index finds the old ones and costs next to nothing.
create index submissions_by_age on submissions using brin (submitted_at) with (pages_per_range = 32);
call wx.protect('submissions', false, true);
create policy owner_matches on submissions to waxwing_owner using (true) with check (true);
grant select on submissions to waxwing_app;
grant select, insert, update on submissions to waxwing_worker;
create function wx.match_receipts(in_route uuid, carrier_ids text[])
returns table (carrier_id text, tenant_id uuid, message_id uuid, segment smallint, segments smallint, environment text, submitted_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select s.carrier_id, s.tenant_id, s.message_id, s.segment, s.segments, r.environment::text, s.submitted_at
	from submissions s join routes r on r.id = s.route_id where s.route_id = in_route and s.carrier_id = any (carrier_ids)
$$;

-- Receipts that came before the answer to their submit, or that nobody knows: kept, matched again, counted.
-- One row per form of the id (decimal, hexadecimal) that the submission may turn out to have.
create table parked_receipts (
	id uuid not null,
	route_id uuid not null,
	carrier_id text not null,
	state smallint not null,
	error_code text check (length(error_code) <= 8),
	received_at timestamptz not null,
	primary key (id, carrier_id)
);
create index parked_receipts_by_carrier on parked_receipts (route_id, carrier_id);
alter table parked_receipts enable row level security;
alter table parked_receipts force row level security;
create policy owner_purges on parked_receipts to waxwing_owner using (true) with check (true);
create policy worker_all on parked_receipts to waxwing_worker using (true) with check (true);
grant select, insert, delete on parked_receipts to waxwing_worker;
-- Parked receipts whose submission is known by now: two processes may have missed each other.
create function wx.rematch_parked(most integer) returns table (route_id uuid, carrier_id text, state smallint, error_code text)
language sql security definer set search_path = public, wx as $$
	with hit as (
		select distinct on (p.id) p.id, p.route_id, p.carrier_id, p.state, p.error_code
		from parked_receipts p join submissions s on s.route_id = p.route_id and s.carrier_id = p.carrier_id limit most
	), gone as (delete from parked_receipts p using hit where p.id = hit.id)
	select hit.route_id, hit.carrier_id, hit.state, hit.error_code from hit
$$;

-- Parts of a long inbound message, until the last one is there.
create table inbound_parts (
	tenant_id uuid not null,
	environment wx.environment_name not null,
	address_index bytea not null,
	sender_index bytea not null,
	reference integer not null,
	part smallint not null,
	parts smallint not null,
	sealed bytea not null,
	received_at timestamptz not null,
	primary key (tenant_id, environment, address_index, sender_index, reference, part)
);
call wx.protect('inbound_parts', true, true);
create policy owner_purges on inbound_parts to waxwing_owner using (true) with check (true);
create index inbound_parts_by_age on inbound_parts (received_at);
grant select, insert, delete on inbound_parts to waxwing_worker;

-- The current state of a message that has left `accepted`. Its number is its rank: it only grows (state.ts).
create table message_states (
	tenant_id uuid not null,
	message_id uuid not null,
	environment wx.environment_name not null,
	status smallint not null,
	changed_at timestamptz not null,
	sent_at timestamptz,
	error smallint,
	carrier_error text check (length(carrier_error) <= 40),
	possible_duplicate boolean not null default false,
	-- The entry of the timeline that says so.
	event_id uuid not null,
	primary key (tenant_id, message_id)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
call wx.protect('message_states', true, true);
grant select, insert, update on message_states to waxwing_app, waxwing_worker;

create policy owner_sweeps on message_states to waxwing_owner using (true) with check (true);
-- Messages handed over long ago that no receipt has ended. Looks at a day of submissions before the moment.
create function wx.overdue_messages(before timestamptz, most integer) returns table (tenant_id uuid, message_id uuid, environment text)
language sql stable security definer set search_path = public, wx as $$
	select distinct s.tenant_id, s.message_id, m.environment::text from submissions s join message_states m using (tenant_id, message_id)
	where s.submitted_at < before and s.submitted_at > before - interval '1 day' and m.status < 30 limit most
$$;

-- Long messages whose last segment was reported delivered while the others had no receipt at all: some carriers
-- report only the last. Looks at the index of segments so marked.
create index submissions_last_delivered on submissions (submitted_at) where segments > 1 and segment = segments and state = 2;
create function wx.quiet_segments(before timestamptz, most integer) returns table (tenant_id uuid, message_id uuid, environment text)
language sql stable security definer set search_path = public, wx as $$
	select s.tenant_id, s.message_id, m.environment::text from submissions s join message_states m using (tenant_id, message_id)
	where s.segments > 1 and s.segment = s.segments and s.state = 2 and s.submitted_at < before and s.submitted_at > before - interval '1 day'
		and m.status < 30 and not exists (
			select from submissions o where o.tenant_id = s.tenant_id and o.message_id = s.message_id and o.submitted_at = s.submitted_at
				and o.segment < o.segments and o.state <> 0)
	limit most
$$;

-- Every change of state, appended.
create table message_events (
	tenant_id uuid not null,
	message_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	status smallint not null,
	occurred_at timestamptz not null,
	error smallint,
	carrier_error text check (length(carrier_error) <= 40),
	primary key (tenant_id, message_id, id)
) partition by range (message_id);
-- What went wrong is rare and looked for: lists by such a state begin here. What went well has no entry, and
-- message_states has no index on its state, so that its updates stay on their page.
create index message_events_of_note on message_events (tenant_id, environment, status, message_id desc) where status not in (20, 40);
call wx.protect('message_events', true, true);
grant select, insert on message_events to waxwing_app, waxwing_worker;

-- Outbox and webhooks -----------------------------------------------------------------------------------------

-- What happened, for other modules: one row per batch of events of one tenant, deleted when delivered.
create table outbox (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	topic text not null check (length(topic) <= 40),
	-- References only, as JSON ([[message id, event id, status], …]): what is personal is read when it is delivered.
	refs text not null,
	created_at timestamptz not null,
	primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index outbox_in_order on outbox (id);
call wx.protect('outbox', true, true);
create policy owner_leases on outbox to waxwing_owner using (true) with check (true);
grant insert on outbox to waxwing_app;
grant select, insert, delete on outbox to waxwing_worker;

create table webhook_endpoints (
	tenant_id uuid not null references tenants,
	id uuid not null,
	environment wx.environment_name not null,
	-- URLs, description and secrets.
	sealed bytea not null,
	events text[] not null,
	status text not null default 'active' check (status in ('active', 'degraded', 'paused')),
	failing_since timestamptz,
	created_at timestamptz not null,
	updated_at timestamptz not null,
	primary key (tenant_id, id)
);
call wx.protect('webhook_endpoints', true, true);
create policy owner_reads on webhook_endpoints to waxwing_owner using (true) with check (true);
-- The oldest outbox rows. What nobody listens to comes without its references: reading them would be for nothing.
create function wx.next_outbox(most integer) returns table (id uuid, tenant_id uuid, environment text, topic text, refs text)
language sql security definer set search_path = public, wx as $$
	select o.id, o.tenant_id, o.environment::text, o.topic,
		case when exists (select from webhook_endpoints e where e.tenant_id = o.tenant_id and e.environment = o.environment and e.status <> 'paused')
			then o.refs else '[]' end
	from outbox o order by o.id limit most for update skip locked
$$;
grant select, insert, update, delete on webhook_endpoints to waxwing_app;
grant select on webhook_endpoints to waxwing_worker;
grant update (status, failing_since, updated_at) on webhook_endpoints to waxwing_worker;

-- What is still to be delivered: hot, rows deleted when done or given up. No foreign key to the endpoint: it
-- would cost a lookup per row, and what is left of a deleted endpoint is removed when it is next leased.
create table webhook_deliveries (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	endpoint_id uuid not null,
	event_id uuid not null,
	event_type text not null check (event_type ~ '^[a-z_.]{1,60}$'),
	-- What the payload is made from at the moment of sending.
	topic text not null check (length(topic) <= 40),
	ref jsonb not null,
	-- How many attempts have been made.
	attempt smallint not null default 0,
	due_at timestamptz not null,
	lease_until timestamptz,
	created_at timestamptz not null,
	primary key (tenant_id, id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index webhook_deliveries_waiting on webhook_deliveries (tenant_id, endpoint_id, due_at);
call wx.protect('webhook_deliveries', true, true);
create policy owner_leases on webhook_deliveries to waxwing_owner using (true) with check (true);
grant select on webhook_deliveries to waxwing_app;
grant select, insert, update, delete on webhook_deliveries to waxwing_worker;

-- Every attempt made, appended.
create table webhook_attempts (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	endpoint_id uuid not null,
	event_id uuid not null,
	event_type text not null check (event_type ~ '^[a-z_.]{1,60}$'),
	delivered boolean not null,
	response_status smallint,
	-- The first bytes of what a failing receiver answered.
	response_sealed bytea,
	duration_ms integer not null,
	error text check (error ~ '^[a-z_]{1,40}$'),
	attempted_at timestamptz not null,
	primary key (tenant_id, endpoint_id, attempted_at, id)
);
create index webhook_attempts_by_age on webhook_attempts (attempted_at);
call wx.protect('webhook_attempts', true, true);
create policy owner_purges on webhook_attempts to waxwing_owner using (true) with check (true);
grant select on webhook_attempts to waxwing_app;
grant select, insert on webhook_attempts to waxwing_worker;

-- Leases due deliveries, endpoint by endpoint after (after_tenant, after_endpoint), so that none is passed over
-- because another has many. An endpoint gets at most its quota (0: not now), those not listed `usual_quota`;
-- paused ones nothing. A loose index scan: a few pages per endpoint, however much waits for it.
create function wx.lease_deliveries(at timestamptz, until timestamptz, most integer, usual_quota integer, listed uuid[], quotas integer[],
	after_tenant uuid, after_endpoint uuid)
returns table (tenant_id uuid, id uuid, environment text, endpoint_id uuid, event_id uuid, event_type text, topic text, ref jsonb,
	attempt smallint, created_at timestamptz)
language plpgsql security definer set search_path = public, wx as $$
#variable_conflict use_column
declare this_tenant uuid := after_tenant; this_endpoint uuid := after_endpoint; first_due timestamptz; given integer := 0; quota integer; found_rows integer;
begin
	while given < most loop
		select d.tenant_id, d.endpoint_id, d.due_at into this_tenant, this_endpoint, first_due from webhook_deliveries d
		where (d.tenant_id, d.endpoint_id) > (this_tenant, this_endpoint)
		order by d.tenant_id, d.endpoint_id, d.due_at limit 1;
		exit when not found;
		quota := least(coalesce(quotas[array_position(listed, this_endpoint)], usual_quota), most - given);
		continue when first_due > at or quota < 1 or exists (
			select from webhook_endpoints e where e.tenant_id = this_tenant and e.id = this_endpoint and e.status = 'paused');
		return query with due as (
			select d.tenant_id, d.id from webhook_deliveries d
			where d.tenant_id = this_tenant and d.endpoint_id = this_endpoint and d.due_at <= at and (d.lease_until is null or d.lease_until < at)
			order by d.due_at limit quota for update skip locked
		)
		update webhook_deliveries d set lease_until = until from due
		where d.tenant_id = due.tenant_id and d.id = due.id
		returning d.tenant_id, d.id, d.environment::text, d.endpoint_id, d.event_id, d.event_type, d.topic, d.ref, d.attempt, d.created_at;
		get diagnostics found_rows = row_count;
		given := given + found_rows;
	end loop;
end $$;

-- Partitions and retention ------------------------------------------------------------------------------------

-- The smallest UUIDv7 of a moment.
create function wx.first_id(at timestamptz) returns uuid language sql immutable strict as $$
	select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;

-- Makes the month partitions from last month to two months ahead. The only maker of partitions: each gets the
-- policies of its parent and no grants of its own.
create function wx.make_partitions(at timestamptz) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare parent text; month timestamptz; name text; made integer := 0;
begin
	perform pg_advisory_xact_lock(782364001);
	foreach parent in array array['messages', 'clearances', 'decisions', 'message_events'] loop
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

-- Deletes what has outlived its use, in small bites; returns how many rows went.
create function wx.purge(at timestamptz, most integer) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare total integer := 0; gone integer;
begin
	delete from idempotency_keys where ctid = any (array(select ctid from idempotency_keys where created_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; total := total + gone;
	delete from submissions where ctid = any (array(select ctid from submissions where submitted_at < at - interval '10 days' limit most));
	get diagnostics gone = row_count; total := total + gone;
	delete from parked_receipts where ctid = any (array(select ctid from parked_receipts where received_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; total := total + gone;
	delete from inbound_parts where ctid = any (array(select ctid from inbound_parts where received_at < at - interval '72 hours' limit most));
	get diagnostics gone = row_count; total := total + gone;
	delete from webhook_deliveries where ctid = any (array(select ctid from webhook_deliveries where created_at < at - interval '10 days' limit most));
	get diagnostics gone = row_count; total := total + gone;
	delete from webhook_attempts where ctid = any (array(select ctid from webhook_attempts where attempted_at < at - interval '14 days' limit most));
	get diagnostics gone = row_count; total := total + gone;
	return total;
end $$;

revoke execute on all routines in schema wx from public;
grant execute on function wx.tenant(), wx.environment(), wx.tenants(), wx.find_api_keys(uuid[]), wx.find_operator_keys(uuid[]), wx.tenant_keys_of(uuid[]),
	wx.create_tenant(uuid, bytea, bytea, timestamptz), wx.list_tenants(uuid, integer), wx.suspend_tenant(uuid, timestamptz),
	wx.create_operator_key(uuid, bytea, timestamptz), wx.save_route(uuid, text, text[], integer, bytea, timestamptz), wx.disable_route(uuid),
	wx.first_id(timestamptz) to waxwing_app;
grant execute on function wx.tenant(), wx.environment(), wx.tenants(), wx.tenant_keys_of(uuid[]), wx.owners_of_senders(text, bytea[]),
	wx.lane_tenants(uuid, smallint, timestamptz, integer), wx.lease_lane(uuid, smallint, uuid, timestamptz, integer, uuid),
	wx.expired_batches(timestamptz, integer), wx.expired_entries(uuid, timestamptz, integer), wx.stranded_entries(integer), wx.entries_of_batch(uuid), wx.match_receipts(uuid, text[]), wx.next_outbox(integer),
	wx.lease_deliveries(timestamptz, timestamptz, integer, integer, uuid[], integer[], uuid, uuid), wx.overdue_messages(timestamptz, integer), wx.rematch_parked(integer), wx.quiet_segments(timestamptz, integer), wx.make_partitions(timestamptz), wx.purge(timestamptz, integer),
	wx.first_id(timestamptz) to waxwing_worker;
