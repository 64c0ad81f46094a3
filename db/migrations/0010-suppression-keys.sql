-- additive
-- Suppressions are found by an index under a key of their own, which outlives the erasure of a person and every rotation
-- of the tenant's other keys. Rows of before have no such index until they are re-indexed; they are found as they were.

-- A tenant's key for that, wrapped under the root key. In the database, because a STOP must be as durable as its row.
create table suppression_keys (
	tenant_id uuid not null references tenants,
	version integer not null check (version > 0),
	wrapped bytea not null,
	created_at timestamptz not null,
	primary key (tenant_id, version)
);
call wx.protect('suppression_keys', false, true);
create policy owner_all on suppression_keys to waxwing_owner using (true) with check (true);

create function wx.suppression_keys_of(ids uuid[]) returns table (tenant_id uuid, version integer, wrapped bytea)
language sql stable security definer set search_path = public, wx as $$
	select k.tenant_id, k.version, k.wrapped from suppression_keys k where k.tenant_id = any (ids)
$$;
-- Of two who make a tenant's key the first wins; whose it was is read afterwards.
create function wx.offer_suppression_key(which uuid, key_version integer, key_wrapped bytea, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into suppression_keys (tenant_id, version, wrapped, created_at) values (which, key_version, key_wrapped, at) on conflict do nothing
$$;
create function wx.suppression_keys_after(after_tenant uuid, after_version integer, most integer)
returns table (tenant_id uuid, version integer, wrapped bytea, created_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select k.tenant_id, k.version, k.wrapped, k.created_at from suppression_keys k
	where (k.tenant_id, k.version) > (after_tenant, after_version) order by k.tenant_id, k.version limit most
$$;
create function wx.rewrap_suppression_key(which uuid, of_version integer, was bytea, now_wrapped bytea) returns integer
language sql security definer set search_path = public, wx as $$
	with changed as (
		update suppression_keys set wrapped = now_wrapped where tenant_id = which and version = of_version and wrapped = was returning 1
	) select count(*)::integer from changed
$$;

alter table suppressions add column suppression_index bytea check (length(suppression_index) = 32);
-- Gone when the erasure of its person is complete, if there is the other index.
alter table suppressions alter column address_index drop not null;
alter table suppressions add constraint suppressions_found check (address_index is not null or suppression_index is not null);
create unique index suppressions_by_own_index on suppressions (tenant_id, environment, channel, suppression_index, reason)
	where ended_at is null and suppression_index is not null;
-- What is still to be re-indexed: soon nothing.
create index suppressions_by_address on suppressions (tenant_id, environment, channel, address_index)
	where ended_at is null and suppression_index is null;
grant update (suppression_index) on suppressions to waxwing_app, waxwing_worker;
grant update (address_index) on suppressions to waxwing_worker;

create function wx.tenants_to_reindex(after_tenant uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = public, wx as $$
	select distinct s.tenant_id from suppressions s
	where s.ended_at is null and s.suppression_index is null and s.tenant_id > after_tenant order by s.tenant_id limit most
$$;

-- As wx.erase_contact, which it calls, and: the suppression gets its own index, if it had none; and who has revoked all consent is suppressed from now
-- on, because the statement goes and what it said must not.
create function wx.erase_person(erasure uuid, index bytea, own_index bytea, of_epoch integer, at timestamptz) returns void
language plpgsql security definer set search_path = public, wx as $$
begin
	if exists (select from contact_erasures where tenant_id = wx.tenant() and id = erasure) then return; end if;
	insert into suppressions (tenant_id, id, environment, channel, address_index, suppression_index, address_sealed, reason, created_at)
	select wx.tenant(), erasure, wx.environment(), 'sms', index, own_index, '', 'manual', at
	where exists (
		select from consent_statements c
		where c.tenant_id = wx.tenant() and c.environment = wx.environment() and c.channel = 'sms' and c.address_index = index
			and not c.granted and c.coverage = 'all' and c.recorded_at <= at and not exists (
				select from consent_statements n
				where n.tenant_id = c.tenant_id and n.environment = c.environment and n.channel = 'sms'
					and n.address_index = c.address_index and n.consented_at > c.consented_at
			)
	)
	on conflict do nothing;
	update suppressions s set suppression_index = own_index
	where s.tenant_id = wx.tenant() and s.environment = wx.environment() and s.address_index = index and s.suppression_index is null
		and own_index is not null and (s.ended_at is not null or not exists (
			select from suppressions o where o.tenant_id = s.tenant_id and o.environment = s.environment and o.channel = s.channel
				and o.suppression_index = own_index and o.reason = s.reason and o.ended_at is null
		));
	-- The key stays taken: a retry must not do it again for somebody who is gone.
	update idempotency_keys set answer_sealed = '' where tenant_id = wx.tenant() and environment = wx.environment() and contact_index = index
		and created_at <= at;
	perform wx.erase_contact(erasure, index, of_epoch, at);
end $$;

-- Whom the kept answer of a request is about: it is sealed under that person's key, and goes with them.
alter table idempotency_keys add column contact_index bytea check (length(contact_index) = 32);
create index idempotency_keys_about on idempotency_keys (tenant_id, environment, contact_index) where contact_index is not null;
grant update (contact_index) on idempotency_keys to waxwing_app;

-- Which of these erasures are unknown here, or not complete yet: they must stay in the list.
create function wx.erasures_open(tenants uuid[], ids uuid[]) returns table (id uuid)
language sql stable security definer set search_path = public, wx as $$
	select a.id from unnest(tenants, ids) as a (tenant_id, id)
	where not exists (select from contact_erasures e where e.tenant_id = a.tenant_id and e.id = a.id and e.completed_at is not null)
$$;

revoke execute on function wx.suppression_keys_of(uuid[]), wx.offer_suppression_key(uuid, integer, bytea, timestamptz),
	wx.suppression_keys_after(uuid, integer, integer), wx.rewrap_suppression_key(uuid, integer, bytea, bytea),
	wx.tenants_to_reindex(uuid, integer), wx.erase_person(uuid, bytea, bytea, integer, timestamptz), wx.erasures_open(uuid[], uuid[]) from public;
grant execute on function wx.suppression_keys_of(uuid[]), wx.offer_suppression_key(uuid, integer, bytea, timestamptz) to waxwing_app, waxwing_worker;
grant execute on function wx.erase_person(uuid, bytea, bytea, integer, timestamptz) to waxwing_app;
grant execute on function wx.suppression_keys_after(uuid, integer, integer), wx.rewrap_suppression_key(uuid, integer, bytea, bytea),
	wx.tenants_to_reindex(uuid, integer), wx.erasures_open(uuid[], uuid[]) to waxwing_worker;
