/**
 * Reads one message of a request into a draft: what the schema cannot say (a number that exists, a text
 * that fits its segments, a time in the future). Pure. Every complaint names its parameter and never
 * repeats the value.
 */
import { readNumber, type Segmented, segment } from "#channels/index.ts";
import type { FaultDetail } from "#platform/errors.ts";
import type { MessageClass } from "#policy/index.ts";
import type { Dlt, Tag } from "./parcel.ts";
import { smartEncode } from "./smart-encoding.ts";

/** The body of `POST /v1/sms/messages`, as the schema lets it through. */
export interface MessageRequest {
	readonly to: string;
	readonly from: string;
	readonly text: string;
	readonly category: "authentication" | "transactional" | "service" | "marketing" | "promotional";
	readonly scheduled_at?: string;
	/** Seconds. */
	readonly validity_period?: number;
	readonly tags?: readonly Tag[];
	readonly metadata?: Readonly<Record<string, unknown>>;
	readonly options?: { readonly smart_encoding?: boolean };
	readonly dlt?: { readonly entity_id?: string; readonly template_id?: string };
	readonly consent?: { readonly source: string; readonly consented_at: string };
}

export interface Draft {
	readonly to: string;
	readonly from: string;
	readonly text: string;
	readonly class: MessageClass;
	readonly country: string;
	readonly segmented: Segmented;
	/** Unicode code points. */
	readonly characters: number;
	readonly scheduledAtMs: number | undefined;
	readonly expiresAtMs: number;
	readonly tags: readonly Tag[] | undefined;
	readonly metadata: Readonly<Record<string, unknown>> | undefined;
	readonly dlt: Dlt | undefined;
	readonly smartEncoding: boolean;
	/** Consent stated with the send, to be put on record. */
	readonly consent: { readonly source: string; readonly consentedAtMs: number } | undefined;
}

/** How long a message may wait and a carrier may try, unless the request says less: 48 hours. */
const validityDefaultSeconds = 172_800;
/** How far ahead a message may be scheduled: 30 days, well inside the partitions that exist. */
const scheduleMaxMs = 30 * 86_400_000;
const metadataBytesMax = 2_048;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/i;
const timeComplaint = "The time must be in RFC 3339 with an offset, such as 2026-12-01T09:30:00Z.";

export function readDraft(
	request: MessageRequest,
	nowMs: number,
	at = "",
): { draft: Draft } | { details: FaultDetail[] } {
	const details: FaultDetail[] = [];
	const wrong = (param: string, message: string): void =>
		void details.push({ param: at + param, message });
	const number = readNumber(request.to);
	if (!number.ok) wrong("to", number.why);
	const smartEncoding = request.options?.smart_encoding === true;
	if (smartEncoding && request.dlt?.template_id !== undefined)
		wrong(
			"options.smart_encoding",
			"Smart encoding cannot change a text that must match a registered template (dlt.template_id).",
		);
	const text = smartEncoding ? smartEncode(request.text) : request.text;
	const segmented = segment(text);
	if (!segmented.ok) wrong("text", textComplaint(segmented));
	const scheduledAtMs = readSchedule(request.scheduled_at, nowMs, wrong);
	const consent = readConsent(request.consent, nowMs, wrong);
	if (
		request.metadata !== undefined &&
		Buffer.byteLength(JSON.stringify(request.metadata)) > metadataBytesMax
	)
		wrong("metadata", `The metadata is larger than ${metadataBytesMax} bytes as JSON.`);
	if (!number.ok || !segmented.ok || details.length > 0) return { details };
	const validityMs = (request.validity_period ?? validityDefaultSeconds) * 1000;
	return {
		draft: {
			to: number.e164,
			from: request.from,
			text,
			class: request.category === "marketing" ? "promotional" : request.category,
			country: number.country,
			segmented,
			characters: countCharacters(text),
			scheduledAtMs,
			expiresAtMs: (scheduledAtMs ?? nowMs) + validityMs,
			tags: request.tags,
			metadata: request.metadata,
			dlt:
				request.dlt === undefined
					? undefined
					: {
							entityId: request.dlt.entity_id ?? null,
							templateId: request.dlt.template_id ?? null,
						},
			smartEncoding,
			consent,
		},
	};
}

function readConsent(
	consent: MessageRequest["consent"],
	nowMs: number,
	wrong: (param: string, message: string) => void,
): Draft["consent"] {
	if (consent === undefined) return undefined;
	const consentedAtMs = Date.parse(consent.consented_at);
	if (!rfc3339.test(consent.consented_at) || Number.isNaN(consentedAtMs))
		wrong("consent.consented_at", timeComplaint);
	else if (consentedAtMs > nowMs)
		wrong("consent.consented_at", "The time must not lie in the future.");
	return { source: consent.source, consentedAtMs };
}

function textComplaint(failure: Exclude<ReturnType<typeof segment>, { ok: true }>): string {
	if (failure.why === "lone_surrogate")
		return `The text is not Unicode text: half of a surrogate pair at position ${failure.at}.`;
	return `The text needs ${failure.segmentsNeeded} segments; at most ${failure.segmentsMax} are allowed.`;
}

function readSchedule(
	text: string | undefined,
	nowMs: number,
	wrong: (param: string, message: string) => void,
): number | undefined {
	if (text === undefined) return undefined;
	const atMs = Date.parse(text);
	if (!rfc3339.test(text) || Number.isNaN(atMs)) wrong("scheduled_at", timeComplaint);
	else if (atMs > nowMs + scheduleMaxMs)
		wrong("scheduled_at", "The time lies more than 30 days ahead.");
	else if (atMs > nowMs) return atMs;
	return undefined;
}

function countCharacters(text: string): number {
	let pairs = 0;
	for (let i = 0; i < text.length; i++) {
		const unit = text.charCodeAt(i);
		if (unit >= 0xd800 && unit <= 0xdbff) pairs++;
	}
	return text.length - pairs;
}
