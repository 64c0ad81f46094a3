-- additive
-- A key for each contact of a tenant, so that one person can be made unreadable, in backups too: the key stands wrapped
-- under a key of the tenant's present epoch, which is not in the database. Rotation of keys. Erasures.

-- A tenant's keys with their age: a new one seals only when every process has had time to load it. And the tenant's
-- contact epoch: every contact key of the tenant is wrapped under it or a later one; null before there was one.
create table contact_epochs (
	tenant_id uuid primary key,
	epoch integer not null check (epoch > 0),
	turned_at timestamptz not null
);
call wx.protect('contact_epochs', false, true);
create policy owner_all on contact_epochs to waxwing_owner using (true) with check (true);
create function wx.keys_of_tenants(ids uuid[])
returns table (tenant_id uuid, epoch integer, wrapped bytea, created_at timestamptz, contact_epoch integer)
language sql stable security definer set search_path = public, wx as $$
	select k.tenant_id, k.epoch, k.wrapped, k.created_at, e.epoch from tenant_keys k left join contact_epochs e using (tenant_id)
	where k.tenant_id = any (ids)
$$;
-- Only ever forward.
create function wx.set_contact_epoch(which uuid, next integer, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into contact_epochs (tenant_id, epoch, turned_at) values (which, next, at)
	on conflict (tenant_id) do update set epoch = excluded.epoch, turned_at = excluded.turned_at where contact_epochs.epoch < excluded.epoch
$$;

-- Rotation of the root key walks over all tenants' keys.
create function wx.tenant_keys_after(after_tenant uuid, after_epoch integer, most integer)
returns table (tenant_id uuid, epoch integer, wrapped bytea, created_at timestamptz)
language sql stable security definer set search_path = public, wx as $$
	select k.tenant_id, k.epoch, k.wrapped, k.created_at from tenant_keys k
	where (k.tenant_id, k.epoch) > (after_tenant, after_epoch) order by k.tenant_id, k.epoch limit most
$$;
create function wx.rewrap_tenant_key(which uuid, of_epoch integer, was bytea, now_wrapped bytea) returns integer
language sql security definer set search_path = public, wx as $$
	with changed as (
		update tenant_keys set wrapped = now_wrapped where tenant_id = which and epoch = of_epoch and wrapped = was returning 1
	) select count(*)::integer from changed
$$;
create function wx.add_tenant_key(which uuid, new_epoch integer, new_wrapped bytea, at timestamptz) returns void
language sql security definer set search_path = public, wx as $$
	insert into tenant_keys (tenant_id, epoch, wrapped, created_at) values (which, new_epoch, new_wrapped, at)
$$;

create table contact_keys (
	tenant_id uuid not null,
	environment wx.environment_name not null,
	-- The blind index of the contact's address.
	contact_index bytea not null check (length(contact_index) = 32),
	epoch integer not null,
	wrapped bytea not null check (length(wrapped) = 64),
	created_at timestamptz not null,
	primary key (tenant_id, environment, contact_index)
);
call wx.protect('contact_keys', true, true);
create policy owner_erases on contact_keys to waxwing_owner using (true);
grant select, insert on contact_keys to waxwing_app, waxwing_worker;
grant update (epoch, wrapped) on contact_keys to waxwing_worker;
-- After a restore: what the backup holds under a destroyed epoch is replaced by what the last turn kept.
grant delete on contact_keys to waxwing_worker;

-- Who was erased and when, with what went. Complete when the epoch that wrapped the key is destroyed.
create table contact_erasures (
	tenant_id uuid not null,
	id uuid not null,
	environment wx.environment_name not null,
	contact_index bytea not null check (length(contact_index) = 32),
	-- The tenant's contact epoch at that time.
	epoch integer not null,
	-- SHA-256 of the wrapped key; null when there was none.
	key_digest bytea check (length(key_digest) = 32),
	statements integer not null,
	suppressions integer not null,
	parts integer not null,
	erased_at timestamptz not null,
	completed_at timestamptz,
	primary key (tenant_id, id)
);
call wx.protect('contact_erasures', true, true);
create policy owner_all on contact_erasures to waxwing_owner using (true) with check (true);
create index contact_erasures_pending on contact_erasures (erased_at) where completed_at is null;
grant select on contact_erasures to waxwing_app, waxwing_worker;
grant update (completed_at) on contact_erasures to waxwing_worker;

create policy owner_erases on consent_statements to waxwing_owner using (true);
create policy owner_erases on suppressions to waxwing_owner using (true) with check (true);

-- In the caller's tenant and environment. A suppression stays in force; the address it can be read from goes.
-- A key made after the erasure is another one's: the same person came back. Repeating it by its id changes nothing.
create function wx.erase_contact(erasure uuid, index bytea, of_epoch integer, at timestamptz) returns void
language plpgsql security definer set search_path = public, wx as $$
declare digest bytea; keys integer; statement_count integer; suppression_count integer; part_count integer;
begin
	if exists (select from contact_erasures where tenant_id = wx.tenant() and id = erasure) then return; end if;
	delete from contact_keys where tenant_id = wx.tenant() and environment = wx.environment() and contact_index = index and created_at <= at
		returning sha256(wrapped) into digest;
	delete from consent_statements where tenant_id = wx.tenant() and environment = wx.environment() and address_index = index and recorded_at <= at;
	get diagnostics statement_count = row_count;
	update suppressions set address_sealed = '' where tenant_id = wx.tenant() and environment = wx.environment() and address_index = index and created_at <= at;
	get diagnostics suppression_count = row_count;
	delete from inbound_parts where tenant_id = wx.tenant() and environment = wx.environment() and address_index = index and received_at <= at;
	get diagnostics part_count = row_count;
	insert into contact_erasures (tenant_id, id, environment, contact_index, epoch, key_digest, statements, suppressions, parts, erased_at)
	values (wx.tenant(), erasure, wx.environment(), index, of_epoch, digest, statement_count, suppression_count, part_count, at);
end $$;

-- Tenants with an erasure that waits for its epoch to be destroyed, the longest waiting first.
create function wx.erasures_waiting(most integer) returns table (tenant_id uuid, oldest timestamptz, waiting integer)
language sql stable security definer set search_path = public, wx as $$
	select e.tenant_id, min(e.erased_at), count(*)::integer from contact_erasures e where e.completed_at is null
	group by e.tenant_id order by min(e.erased_at) limit most
$$;
-- Which of these erasures the database does not have: it is a restored one.
create function wx.erasures_missing(tenants uuid[], ids uuid[]) returns table (id uuid)
language sql stable security definer set search_path = public, wx as $$
	select a.id from unnest(tenants, ids) as a (tenant_id, id)
	where not exists (select from contact_erasures e where e.tenant_id = a.tenant_id and e.id = a.id)
$$;

-- Tenants whose keys in the database are older than the oldest epoch that is left: it is a restored one.
create function wx.contact_epochs_behind(tenants uuid[], oldest integer[]) returns table (tenant_id uuid)
language sql stable security definer set search_path = public, wx as $$
	select a.tenant_id from unnest(tenants, oldest) as a (tenant_id, oldest) join tenant_keys k on k.tenant_id = a.tenant_id and k.epoch = 1
	left join contact_epochs e on e.tenant_id = a.tenant_id where coalesce(e.epoch, 1) < a.oldest
$$;

revoke execute on function wx.keys_of_tenants(uuid[]), wx.set_contact_epoch(uuid, integer, timestamptz), wx.tenant_keys_after(uuid, integer, integer),
	wx.rewrap_tenant_key(uuid, integer, bytea, bytea), wx.add_tenant_key(uuid, integer, bytea, timestamptz),
	wx.erase_contact(uuid, bytea, integer, timestamptz), wx.erasures_waiting(integer), wx.erasures_missing(uuid[], uuid[]),
	wx.contact_epochs_behind(uuid[], integer[]) from public;
grant execute on function wx.keys_of_tenants(uuid[]), wx.set_contact_epoch(uuid, integer, timestamptz) to waxwing_app, waxwing_worker;
grant execute on function wx.erase_contact(uuid, bytea, integer, timestamptz) to waxwing_app;
grant execute on function wx.tenant_keys_after(uuid, integer, integer), wx.rewrap_tenant_key(uuid, integer, bytea, bytea),
	wx.add_tenant_key(uuid, integer, bytea, timestamptz), wx.erasures_waiting(integer), wx.erasures_missing(uuid[], uuid[]),
	wx.contact_epochs_behind(uuid[], integer[]) to waxwing_worker;
