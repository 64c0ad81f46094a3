/**
 * Gathers what the rules need to know of a batch of messages: one query per kind of fact, whatever the
 * number of messages and tenants. Judges nothing.
 */
import { consentAmong, factKey, type IndexKey, suppressedAmong } from "#contacts/index.ts";
import type { Environment, Scope, Tx } from "#platform/db.ts";
import type { Facts } from "#policy/index.ts";
import { sendersAmong, settingsOf, type TenantSettings } from "#templates/index.ts";
import type { Subject } from "./parcel.ts";

export interface Gathered {
	readonly facts: readonly Facts[];
	/** By `tenantId/environment`. */
	readonly settings: ReadonlyMap<string, TenantSettings>;
}

/** All queries leave in one round trip. The transaction must be in the tenants of the subjects. */
export async function gatherFacts(tx: Tx, subjects: readonly Subject[]): Promise<Gathered> {
	const recipients = subjects.map((subject) => keyOf(subject, subject.recipient));
	const promotional = subjects.filter((subject) => subject.class === "promotional");
	const [settings, senders, suppressed, consents] = await Promise.all([
		settingsOf(tx, distinctScopes(subjects)),
		sendersAmong(tx, distinctKeys(subjects.map((subject) => keyOf(subject, subject.senderIndex)))),
		suppressedAmong(tx, recipients),
		consentAmong(
			tx,
			promotional.map((subject) => keyOf(subject, subject.recipient)),
		),
	]);
	const facts = subjects.map((subject): Facts => {
		const own = settings.get(`${subject.tenantId}/${subject.environment}`);
		const recipient = factKey(keyOf(subject, subject.recipient));
		const sender = senders.get(factKey(keyOf(subject, subject.senderIndex)));
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
			sender: { registered: sender !== undefined, active: sender?.active === true },
			suppressed: suppressed.has(recipient),
			promotionalConsent:
				subject.class === "promotional" ? consentOf(consents.get(recipient)) : undefined,
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
	});
	return { facts, settings };
}

function consentOf(granted: boolean | undefined): "granted" | "revoked" | "none" {
	return granted === undefined ? "none" : granted ? "granted" : "revoked";
}

function keyOf(subject: { tenantId: string; environment: Environment }, index: Buffer): IndexKey {
	return { tenantId: subject.tenantId, environment: subject.environment, index };
}

function distinctKeys(keys: readonly IndexKey[]): IndexKey[] {
	return [...new Map(keys.map((key) => [factKey(key), key])).values()];
}

function distinctScopes(subjects: readonly Subject[]): Scope[] {
	const scopes = new Map<string, Scope>();
	for (const { tenantId, environment } of subjects) {
		const name = `${tenantId}/${environment}`;
		if (!scopes.has(name)) scopes.set(name, { tenantId, environment });
	}
	return [...scopes.values()];
}
