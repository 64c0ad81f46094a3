/**
 * A message as the API shows it: the SDK's SmsMessage with our additions (`decision`, `scheduled_at`,
 * `possible_duplicate`). Opens sealed contents; the tenant's keys must be warm.
 */
import type { Scope } from "#platform/db.ts";
import { showId } from "#platform/ids.ts";
import { classOfNumber } from "#policy/index.ts";
import { type ContactKey, type Vault, VaultError } from "#vault/index.ts";
import type { Accepted } from "./decide.ts";
import type { Sealed } from "./parcel.ts";
import { placeOf } from "./prepare.ts";
import { errorOfNumber, numberOfError, stateOfRank, states } from "./state.ts";
import type { StoredMessage } from "./read-store.ts";

export const messagePrefix = "msg";

/** The text of a one-time code is not shown again: whoever may read the log must not be able to log in. */
const redacted = "**REDACTED**";

const sdkCategory = {
	authentication: "authentication",
	transactional: "transactional",
	service: "service",
	promotional: "marketing",
} as const;

/** What is shown in place of a text or number whose contact was erased. */
const erased = "**ERASED**";
const erasedContents: Sealed = [erased, erased, erased, null, null, null, false];

/** The contents; undefined when the contact was erased. Throws a VaultError for anything else. */
export function openContents(
	vault: Pick<Vault, "openJsonFor">,
	contact: ContactKey | undefined,
	scope: Scope,
	row: Pick<StoredMessage, "id" | "sealed">,
): Sealed | undefined {
	try {
		return vault.openJsonFor<Sealed>(contact, placeOf(scope, row.id), row.sealed);
	} catch (error) {
		if (error instanceof VaultError && error.reason === "erased") return undefined;
		throw error;
	}
}

export function renderStored(
	vault: Vault,
	contact: ContactKey | undefined,
	scope: Scope,
	row: StoredMessage,
	nowMs: number,
): Record<string, unknown> {
	const sealed = openContents(vault, contact, scope, row) ?? erasedContents;
	const rank = rankOf(row, nowMs);
	const common = renderCommon(row, sealed, rank);
	return row.inbound ? common : { ...common, ...renderOutbound(row, sealed, rank) };
}

function renderCommon(row: StoredMessage, sealed: Sealed, rank: number): Record<string, unknown> {
	const [address, sender, text, tags, metadata] = sealed;
	const messageClass = classOfNumber(row.class) ?? "service";
	const isDelivered = rank === states.delivered.rank;
	return {
		id: showId(messagePrefix, row.id),
		direction: row.inbound ? "inbound" : "outbound",
		status: stateOfRank(rank).status,
		to: row.inbound ? sender : address,
		from: row.inbound ? address : sender,
		text: messageClass === "authentication" && !row.inbound ? redacted : text,
		category: row.inbound ? null : sdkCategory[messageClass],
		segments: {
			count: row.segments,
			encoding: row.encoding === 0 ? "GSM_7BIT" : "UCS2",
			characters: row.characters,
		},
		cost: null,
		tags: tags ?? [],
		metadata: metadata ?? {},
		created_at: row.created_at.toISOString(),
		sent_at: showTime(row.sent_at),
		delivered_at: showTime(isDelivered ? row.changed_at : null),
	};
}

function renderOutbound(row: StoredMessage, sealed: Sealed, rank: number): Record<string, unknown> {
	const begins = row.scheduled_at ?? row.created_at;
	const isWaiting = rank === states.scheduled.rank;
	return {
		options: { smart_encoding: sealed[6] },
		validity_period: Math.round((row.expires_at.getTime() - begins.getTime()) / 1000),
		scheduled_at: showTime(isWaiting ? row.due_at : row.scheduled_at),
		possible_duplicate: row.possible_duplicate ?? false,
		...(row.error === null || row.changed_at === null
			? {}
			: { last_error: renderError(row.error, row.carrier_error, row.changed_at) }),
	};
}

function showTime(at: Date | null): string | null {
	return at?.toISOString() ?? null;
}

/** Without a stored state a message is waiting: for its time, or for a carrier. */
function rankOf(row: StoredMessage, nowMs: number): number {
	if (row.status !== null) return row.status;
	return row.due_at !== null && row.due_at.getTime() > nowMs
		? states.scheduled.rank
		: states.accepted.rank;
}

export function renderError(
	number: number,
	carrierError: string | null,
	at: Date,
): Record<string, unknown> {
	const { code, says } = errorOfNumber(number);
	return {
		code,
		description: says,
		carrier_error_code: carrierError,
		occurred_at: at.toISOString(),
	};
}

/** A time, and how it is shown: a batch has one for all its messages. */
export interface ShownTime {
	readonly atMs: number;
	readonly text: string;
}

export function shownTime(atMs: number): ShownTime {
	return { atMs, text: new Date(atMs).toISOString() };
}

/** The answer to a send, made from what was decided: nothing is read back. `at`: when that was. */
export function renderAccepted(accepted: Accepted, at: ShownTime): Record<string, unknown> {
	const { draft, decision } = accepted;
	const { atMs } = at;
	const scheduled = decision.kind !== "rejected" && decision.dueAtMs > atMs;
	const message: Record<string, unknown> = {
		id: showId(messagePrefix, accepted.id),
		direction: "outbound",
		status: decision.kind === "rejected" ? "rejected" : scheduled ? "scheduled" : "accepted",
		to: draft.to,
		from: draft.from,
		text: draft.class === "authentication" ? redacted : draft.text,
		category: sdkCategory[draft.class],
		segments: {
			count: draft.segmented.parts.length,
			encoding: draft.segmented.encoding,
			characters: draft.characters,
		},
		cost: null,
		tags: draft.tags ?? [],
		metadata: draft.metadata ?? {},
		created_at: at.text,
		sent_at: null,
		delivered_at: null,
		options: { smart_encoding: draft.smartEncoding },
		validity_period: Math.round((draft.expiresAtMs - (draft.scheduledAtMs ?? atMs)) / 1000),
		scheduled_at: scheduled ? new Date(decision.dueAtMs).toISOString() : null,
		possible_duplicate: false,
		decision: renderDecision(decision),
	};
	if (decision.kind === "rejected") {
		message["last_error"] = {
			...renderError(numberOfError(decision.error), null, new Date(atMs)),
			description: decision.sentence,
		};
	}
	return message;
}

function renderDecision(decision: Accepted["decision"]): Record<string, unknown> {
	switch (decision.kind) {
		case "accepted":
			return { outcome: "cleared" };
		case "deferred":
			return {
				outcome: "deferred",
				until: new Date(decision.dueAtMs).toISOString(),
				reason: decision.sentence,
			};
		case "rejected":
			return {
				outcome: "refused",
				rule: decision.ruleId ?? null,
				reason: decision.sentence,
				cites: decision.cites,
			};
	}
}
