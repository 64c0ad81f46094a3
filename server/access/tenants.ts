/**
 * Tenants: made with a key of their own and two admin keys in one transaction, listed, suspended, resumed. A
 * suspended tenant's keys are refused; its data stays.
 */
import { type Environment, sqlState } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import type { Audit } from "#platform/http.ts";
import { showId } from "#platform/ids.ts";
import type { Vault } from "#vault/index.ts";
import { type AccessParts, type IssuedKey, prepareKey } from "./api-keys.ts";
import type { Authenticator } from "./authenticate.ts";
import { keyPrefix } from "./key-text.ts";
import type { Page } from "./page.ts";
import { everyScope } from "./scopes.ts";
import {
	createTenantRow,
	insertApiKeys,
	listTenantRows,
	readTenantRow,
	setTenantSuspended,
	type TenantRow,
} from "./store.ts";

export interface Tenant {
	readonly id: string;
	readonly name: string;
	readonly createdAtMs: number;
	readonly suspendedAtMs: number | undefined;
}

export interface NewTenant {
	readonly tenant: Tenant;
	/** One admin key (scope `*`) per environment; their texts are shown this once. */
	readonly adminKeys: Readonly<Record<Environment, IssuedKey>>;
}

const uniqueViolation = "23505";
/** How an id looks in front of tenants. */
export const tenantPrefix = "ten";

/** Makes a tenant. Throws Fault conflict when the given id is taken, audit_unavailable. */
export async function createTenant(
	parts: AccessParts,
	request: { readonly id?: string; readonly name: string },
	audit: Audit,
): Promise<NewTenant> {
	const { db, vault, clock } = parts;
	const { name, id = parts.ids.next() } = request;
	const nowMs = clock.now();
	const { wrapped, seal } = await vault.makeTenantKey(id);
	const nameSealed = seal(namePlace(id), Buffer.from(name, "utf8"));
	const adminKey = (environment: Environment) =>
		prepareKey(
			parts,
			{ tenantId: id, environment },
			{ name: "Admin", scopes: [everyScope] },
			nowMs,
			seal,
		);
	const keys = { live: adminKey("live"), test: adminKey("test") };
	try {
		await db.inTenant({ tenantId: id, environment: "live" }, async (tx) => {
			await createTenantRow(tx, id, nameSealed, wrapped, nowMs);
			insertApiKeys(tx, id, [keys.live.stored, keys.test.stored], nowMs);
			const admins = [keys.live, keys.test].map(({ issued }) => showId(keyPrefix, issued.id));
			const targets = [showId(tenantPrefix, id), ...admins];
			await audit.record(tx, { tenantId: id, targets, detail: { name } });
		});
	} catch (error) {
		if (sqlState(error) === uniqueViolation) throw Fault.of("conflict", { cause: error });
		throw error;
	}
	return {
		tenant: { id, name, createdAtMs: nowMs, suspendedAtMs: undefined },
		adminKeys: { live: keys.live.issued, test: keys.test.issued },
	};
}

/** A page of tenants, newest first, and whether there are more. */
export async function readTenants(
	parts: Pick<AccessParts, "db" | "vault">,
	page: Pick<Page, "limit" | "after">,
): Promise<{ readonly tenants: Tenant[]; readonly more: boolean }> {
	const rows = await parts.db.inPlatform((tx) => listTenantRows(tx, page.after, page.limit + 1));
	const shown = rows.slice(0, page.limit);
	await parts.vault.warm(shown.map((row) => row.tenantId));
	return {
		tenants: shown.map((row) => tenantOf(parts.vault, row)),
		more: rows.length > page.limit,
	};
}

/**
 * Suspends or resumes; this process refuses the keys of a suspended tenant from now on. Throws Fault not_found,
 * audit_unavailable.
 */
export async function suspendTenant(
	parts: Pick<AccessParts, "db" | "vault" | "clock"> & {
		readonly authenticator: Pick<Authenticator, "forgetTenant">;
	},
	id: string,
	suspended: boolean,
	audit: Audit,
): Promise<Tenant> {
	const { db, vault, clock, authenticator } = parts;
	const row = await db.inTenant({ tenantId: id, environment: "live" }, async (tx) => {
		if (!(await setTenantSuspended(tx, id, suspended ? clock.now() : undefined)))
			throw Fault.of("not_found");
		await audit.record(tx, { tenantId: id, targets: [showId(tenantPrefix, id)] });
		return readTenantRow(tx, id);
	});
	if (row === undefined) throw Fault.of("not_found");
	authenticator.forgetTenant(id);
	await vault.warm([id]);
	return tenantOf(vault, row);
}

function tenantOf(vault: Vault, row: TenantRow): Tenant {
	return {
		id: row.tenantId,
		name: vault.open(namePlace(row.tenantId), row.nameSealed).toString("utf8"),
		createdAtMs: row.createdAt.getTime(),
		suspendedAtMs: row.suspendedAt?.getTime(),
	};
}

/** A tenant's name belongs to no environment. */
function namePlace(tenantId: string) {
	return { tenantId, environment: "", table: "tenants", column: "name_sealed", row: tenantId };
}
