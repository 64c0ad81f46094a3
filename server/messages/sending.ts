/**
 * The half that sends: lanes, dispatch, receipts, inbound and chores, over a set of routes. It may be one of several
 * on the same database, in processes of their own: the table is the truth, and every batch has one holder. The half
 * that accepts, if it lives in the same process, hands over what it has committed.
 */
import type { Ledger } from "#audit/index.ts";
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
import { UncleanStop } from "#platform/unclean-stop.ts";
import type { Vault } from "#vault/index.ts";
import { createSuspects, type Suspects } from "./apart.ts";
import { presumeUnheard, purgeOld } from "./aging.ts";
import { claimLane, claimMax, releaseBatches, waitingLanes } from "./claim.ts";
import type { LeftBatch, ToAccepting, ToSending } from "./channel.ts";
import { createDispatcher, type Dispatcher, type Outlet } from "./dispatch.ts";
import { createInbound, type Inbound } from "./inbound.ts";
import { createLanes, type Lanes } from "./lanes.ts";
import type { Batch } from "./parcel.ts";
import { createLateAnswers } from "./late-answers.ts";
import { type Loop, startLoop } from "#platform/loop.ts";
import { createPresence } from "./presence.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import { recoverBatches } from "./recover.ts";
import { createRestraint, type Restraint } from "./restraint.ts";
import { createRoom, type Room } from "./room.ts";
import { createRouter, type RouteEntry, type Router } from "./router.ts";
import { type SweepParts, sweepOften, sweepSeldom } from "./sweep.ts";
import { takeOver } from "./take-over.ts";

export interface RouteRuntime extends RouteEntry {
	readonly dialect: Dialect;
	/** Opens the binds; what they hear goes to the handlers. */
	readonly open: (handlers: PoolHandlers) => SmppPool;
}

export interface SendingParts {
	readonly worker: Database;
	readonly vault: Vault;
	readonly ledger: Ledger;
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
	/** How often the table is looked at for waiting messages, milliseconds. */
	readonly pollMs: number;
	/** To the half that accepts in this process, if there is one. */
	readonly post?: (message: ToAccepting) => void;
}

export interface Sending {
	/** Who holds the batches of this half. */
	readonly owner: string;
	/** From the half that accepts in this process. */
	hear(message: ToSending): void;
	/**
	 * Drains: no new batches, in-flight submits settled, results written, the rest given back. Waits so long for
	 * carriers, and again for the database; throws UncleanStop when that was not enough.
	 */
	stop(graceMs: number): Promise<void>;
}

interface Inner extends SendingParts {
	readonly owner: string;
	readonly lanes: Lanes;
	/** Of suspects: see apart.ts. */
	readonly suspects: Suspects;
	readonly trialSize: (routeId: string) => number;
	readonly room: Room;
	readonly restraint: Restraint;
	readonly recorder: Recorder;
	readonly inbound: Inbound;
	readonly onLeft: (batch: Batch) => void;
	readonly outlets: Map<string, Outlet>;
	/** Lanes with work in the table: `route/class`. New messages must not overtake it. */
	readonly backlog: Set<string>;
	/** See ClaimParts. */
	readonly turns: Map<string, string>;
	/** What has left the lanes and is not told yet. */
	left: LeftBatch[];
	/** What was last told of binds and backlog. */
	told: string;
	readonly toldBound: Set<string>;
	/** The loop that claims, once it runs. */
	claiming?: Loop;
}

const classNumbers = [0, 1, 2, 3] as const;
/** Chores that can wait, milliseconds. */
const seldomMs = 300_000;
const convertedLengthMin = 8;
const yearMs = 365 * 86_400_000;
/** How long what has left gathers before it is told, milliseconds. */
const tellMs = 2;

export async function startSending(parts: SendingParts): Promise<Sending> {
	const lanes = createLanes();
	const suspects = createSuspects();
	const outlets = new Map<string, Outlet>();
	const outletOf = (routeId: string): Outlet | undefined => outlets.get(routeId);
	const inner: Inner = {
		...parts,
		owner: parts.ids.next(),
		lanes,
		suspects,
		trialSize: (routeId) => outletOf(routeId)?.pool.trialSize() ?? 1,
		room: createRoom(lanes, suspects, outletOf),
		restraint: createRestraint(parts.clock),
		recorder: createRecorder(parts),
		inbound: inboundOf(parts),
		onLeft: (batch) => noteLeft(inner, [batch]),
		outlets,
		backlog: new Set(),
		turns: new Map(),
		left: [],
		told: "",
		toldBound: new Set(),
	};
	if (parts.alone) await recoverAll(inner);
	const router = createRouter(parts.routes);
	const dispatcher = createDispatcher({
		...inner,
		router,
		outletOf,
		lateAnswers: createLateAnswers(),
		onTaken: (batches) => noteLeft(inner, batches),
	});
	openOutlets(inner, dispatcher);
	measure(inner, dispatcher);
	const presence = createPresence({
		...inner,
		onShare: (share) => inner.outlets.forEach(({ pool }) => pool.share(share)),
	});
	const chores = [
		...startChores(inner, dispatcher, router),
		startLoop({
			log: parts.log,
			name: "messages.presence",
			everyMs: 1_000,
			step: () => presence.look(),
		}),
	];
	return {
		owner: inner.owner,
		hear: (message) => hear(inner, dispatcher, message),
		async stop(graceMs) {
			await Promise.all(chores.map((chore) => chore.stop()));
			const pools = [...inner.outlets.values()].map(({ pool }) => pool.stop(graceMs));
			await Promise.all([dispatcher.stop(), ...pools]);
			const [unwritten] = await Promise.all([inner.recorder.stop(graceMs), inner.inbound.idle()]);
			await giveBack(inner, unwritten);
			await presence.leave();
		},
	};
}

/** What was never started goes back at once. Without a database both that and results wait for the leases to end. */
async function giveBack({ worker, lanes, suspects }: Inner, unwritten: number): Promise<void> {
	const batches = [...lanes.drain(), ...suspects.drain()];
	const messages = batches.reduce((sum, batch) => sum + batch.parcels.length, 0);
	const given = await releaseBatches(worker, batches).then(
		() => true,
		() => false,
	);
	if (given && unwritten === 0) return;
	throw new UncleanStop(
		`The database could not be written to: of ${unwritten} messages it is not known what the carrier said, and ${given ? 0 : messages} were not given back. The next start takes them up.`,
	);
}

// The half that accepts --------------------------------------------------------------------------------------

function hear(inner: Inner, dispatcher: Dispatcher, message: ToSending): void {
	switch (message.kind) {
		case "told":
			return inner.onEvents();
		case "waits":
			for (const lane of message.lanes) inner.backlog.add(lane);
			tellLanes(inner);
			return inner.claiming?.poke();
		case "handed":
			return void takeOver(inner, dispatcher, message).catch((error: unknown) =>
				inner.log.error(
					{ event: "messages.handed", err: error },
					"batches could not be taken over; they wait for the end of their leases",
				),
			);
	}
}

function noteLeft(inner: Inner, batches: readonly Batch[]): void {
	const { post } = inner;
	const handed = batches.filter((batch) => batch.handed);
	if (post === undefined || handed.length === 0) return;
	if (inner.left.length === 0)
		setTimeout(() => {
			post({ kind: "left", batches: inner.left });
			inner.left = [];
		}, tellMs);
	for (const { routeId, class: classNumber, tenantId, started, parcels } of handed)
		inner.left.push({ routeId, class: classNumber, tenantId, started, messages: parcels.length });
}

/** Tells which routes are bound and which lanes have a backlog, when that has changed. */
function tellLanes(inner: Inner): void {
	if (inner.post === undefined) return;
	const bound = inner.routes.map(({ id }) => id).filter((id) => isBound(inner, id));
	const backlog = [...inner.backlog].sort();
	const news = JSON.stringify([bound, backlog]);
	if (news === inner.told) return;
	inner.told = news;
	inner.toldBound.clear();
	for (const id of bound) inner.toldBound.add(id);
	inner.post({ kind: "lanes", bound, backlog });
}

// The carriers -----------------------------------------------------------------------------------------------

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

function inboundOf(parts: SendingParts): Inbound {
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
		pool.onRoom(() => {
			if (!inner.toldBound.has(route.id)) tellLanes(inner);
			dispatcher.wake(route.id);
		});
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
	const { log, lanes, suspects, recorder } = inner;
	const sweep: SweepParts = {
		...inner,
		router,
		heldIds: () => [...lanes.batchIds(), ...suspects.batchIds(), ...recorder.openIds()],
		unservedRouteIds: () =>
			inner.routes.map((route) => route.id).filter((id) => !isBound(inner, id)),
		places: { lanes: new Map() },
	};
	inner.claiming = startLoop({
		log,
		name: "messages.claim",
		everyMs: inner.pollMs,
		step: () => claimAll(inner, dispatcher),
	});
	return [
		inner.claiming,
		startLoop({ log, name: "messages.sweep", everyMs: 1_000, step: () => sweepOften(sweep) }),
		startLoop({
			log,
			name: "messages.housekeep",
			everyMs: seldomMs,
			step: () => sweepSeldom(sweep),
		}),
		startLoop({ log, name: "messages.presume", everyMs: seldomMs, step: presumeUnheard(inner) }),
		startLoop({ log, name: "messages.purge", everyMs: seldomMs, step: purgeOld(inner) }),
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
			const more = waiting.has(name) && (await claimLane(inner, id, classNumber));
			if (!more) backlog.delete(name);
			else {
				backlog.add(name);
				dispatcher.wake(id);
				again = true;
			}
		}
	}
	tellLanes(inner);
	return again;
}

function measure(inner: Inner, dispatcher: Dispatcher): void {
	const { metrics, lanes, suspects, recorder, routes, restraint } = inner;
	const waitingIn = (some: Lanes | Suspects): number =>
		routes.reduce((sum, route) => sum + some.waiting(route.id), 0);
	const bound = (): number => routes.filter((route) => isBound(inner, route.id)).length;
	metrics.gauge(
		"wx_messages_waiting_in_memory",
		"Messages leased, waiting for a carrier.",
		() => waitingIn(lanes) + waitingIn(suspects),
	);
	metrics.gauge(
		"wx_messages_suspect",
		"Messages leased that were lost with a connection and are tried apart.",
		() => waitingIn(suspects),
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
	metrics.gauge(
		"wx_restraint_milliseconds",
		"Rest of other classes between two batches, because one-time codes left late.",
		restraint.restMs,
	);
	metrics.gauge("wx_routes_bound", "Routes of this process with a bind that stands.", bound);
	metrics.gauge("wx_routes", "Routes of this process.", () => routes.length);
}
