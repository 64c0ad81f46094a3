-- additive
-- What waits in the outbox lives for moments. Compressing a thousand references (83 kB of text) took PostgreSQL 2.4 ms of the commit
-- that accepts them, ten times what storing them as they are takes; ids hardly compress. It concerns rows of over 2 kB, new ones only.
alter table outbox alter column refs set storage external;
