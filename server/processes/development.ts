/**
 * What development mode adds: two tenants with keys, senders, registrations and settings, so that a fresh
 * start can send at once, and `dev.json`, which tells where and with what. Never runs in production.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
	type AccessParts,
	type Authenticator,
	createApiKey,
	createOperatorKey,
	createTenant,
	type TenantScope,
} from "#access/index.ts";
import { type Ledger, systemAudit } from "#audit/index.ts";
import type { Environment, Scope } from "#platform/db.ts";
import { writeDurably } from "#platform/durable-file.ts";
import { Fault } from "#platform/errors.ts";
import { showId } from "#platform/ids.ts";
import { registerSender, saveSettings } from "#templates/index.ts";

/** Tenants of development have ids of their own, so that a second start finds them. */
const tenantIds = {
	main: "01900000-0000-7000-8000-00000000d001",
	other: "01900000-0000-7000-8000-00000000d002",
} as const;
const senders = { main: ["WAXWNG", "56767", "+12025550143"], other: ["WXOTHR"] } as const;
const entityIds = { main: "1101172974420810001", other: "1101172974420810002" } as const;
const countries = [
	"AE",
	"AU",
	"BR",
	"CA",
	"DE",
	"ES",
	"FR",
	"GB",
	"ID",
	"IE",
	"IN",
	"IT",
	"JP",
	"KE",
	"LK",
	"MY",
	"NG",
	"NL",
	"NP",
	"PH",
	"PT",
	"SA",
	"SE",
	"SG",
	"US",
	"ZA",
];
const environments = ["live", "test"] as const;
const serviceScopes: readonly TenantScope[] = [
	"sms:send",
	"sms:read",
	"webhooks:read",
	"webhooks:write",
	"preferences:read",
	"preferences:write",
	"suppressions:read",
	"suppressions:write",
	"senders:read",
	"settings:read",
];

export interface DevelopmentKeys {
	readonly tenantId: string;
	readonly apiKey: string;
	readonly testKey: string;
	readonly adminKey: string;
	readonly operatorKey: string;
	readonly otherTenant: { readonly tenantId: string; readonly apiKey: string };
}

export interface DevelopmentParts extends AccessParts {
	readonly authenticator: Authenticator;
	readonly dataDir: string;
	readonly ledger: Ledger;
}

/** Makes what is missing; keys of an earlier start that still work are kept. */
export async function seedDevelopment(parts: DevelopmentParts): Promise<DevelopmentKeys> {
	const known = await knownKeys(parts);
	if (known !== undefined) return known;
	// A first start waits for all of this, and most of it for commits.
	await Promise.all((["main", "other"] as const).map((name) => seedTenant(parts, name)));
	const key = async (
		name: "main" | "other",
		environment: Environment,
		scopes: readonly string[],
		says: string,
	): Promise<string> => {
		const scope = { tenantId: tenantIds[name], environment };
		const audit = systemAudit(parts.ledger, "api_key.created", scope.tenantId);
		return (await createApiKey(parts, scope, { name: says, scopes }, audit)).text.reveal();
	};
	const operatorAudit = systemAudit(parts.ledger, "operator_key.created");
	const [apiKey, testKey, adminKey, other, operator] = await Promise.all([
		key("main", "live", serviceScopes, "Development"),
		key("main", "test", serviceScopes, "Development, test"),
		key("main", "live", ["*"], "Development, admin"),
		key("other", "live", serviceScopes, "Development, other tenant"),
		createOperatorKey(parts, operatorAudit),
	]);
	return {
		tenantId: showId("ten", tenantIds.main),
		apiKey,
		testKey,
		adminKey,
		operatorKey: operator.text.reveal(),
		otherTenant: { tenantId: showId("ten", tenantIds.other), apiKey: other },
	};
}

function pathOf(dataDir: string): string {
	return join(dataDir, "dev.json");
}

/** The keys of dev.json, if all of them still open this database. */
async function knownKeys({
	dataDir,
	authenticator,
}: DevelopmentParts): Promise<DevelopmentKeys | undefined> {
	try {
		const { tenantId, apiKey, testKey, adminKey, operatorKey, otherTenant } = JSON.parse(
			readFileSync(pathOf(dataDir), "utf8"),
		) as DevelopmentKeys;
		for (const key of [apiKey, testKey, adminKey, operatorKey, otherTenant.apiKey])
			await authenticator.authenticate(`Bearer ${key}`);
		return { tenantId, apiKey, testKey, adminKey, operatorKey, otherTenant };
	} catch {
		return undefined;
	}
}

async function seedTenant(parts: DevelopmentParts, name: "main" | "other"): Promise<void> {
	const tenantId = tenantIds[name];
	await ignoringConflict(
		createTenant(
			parts,
			{ id: tenantId, name: name === "main" ? "Waxwing demo" : "Another tenant" },
			systemAudit(parts.ledger, "tenant.created"),
		),
	);
	await parts.vault.warm([tenantId]);
	await Promise.all(
		environments.map((environment) => seedEnvironment(parts, name, { tenantId, environment })),
	);
}

async function seedEnvironment(
	parts: DevelopmentParts,
	name: "main" | "other",
	scope: Scope,
): Promise<void> {
	for (const address of senders[name]) await ignoringConflict(register(parts, scope, address));
	const settings = {
		countries,
		outside_window: "defer",
		dlt: { entity_id: entityIds[name], telemarketers: ["1101172974420830004"] },
	} as const;
	await parts.db.inTenant(scope, async (tx) => {
		await saveSettings(tx, scope, settings, parts.clock.now());
		const audit = systemAudit(parts.ledger, "settings.changed", scope.tenantId);
		await audit.record(tx, { detail: settings });
	});
}

async function register(parts: DevelopmentParts, scope: Scope, address: string): Promise<void> {
	const kind = address.startsWith("+")
		? "number"
		: /^[0-9]+$/.test(address)
			? "short_code"
			: "alphanumeric";
	await parts.db.inTenant(scope, async (tx) => {
		const id = parts.ids.next();
		await registerSender(tx, parts.vault, scope, { id, kind, address, atMs: parts.clock.now() });
		const audit = systemAudit(parts.ledger, "sender.registered", scope.tenantId);
		await audit.record(tx, { targets: [showId("snd", id)], detail: { kind, address } });
	});
}

async function ignoringConflict(act: Promise<unknown>): Promise<void> {
	try {
		await act;
	} catch (error) {
		if (!(error instanceof Fault && error.name === "conflict")) throw error;
	}
}

/** Bodies for POST /v1/sms/messages that are cleared as they stand; `to` may be any number of the country. */
const samples = {
	transactional: {
		to: "+919812345678",
		from: "WAXWNG",
		category: "transactional",
		dlt: { template_id: "1107161951486743588" },
		text: "Your parcel 482913 is out for delivery today. -WAXWNG",
	},
	authentication: {
		to: "+919812345678",
		from: "WAXWNG",
		category: "authentication",
		dlt: { template_id: "1107161951486743589" },
		text: "Your OTP is 482913. Do not share it. -WAXWNG",
	},
	promotional: {
		to: "+919812345678",
		from: "WAXWNG",
		category: "marketing",
		dlt: { template_id: "1107161951486743590" },
		text: "20 percent off all raincoats until Sunday. Reply STOP to 56767 to end. -WAXWNG",
		consent: { source: "web_form", consented_at: "2026-01-05T09:30:00Z" },
	},
} as const;

export interface DevelopmentPlaces {
	readonly baseUrl: string;
	/** Absent where workers have sandboxes of their own. */
	readonly sandbox?: { readonly smscPort: number };
	readonly metricsUrl: string;
}

/** Writes dev.json whole or not at all, readable by its owner only. */
export function writeDevelopmentFile(
	dataDir: string,
	keys: DevelopmentKeys,
	places: DevelopmentPlaces,
): string {
	const path = pathOf(dataDir);
	writeDurably(path, `${JSON.stringify({ ...places, ...keys, samples }, null, "\t")}\n`);
	return path;
}
