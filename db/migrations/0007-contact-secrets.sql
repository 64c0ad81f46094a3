-- breaking: processes of the version before do not open the contact keys that are made from now on: stop them first.
-- A new contact's key is derived from its epoch's key and a secret, which is stored in 49 bytes. Erasures are counted, so
-- that every process sees in its own transaction that a key it holds in memory may be one that was destroyed.

-- Rows of before have 64 and satisfied a narrower check: nothing needs to be read again.
alter table contact_keys drop constraint contact_keys_wrapped_check;
alter table contact_keys add constraint contact_keys_wrapped_check check (length(wrapped) in (49, 64)) not valid;

create table contact_erasure_counts (
	tenant_id uuid primary key,
	erasures integer not null
);
call wx.protect('contact_erasure_counts', false, true);
create policy owner_all on contact_erasure_counts to waxwing_owner using (true) with check (true);
grant select on contact_erasure_counts to waxwing_app, waxwing_worker;
insert into contact_erasure_counts (tenant_id, erasures) select tenant_id, count(*) from contact_erasures group by tenant_id;

-- As before, and counts. A tenant's erasures wait for one another here, so that the count is in the order of commits.
create or replace function wx.erase_contact(erasure uuid, index bytea, of_epoch integer, at timestamptz) returns void
language plpgsql security definer set search_path = public, wx as $$
declare digest bytea; statement_count integer; suppression_count integer; part_count integer;
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
	insert into contact_erasure_counts as c (tenant_id, erasures) values (wx.tenant(), 1)
	on conflict (tenant_id) do update set erasures = c.erasures + 1;
end $$;
