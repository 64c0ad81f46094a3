/**
 * SQL of senders. The gatherer of terms serves the message path under both roles. Who owns a sender among all
 * tenants is a row of `sender_owners` under a platform index: its key is the one arbiter.
 */
import { type Environment, type Scope, sql, type Tx } from "#platform/db.ts";
import { byteas, texts, uuids } from "#platform/db-arrays.ts";
import type { PageQuery } from "#platform/page.ts";
import type { SenderKind } from "./sender.ts";
import { defaultSettings, type TenantSettings } from "./settings.ts";
import { settingsColumns } from "./settings-store.ts";

export interface IndexKey {
	readonly tenantId: string;
	readonly environment: Environment;
	/** Blind index, 32 bytes. */
	readonly index: Buffer;
}

const termsStatement = sql(
	"templates.terms",
	`select k.ord, d.active, s.tenant_id is not null as "isSet", ${settingsColumns}
	from unnest($1::uuid[], $2::text[], $3::bytea[]) with ordinality as k (tenant_id, environment, address_index, ord)
	left join lateral (
		select n.active from senders n
		where n.tenant_id = k.tenant_id and n.environment = k.environment and n.address_index = k.address_index offset 0
	) d on true
	left join tenant_settings s on s.tenant_id = k.tenant_id and s.environment = k.environment`,
);

/** On what terms a tenant sends under a name. */
export interface Terms {
	/** Undefined when the sender is not registered to the tenant. */
	readonly sender: { readonly active: boolean } | undefined;
	readonly settings: TenantSettings;
}

/** The terms of each sender, by position in `keys`, under both roles. */
export async function termsAmong(tx: Tx, keys: readonly IndexKey[]): Promise<Terms[]> {
	if (keys.length === 0) return [];
	type Found = TenantSettings & { ord: number; active: boolean | null; isSet: boolean };
	const rows = await tx.query<Found>(termsStatement, [
		uuids(keys.map((key) => key.tenantId)),
		texts(keys.map((key) => key.environment)),
		byteas(keys.map((key) => key.index)),
	]);
	const terms: Terms[] = [];
	for (const { ord, active, isSet, ...settings } of rows)
		terms[ord - 1] = {
			sender: active === null ? undefined : { active },
			settings: isSet ? settings : defaultSettings,
		};
	return terms;
}

export interface SenderRow {
	readonly id: string;
	readonly addressSealed: Buffer;
	readonly kind: SenderKind;
	readonly active: boolean;
	readonly createdAt: number;
}

export interface NewSender {
	readonly id: string;
	readonly addressIndex: Buffer;
	readonly addressSealed: Buffer;
	/** Blind index of the owner key under the platform's key. */
	readonly platformIndex: Buffer;
	readonly kind: SenderKind;
	readonly atMs: number;
}

const insertSenderStatement = sql(
	"templates.insert_sender",
	`insert into senders (tenant_id, environment, id, address_index, address_sealed, kind, created_at)
	values ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8 / 1000)) on conflict do nothing returning id`,
);
const insertOwnerStatement = sql(
	"templates.insert_owner",
	`insert into sender_owners (tenant_id, environment, sender_id, platform_index) values ($1, $2, $3, $4)
	on conflict do nothing returning sender_id`,
);

/** Whether the sender is now the tenant's; if not, the caller rolls back. */
export async function insertSender(tx: Tx, scope: Scope, row: NewSender): Promise<boolean> {
	const { tenantId, environment } = scope;
	const { id, addressIndex, addressSealed, kind, atMs, platformIndex } = row;
	const inserted = await tx.query(insertSenderStatement, [
		tenantId,
		environment,
		id,
		addressIndex,
		addressSealed,
		kind,
		atMs,
	]);
	if (inserted.length === 0) return false;
	const owned = await tx.query(insertOwnerStatement, [tenantId, environment, id, platformIndex]);
	return owned.length === 1;
}

const countSendersStatement = sql(
	"templates.count_senders",
	"select count(*)::integer as count from senders where tenant_id = $1 and environment = $2",
);

export async function countSenders(tx: Tx, scope: Scope): Promise<number> {
	const values = [scope.tenantId, scope.environment];
	return (await tx.query<{ count: number }>(countSendersStatement, values))[0]?.count ?? 0;
}

const senderColumns = `id, address_sealed as "addressSealed", kind, active,
	(extract(epoch from created_at) * 1000)::float8 as "createdAt"`;

const listSendersStatement = sql(
	"templates.list_senders",
	`select ${senderColumns} from senders
	where tenant_id = $1 and environment = $2 and ($3::uuid is null or id < $3) order by id desc limit $4`,
);
const listSendersBeforeStatement = sql(
	"templates.list_senders_before",
	`select ${senderColumns} from senders
	where tenant_id = $1 and environment = $2 and id > $3::uuid order by id asc limit $4`,
);

/** Newest first; with `before`, nearest first. */
export function listSenders(tx: Tx, scope: Scope, page: PageQuery): Promise<SenderRow[]> {
	const statement = page.before === undefined ? listSendersStatement : listSendersBeforeStatement;
	const from = page.before ?? page.after ?? null;
	return tx.query(statement, [scope.tenantId, scope.environment, from, page.limit]);
}

const deleteSenderStatement = sql(
	"templates.delete_sender",
	"delete from senders where tenant_id = $1 and environment = $2 and id = $3 returning id",
);

/** Its ownership goes with it. False when there was none. */
export async function deleteSender(tx: Tx, scope: Scope, id: string): Promise<boolean> {
	const values = [scope.tenantId, scope.environment, id];
	return (await tx.query(deleteSenderStatement, values)).length === 1;
}
