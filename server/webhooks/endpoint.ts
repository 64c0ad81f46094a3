/**
 * An endpoint's sealed content: its URLs over time, its description and its secrets. Pure; what it returns is
 * written back sealed. A secret's text leaves only through `showSecret`, once.
 */
import type { Environment } from "#platform/db.ts";
import type { Random } from "#platform/ids.ts";
import type { Place } from "#vault/index.ts";

export interface EndpointContent {
	/** Newest first; older ones tell where past attempts went. */
	readonly urls: readonly { readonly url: string; readonly sinceMs: number }[];
	readonly description?: string;
	/** Newest first. `untilMs` null: until it is replaced. */
	readonly secrets: readonly { readonly key: string; readonly untilMs: number | null }[];
}

export type EndpointStatus = "active" | "degraded" | "paused";

/** How long a replaced secret goes on signing beside the new one. */
export const overlapMs = 24 * 3_600_000;
const secretsMax = 5;
const urlsMax = 10;
const secretBytes = 32;

export function endpointPlace(tenantId: string, environment: Environment, id: string): Place {
	return { tenantId, environment, table: "webhook_endpoints", column: "sealed", row: id };
}

export function newSecret(random: Random): Buffer {
	return random.bytes(secretBytes);
}

/** Standard Webhooks: `whsec_` and the key in base64. */
export function showSecret(key: Buffer): string {
	return `whsec_${key.toString("base64")}`;
}

export function newContent(
	url: string,
	description: string | undefined,
	secret: Buffer,
	nowMs: number,
): EndpointContent {
	return {
		urls: [{ url, sinceMs: nowMs }],
		...(description === undefined ? {} : { description }),
		secrets: [{ key: secret.toString("base64"), untilMs: null }],
	};
}

export function withUrl(content: EndpointContent, url: string, nowMs: number): EndpointContent {
	if (currentUrl(content) === url) return content;
	return { ...content, urls: [{ url, sinceMs: nowMs }, ...content.urls].slice(0, urlsMax) };
}

export function currentUrl(content: EndpointContent): string {
	return content.urls[0]?.url ?? "";
}

/** The URL in use at a moment; the oldest known when that is further back. */
export function urlAt(content: EndpointContent, atMs: number): string {
	const found = content.urls.find(({ sinceMs }) => sinceMs <= atMs) ?? content.urls.at(-1);
	return found?.url ?? "";
}

/** Puts a new secret first; the one it replaces signs for another day. At most five are kept. */
export function rotated(content: EndpointContent, secret: Buffer, nowMs: number): EndpointContent {
	const older = content.secrets
		.map(({ key, untilMs }) => ({ key, untilMs: untilMs ?? nowMs + overlapMs }))
		.filter(({ untilMs }) => untilMs > nowMs);
	const newest = { key: secret.toString("base64"), untilMs: null };
	return { ...content, secrets: [newest, ...older].slice(0, secretsMax) };
}

/** The keys that sign now, newest first. */
export function signingKeys(content: EndpointContent, nowMs: number): Buffer[] {
	return content.secrets
		.filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
		.map(({ key }) => Buffer.from(key, "base64"));
}
