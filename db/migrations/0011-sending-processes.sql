-- additive
-- Which processes send on this database: they share out what a route may carry a second.
create table sending_processes (
	owner uuid primary key,
	present_until timestamptz not null
);
alter table sending_processes enable row level security;
alter table sending_processes force row level security;
create policy owner_all on sending_processes to waxwing_owner using (true) with check (true);
create policy worker_all on sending_processes to waxwing_worker using (true) with check (true);
grant select, insert, update, delete on sending_processes to waxwing_worker;
