export type { ContactKey } from "./contact-key.ts";
export type { ContactRef } from "./contact-store.ts";
export {
	type ContactKeys,
	type Contacts,
	type GroupKeys,
	lostToAnother,
	type NewContactKey,
} from "./contacts.ts";
export { digest, equalBytes, hashSecret } from "./digest.ts";
export { type SigningKey, signingKey, verifySignature } from "./ed25519.ts";
export { RestoreError } from "./erasure-list.ts";
export { createErasures, type Erasures, type Replayed } from "./erasures.ts";
export { type Part, sha256 } from "./hmac.ts";
export { type KeyStatus, type KeyWork, startKeyWork } from "./key-work.ts";
export { briefMs } from "./key-cache.ts";
export { settleMs } from "./keys.ts";
export { openSigningKey, SigningKeyError } from "./signing-key.ts";
export type { Place, PlatformPlace } from "./place.ts";
export { type OpenKeys, openKeys } from "./open-keys.ts";
export { KeyProviderError } from "./providers/provider.ts";
export { openRootKeys, RootKeyError, type RootKeyOptions, type RootKeys } from "./root-key.ts";
export type { ErasureRow } from "./rotation-store.ts";
export { createVault, type NewTenantKey, type Vault, type VaultParts } from "./vault.ts";
export { VaultError, type VaultReason } from "./vault-error.ts";
export { signWebhook } from "./webhook-signature.ts";
