/**
 * India: every commercial SMS names the content template it was made from, 19 digits from the
 * operators' distributed ledger (TLV 0x1401). That the text matches the template is another rule's
 * business; this one sees that there is a template to match.
 */
import { pass, type Rule, refuse } from "../rule.ts";

const templateIdPattern = /^[0-9]{19}$/;

const missing = refuse(
	"dlt_template_missing",
	"Messages to India need the id of a registered content template.",
	"dlt.template_id",
);
const malformed = refuse(
	"dlt_template_malformed",
	"The id of a registered content template is 19 digits.",
	"dlt.template_id",
);

export const templateId: Rule = {
	id: "in-dlt/template-id",
	version: 1,
	source: "in-dlt",
	title: "The registered content template is named",
	cites: [
		"TCCCPR 2018 (TRAI 6 of 2018): content templates are registered on the distributed ledger",
		"TRAI directions of 16 February and 12 May 2023 on header and template misuse",
	],
	inForce: { from: "2019-02-28T00:00:00+05:30" },
	judgedAt: "both",
	channels: ["sms"],
	needs: ["country", "dlt"],
	applies: (facts) => facts.country === undefined || facts.country === "IN",
	judge({ dlt }) {
		const id = dlt?.templateId ?? null;
		if (id === null) return missing;
		return templateIdPattern.test(id) ? pass : malformed;
	},
};
