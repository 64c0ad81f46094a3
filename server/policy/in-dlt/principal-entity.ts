/**
 * India: every commercial SMS names the principal entity it is sent for, 19 digits from the operators'
 * distributed ledger (DLT), and operators drop what does not (TLV 0x1400). The entity is the one in the
 * tenant's settings; a message may repeat it, never name another's.
 */
import { pass, type Rule, refuse } from "../rule.ts";

const entityIdPattern = /^[0-9]{19}$/;

const missing = refuse(
	"dlt_entity_missing",
	"No principal entity id (19 digits) is registered in the tenant's settings; India requires one.",
	"dlt.entity_id",
);
const mismatch = refuse(
	"dlt_entity_mismatch",
	"The message names a principal entity other than the one in the tenant's settings.",
	"dlt.entity_id",
);

export const principalEntity: Rule = {
	id: "in-dlt/principal-entity",
	version: 1,
	source: "in-dlt",
	title: "The principal entity is the tenant's registered one",
	cites: [
		"TCCCPR 2018 (TRAI 6 of 2018): senders are registered on the distributed ledger",
		"TRAI direction of 20 August 2024 on PE–TM traceability",
	],
	inForce: { from: "2019-02-28T00:00:00+05:30" },
	judgedAt: "both",
	channels: ["sms"],
	needs: ["country", "dlt"],
	applies: (facts) => facts.country === undefined || facts.country === "IN",
	judge({ dlt }) {
		const registered = dlt?.registeredEntityId ?? null;
		if (registered === null || !entityIdPattern.test(registered)) return missing;
		const named = dlt?.entityId ?? null;
		return named === null || named === registered ? pass : mismatch;
	},
};
