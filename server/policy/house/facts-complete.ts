/**
 * House rule: a clearance is bound to a tenant, a message, a recipient and a text, so all of them
 * must be there and be of the known kinds. Guards every other rule: a class or channel nobody knows
 * would make rules that are limited to some classes or channels silent.
 */
import { channels, type Facts, messageClasses } from "../facts.ts";
import { always, pass, type Rule, refuse } from "../rule.ts";

const indexBytes = 32;
const countryPattern = /^[A-Z]{2}$/;

export const factsComplete: Rule = {
	id: "house/facts-complete",
	version: 1,
	source: "house",
	title: "What the message is, for whom and from whom is known",
	cites: ["House rule: what is unknown is not sent"],
	inForce: always,
	judgedAt: "both",
	channels: "all",
	needs: [
		"now",
		"tenantId",
		"environment",
		"messageId",
		"channel",
		"class",
		"recipient",
		"bodyDigest",
	],
	applies: () => true,
	judge(facts) {
		const wrong = malformed(facts);
		return wrong === undefined
			? pass
			: refuse("fact_missing", `The fact ${wrong} is not known for this message.`);
	},
};

function malformed(facts: Facts): string | undefined {
	if (!Number.isFinite(facts.now)) return "now";
	if (facts.tenantId === "") return "tenantId";
	if (facts.messageId === "") return "messageId";
	if (facts.environment !== "live" && facts.environment !== "test") return "environment";
	if (!channels.includes(facts.channel)) return "channel";
	if (!messageClasses.includes(facts.class)) return "class";
	if (facts.recipient.length !== indexBytes) return "recipient";
	if (facts.bodyDigest.length !== indexBytes) return "bodyDigest";
	// A country in another spelling would make the rules of that country silent.
	if (facts.country !== undefined && !countryPattern.test(facts.country)) return "country";
	return undefined;
}
