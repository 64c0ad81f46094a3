/**
 * A root key in HashiCorp Vault or OpenBao, by the transit secrets engine's HTTP API (encrypt, decrypt, rotate,
 * config, trim). The key must be of type aes256-gcm96 or another with associated data, which binds the label.
 * A version is the number in `vault:vN:`.
 */
import type { Egress } from "#platform/egress.ts";
import type { Secret } from "#platform/hidden.ts";
import { type KeyProvider, KeyProviderError, labelBytes, probeHealth } from "./provider.ts";
import { type Answer, askService, textOf } from "./remote.ts";

export interface TransitParts {
	/** With the mount: `https://vault.example:8200/v1/transit`. */
	readonly url: string;
	readonly keyName: string;
	readonly token: Secret;
	readonly egress: Pick<Egress, "post">;
}

export function transitProvider(parts: TransitParts): KeyProvider {
	const { keyName } = parts;
	if (!/^[\w.-]{1,100}$/.test(keyName))
		throw new KeyProviderError("refused", "WAXWING_KEY_NAME must be the name of a transit key.");
	const succeed = (path: string, body: object): Promise<Answer> => succeedAt(parts, path, body);
	const provider: KeyProvider = {
		kind: "transit",
		warning: undefined,
		async wrap(key, label) {
			const data = await succeed(`encrypt/${keyName}`, {
				plaintext: key.toString("base64"),
				associated_data: labelBytes(label).toString("base64"),
			});
			const text = textOf(data, "ciphertext");
			const version = /^vault:v(\d+):/.exec(text)?.[1];
			if (version === undefined)
				throw new KeyProviderError("away", "The key service's ciphertext has no version.");
			return { version, bytes: Buffer.from(text.slice(text.lastIndexOf(":") + 1), "base64") };
		},
		async unwrap({ version, bytes }, label) {
			const data = await succeed(`decrypt/${keyName}`, {
				ciphertext: `vault:v${version}:${bytes.toString("base64")}`,
				associated_data: labelBytes(label).toString("base64"),
			});
			return Buffer.from(textOf(data, "plaintext"), "base64");
		},
		async rotate() {
			await succeed(`keys/${keyName}/rotate`, {});
		},
		async destroy(version) {
			const { version: newest } = await provider.wrap(Buffer.alloc(32), probeLabel);
			if (!(Number(version) < Number(newest)))
				throw new KeyProviderError("refused", "The newest root key cannot be destroyed.");
			// Trimming deletes the key material; what may be decrypted must be raised before.
			const least = Number(version) + 1;
			await succeed(`keys/${keyName}/config`, {
				min_decryption_version: least,
				min_encryption_version: least,
			});
			await succeed(`keys/${keyName}/trim`, { min_available_version: least });
		},
		health: () => probeHealth(provider),
		close: () => undefined,
	};
	return provider;
}

const probeLabel = { tenantId: "", table: "health", row: "" } as const;

/** The `data` of the answer. */
async function succeedAt(parts: TransitParts, path: string, body: object): Promise<Answer> {
	const headers = {
		"content-type": "application/json",
		"x-vault-token": parts.token.reveal(),
		"x-vault-request": "true",
	};
	const url = `${parts.url}/${path}`;
	const { status, answer } = await askService(parts.egress, url, headers, JSON.stringify(body));
	if (status === 403)
		throw new KeyProviderError("away", `The token may not use ${path}, or has expired.`);
	if (status >= 300)
		throw new KeyProviderError("refused", `The key service refuses ${path}: HTTP ${status}.`);
	return (answer["data"] ?? {}) as Answer;
}
