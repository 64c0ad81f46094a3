/**
 * A message that every rule passes, and the few that differ from it: for tests only, of policy and of
 * the modules above it. Never read by the program itself.
 */
import type { Facts } from "./facts.ts";

/** 2026-11-23 12:00 in India, a Monday. */
export const noonInIndia = Date.parse("2026-11-23T12:00:00+05:30");

/** A promotional SMS to India that may leave at noon. */
export function sampleFacts(changes: Partial<Facts> = {}): Facts {
	return {
		now: noonInIndia,
		tenantId: "01930000-0000-7000-8000-000000000001",
		environment: "live",
		messageId: "01930000-0000-7000-8000-00000000abcd",
		channel: "sms",
		class: "promotional",
		recipient: Buffer.alloc(32, 1),
		bodyDigest: Buffer.alloc(32, 2),
		country: "IN",
		sender: { registered: true, active: true },
		suppressed: false,
		promotionalConsent: "granted",
		countriesAllowed: ["DE", "IN"],
		outsideWindow: "defer",
		promotionalWindow: { fromMinute: null, untilMinute: null },
		dlt: {
			entityId: null,
			registeredEntityId: "1101172974420810001",
			templateId: "1107161951486743588",
		},
		...changes,
	};
}
