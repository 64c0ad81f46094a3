/**
 * The message path put together: accept, lanes, dispatch, receipts, inbound and chores, over a set of
 * routes. A process may leave out the sending half (no routes) or share it with others: the table is the
 * truth, and every batch has one holder.
 */
import { candidateIds, type Deliver, isReceipt, readReceipt, type SmppPool, type Dialect } from "#channels/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { Vault } from "#vault/index.ts";
import { claimLane, releaseBatches } from "./claim.ts";
import { createDispatcher, type Outlet } from "./dispatch.ts";
import { type Acceptor, createAcceptor } from "./group.ts";
import { createHandover } from "./handover.ts";
import { receiveInbound } from "./inbound.ts";
import { createLanes, laneMax } from "./lanes.ts";
import { createRecorder } from "./recorder.ts";
import { recoverBatches } from "./recover.ts";
import { createRouter, type RouteEntry } from "./router.ts";
import { startLoop } from "./loop.ts";
import { renewOwnLeases, type SweepParts, sweepOften, sweepSeldom } from "./sweep.ts";

export interface RouteRuntime extends RouteEntry {
	readonly dialect: Dialect;
	/** Opens the binds; what they deliver goes to the handler. */
	readonly open: (onDeliver: (deliver: Deliver) => Promise<void>) => SmppPool;
}

export interface MessageServiceParts {
	readonly db: Database;
	readonly worker: Database;
	readonly vault: Vault;
	readonly ids: Ids;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
	readonly metrics: Metrics;
	readonly routes: readonly RouteRuntime[];
	readonly unknownReconcileMs: number;
	/** No other process works on this database: what an earlier one held can be taken at once. */
	readonly alone: boolean;
}

export interface MessageService {
	readonly acceptor: Acceptor;
	/** Routes that have no bind, as sentences. */
	troubles(): string[];
	/** Drains: no new batches, in-flight submits settled, results written, the rest given back. */
	stop(graceMs: number): Promise<void>;
}

const classNumbers = [0, 1, 2, 3] as const;
const pollMs = 250;

export async function startMessages(parts: MessageServiceParts): Promise<MessageService> {
	const { worker, ids, clock, log, metrics } = parts;
	const owner = ids.next();
	const lanes = createLanes();
	const router = createRouter(parts.routes);
	const recorder = createRecorder(parts);
	const outlets = new Map<string, Outlet>();
	/** Lanes with work in the table: `route/class`. New messages must not overtake it. */
	const backlog = new Set<string>();
	const recovery = { worker, ids, clock, unknownReconcileMs: parts.unknownReconcileMs };
	if (parts.alone) {
		const recovered = await recoverBatches(recovery, clock.now() + 365 * 86_400_000);
		if (recovered.waiting + recovered.unknown > 0) log.warn({ event: "messages.recovered", ...recovered }, "batches of an earlier process were recovered");
	}
	const dispatcher = createDispatcher({ ...parts, lanes, recorder, router, owner, outletOf: (routeId) => outlets.get(routeId) });
	const handover = createHandover({
		lanes, ids, clock, owner,
		serves: (routeId, classNumber) => outlets.get(routeId)?.pool.state().state === "bound" && !backlog.has(`${routeId}/${classNumber}`),
		overflowed: (routeId, classNumber) => void backlog.add(`${routeId}/${classNumber}`),
		arrived: (routeIds) => {
			for (const routeId of routeIds) dispatcher.wake(routeId);
		},
	});
	const acceptor = createAcceptor({ ...parts, router, handover: parts.routes.length === 0 ? undefined : handover });
	const unowned = metrics.counter("wx_inbound_unowned_total", "Inbound messages to a sender that no tenant owns.", {});
	const inbound = { ...parts, unowned: () => unowned.add({}) };
	for (const route of parts.routes) {
		const pool = route.open((deliver) => take(route, deliver));
		outlets.set(route.id, { pool, dialect: route.dialect });
		pool.onRoom(() => dispatcher.wake(route.id));
	}

	function take(route: RouteRuntime, { pdu }: Deliver): Promise<void> {
		if (!isReceipt(pdu)) return receiveInbound(inbound, { environment: route.environment, pdu });
		const read = readReceipt(pdu);
		if (!read.ok) {
			log.warn({ event: "receipt.unreadable", route_id: route.id, why: read.why }, "a receipt names no message");
			return Promise.resolve();
		}
		const { carrierId, messageState, errorCode } = read.receipt;
		return recorder.receipt({ routeId: route.id, candidates: candidateIds(carrierId, route.dialect.receiptIds), messageState, errorCode });
	}

	const sweep: SweepParts = { ...recovery, owner, heldIds: () => [...lanes.batchIds(), ...recorder.openIds()], receipt: recorder.receipt };
	const loops = [
		startLoop({ log, name: "messages.claim", everyMs: pollMs, step: () => claimAll() }),
		startLoop({ log, name: "messages.renew", everyMs: 5_000, step: () => renewOwnLeases(sweep) }),
		startLoop({ log, name: "messages.sweep", everyMs: 1_000, step: () => sweepOften(sweep) }),
		startLoop({ log, name: "messages.housekeep", everyMs: 300_000, step: () => sweepSeldom(sweep) }),
	];

	/** One pass over the lanes; goes on at once while the table gives full measure. */
	async function claimAll(): Promise<boolean> {
		let again = false;
		for (const route of parts.routes) {
			if (outlets.get(route.id)?.pool.state().state !== "bound") continue;
			for (const classNumber of classNumbers) {
				if (lanes.waiting(route.id, classNumber) > laneMax / 2) {
					again ||= backlog.has(`${route.id}/${classNumber}`);
					continue;
				}
				const came = await claimLane({ ...parts, lanes, owner }, route.id, classNumber);
				if (came === 0) backlog.delete(`${route.id}/${classNumber}`);
				else {
					backlog.add(`${route.id}/${classNumber}`);
					dispatcher.wake(route.id);
					again = true;
				}
			}
		}
		return again;
	}
	measure(metrics, { waiting: () => parts.routes.reduce((sum, route) => sum + lanes.waiting(route.id), 0), inFlight: dispatcher.inFlight, unwritten: recorder.pending, unaccepted: acceptor.waiting });

	return {
		acceptor,
		troubles: () => parts.routes.filter((route) => outlets.get(route.id)?.pool.state().state !== "bound").map((route) => `SMS route ${route.id} has no bind`),
		async stop(graceMs) {
			await acceptor.idle();
			await Promise.all(loops.map((loop) => loop.stop()));
			await Promise.all([dispatcher.stop(), ...[...outlets.values()].map(({ pool }) => pool.stop(graceMs))]);
			await recorder.idle();
			await releaseBatches(worker, lanes.drain());
		},
	};
}

interface Gauges {
	readonly waiting: () => number;
	readonly inFlight: () => number;
	readonly unwritten: () => number;
	readonly unaccepted: () => number;
}

function measure(metrics: Metrics, gauges: Gauges): void {
	metrics.gauge("wx_messages_waiting_in_memory", "Messages leased and waiting for room at a carrier.", gauges.waiting);
	metrics.gauge("wx_messages_in_flight", "Messages being started or waiting for a carrier's answer.", gauges.inFlight);
	metrics.gauge("wx_results_unwritten", "Carriers' answers and receipts not yet written.", gauges.unwritten);
	metrics.gauge("wx_messages_unaccepted", "Messages waiting for the accept commit.", gauges.unaccepted);
}

