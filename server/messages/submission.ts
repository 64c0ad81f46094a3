/**
 * A parcel as the route's dialect wants it. Pure.
 */
import {
	destinationAddress,
	type Dialect,
	type SmsSubmission,
	sourceAddress,
} from "#channels/index.ts";
import { deliverBefore, type Facts } from "#policy/index.ts";
import { chainHash, type TenantSettings } from "#templates/index.ts";
import type { Parcel } from "./parcel.ts";

export function submissionOf(
	parcel: Parcel,
	dialect: Dialect,
	facts: Facts,
	settings: TenantSettings | undefined,
	nowMs: number,
): SmsSubmission {
	const before = Math.min(parcel.expiresAtMs, deliverBefore(facts) ?? Number.POSITIVE_INFINITY);
	const submission: SmsSubmission = {
		id: parcel.messageId,
		source: sourceAddress(dialect, parcel.from),
		destination: destinationAddress(dialect, parcel.to),
		parts: parcel.segmented.parts,
		encoding: parcel.segmented.encoding,
		// The last 16 bits of a UUIDv7 are chance: unique enough per recipient while a message is on its way.
		reference: Number.parseInt(parcel.messageId.slice(-4), 16),
		validityMs: Math.max(1_000, before - nowMs),
		registeredDelivery: true,
		urgent: parcel.class === 0,
	};
	const entityId = parcel.dlt?.entityId ?? settings?.dltEntityId ?? null;
	const templateId = parcel.dlt?.templateId ?? null;
	if (parcel.country !== "IN" || entityId === null || templateId === null) return submission;
	const telemarketers = settings?.dltTelemarketers ?? [];
	return {
		...submission,
		dlt: {
			entityId,
			templateId,
			chainHash: telemarketers.length === 0 ? "" : chainHash(entityId, telemarketers),
		},
	};
}
