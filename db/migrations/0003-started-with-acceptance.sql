-- additive
-- A batch whose carrier is free is started by the commit that accepts it, so the accepting side may note when. It
-- still writes batches of its own tenant only, of messages that it names, and changes none.
drop policy app_hands_over on dispatch_batches;
create policy app_hands_over on dispatch_batches for insert to waxwing_app with check (message_ids is not null and tenant_id = (select wx.tenant()));
