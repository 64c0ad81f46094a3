-- additive
-- The ledger: what was done, as entries of append-only Merkle logs (RFC 6962), one per tenant and one of the
-- platform, whose tenant_id is the nil UUID. A log begins with its first entry, so tenants that exist already
-- need nothing. An entry is written in the transaction of its act; the sequencer (worker) gives it its place
-- in the tree; the signer, a role of its own that can read the ledger and add checkpoints, signs.
-- Triggers refuse changes to whoever asks, superusers included; a changed byte is found by the signer and by
-- every verifier all the same.

create table ledger_entries (
	tenant_id uuid not null,
	id uuid not null,
	-- Copies of what the entry says, to search by; the signer compares them.
	action text not null check (action ~ '^[a-z_.]{1,60}$'),
	actor text not null check (actor ~ '^[a-z0-9_]{1,40}$'),
	-- What is hashed: see server/audit/entry.ts. Holds nothing personal.
	entry bytea not null check (length(entry) between 2 and 8192),
	-- What is personal or confidential. Its SHA-256 is in the entry, so it can become unreadable and the tree still verifies.
	detail_sealed bytea check (length(detail_sealed) <= 65536),
	-- Its place, given once.
	epoch integer check (epoch > 0),
	leaf_index bigint check (leaf_index >= 0),
	primary key (tenant_id, id),
	check ((epoch is null) = (leaf_index is null))
);
create unique index ledger_entries_by_leaf on ledger_entries (tenant_id, epoch, leaf_index) where leaf_index is not null;
create index ledger_entries_waiting on ledger_entries (tenant_id, id) where leaf_index is null;
create index ledger_entries_oldest on ledger_entries (id) where leaf_index is null;
create index ledger_entries_by_action on ledger_entries (tenant_id, action, id desc);
create index ledger_entries_by_actor on ledger_entries (tenant_id, actor, id desc);

-- Complete subtrees, leaves (level 0) included. Made from the entries and of no authority: they make proofs quick.
create table ledger_nodes (
	tenant_id uuid not null,
	epoch integer not null,
	level smallint not null check (level between 0 and 52),
	position bigint not null check (position >= 0),
	hash bytea not null check (length(hash) = 32),
	primary key (tenant_id, epoch, level, position)
);

-- How far each log has come. Of no authority: the signer compares it with what it has computed itself.
create table ledger_logs (
	tenant_id uuid not null,
	epoch integer not null check (epoch > 0),
	size bigint not null check (size >= 0),
	root bytea not null check (length(root) = 32),
	-- Grows with each change of any log: what a reader has not seen yet has a greater one.
	turn bigint not null,
	signed_size bigint not null default 0,
	-- Since when there has been something that no checkpoint covers.
	unsigned_since timestamptz,
	primary key (tenant_id, epoch)
);
create index ledger_logs_by_turn on ledger_logs (turn);
create index ledger_logs_unsigned on ledger_logs (unsigned_since) where unsigned_since is not null;
create sequence ledger_turns;

create table ledger_checkpoints (
	tenant_id uuid not null,
	epoch integer not null,
	size bigint not null check (size > 0),
	root bytea not null check (length(root) = 32),
	-- The signed note.
	checkpoint text not null check (length(checkpoint) <= 4096),
	public_key bytea not null check (length(public_key) = 32),
	signed_at timestamptz not null,
	-- A tenant's checkpoint is an entry of the platform's log too: whether it is yet.
	noted boolean not null default false,
	primary key (tenant_id, epoch, size)
);
create index ledger_checkpoints_to_note on ledger_checkpoints (tenant_id, epoch, size)
	where not noted and tenant_id <> '00000000-0000-0000-0000-000000000000';

-- Rights --------------------------------------------------------------------------------------------------

do $$
declare target text;
begin
	foreach target in array array['ledger_entries', 'ledger_nodes', 'ledger_logs', 'ledger_checkpoints'] loop
		execute format('alter table %I enable row level security', target);
		execute format('alter table %I force row level security', target);
		execute format('create policy one_tenant on %I for select to waxwing_app using (tenant_id = (select wx.tenant()))', target);
		execute format('create policy batch_of_tenants on %I to waxwing_worker using (tenant_id = any ((select wx.tenants())::uuid[])) with check (tenant_id = any ((select wx.tenants())::uuid[]))', target);
		execute format('create policy owner_all on %I to waxwing_owner using (true) with check (true)', target);
		execute format('create policy signer_reads on %I for select to waxwing_signer using (true)', target);
		execute format('grant select on %I to waxwing_app, waxwing_worker, waxwing_signer', target);
	end loop;
end $$;
-- Whoever acts for a tenant may add to that tenant's log and to the platform's, and can read back the former.
create policy acts on ledger_entries for insert to waxwing_app
	with check (tenant_id = '00000000-0000-0000-0000-000000000000' or tenant_id = (select wx.tenant()));
create policy signs on ledger_checkpoints for insert to waxwing_signer with check (true);
grant insert on ledger_entries to waxwing_app, waxwing_worker;
grant update (epoch, leaf_index) on ledger_entries to waxwing_worker;
grant insert on ledger_nodes to waxwing_worker;
grant insert, update on ledger_logs to waxwing_worker;
grant usage on sequence ledger_turns to waxwing_worker;
grant insert on ledger_checkpoints to waxwing_signer;
grant update (noted) on ledger_checkpoints to waxwing_worker;

-- Only added to ---------------------------------------------------------------------------------------------

create function wx.ledger_refuses() returns trigger language plpgsql as $$
begin raise exception 'the ledger is only added to' using errcode = 'WX002'; end $$;

-- An entry is given its place once; a checkpoint is noted once. Nothing else of them changes.
create function wx.ledger_places_once() returns trigger language plpgsql as $$
begin
	if old.leaf_index is null and new.leaf_index is not null
		and (new.tenant_id, new.id, new.action, new.actor, new.entry, new.detail_sealed)
			is not distinct from (old.tenant_id, old.id, old.action, old.actor, old.entry, old.detail_sealed)
	then return new; end if;
	raise exception 'the ledger is only added to' using errcode = 'WX002';
end $$;
create function wx.ledger_notes_once() returns trigger language plpgsql as $$
begin
	if not old.noted and new.noted
		and (new.tenant_id, new.epoch, new.size, new.root, new.checkpoint, new.public_key, new.signed_at)
			is not distinct from (old.tenant_id, old.epoch, old.size, old.root, old.checkpoint, old.public_key, old.signed_at)
	then return new; end if;
	raise exception 'the ledger is only added to' using errcode = 'WX002';
end $$;
create trigger places_once before update on ledger_entries for each row execute function wx.ledger_places_once();
create trigger notes_once before update on ledger_checkpoints for each row execute function wx.ledger_notes_once();
create trigger no_update before update on ledger_nodes for each row execute function wx.ledger_refuses();
create trigger no_delete before delete on ledger_entries for each row execute function wx.ledger_refuses();
create trigger no_delete before delete on ledger_nodes for each row execute function wx.ledger_refuses();
create trigger no_delete before delete on ledger_logs for each row execute function wx.ledger_refuses();
create trigger no_delete before delete on ledger_checkpoints for each row execute function wx.ledger_refuses();
create trigger no_truncate before truncate on ledger_entries execute function wx.ledger_refuses();
create trigger no_truncate before truncate on ledger_nodes execute function wx.ledger_refuses();
create trigger no_truncate before truncate on ledger_logs execute function wx.ledger_refuses();
create trigger no_truncate before truncate on ledger_checkpoints execute function wx.ledger_refuses();

-- The signer can add checkpoints and nothing else; that its log is signed follows from that.
create function wx.ledger_signed() returns trigger language plpgsql security definer set search_path = public, wx as $$
begin
	update ledger_logs set signed_size = greatest(signed_size, new.size),
		unsigned_since = case when size > greatest(signed_size, new.size) then new.signed_at end
	where tenant_id = new.tenant_id and epoch = new.epoch;
	return null;
end $$;
create trigger signed after insert on ledger_checkpoints for each row execute function wx.ledger_signed();

-- Across tenants: narrow questions ----------------------------------------------------------------------------

-- Whose logs have entries without a place.
create function wx.ledgers_waiting(most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = public, wx as $$
	with recursive waiting (tenant_id) as (
		(select e.tenant_id from ledger_entries e where e.leaf_index is null order by e.tenant_id limit 1)
		union all
		select (select e.tenant_id from ledger_entries e where e.leaf_index is null and e.tenant_id > w.tenant_id order by e.tenant_id limit 1)
		from waiting w where w.tenant_id is not null
	)
	select w.tenant_id from waiting w where w.tenant_id is not null limit most
$$;
-- Tenants' checkpoints that are not in the platform's log yet.
create function wx.checkpoints_to_note(most integer) returns table (tenant_id uuid, epoch integer, size bigint, root bytea)
language sql stable security definer set search_path = public, wx as $$
	select c.tenant_id, c.epoch, c.size, c.root from ledger_checkpoints c
	where not c.noted and c.tenant_id <> '00000000-0000-0000-0000-000000000000' order by c.tenant_id, c.epoch, c.size limit most
$$;
-- Since when something has waited: an entry for its place (its id tells when it was made) or a log for its signature.
-- Null when nothing does.
create function wx.ledger_unsigned_since() returns timestamptz
language sql stable security definer set search_path = public, wx as $$
	select least(
		(select unsigned_since from ledger_logs where unsigned_since is not null order by unsigned_since limit 1),
		(select to_timestamp(('x' || left(replace(e.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
			from ledger_entries e where e.leaf_index is null order by e.id limit 1))
$$;

revoke execute on function wx.ledger_refuses(), wx.ledger_places_once(), wx.ledger_notes_once(), wx.ledger_signed(), wx.ledgers_waiting(integer),
	wx.checkpoints_to_note(integer), wx.ledger_unsigned_since() from public;
grant usage on schema wx to waxwing_signer;
grant execute on function wx.ledger_unsigned_since() to waxwing_app, waxwing_worker;
grant execute on function wx.ledgers_waiting(integer), wx.checkpoints_to_note(integer) to waxwing_worker;
