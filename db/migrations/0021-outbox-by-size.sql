-- additive
-- The outbox is read by its size: of many tenants it has many small rows, of a large batch few large ones. wx.next_outbox stays for
-- processes of the version before.

-- The oldest rows nobody else holds, locked: at most so many, and no more once those before have so many octets of references.
create function wx.next_outbox_within(most integer, octets integer) returns table (id uuid, tenant_id uuid, environment text, topic text, refs text)
language plpgsql security definer set search_path = public, wx as $$
#variable_conflict use_column
begin
	return query select o.id, o.tenant_id, o.environment, o.topic, o.refs from (
		select l.*, sum(octet_length(l.refs)) over (order by l.id) - octet_length(l.refs) as before from (
			select f.id, f.tenant_id, f.environment::text as environment, f.topic,
				-- Nobody reads what nobody is told.
				case when exists (
					select from webhook_endpoints e where e.tenant_id = f.tenant_id and e.environment = f.environment and e.status <> 'paused'
				) then f.refs else '[]' end as refs
			from outbox f order by f.id limit most for update skip locked
		) l
	) o where o.before < octets order by o.id;
end $$;
revoke execute on function wx.next_outbox_within(integer, integer) from public;
grant execute on function wx.next_outbox_within(integer, integer) to waxwing_worker;
