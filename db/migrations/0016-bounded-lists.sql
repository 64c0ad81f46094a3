-- additive
-- Lists of consent and of suppressions look at so many rows and no more, as those of messages do; what a person has said last is the first
-- that an index has of them; and their suppressions, ended ones too, are found when they are erased.

-- While these are built the tables are read, and not written.
create index suppressions_of_person on suppressions (tenant_id, environment, address_index) where address_index is not null;
create index consent_statements_newest on consent_statements (tenant_id, environment, address_index, channel, consented_at desc, granted);
drop index consent_statements_by_address;

-- As wx.list_edge, of consent statements: where a look at `look` of this tenant's ends, of both environments, because a walk meets both.
create function wx.statements_edge(before uuid, after uuid, look integer, backwards boolean) returns setof uuid
language plpgsql stable security definer set search_path = public, wx as $$
begin
	if backwards then
		return query select c.id from consent_statements c where c.tenant_id = wx.tenant()
			and c.id < before and c.id > after order by c.id asc offset look - 1 limit 2;
	else
		return query select c.id from consent_statements c where c.tenant_id = wx.tenant()
			and c.id < before and c.id > after order by c.id desc offset look - 1 limit 2;
	end if;
end $$;

-- The same of suppressions.
create function wx.suppressions_edge(before uuid, after uuid, look integer, backwards boolean) returns setof uuid
language plpgsql stable security definer set search_path = public, wx as $$
begin
	if backwards then
		return query select s.id from suppressions s where s.tenant_id = wx.tenant()
			and s.id < before and s.id > after order by s.id asc offset look - 1 limit 2;
	else
		return query select s.id from suppressions s where s.tenant_id = wx.tenant()
			and s.id < before and s.id > after order by s.id desc offset look - 1 limit 2;
	end if;
end $$;

revoke execute on function wx.statements_edge(uuid, uuid, integer, boolean), wx.suppressions_edge(uuid, uuid, integer, boolean) from public;
grant execute on function wx.statements_edge(uuid, uuid, integer, boolean), wx.suppressions_edge(uuid, uuid, integer, boolean) to waxwing_app;
