-- additive
-- What witnesses, programs of others, have co-signed: lines that are shown below a checkpoint's own signature. Of no
-- authority here: whoever verifies has the witnesses' keys from elsewhere.

create table ledger_cosignatures (
	tenant_id uuid not null,
	epoch integer not null,
	size bigint not null check (size > 0),
	-- The witness's name and the id of its key, as in the line.
	witness text not null check (length(witness) between 3 and 240),
	-- The signature line of the note, with its newline.
	line text not null check (length(line) between 10 and 512),
	cosigned_at timestamptz not null,
	primary key (tenant_id, epoch, witness, size)
);
create index ledger_cosignatures_by_size on ledger_cosignatures (tenant_id, epoch, size);

alter table ledger_cosignatures enable row level security;
alter table ledger_cosignatures force row level security;
create policy one_tenant on ledger_cosignatures for select to waxwing_app using (tenant_id = (select wx.tenant()));
create policy batch_of_tenants on ledger_cosignatures to waxwing_worker using (tenant_id = any ((select wx.tenants())::uuid[])) with check (tenant_id = any ((select wx.tenants())::uuid[]));
create policy owner_all on ledger_cosignatures to waxwing_owner using (true) with check (true);
grant select on ledger_cosignatures to waxwing_app, waxwing_worker;
grant insert on ledger_cosignatures to waxwing_worker;
create trigger no_update before update on ledger_cosignatures for each row execute function wx.ledger_refuses();
create trigger no_delete before delete on ledger_cosignatures for each row execute function wx.ledger_refuses();
create trigger no_truncate before truncate on ledger_cosignatures execute function wx.ledger_refuses();

-- The logs whose newest checkpoint this witness has not co-signed, behind this tenant's; and how far it has come.
create function wx.checkpoints_to_cosign(by_witness text, behind uuid, most integer)
returns table (tenant_id uuid, epoch integer, size bigint, seen bigint)
language sql stable security definer set search_path = public, wx as $$
	select l.tenant_id, l.epoch, l.signed_size, coalesce(c.size, 0)
	from ledger_logs l
	left join lateral (
		select c.size from ledger_cosignatures c
		where c.tenant_id = l.tenant_id and c.epoch = l.epoch and c.witness = by_witness order by c.size desc limit 1
	) c on true
	where (behind is null or l.tenant_id > behind) and l.signed_size > coalesce(c.size, 0)
		and not exists (select from ledger_logs n where n.tenant_id = l.tenant_id and n.epoch > l.epoch)
	order by l.tenant_id limit most
$$;
revoke execute on function wx.checkpoints_to_cosign(text, uuid, integer) from public;
grant execute on function wx.checkpoints_to_cosign(text, uuid, integer) to waxwing_worker;
