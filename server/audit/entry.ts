/**
 * An entry's bytes: what is hashed into the tree and given to verifiers. JSON in the form of RFC 8785 (keys in
 * order, no white space) with a fixed set of keys under a version. Nothing personal is in the clear: ids, names
 * of ours, and the SHA-256 of the sealed detail. What callers wrote is in the detail alone.
 */
import { canonicalJson } from "#platform/http-json.ts";
import { type DataKind, type EventName, eventTypes } from "./events.ts";

export interface Actor {
	readonly type: "api_key" | "operator_key" | "person" | "system" | "unknown";
	/** As shown: `key_…`; null for the system, for people who wrote to us, and for callers who proved nothing. */
	readonly id: string | null;
}

export type Outcome = "ok" | "intent" | "failed" | "refused";

export type EntryData = Readonly<Record<string, string | number>>;

export interface Entry {
	/** `aud_…` */
	readonly id: string;
	/** `ten_…` or `platform`: the log that it belongs to. */
	readonly log: string;
	readonly atMs: number;
	readonly action: EventName;
	readonly actor: Actor;
	readonly environment: "live" | "test" | null;
	/** What was acted on: ids as shown. */
	readonly targets: readonly string[];
	readonly outcome: Outcome;
	/** `req_…` of the HTTP request, if it was one. */
	readonly requestId: string | null;
	readonly data: EntryData;
	/** Hexadecimal SHA-256 of the sealed detail; null without one. */
	readonly detailSha256: string | null;
}

export const entryVersion = 1;
export const entryBytesMax = 8_192;
export const targetsMax = 20;

const shownId = /^[a-z]{2,8}_[0-9a-hjkmnp-tv-z]{26}$/;
const kinds: Readonly<Record<DataKind, (value: string | number) => boolean>> = {
	count: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
	hex: (value) => typeof value === "string" && /^(?:[0-9a-f]{2}){1,64}$/.test(value),
	id: (value) => typeof value === "string" && shownId.test(value),
	name: (value) => typeof value === "string" && /^[A-Za-z0-9._~:/ -]{1,200}$/.test(value),
};

/** The entry's bytes. Throws RangeError when something does not belong into one: a mistake of ours. */
export function encodeEntry(entry: Entry): Buffer {
	const { id, log, atMs, action, actor, environment, targets, outcome, requestId } = entry;
	checkData(action, entry.data);
	if (targets.length > targetsMax || !targets.every((target) => shownId.test(target)))
		throw new RangeError(`${action}: a target is not an id`);
	const bytes = Buffer.from(
		canonicalJson({
			v: entryVersion,
			id,
			log,
			time: new Date(atMs).toISOString(),
			action,
			// How the caller proved who it is, and the session: keys are all there is today.
			actor: { ...actor, auth: actor.id === null ? null : "key", session: null },
			environment,
			targets,
			outcome,
			request_id: requestId,
			// Why, in the words of an approval, and under which grant: there are none yet.
			reason: null,
			grant_id: null,
			data: entry.data,
			detail_sha256: entry.detailSha256,
		}),
		"utf8",
	);
	if (bytes.length > entryBytesMax) throw new RangeError(`${action}: the entry is too long`);
	return bytes;
}

function checkData(action: EventName, data: EntryData): void {
	const declared: Readonly<Record<string, DataKind>> = eventTypes[action].data;
	const names = Object.keys(declared);
	const wrong = names.find((name) => {
		const [kind, value] = [declared[name], data[name]];
		return kind === undefined || value === undefined || !kinds[kind](value);
	});
	if (wrong !== undefined || Object.keys(data).length !== names.length)
		throw new RangeError(`${action}: its data must be ${names.join(", ") || "nothing"}`);
}

/** An entry as the API shows it: its own bytes, read. */
export type ShownEntry = Readonly<Record<string, unknown>> & {
	readonly action: string;
	readonly actor: Actor;
};

/** Reads stored bytes; undefined when they are not such an entry, to the last byte. */
export function readEntry(bytes: Buffer): ShownEntry | undefined {
	try {
		const value = JSON.parse(bytes.toString("utf8")) as ShownEntry;
		const isOurs = value["v"] === entryVersion && typeof value.actor === "object";
		return isOurs && Buffer.from(canonicalJson(value)).equals(bytes) ? value : undefined;
	} catch {
		return undefined;
	}
}
