-- additive
-- What was to be tried again in a moment, by a clock that ran ahead and was set back, would wait until that clock's time came.

-- Retries of the classes that no window holds, and unknown outcomes that will not be sent again: their time is always near.
create index lane_entries_again on lane_entries (due_at) where batch_id is null and attempt > 0 and (abandoned or class <= 1);

-- Those that are due beyond a moment are due at another, at most so many; how many there were.
create function wx.bring_forward(beyond timestamptz, due timestamptz, most integer) returns integer
language plpgsql security definer set search_path = public, wx as $$
declare brought integer;
begin
	update lane_entries e set due_at = due
	from (
		select tenant_id, message_id from lane_entries
		where batch_id is null and attempt > 0 and (abandoned or class <= 1) and due_at > beyond
		order by due_at limit most for update skip locked
	) far
	where e.tenant_id = far.tenant_id and e.message_id = far.message_id;
	get diagnostics brought = row_count;
	return brought;
end $$;

revoke execute on function wx.bring_forward(timestamptz, timestamptz, integer) from public;
grant execute on function wx.bring_forward(timestamptz, timestamptz, integer) to waxwing_worker;
