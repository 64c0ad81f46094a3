/**
 * Gathers what the rules need to know of a batch of messages: one query per kind of fact, whatever the
 * number of messages and tenants. Judges nothing.
 */
import { consentAmong, factKey, type IndexKey, suppressedAmong } from "#contacts/index.ts";
import type { Environment, Tx } from "#platform/db.ts";
import type { Facts } from "#policy/index.ts";
import { type TenantSettings, termsAmong } from "#templates/index.ts";
import type { Subject } from "./parcel.ts";

/** What is known of one message: the facts for the rules, and its tenant's settings. */
export interface Known {
	readonly facts: Facts;
	readonly settings: TenantSettings | undefined;
}

/**
 * What is known of each subject, in their order. All queries leave in one round trip. The transaction must be in the
 * tenants of the subjects.
 */
export async function gatherFacts(tx: Tx, subjects: readonly Subject[]): Promise<Known[]> {
	const recipients = subjects.map((subject) => {
		const { suppressionIndex } = subject;
		return { ...keyOf(subject, subject.recipient), suppressionIndex };
	});
	const fromWhom = distinctSenders(subjects);
	/** Positions in `promotional` of the subjects whose consent is asked for. */
	const asked = new Map<number, number>();
	const promotional = recipients.filter(
		(_, i) => subjects[i]?.class === "promotional" && asked.set(i, asked.size),
	);
	const [terms, suppressed, consents] = await Promise.all([
		termsAmong(tx, fromWhom.keys),
		suppressedAmong(tx, recipients),
		consentAmong(tx, promotional),
	]);
	return subjects.map((subject, i): Known => {
		const { settings, sender } = terms[fromWhom.positions[i] as number] ?? {};
		const promotionalAt = asked.get(i);
		const consent =
			promotionalAt === undefined ? undefined : consentOf(consents.get(promotionalAt));
		const judged: Judged = {
			registered: sender !== undefined,
			active: sender?.active === true,
			suppressed: suppressed.has(i),
			promotionalConsent: consent,
		};
		return { facts: factsOf(subject, settings, judged), settings };
	});
}

/** What was found out about one message, beside its tenant's settings. */
export interface Judged {
	/** Of its sender. */
	readonly registered: boolean;
	readonly active: boolean;
	readonly suppressed: boolean;
	readonly promotionalConsent: Facts["promotionalConsent"];
}

/** The facts of one message, of what has been found out. */
export function factsOf(subject: Subject, own: TenantSettings | undefined, judged: Judged): Facts {
	return {
		now: subject.at,
		tenantId: subject.tenantId,
		environment: subject.environment,
		messageId: subject.messageId,
		channel: "sms",
		class: subject.class,
		recipient: subject.recipient,
		bodyDigest: subject.bodyDigest,
		country: subject.country,
		sender: { registered: judged.registered, active: judged.active },
		suppressed: judged.suppressed,
		promotionalConsent: judged.promotionalConsent,
		countriesAllowed: own?.countries,
		outsideWindow: own?.outsideWindow,
		promotionalWindow:
			own === undefined
				? undefined
				: { fromMinute: own.promotionalFrom, untilMinute: own.promotionalUntil },
		dlt:
			own === undefined
				? undefined
				: {
						entityId: subject.dlt?.entityId ?? null,
						registeredEntityId: own.dltEntityId,
						templateId: subject.dlt?.templateId ?? null,
					},
	};
}

function consentOf(granted: boolean | undefined): "granted" | "revoked" | "none" {
	return granted === undefined ? "none" : granted ? "granted" : "revoked";
}

function keyOf(subject: { tenantId: string; environment: Environment }, index: Buffer): IndexKey {
	return { tenantId: subject.tenantId, environment: subject.environment, index };
}

/** A batch has few senders: each is asked for once. Equal indexes are mostly the same buffer (see prepare.ts). */
function distinctSenders(subjects: readonly Subject[]): { keys: IndexKey[]; positions: number[] } {
	const keys: IndexKey[] = [];
	const found = new Map<string, number>();
	let last: { readonly subject: Subject; readonly position: number } | undefined;
	const positions = subjects.map((subject) => {
		const isLast =
			last !== undefined &&
			last.subject.senderIndex === subject.senderIndex &&
			last.subject.tenantId === subject.tenantId &&
			last.subject.environment === subject.environment;
		if (isLast && last !== undefined) return last.position;
		const key = keyOf(subject, subject.senderIndex);
		const name = factKey(key);
		const position = found.get(name) ?? keys.push(key) - 1;
		found.set(name, position);
		last = { subject, position };
		return position;
	});
	return { keys, positions };
}
