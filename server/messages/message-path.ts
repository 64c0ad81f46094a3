/**
 * The message path put together: accept, lanes, dispatch, receipts, inbound and chores, over a set of
 * routes. A process may leave out the sending half (no routes) or share it with others: the table is the
 * truth, and every batch has one holder.
 */
import {
	candidateIds,
	type Deliver,
	type Dialect,
	isReceipt,
	type PoolHandlers,
	readReceipt,
	type SmppPool,
} from "#channels/index.ts";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import type { Ids, Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Metrics } from "#platform/metrics.ts";
import type { Vault } from "#vault/index.ts";
import { claimLane, claimMax, releaseBatches, waitingLanes } from "./claim.ts";
import { createDispatcher, type Dispatcher, type Outlet } from "./dispatch.ts";
import { type Acceptor, createAcceptor } from "./group.ts";
import { createHandover } from "./handover.ts";
import { createInbound, type Inbound } from "./inbound.ts";
import { createLanes, type Lanes } from "./lanes.ts";
import { createLateAnswers } from "./late-answers.ts";
import { type Loop, startLoop } from "#platform/loop.ts";
import { createSenderIndexes } from "./prepare.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import { recoverBatches } from "./recover.ts";
import { createRouter, type RouteEntry, type Router } from "./router.ts";
import { type SweepParts, sweepOften, sweepSeldom } from "./sweep.ts";

export interface RouteRuntime extends RouteEntry {
	readonly dialect: Dialect;
	/** Opens the binds; what they hear goes to the handlers. */
	readonly open: (handlers: PoolHandlers) => SmppPool;
}

export interface MessagePathParts {
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
	/** Called after commits that put something in the outbox. */
	readonly onEvents: () => void;
	/** No other process works on this database: what an earlier one held can be taken at once. */
	readonly alone: boolean;
}

export interface MessagePath {
	readonly acceptor: Acceptor;
	/** Drains: no new batches, in-flight submits settled, results written, the rest given back. */
	stop(graceMs: number): Promise<void>;
}

interface Inner extends MessagePathParts {
	readonly owner: string;
	readonly lanes: Lanes;
	readonly recorder: Recorder;
	readonly inbound: Inbound;
	readonly outlets: Map<string, Outlet>;
	/** Lanes with work in the table: `route/class`. New messages must not overtake it. */
	readonly backlog: Set<string>;
	/** The loop that claims, once it runs. */
	claiming?: Loop;
}

const classNumbers = [0, 1, 2, 3] as const;
const pollMs = 250;
const convertedLengthMin = 8;
const yearMs = 365 * 86_400_000;

export async function startMessages(parts: MessagePathParts): Promise<MessagePath> {
	const inner: Inner = {
		...parts,
		owner: parts.ids.next(),
		lanes: createLanes(),
		recorder: createRecorder(parts),
		inbound: inboundOf(parts),
		outlets: new Map(),
		backlog: new Set(),
	};
	if (parts.alone) await recoverAll(inner);
	const router = createRouter(parts.routes);
	const outletOf = (routeId: string): Outlet | undefined => inner.outlets.get(routeId);
	const dispatcher = createDispatcher({
		...inner,
		router,
		outletOf,
		lateAnswers: createLateAnswers(),
	});
	const handover = parts.routes.length === 0 ? undefined : handoverOf(inner, dispatcher);
	const acceptor = createAcceptor({
		...parts,
		router,
		handover,
		senderIndexes: createSenderIndexes(parts.vault),
	});
	openOutlets(inner, dispatcher);
	measure(inner, dispatcher, acceptor);
	const chores = startChores(inner, dispatcher, router);
	return {
		acceptor,
		async stop(graceMs) {
			await acceptor.idle();
			await Promise.all(chores.map((chore) => chore.stop()));
			const pools = [...inner.outlets.values()].map(({ pool }) => pool.stop(graceMs));
			await Promise.all([dispatcher.stop(), ...pools]);
			await Promise.all([inner.recorder.idle(), inner.inbound.idle()]);
			await releaseBatches(inner.worker, inner.lanes.drain());
		},
	};
}

async function recoverAll(inner: Inner): Promise<void> {
	const recovered = await recoverBatches(inner, inner.clock.now() + yearMs);
	if (recovered.waiting + recovered.unknown > 0)
		inner.log.warn(
			{ event: "messages.recovered", ...recovered },
			"batches of an earlier process were recovered",
		);
}

function isBound(inner: Inner, routeId: string): boolean {
	return inner.outlets.get(routeId)?.pool.state().state === "bound";
}

function handoverOf(inner: Inner, dispatcher: Dispatcher) {
	return createHandover({
		...inner,
		serves: (routeId, classNumber) =>
			isBound(inner, routeId) && !inner.backlog.has(`${routeId}/${classNumber}`),
		overflowed(routeId, classNumber) {
			inner.backlog.add(`${routeId}/${classNumber}`);
			inner.claiming?.poke();
		},
		arrived: (routeIds) => {
			for (const routeId of routeIds) dispatcher.wake(routeId);
		},
	});
}

function inboundOf(parts: MessagePathParts): Inbound {
	const unowned = parts.metrics.counter(
		"wx_inbound_unowned_total",
		"Inbound messages that were not taken: nobody's sender, no number, or no text.",
		{},
	);
	return createInbound({ ...parts, unowned: (texts) => unowned.add({}, texts) });
}

function openOutlets(inner: Inner, dispatcher: Dispatcher): void {
	for (const route of inner.routes) {
		const pool = route.open({
			onDeliver: (deliver) => take(inner, route, deliver),
			onLateAnswer: (late) => dispatcher.late(late),
		});
		inner.outlets.set(route.id, { pool, dialect: route.dialect });
		pool.onRoom(() => dispatcher.wake(route.id));
	}
}

/** What a carrier hands up: a receipt or a person's message. Resolves when it is stored. */
function take(inner: Inner, route: RouteRuntime, { pdu }: Deliver): Promise<void> {
	if (!isReceipt(pdu)) return inner.inbound.receive({ environment: route.environment, pdu });
	const read = readReceipt(pdu);
	if (!read.ok) {
		const event = { event: "receipt.unreadable", route_id: route.id, why: read.why };
		inner.log.warn(event, "a receipt names no message");
		return Promise.resolve();
	}
	const { carrierId, messageState, errorCode } = read.receipt;
	const forms = candidateIds(carrierId, route.dialect.receiptIds);
	// Among a carrier's first few million ids a converted one may be another message's: no guessing there.
	const isGuess = route.dialect.receiptIds === "auto" && carrierId.length < convertedLengthMin;
	const candidates = isGuess ? forms.slice(0, 1) : forms;
	return inner.recorder.receipt({ routeId: route.id, candidates, messageState, errorCode });
}

function startChores(inner: Inner, dispatcher: Dispatcher, router: Router): Loop[] {
	const { log, lanes, recorder } = inner;
	const sweep: SweepParts = {
		...inner,
		router,
		heldIds: () => [...lanes.batchIds(), ...recorder.openIds()],
		unservedRouteIds: () =>
			inner.routes.map((route) => route.id).filter((id) => !isBound(inner, id)),
	};
	inner.claiming = startLoop({
		log,
		name: "messages.claim",
		everyMs: pollMs,
		step: () => claimAll(inner, dispatcher),
	});
	return [
		inner.claiming,
		startLoop({ log, name: "messages.sweep", everyMs: 1_000, step: () => sweepOften(sweep) }),
		startLoop({
			log,
			name: "messages.housekeep",
			everyMs: 300_000,
			step: () => sweepSeldom(sweep),
		}),
	];
}

/** One pass over the lanes; true when the table may hold more that is due. */
async function claimAll(inner: Inner, dispatcher: Dispatcher): Promise<boolean> {
	const { lanes, backlog } = inner;
	const bound = inner.routes.map((route) => route.id).filter((id) => isBound(inner, id));
	const waiting = await waitingLanes(inner, bound);
	let again = false;
	for (const id of bound) {
		// What a bind forgot to say is noticed here: a lane never waits for a wake-up alone.
		dispatcher.wake(id);
		for (const classNumber of classNumbers) {
			const name = `${id}/${classNumber}`;
			if (lanes.waiting(id, classNumber) > claimMax / 2) {
				again ||= backlog.has(name);
				continue;
			}
			const came = waiting.has(name) ? await claimLane(inner, id, classNumber) : 0;
			if (came === 0) backlog.delete(name);
			else {
				backlog.add(name);
				dispatcher.wake(id);
				again = true;
			}
		}
	}
	return again;
}

function measure(inner: Inner, dispatcher: Dispatcher, acceptor: Acceptor): void {
	const { metrics, lanes, recorder, routes } = inner;
	const waiting = (): number => routes.reduce((sum, route) => sum + lanes.waiting(route.id), 0);
	const bound = (): number => routes.filter((route) => isBound(inner, route.id)).length;
	metrics.gauge(
		"wx_messages_unaccepted",
		"Messages waiting for the accept commit.",
		acceptor.waiting,
	);
	metrics.gauge(
		"wx_messages_waiting_in_memory",
		"Messages leased, waiting for a carrier.",
		waiting,
	);
	metrics.gauge(
		"wx_messages_in_flight",
		"Messages without their carrier's answer.",
		dispatcher.inFlight,
	);
	metrics.gauge("wx_results_unwritten", "Answers and receipts not yet written.", recorder.pending);
	metrics.gauge(
		"wx_inbound_unwritten",
		"Texts from people not yet written.",
		inner.inbound.waiting,
	);
	metrics.gauge("wx_routes_bound", "Routes of this process with a bind that stands.", bound);
	metrics.gauge("wx_routes", "Routes of this process.", () => routes.length);
}
