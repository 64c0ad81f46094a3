/**
 * House rule: promotion goes only to people whose newest statement on record says yes. The strictest
 * common reading of the laws it serves: no soft opt-in, no consent inferred from silence.
 * Checked against the fact sheet of 22 November 2026.
 */
import { always, pass, type Rule, refuse } from "../rule.ts";

const revoked = refuse(
	"consent_revoked",
	"The recipient has revoked consent to promotional messages.",
	"to",
);
const missing = refuse(
	"consent_missing",
	"No consent to promotional messages is on record for the recipient; record it at /v1/preferences.",
	"to",
);

export const promotionalConsent: Rule = {
	id: "house/promotional-consent",
	version: 1,
	source: "house",
	title: "The recipient's consent to promotion is on record",
	cites: [
		"House rule: promotion needs a recorded yes",
		"Directive 2002/58/EC (ePrivacy), art. 13(1)",
		"TCPA, 47 CFR 64.1200: prior express written consent for marketing",
		"TCCCPR 2018 (India), as amended: explicit consent for promotional messages",
	],
	inForce: always,
	judgedAt: "both",
	channels: "all",
	classes: ["promotional"],
	needs: ["promotionalConsent"],
	applies: () => true,
	judge({ promotionalConsent: consent }) {
		if (consent === "granted") return pass;
		return consent === "revoked" ? revoked : missing;
	},
};
