import assert from "node:assert/strict";
import { test } from "node:test";
import type { SubmitOutcome } from "#channels/index.ts";
import {
	afterAbandoning,
	afterSubmit,
	afterUnknown,
	attemptsMax,
	type EffectContext,
} from "./effects.ts";
import type { Parcel } from "./parcel.ts";
import { numberOfError, states } from "./state.ts";

const nowMs = Date.parse("2026-11-22T12:00:00Z");
const context: EffectContext = {
	nowMs,
	eventId: () => "event",
	nextRoute: () => "next",
	unknownReconcileMs: 30_000,
	fraction: () => 0.5,
};

function parcel(change: Partial<Parcel> = {}): Parcel {
	return {
		tenantId: "t",
		environment: "live",
		messageId: "m",
		class: 1,
		routeId: "r",
		inTable: true,
		attempt: 0,
		possibleDuplicate: false,
		abandoned: false,
		segmented: { ok: true, encoding: "GSM_7BIT", characters: 3, parts: [Buffer.from("abc")] },
		...change,
	} as Parcel;
}

const refused = (
	disposition: "permanent" | "retry" | "throttled" | "route",
	carrierIds: string[] = [],
): SubmitOutcome => ({
	kind: "refused",
	commandStatus: 0x45,
	name: "ESME_RSUBMITFAIL",
	disposition,
	carrierIds,
});
const unknown: SubmitOutcome = { kind: "unknown", reason: "timeout", carrierIds: [] };
const lost: SubmitOutcome = { kind: "unknown", reason: "connection_lost", carrierIds: [] };
const transactional = { class: 1 };
const service = { class: 2 };

interface Case {
	readonly says: string;
	readonly parcel: Partial<Parcel>;
	readonly outcome: SubmitOutcome;
	readonly state?: number | undefined;
	readonly error?: number;
	/** When it waits again: due in so many ms, with these flags. */
	readonly waits?: {
		readonly dueInMs: number;
		readonly attempt: number;
		readonly routeId?: string;
		readonly possibleDuplicate?: boolean;
		readonly abandoned?: boolean;
		readonly apart?: boolean;
	};
}

const cases: Case[] = [
	{
		says: "accepted is sent",
		parcel: {},
		outcome: { kind: "accepted", carrierIds: ["1"] },
		state: states.sent.rank,
	},
	{
		says: "unsent simply waits for the next route",
		parcel: {},
		outcome: { kind: "unsent" },
		waits: { dueInMs: 250, attempt: 0, routeId: "next" },
	},
	{
		says: "permanent fails",
		parcel: {},
		outcome: refused("permanent"),
		state: states.failed.rank,
		error: numberOfError("blocked_by_carrier"),
	},
	{
		says: "retry waits a second, on the next route",
		parcel: {},
		outcome: refused("retry"),
		waits: { dueInMs: 1_000, attempt: 1, routeId: "next" },
	},
	{
		says: "the third retry waits longer",
		parcel: { attempt: 2 },
		outcome: refused("retry"),
		waits: { dueInMs: 16_000, attempt: 3, routeId: "next" },
	},
	{
		says: "the last attempt fails",
		parcel: { attempt: attemptsMax - 1 },
		outcome: refused("retry"),
		state: states.failed.rank,
		error: numberOfError("provider_unavailable"),
	},
	{
		says: "throttled waits and costs no attempt",
		parcel: { attempt: 4 },
		outcome: refused("throttled"),
		waits: { dueInMs: 1_000, attempt: 4 },
	},
	{
		says: "unknown, at least once: again later, flagged",
		parcel: transactional,
		outcome: unknown,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: 1, possibleDuplicate: true },
	},
	{
		says: "unknown, at most once: never again",
		parcel: service,
		outcome: unknown,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: 1, abandoned: true },
	},
	{
		says: "unknown too often, at least once: never again",
		parcel: { class: 0, attempt: attemptsMax - 1 },
		outcome: unknown,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: attemptsMax, abandoned: true },
	},
	{
		says: "lost with the connection, at least once: again, apart from others",
		parcel: transactional,
		outcome: lost,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: 1, possibleDuplicate: true, apart: true },
	},
	{
		says: "lost with the connection, at most once: never again",
		parcel: service,
		outcome: lost,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: 1, abandoned: true },
	},
	{
		says: "lost for the fifth time: never again",
		parcel: { class: 0, attempt: attemptsMax - 1, apart: true, possibleDuplicate: true },
		outcome: lost,
		state: states.unknown.rank,
		waits: { dueInMs: 30_000, attempt: attemptsMax, possibleDuplicate: true, abandoned: true },
	},
	{
		says: "a suspect that could not leave stays one",
		parcel: { attempt: 1, apart: true },
		outcome: { kind: "unsent" },
		waits: { dueInMs: 250, attempt: 1, routeId: "next", apart: true },
	},
	{
		says: "a suspect that is answered, even by a refusal, is none any more",
		parcel: { attempt: 1, apart: true },
		outcome: refused("retry"),
		waits: { dueInMs: 4_000, attempt: 2, routeId: "next" },
	},
	{
		says: "a suspect that was throttled is none any more",
		parcel: { attempt: 1, apart: true },
		outcome: refused("throttled"),
		waits: { dueInMs: 1_000, attempt: 1 },
	},
	{
		says: "half a long message refused, at most once: failed",
		parcel: service,
		outcome: refused("retry", ["1"]),
		state: states.failed.rank,
		error: numberOfError("blocked_by_carrier"),
	},
	{
		says: "half a long message refused, at least once: again, flagged",
		parcel: transactional,
		outcome: refused("retry", ["1"]),
		waits: { dueInMs: 1_000, attempt: 1, routeId: "next", possibleDuplicate: true },
	},
];

for (const one of cases) {
	test(`after a submit: ${one.says}`, () => {
		const effects = afterSubmit(parcel(one.parcel), one.outcome, context);
		assert.equal(effects.transition?.rank, one.state);
		assert.equal(effects.transition?.error ?? undefined, one.error);
		const { waits } = one;
		// A lane entry either waits again or is done with: never both, never neither.
		assert.equal(effects.returned === undefined, effects.finished !== undefined);
		if (waits === undefined) return assert.ok(effects.finished);
		assert.deepEqual(effects.returned, {
			tenantId: "t",
			messageId: "m",
			routeId: waits.routeId ?? "r",
			dueAtMs: nowMs + waits.dueInMs,
			attempt: waits.attempt,
			possibleDuplicate: waits.possibleDuplicate ?? false,
			abandoned: waits.abandoned ?? false,
			apart: waits.apart ?? false,
		});
	});
}

test("carrier ids become submissions, one per segment", () => {
	const parts = [Buffer.from("a"), Buffer.from("b")];
	const long = parcel({ segmented: { ok: true, encoding: "GSM_7BIT", characters: 2, parts } });
	const { submissions } = afterSubmit(long, { kind: "accepted", carrierIds: ["x", "y"] }, context);
	assert.deepEqual(
		submissions?.map((one) => [one.segment, one.segments, one.carrierId]),
		[
			[1, 2, "x"],
			[2, 2, "y"],
		],
	);
});

test("what was given up is presumed failed, which a true receipt may still correct", () => {
	const effects = afterAbandoning(parcel({ abandoned: true }), context);
	assert.equal(effects.transition?.rank, states.presumed.rank);
	assert.equal(effects.transition?.error, numberOfError("unknown"));
	assert.ok(effects.finished);
});

test("a crash in a started batch is an unknown outcome by class", () => {
	for (const [classNumber, abandoned] of [
		[0, false],
		[1, false],
		[2, true],
		[3, true],
	] as const) {
		const effects = afterUnknown({ ...parcel(), class: classNumber }, true, context);
		assert.equal(effects.returned?.abandoned, abandoned, String(classNumber));
		assert.equal(effects.returned?.possibleDuplicate, !abandoned, String(classNumber));
		assert.equal(effects.returned?.apart, !abandoned, String(classNumber));
		// A receipt may settle it before the second submit has its result: the flag must be there by then.
		assert.equal(effects.transition?.possibleDuplicate, !abandoned, String(classNumber));
	}
});
