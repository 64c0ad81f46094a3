/** Signatures of webhooks: Standard Webhooks 1.0.0, symmetric (`v1`). */
import { createHmac, createSecretKey } from "node:crypto";

/**
 * The value of one `webhook-signature` item, `v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`, where `body`
 * is exactly what is sent. `secret` is the key itself (behind `whsec_` it is shown as base64).
 */
export function signWebhook(
	secret: Buffer,
	id: string,
	timestampSeconds: number,
	body: string | Buffer,
): string {
	const sum = createHmac("sha256", createSecretKey(secret));
	sum.update(`${id}.${timestampSeconds}.`);
	sum.update(body);
	return `v1,${sum.digest("base64")}`;
}
