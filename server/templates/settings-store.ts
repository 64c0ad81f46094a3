/** SQL of a tenant's settings: one row per environment; no row is the same as the defaults. */
import { type Scope, sql, type Tx } from "#platform/db.ts";
import {
	changeSettings,
	defaultSettings,
	type SettingsChange,
	type TenantSettings,
} from "./settings.ts";

/** Of `tenant_settings s`. */
export const settingsColumns = `s.countries, s.promotional_from as "promotionalFrom", s.promotional_until as "promotionalUntil",
	s.outside_window as "outsideWindow", s.dlt_entity_id as "dltEntityId", s.dlt_telemarketers as "dltTelemarketers"`;

const settingsOfStatement = sql(
	"templates.settings_of",
	`select k.ord, ${settingsColumns}
	from unnest($1::uuid[], $2::text[]) with ordinality as k (tenant_id, environment, ord)
	join tenant_settings s on s.tenant_id = k.tenant_id and s.environment = k.environment`,
);

/**
 * The settings of each scope, by `tenantId/environment`, under both roles. A tenant that has set
 * nothing has the defaults, which open no country.
 */
export async function settingsOf(
	tx: Tx,
	scopes: readonly Scope[],
): Promise<Map<string, TenantSettings>> {
	if (scopes.length === 0) return new Map();
	const rows = await tx.query<TenantSettings & { ord: number }>(settingsOfStatement, [
		scopes.map((scope) => scope.tenantId),
		scopes.map((scope) => scope.environment),
	]);
	const found = new Map(rows.map(({ ord, ...settings }) => [ord, settings]));
	return new Map(
		scopes.map((scope, i) => [
			`${scope.tenantId}/${scope.environment}`,
			found.get(i + 1) ?? defaultSettings,
		]),
	);
}

const ensureStatement = sql(
	"templates.ensure_settings",
	`insert into tenant_settings (tenant_id, environment, updated_at) values ($1, $2, to_timestamp($3::float8 / 1000))
	on conflict do nothing`,
);
const lockStatement = sql(
	"templates.lock_settings",
	`select ${settingsColumns} from tenant_settings s where s.tenant_id = $1 and s.environment = $2 for update`,
);

/** Changes the settings and returns them; throws as `changeSettings`. Two changes at once both hold. */
export async function saveSettings(
	tx: Tx,
	scope: Scope,
	change: SettingsChange,
	nowMs: number,
): Promise<TenantSettings> {
	const changed = changeSettings(await lockSettings(tx, scope, nowMs), change, nowMs);
	updateSettings(tx, scope, changed, nowMs);
	return changed;
}

async function lockSettings(tx: Tx, scope: Scope, nowMs: number): Promise<TenantSettings> {
	tx.post(ensureStatement, [scope.tenantId, scope.environment, nowMs]);
	const values = [scope.tenantId, scope.environment];
	return (await tx.query<TenantSettings>(lockStatement, values))[0] ?? defaultSettings;
}

const updateStatement = sql(
	"templates.update_settings",
	`update tenant_settings set countries = $3, promotional_from = $4, promotional_until = $5, outside_window = $6,
		dlt_entity_id = $7, dlt_telemarketers = $8, updated_at = to_timestamp($9::float8 / 1000)
	where tenant_id = $1 and environment = $2`,
);

function updateSettings(tx: Tx, scope: Scope, to: TenantSettings, nowMs: number): void {
	const { countries, promotionalFrom, promotionalUntil, outsideWindow } = to;
	tx.post(updateStatement, [
		scope.tenantId,
		scope.environment,
		countries,
		promotionalFrom,
		promotionalUntil,
		outsideWindow,
		to.dltEntityId,
		to.dltTelemarketers,
		nowMs,
	]);
}
