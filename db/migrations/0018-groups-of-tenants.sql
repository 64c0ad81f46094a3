-- additive
-- Requests of many tenants that arrive together are accepted by the same statements, in one commit, under waxwing_worker, which may see
-- the tenants of the batch in hand. What acceptance asks for and that role could not see yet: whether a key still holds (not its secret's
-- hash), and the requests that were executed (not their sealed answers). waxwing_app keeps what it may do, for processes of the version before.

create policy batch_of_tenants on api_keys for select to waxwing_worker using ((tenant_id = any ((select wx.tenants())::uuid[])) is true);
grant select (tenant_id, id, environment, expires_at, revoked_at) on api_keys to waxwing_worker;

create policy batch_of_tenants on idempotency_keys to waxwing_worker using ((tenant_id = any ((select wx.tenants())::uuid[])) is true)
	with check (tenant_id = any ((select wx.tenants())::uuid[]));
grant select (tenant_id, environment, key_hash, fingerprint, message_ids),
	insert (tenant_id, environment, key_hash, fingerprint, status, message_ids, created_at) on idempotency_keys to waxwing_worker;
