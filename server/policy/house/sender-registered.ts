/**
 * House rule: a tenant sends only under a sender identity that is registered to it and active. In
 * India the same is law: a header belongs to one principal entity (TCCCPR 2018).
 */
import { always, pass, type Rule, refuse } from "../rule.ts";

const unregistered = refuse(
	"sender_unregistered",
	"The sender is not registered to this tenant; register it at /v1/senders.",
	"from",
);
const inactive = refuse("sender_inactive", "The sender is registered but not active.", "from");

export const senderRegistered: Rule = {
	id: "house/sender-registered",
	version: 1,
	source: "house",
	title: "The sender is registered to the tenant and active",
	cites: [
		"House rule: nobody sends in another's name",
		"TCCCPR 2018 (India): headers are registered to a principal entity",
	],
	inForce: always,
	judgedAt: "both",
	channels: ["sms"],
	needs: ["sender"],
	applies: () => true,
	judge({ sender }) {
		if (sender?.registered !== true) return unregistered;
		return sender.active ? pass : inactive;
	},
};
