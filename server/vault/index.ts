export { digest, equalBytes, hashSecret } from "./digest.ts";
export { type SigningKey, signingKey, verifySignature } from "./ed25519.ts";
export { type Part, sha256 } from "./hmac.ts";
export { openSigningKey, SigningKeyError } from "./signing-key.ts";
export type { Place, PlatformPlace } from "./place.ts";
export { openRootKey, type RootKey, RootKeyError, type RootKeyOptions } from "./root-key.ts";
export { createVault, type Vault, type VaultParts } from "./vault.ts";
export { VaultError, type VaultReason } from "./vault-error.ts";
export { signWebhook } from "./webhook-signature.ts";
