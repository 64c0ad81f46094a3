/**
 * Callers who could not prove who they are, or may not do what they asked, in the ledger, and never a way to
 * fill it: a few a minute for each source and in all, the rest as one count. They wait in memory for the next
 * flush, so that no request waits for them; a process that dies takes at most a second of them along.
 */
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Refusal } from "#platform/http-audit.ts";
import type { Vault } from "#vault/index.ts";
import { actorOf } from "./auditing.ts";
import { type Act, type Ledger, system } from "./ledger.ts";
import { platformLog } from "./store.ts";

export interface RefusalParts {
	readonly ledger: Ledger;
	readonly db: Pick<Database, "inPlatform">;
	readonly vault: Pick<Vault, "platformIndex">;
	readonly clock: Clock;
}

export interface Refusals {
	add(refusal: Refusal): void;
	/** Writes what waits. What cannot be written is counted. `last`: the count too, and what cannot be written waits on. */
	flush(last?: boolean): Promise<void>;
	/** Refusals that no entry tells of yet, one by one or counted. */
	unwritten(): number;
}

const minuteMs = 60_000;
/** One by one, a minute. */
export const perSource = 5;
export const inAll = 200;
const sourcesMax = 1_000;

export function createRefusals({ ledger, db, vault, clock }: RefusalParts): Refusals {
	let waiting: Act[] = [];
	let minuteAtMs = clock.elapsed();
	let sources = new Map<string, number>();
	let taken = 0;
	/** Beyond the quotas, since the last count was written. */
	let uncounted = 0;

	const admits = (source: string): boolean => {
		const seen = sources.get(source) ?? 0;
		if (seen >= perSource || taken >= inAll) return false;
		if (seen === 0 && sources.size >= sourcesMax) return false;
		sources.set(source, seen + 1);
		taken++;
		return true;
	};

	const rollOver = (atOnce = false): void => {
		const nowMs = clock.elapsed();
		if (!atOnce && nowMs - minuteAtMs < minuteMs) return;
		const seconds = Math.round((nowMs - minuteAtMs) / 1_000);
		if (uncounted > 0)
			waiting.push({
				log: platformLog,
				event: "authentication.failures",
				actor: system,
				data: { count: uncounted, seconds },
			});
		[minuteAtMs, sources, taken, uncounted] = [nowMs, new Map(), 0, 0];
	};

	return {
		add(refusal) {
			rollOver();
			const source = networkOf(refusal.source);
			const name = refusal.caller === undefined ? source : refusal.caller.keyId;
			if (waiting.length >= inAll || !admits(name)) {
				uncounted++;
				return;
			}
			waiting.push(actOf(refusal, sourceIndex(vault, source), source));
		},
		unwritten: () => uncounted + waiting.reduce((sum, act) => sum + countOf(act), 0),
		async flush(last = false) {
			rollOver(last);
			if (waiting.length === 0) return;
			const acts = waiting;
			waiting = [];
			const failures: unknown[] = [];
			for (const [log, those] of Map.groupBy(acts, (act) => act.log)) {
				const write = db.inPlatform(async (tx) => {
					if (log !== platformLog) tx.enter({ tenantId: log, environment: "live" });
					await ledger.record(tx, those);
				});
				await write.catch((error: unknown) => {
					if (last) waiting.push(...those);
					else uncounted += those.reduce((sum, act) => sum + countOf(act), 0);
					failures.push(error);
				});
			}
			if (failures.length > 0) throw failures[0];
		},
	};
}

/** How many refusals an act stands for. */
function countOf({ event, data }: Act): number {
	return event === "authentication.failures" ? Number(data?.["count"]) : 1;
}

function actOf({ why, caller, route, requestId }: Refusal, index: string, source: string): Act {
	if (caller === undefined || caller.tenantId === "")
		return {
			log: platformLog,
			event: "authentication.failed",
			actor: caller === undefined ? { type: "unknown", id: null } : actorOf(caller),
			outcome: "refused",
			requestId,
			data: { why, source: index },
			detail: { source, route },
		};
	return {
		log: caller.tenantId,
		event: "permission.denied",
		actor: actorOf(caller),
		environment: caller.environment,
		outcome: "refused",
		requestId,
		data: { route },
	};
}

/** An address is personal: in the clear stands only a keyed hash of it, which tells equal ones. */
function sourceIndex(vault: RefusalParts["vault"], source: string): string {
	return vault.platformIndex("", "audit.source", source).subarray(0, 16).toString("hex");
}

/** Whoever has an IPv6 address has the 2⁶⁴ of its network. */
function networkOf(source: string): string {
	const plain = source.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
	if (!plain.includes(":")) return plain;
	const [head = "", tail] = plain.split("%", 1)[0]?.split("::") ?? [];
	const groups = head.split(":").filter((group) => group !== "");
	const missing =
		tail === undefined ? 0 : 8 - groups.length - tail.split(":").filter(Boolean).length;
	const all = [
		...groups,
		...Array.from({ length: missing }, () => "0"),
		...(tail ?? "").split(":"),
	];
	return `${all
		.slice(0, 4)
		.map((group) => Number.parseInt(group || "0", 16).toString(16))
		.join(":")}::/64`;
}
