/**
 * House rule: who said stop is not written to again by this tenant, in no class. At least as strict
 * as the laws it serves, which allow days (47 CFR 64.1200(a)(10): ten business days): here the very
 * next dispatch. Checked against the fact sheet of 22 November 2026.
 */
import { always, pass, type Rule, refuse } from "../rule.ts";

const optedOut = refuse(
	"recipient_opted_out",
	"The recipient has opted out of this tenant's messages.",
	"to",
);

export const suppression: Rule = {
	id: "house/suppression",
	version: 1,
	source: "house",
	title: "The recipient has not said stop",
	cites: [
		"House rule: an opt-out holds at once, for every class",
		"Directive 2002/58/EC (ePrivacy), art. 13(2)",
		"Regulation (EU) 2016/679 (GDPR), art. 21(3)",
		"TCPA, 47 CFR 64.1200(a)(10)",
		"TCCCPR 2018 (India), as amended in 2025: every promotional message offers an opt-out",
	],
	inForce: always,
	judgedAt: "both",
	channels: "all",
	needs: ["suppressed"],
	applies: () => true,
	judge: (facts) => (facts.suppressed === false ? pass : optedOut),
};
