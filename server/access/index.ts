export { Actor, requireActor } from "./actor.ts";
export {
	type AccessParts,
	type ApiKey,
	apiKeysMax,
	createApiKey,
	createOperatorKey,
	type IssuedKey,
	type KeyRequest,
	revokeApiKey,
} from "./api-keys.ts";
export {
	type Authenticator,
	type AuthenticatorParts,
	createAuthenticator,
} from "./authenticate.ts";
export type { AccessRouteParts } from "./key-routes.ts";
export { type RootKeyRouteParts, rootKeyRoutes } from "./root-key-routes.ts";
export { accessRoutes } from "./routes.ts";
export { everyScope, operatorScope, type TenantScope, tenantScopes } from "./scopes.ts";
export { type KeyInUse, keysStillValid } from "./store.ts";
export { createTenant, type NewTenant, suspendTenant, type Tenant } from "./tenants.ts";
