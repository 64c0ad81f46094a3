-- additive
-- What waits in the ledger is looked for behind the log that was looked at last: who begins at the first tenant each time never comes to
-- the last ones as long as the first have enough. wx.ledgers_waiting and wx.digests_waiting stay for processes of the version before.

-- Whose logs have entries without a place: the platform's always, then those of tenants behind this one.
create function wx.ledgers_waiting_after(after uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = public, wx as $$
	with recursive waiting (tenant_id, n) as (
		(select e.tenant_id, 1 from ledger_entries e
			where e.leaf_index is null and e.tenant_id > greatest(after, '00000000-0000-0000-0000-000000000000') order by e.tenant_id limit 1)
		union all
		select (select e.tenant_id from ledger_entries e where e.leaf_index is null and e.tenant_id > w.tenant_id order by e.tenant_id limit 1), n + 1
		from waiting w where w.tenant_id is not null and n < most
	)
	(select e.tenant_id from ledger_entries e where e.leaf_index is null and e.tenant_id = '00000000-0000-0000-0000-000000000000' limit 1)
	union all
	select w.tenant_id from waiting w where w.tenant_id is not null
$$;

-- Digests of messages that no entry holds, of the tenants behind this one.
create function wx.digests_waiting_after(after uuid, most integer) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = public, wx as $$
	select d.tenant_id, d.id from message_digests d
	where d.entry_id is null and d.tenant_id > after order by d.tenant_id, d.id limit most
$$;

revoke execute on function wx.ledgers_waiting_after(uuid, integer), wx.digests_waiting_after(uuid, integer) from public;
grant execute on function wx.ledgers_waiting_after(uuid, integer), wx.digests_waiting_after(uuid, integer) to waxwing_worker;
