/**
 * Bugs planted in the product, each with the invariants that may notice it first: the negative controls of the
 * simulation. A bug is planted where it would be made: in a text of the product's code, or in what a statement means.
 */
import { rowKey } from "./meanings-accept.ts";
import { meaning, type Mutant, text } from "./mutant.ts";
import { mutantsApart } from "./mutants-apart.ts";
import { get, put } from "./tables.ts";

export const mutants: readonly Mutant[] = [
	{
		name: "recovery takes started batches for ones that were not started",
		seed: 1,
		noticedBy: ["at most once", "duplicates are flagged"],
		...meaning(
			"lanes.expired",
			(usual) => (view, values) => usual(view, values).map((row) => ({ ...row, started: false })),
		),
	},
	{
		name: "a start does not look at the lease",
		seed: 11,
		noticedBy: ["own lease"],
		...meaning("lanes.start_batches", (usual) => (view, values) => {
			usual(view, values);
			return (values[0] as string[]).map((id) => ({ id }));
		}),
	},
	{
		name: "a lease takes what is leased",
		seed: 1,
		noticedBy: ["own lease", "at most once", "duplicates are flagged", "nothing is left over"],
		...meaning("lanes.lease", (usual) => (view, values) => {
			const { tables, writer } = view;
			for (const [key, row] of tables.laneEntries.committed)
				if (
					row.batchId !== null &&
					!tables.laneEntries.holders.has(key) &&
					get(tables.laneEntries, writer, key) === row
				)
					put(tables.laneEntries, writer, key, { ...row, batchId: null });
			return usual(view, values);
		}),
	},
	{
		name: "a claimed Idempotency-Key may be claimed again",
		seed: 1,
		noticedBy: ["one message per key"],
		...meaning("messages.claim_keys", (usual) => (view, values) => {
			usual(view, values);
			const [tenantIds, environments, hashes] = values as [string[], string[], Buffer[]];
			return hashes.map((key_hash, i) => ({
				tenant_id: tenantIds[i],
				environment: environments[i],
				key_hash,
			}));
		}),
	},
	{
		name: "a state may go back",
		seed: 1,
		noticedBy: ["states go forward"],
		...meaning("messages.apply", (usual) => (view, values) => {
			const { tables, writer } = view;
			for (const [i, id] of (values[1] as string[]).entries()) {
				const key = rowKey((values[0] as string[])[i] as string, id);
				if (get(tables.states, writer, key) !== undefined)
					put(tables.states, writer, key, undefined);
			}
			return usual(view, values);
		}),
	},
	{
		name: "a change of state is not told",
		seed: 1,
		noticedBy: ["one event per change"],
		...meaning("messages.apply", (usual) => (view, values) => {
			const rows = usual(view, values);
			for (const id of values[8] as string[])
				if (
					get(view.tables.outbox, view.writer, id) !== undefined &&
					(values[3] as number[])[0] === 40
				)
					put(view.tables.outbox, view.writer, id, undefined);
			return rows;
		}),
	},
	{
		name: "who said STOP is remembered from the first look",
		seed: 3,
		noticedBy: ["no send after STOP"],
		...meaning("contacts.suppressed_among", (usual) => {
			const known = new Map<string, boolean>();
			return (view, values) => {
				const said = new Set(usual(view, values).map((row) => (row as { ord: number }).ord));
				return (values[2] as Buffer[]).flatMap((index, i) => {
					const key = index.toString("hex");
					if (!known.has(key)) known.set(key, said.has(i + 1));
					return known.get(key) === true ? [{ ord: i + 1 }] : [];
				});
			};
		}),
	},
	{
		name: "receipts that come before their answer are not kept",
		seed: 1,
		noticedBy: ["receipts count"],
		...meaning("submissions.park", () => () => []),
	},
	{
		name: "an entry that waits again forgets possible_duplicate",
		seed: 1,
		noticedBy: ["duplicates are flagged"],
		...meaning(
			"lanes.return",
			(usual) => (view, values) =>
				usual(
					view,
					values.with(
						5,
						(values[5] as boolean[]).map(() => false),
					),
				),
		),
	},
	{
		name: "dispatch does not judge again",
		seed: 1,
		noticedBy: [
			"no send after STOP",
			"cleared and in time",
			"inside the window",
			"consent before promotion",
		],
		...text(
			"dispatch.ts",
			"const standing = stillClear(parcel.clearance, facts);",
			'const standing = { kind: "clear" };',
		),
	},
	{
		name: "a clearance never expires",
		seed: 1,
		noticedBy: ["cleared and in time"],
		change: {
			file: "policy/clearance.ts",
			from: "return atMs >= this.#contents.notBefore && atMs < this.#contents.validUntil;",
			to: "return true;",
		},
	},
	{
		name: "the promotional window has no close",
		seed: 11,
		noticedBy: ["inside the window"],
		change: {
			file: "policy/in-trai/promotional-window.ts",
			from: "closeMs: Math.min(until, hours.untilMinute - hours.guardMinutes) * minuteMs,",
			to: "closeMs: dayMs,",
		},
	},
	{
		name: "consent is looked at once",
		seed: 7,
		noticedBy: ["consent before promotion"],
		change: {
			file: "policy/house/promotional-consent.ts",
			from: 'judgedAt: "both"',
			to: 'judgedAt: "accept"',
		},
	},
	{
		name: "a failed commit is answered as if it had been one",
		seed: 7,
		noticedBy: ["accepted is durable"],
		...text(
			"accept.ts",
			"lostToAnother(error)) continue;\n\t\t\tthrow error;",
			"lostToAnother(error)) continue;",
		),
	},
	{
		name: "the results of a failed transaction are forgotten",
		seed: 8,
		noticedBy: [
			"every message ends",
			"answers count",
			"late answers count",
			"nothing is left over",
		],
		...text(
			"recorder.ts",
			"settle(inner, mayPass ? [] : some, news);",
			"settle(inner, some, news);",
		),
	},
	{
		name: "a result that is given up lets its batch be dropped",
		seed: 240,
		noticedBy: ["every message ends", "nothing is left over"],
		...text("recorder.ts", "if (!mayPass) spoil(inner.open, some);", ""),
	},
	{
		name: "a receipt that could not be stored is answered as stored",
		seed: 8,
		noticedBy: ["receipts count"],
		...text(
			"recorder.ts",
			"for (const one of news) one.reject(error);",
			"for (const one of news) one.resolve();",
		),
	},
	{
		name: "a batch whose lease was lost is dropped",
		seed: 31,
		noticedBy: ["every message ends", "nothing is left over"],
		...text("dispatch.ts", "{ released: { tenantId: batch.tenantId, batchId: batch.id } }", "{}"),
	},
	{
		name: "late answers are not heard",
		seed: 4,
		noticedBy: ["late answers count"],
		...text(
			"dispatch.ts",
			"if (effects !== undefined) recorder.record({ batchId: undefined, effects });",
			"",
		),
	},
	{
		name: "a result that is written twice takes its entry out of the next batch",
		seed: 189,
		noticedBy: ["own lease", "at most once", "duplicates are flagged"],
		...meaning("lanes.return", (usual) => (view, values) => {
			const { tables, writer } = view;
			const now = (values[1] as string[]).map((id, i) => {
				const key = rowKey((values[0] as string[])[i] as string, id);
				const entry = get(tables.laneEntries, writer, key);
				return entry === undefined ? (values[7] as (string | null)[])[i] : entry.batchId;
			});
			return usual(view, values.with(7, now));
		}),
	},
	{
		name: "throttled is final",
		seed: 1,
		noticedBy: ["throttling ends nothing"],
		...text(
			"effects.ts",
			'if (outcome.disposition === "throttled")',
			'if (outcome.disposition === "throttled") return end(parcel, "failed", context, "blocked_by_carrier");\n\tif (outcome.disposition === "throttled")',
		),
	},
	{
		name: "an unknown outcome is sent again in every class",
		seed: 1,
		noticedBy: ["at most once"],
		...text("effects.ts", "abandoned: !again,", "abandoned: false,"),
	},
	{
		name: "an unknown outcome is flagged only by its second result",
		seed: 11,
		noticedBy: ["duplicates are flagged"],
		...text(
			"effects.ts",
			'transition: transitionOf({ ...parcel, possibleDuplicate }, "unknown", context),',
			'transition: transitionOf(parcel, "unknown", context),',
		),
	},
	{
		name: "parked receipts are taken back in one transaction and written in another",
		seed: 1889,
		noticedBy: ["receipts count"],
		...text(
			"sweep.ts",
			"if (receipts.length > 0) await writeAll(parts, tx, [], receipts, []);",
			"if (receipts.length > 0) setTimeout(() => void parts.worker.inPlatform((tx) => writeAll(parts, tx, [], receipts, [])).catch(() => undefined), 0);",
		),
	},
	{
		name: "one tenant goes on while it has more",
		seed: 16,
		noticedBy: ["tenants in turn"],
		...text(
			"lanes.ts",
			"lane.lines.delete(tenantId);\n\t\tif (line.batches.length > 0) lane.lines.set(tenantId, line);",
			"if (line.batches.length === 0) lane.lines.delete(tenantId);",
		),
	},
	{
		name: "what is sent at most once leaves with its acceptance",
		seed: 1,
		noticedBy: ["at most once"],
		...text("gate.ts", 'policyOf(classNumber) === "at_least_once" &&', ""),
	},
	{
		name: "an acceptance that failed sends what it would have started",
		seed: 6,
		noticedBy: ["accepted is durable", "own lease"],
		...text("accept.ts", "plan?.cancel();", "plan?.commit();"),
	},
	{
		name: "the last class leaves first",
		seed: 16,
		noticedBy: ["class order"],
		...text(
			"lanes.ts",
			"lanes.slice(0, 1) : lanes.slice(1)",
			"lanes.slice(3) : lanes.slice(0, 3).toReversed()",
		),
	},
	{
		name: "a message of a commit has no hash in the ledger",
		seed: 1,
		noticedBy: ["every message is hashed"],
		...meaning("messages.insert_judged", (usual) => (view, values) => {
			const answer = usual(view, values);
			const { tables, writer } = view;
			const [key] = values[28] as [string];
			const digest = get(tables.digests, writer, key);
			if (digest !== undefined)
				put(tables.digests, writer, key, { ...digest, messageIds: digest.messageIds.slice(1) });
			return answer;
		}),
	},
	{
		name: "a group is stored under the first of its tenants",
		seed: 1,
		noticedBy: [
			"accepted is durable",
			"every message is hashed",
			"consent before promotion",
			"no send after STOP",
		],
		...text("store.ts", "rows.map(() => group.scope)", "rows.map(() => groups[0]!.scope)"),
	},
	{
		name: "each tenant's hashes begin with the first message of the group",
		seed: 1,
		noticedBy: ["every message is hashed"],
		...text("store.ts", "(lasts[i] as number) - rows.length + 1", "1"),
	},
	...mutantsApart,
];
