/** What the statements of access, contacts, templates and the vault mean, over the simulation's tables. */
import { type Meanings, SqlError, type View } from "./memory-database.ts";
import type { ContactKeyRow, StatementRow, SuppressionRow } from "./schema.ts";
import { get, put, rows } from "./tables.ts";

/** The rows of `unnest($1, $2, …)`: one array per column, in this order; a column named "" is left out. */
export function unnest<R extends object>(
	columns: readonly unknown[],
	...names: readonly ((keyof R & string) | "")[]
): R[] {
	const [first] = columns as readonly unknown[][];
	return (first ?? []).map(
		(_, i) =>
			Object.fromEntries(
				names.flatMap((name, at) => (name === "" ? [] : [[name, (columns[at] as unknown[])[i]]])),
			) as R,
	);
}

export interface AskedKey {
	readonly tenantId: string;
	readonly environment: string;
	readonly index: Buffer;
}

export const askedKeys = (values: readonly unknown[]): AskedKey[] =>
	unnest<AskedKey>(values, "tenantId", "environment", "index");

export function addressKey(tenantId: string, environment: string, index: Buffer): string {
	return `${tenantId}/${environment}/${index.toString("hex")}`;
}

function statementsOf({ tables, writer }: View, asked: AskedKey): StatementRow[] {
	const own: StatementRow[] = [];
	for (const [, row] of rows(tables.statements, writer))
		if (
			row.tenantId === asked.tenantId &&
			row.environment === asked.environment &&
			row.addressIndex.equals(asked.index)
		)
			own.push(row);
	return own.sort(
		(a, b) =>
			b.consentedAtMs - a.consentedAtMs ||
			Number(a.granted) - Number(b.granted) ||
			(a.id < b.id ? 1 : -1),
	);
}

/** The truth of it, by the number itself. */
export function isSuppressed(view: View, asked: AskedKey): boolean {
	return isStopped(view, asked, (row) => row.addressIndex.equals(asked.index));
}

/** As the product asks: suppressions by the index of their own. */
function isSuppressedBy(view: View, asked: AskedKey, own: Buffer): boolean {
	return isStopped(view, asked, (row) => row.suppressionIndex.equals(own));
}

function isStopped(
	view: View,
	asked: AskedKey,
	isTheirs: (row: SuppressionRow) => boolean,
): boolean {
	for (const [, row] of rows(view.tables.suppressions, view.writer))
		if (
			row.endedAtMs === null &&
			row.tenantId === asked.tenantId &&
			row.environment === asked.environment &&
			isTheirs(row)
		)
			return true;
	const own = statementsOf(view, asked);
	return own.some(
		(row) => !row.granted && row.coverage === "all" && row.consentedAtMs === own[0]?.consentedAtMs,
	);
}

/** What the newest statement says of promotion; undefined when there is none. */
export function consentOf(view: View, asked: AskedKey): boolean | undefined {
	return statementsOf(view, asked)[0]?.granted;
}

/** Row-level security on what is written. */
export function demandVisible(view: View, tenantId: string, environment?: string): void {
	if (!view.sees(tenantId, environment))
		throw new SqlError("42501", "new row violates row-level security");
}

function contactKeysIn(values: readonly unknown[]): ContactKeyRow[] {
	return unnest(values, "tenantId", "environment", "index", "epoch", "wrapped");
}

function isKnown({ tables, writer }: View, row: ContactKeyRow): boolean {
	const key = addressKey(row.tenantId, row.environment, row.index);
	return get(tables.contactKeys, writer, key) !== undefined;
}

/** Of two transactions that insert one key, the second waits for the first and then finds it there. */
function addContactKey(view: View, row: ContactKeyRow): void {
	demandVisible(view, row.tenantId, row.environment);
	const { tables, writer } = view;
	put(tables.contactKeys, writer, addressKey(row.tenantId, row.environment, row.index), row);
}

export const factMeanings: Meanings = {
	"access.valid_keys": (view, values) =>
		unnest<{ tenantId: string; environment: string; id: string }>(
			values,
			"tenantId",
			"environment",
			"id",
		).flatMap(({ tenantId, environment, id }, i) => {
			const row = get(view.tables.apiKeys, view.writer, id);
			return row?.tenantId === tenantId && view.sees(tenantId, environment) ? [{ ord: i + 1 }] : [];
		}),

	"vault.keys_of_tenants": ({ tables, writer }, [ids]) =>
		(ids as string[]).flatMap((id) => {
			const row = get(tables.tenantKeys, writer, id);
			return row === undefined ? [] : [{ ...row, epoch: 1, createdAtMs: 0, contactEpoch: null }];
		}),

	// Nobody is erased in these days: no tenant has a count.
	"vault.find_contact_keys": (view, values) =>
		askedKeys(values).flatMap(({ tenantId, environment, index }, i) => {
			const { tables, writer } = view;
			const row = get(tables.contactKeys, writer, addressKey(tenantId, environment, index));
			return row === undefined || !view.sees(tenantId, environment)
				? []
				: [{ ord: i + 1, epoch: row.epoch, wrapped: row.wrapped }];
		}),

	"vault.insert_contact_keys": (view, values) => {
		for (const row of contactKeysIn(values)) {
			if (isKnown(view, row)) throw new SqlError("23505", "contact_keys_pkey");
			addContactKey(view, row);
		}
		return [];
	},

	"vault.offer_contact_keys": (view, values) => {
		const taken = contactKeysIn(values).filter((row) => !isKnown(view, row));
		for (const row of taken) addContactKey(view, row);
		return taken.map(({ wrapped }) => ({ wrapped }));
	},

	"templates.terms": (view, values) =>
		askedKeys(values).map(({ tenantId, environment, index }, i) => {
			const { tables, writer } = view;
			const isSeen = view.sees(tenantId, environment);
			const sender = get(tables.senders, writer, addressKey(tenantId, environment, index));
			const settings = get(tables.settings, writer, `${tenantId}/${environment}`);
			return {
				ord: i + 1,
				active: isSeen ? (sender?.active ?? null) : null,
				isSet: isSeen && settings !== undefined,
				countries: settings?.countries,
				promotionalFrom: null,
				promotionalUntil: null,
				outsideWindow: "defer",
				dltEntityId: settings?.dltEntityId,
				dltTelemarketers: [],
			};
		}),

	"contacts.suppressed_among": (view, values) =>
		askedKeys(values).flatMap((asked, i) => {
			const own = (values[3] as Buffer[])[i] as Buffer;
			const isSeen = view.sees(asked.tenantId, asked.environment);
			return isSeen && isSuppressedBy(view, asked, own) ? [{ ord: i + 1 }] : [];
		}),

	// Every row here has the index of its own.
	"contacts.index_suppressions": () => [],

	"contacts.consent_among": (view, values) =>
		askedKeys(values).flatMap((asked, i) => {
			const granted = consentOf(view, asked);
			return granted === undefined || !view.sees(asked.tenantId, asked.environment)
				? []
				: [{ ord: i + 1, granted }];
		}),

	"contacts.insert_suppressions": (view, values) => {
		const { tables, writer } = view;
		return unnest<AskedKey & { own: Buffer; id: string; sealed: Buffer; reason: string }>(
			values,
			"tenantId",
			"environment",
			"index",
			"own",
			"id",
			"sealed",
			"reason",
		).flatMap(({ tenantId, environment, index, own, id, reason }) => {
			demandVisible(view, tenantId, environment);
			const key = `${addressKey(tenantId, environment, index)}/${reason}`;
			const known = get(tables.suppressions, writer, key);
			if (known !== undefined && known.endedAtMs === null) return [];
			const row = {
				tenantId,
				environment,
				addressIndex: index,
				suppressionIndex: own,
				reason,
				id,
				endedAtMs: null,
			};
			put(tables.suppressions, writer, key, row);
			return [{ id }];
		});
	},

	"contacts.end_by_start": ({ tables, writer }, values) =>
		unnest<AskedKey & { atMs: number }>(
			values,
			"tenantId",
			"environment",
			"index",
			"",
			"atMs",
		).flatMap(({ tenantId, environment, index, atMs }) => {
			const key = `${addressKey(tenantId, environment, index)}/stop`;
			const row = get(tables.suppressions, writer, key);
			if (row === undefined || row.endedAtMs !== null) return [];
			put(tables.suppressions, writer, key, { ...row, endedAtMs: atMs });
			return [{ id: row.id }];
		}),

	"contacts.insert_statements": ({ tables, writer }, [tenantId, environment, ...columns]) => {
		const added = unnest<StatementRow>(
			columns,
			"id",
			"addressIndex",
			"coverage",
			"granted",
			"consentedAtMs",
		);
		for (const row of added)
			put(tables.statements, writer, row.id, {
				...row,
				tenantId: tenantId as string,
				environment: environment as string,
			});
		return [];
	},
};
