/**
 * What an API key may do, as data. A route names one of these as its permission; a scope that is not on this
 * page opens nothing, whatever is stored.
 */
export const tenantScopes = {
	"sms:send": "Send SMS and cancel what is scheduled.",
	"sms:read": "Read messages, their events and the decisions on them.",
	"webhooks:read": "Read webhook endpoints and their deliveries.",
	"webhooks:write": "Create, change, test and delete webhook endpoints.",
	"keys:read": "List API keys; their secrets cannot be read.",
	"keys:write": "Create API keys with scopes one has, and revoke keys.",
	"preferences:read": "Read statements of consent.",
	"preferences:write": "Record statements of consent.",
	"suppressions:read": "Read whom messages must not reach.",
	"suppressions:write": "Add and end suppressions.",
	"contacts:erase": "Erase people, and read the certificates of it.",
	"senders:read": "Read sender identities.",
	"senders:write": "Register and retire sender identities.",
	"settings:read": "Read the tenant's settings.",
	"settings:write": "Change the tenant's settings.",
	"audit:read": "Read the tenant's ledger, with its proofs.",
} as const;

export type TenantScope = keyof typeof tenantScopes;

/** On a tenant's admin key: every tenant scope, also those that later versions add. */
export const everyScope = "*";

/** The one scope of an operator's key, which serves no tenant. */
export const operatorScope = "operator";

/** What a key may be given. */
export const grantableScopes: readonly string[] = [everyScope, ...Object.keys(tenantScopes)];

/** The scopes that stored names amount to: `*` brings all others along, unknown names bring nothing. */
export function effectiveScopes(stored: readonly string[]): readonly string[] {
	if (stored.includes(everyScope)) return grantableScopes;
	return stored.filter((name) => Object.hasOwn(tenantScopes, name));
}
