/** SQL that reads messages back as the ledger hashed them: every column, under the reader's scope. */
import type { MessageFacts, MessageReader } from "#audit/index.ts";
import { sql, type Tx } from "#platform/db.ts";
import { timeOfId } from "#platform/ids.ts";

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;
const factsStatement = sql(
	"messages.stored_facts",
	`select tenant_id as "tenantId", environment::text as environment, id, inbound, class, encoding, segments, characters, country,
		dlt_template_id as "dltTemplateId", api_key_id as "apiKeyId", ${ms("created_at")} as "createdAtMs", ${ms("scheduled_at")} as "scheduledAtMs",
		${ms("expires_at")} as "expiresAtMs", ruleset, verdicts, ${ms("deferred_until")} as "deferredUntilMs", ${ms("clear_until")} as "clearUntilMs",
		address_index as "addressIndex", sender_index as "senderIndex", tag_indexes as "tagIndexes", seal, sealed
	from unnest($2::uuid[]) as k (message_id)
	cross join lateral (select * from messages o where o.tenant_id = $1 and o.id = k.message_id offset 0) m`,
);

/** Those of these messages of a tenant that are there. */
function storedFacts(tx: Tx, tenantId: string, ids: readonly string[]): Promise<MessageFacts[]> {
	return tx.query<MessageFacts>(factsStatement, [tenantId, [...new Set(ids)]]);
}

const monthStatement = sql(
	"messages.months_kept",
	"select m.name from unnest($1::text[]) as m (name) where to_regclass('public.' || m.name) is not null",
);

/** Of these ids, those whose month of `table` is not there any more (or never was): dropped as a whole. */
async function idsOfLostMonths(
	tx: Tx,
	table: "messages" | "message_digests",
	ids: readonly string[],
): Promise<Set<string>> {
	const nameOf = (id: string): string =>
		`${table}_${new Date(timeOfId(id)).toISOString().slice(0, 7).replace("-", "")}`;
	const names = [...new Set(ids.map(nameOf))];
	const rows = names.length === 0 ? [] : await tx.query<{ name: string }>(monthStatement, [names]);
	const kept = new Set(rows.map(({ name }) => name));
	return new Set(ids.filter((id) => !kept.has(nameOf(id))));
}

/** For the ledger, which knows nothing of these tables. */
export const messageReader: MessageReader = { facts: storedFacts, lost: idsOfLostMonths };
