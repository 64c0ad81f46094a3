/** A message as acceptance stores it, cleared and with nothing in it: for tests of what happens to its row. */
import type { JudgedMessage } from "./store.ts";

export function sampleJudged(
	id: string,
	nowMs: number,
	change: Partial<JudgedMessage>,
): JudgedMessage {
	return {
		id,
		class: 1,
		addressIndex: Buffer.alloc(32),
		senderIndex: Buffer.alloc(32),
		sealed: Buffer.alloc(50),
		encoding: 0,
		segments: 1,
		characters: 1,
		country: "IN",
		dltTemplateId: null,
		tagIndexes: null,
		apiKeyId: null,
		scheduledAtMs: null,
		expiresAtMs: nowMs + 1,
		ruleset: "r-1",
		verdicts: "pn",
		deferredUntilMs: null,
		clearance: { untilMs: nowMs, seal: Buffer.alloc(32) },
		lane: undefined,
		...change,
	};
}
