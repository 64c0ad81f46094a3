/**
 * The half that sends, put together: the sandbox, the carriers' routes, dispatch, webhooks. It lives on a thread of
 * the default process, or alone in a worker process.
 */
import { createLedger } from "#audit/index.ts";
import { startSandbox } from "#channels/index.ts";
import {
	eventTypeOf,
	type EventRef,
	renderEvents,
	type RouteEntry,
	startSending,
	type ToAccepting,
	type ToSending,
} from "#messages/index.ts";
import { systemClock } from "#platform/clock.ts";
import type { Config } from "#platform/config.ts";
import { createEgress } from "#platform/egress.ts";
import { createIds, systemRandom } from "#platform/ids.ts";
import { createLog } from "#platform/log.ts";
import { createMetrics, type Metrics } from "#platform/metrics.ts";
import { createVault } from "#vault/index.ts";
import { type EventSource, startWebhooks } from "#webhooks/index.ts";
import { openConfiguredKeys, openPool, type Place } from "./database.ts";
import { openRoutes, sandboxAccounts } from "./sms-routes.ts";
import { type OnStop, stopAll } from "./stop.ts";

export interface SendingOptions {
	readonly config: Config;
	readonly place: Place;
	readonly alone: boolean;
	/** To the half that accepts, if it lives in the same process; else the table is looked at more often. */
	readonly post: ((message: ToAccepting) => void) | undefined;
	/** Metrics of the process itself. */
	readonly process: boolean;
}

export interface SendingHalf {
	readonly owner: string;
	/** The sandbox's port. */
	readonly smscPort: number;
	readonly routes: readonly RouteEntry[];
	readonly metrics: Metrics;
	hear(message: ToSending): void;
	/** Waits so long (ten seconds unless told) for carriers, and again for the database; see UncleanStop. */
	stop(withinMs?: number): Promise<void>;
}

/** How long in-flight submits may take to settle at a stop. */
const graceMs = 10_000;
/** How long events gather before webhooks look at the outbox. */
const gatherMs = 50;
/** How often the table is looked at for waiting messages: by a half that is told, and by one that is not. */
const pollMs = { told: 250, alone: 20 } as const;

export async function openSendingHalf(options: SendingOptions): Promise<SendingHalf> {
	const { config, place } = options;
	const clock = systemClock;
	const random = systemRandom();
	const ids = createIds(clock, random);
	const log = createLog(config.logLevel);
	const metrics = createMetrics({ process: options.process });
	const onStop: OnStop = [];
	let patienceMs: number = graceMs;
	const stop = (withinMs: number = graceMs): Promise<void> => {
		patienceMs = withinMs;
		return stopAll(onStop);
	};
	try {
		const keys = await openConfiguredKeys(config, random, false);
		onStop.push(() => keys.close());
		const db = openPool(place, "app", keys.platformKey);
		const worker = openPool(place, "worker", keys.platformKey);
		onStop.push(async () => void (await Promise.all([db.close(), worker.close()])));
		// Erasures are done by the other half: no contact key is kept from one piece of work to the next.
		const vault = createVault({ db, ...keys, random, clock, contactsMax: 0 });
		const accounts = sandboxAccounts(random);
		const host = "127.0.0.1";
		const shared = { db, worker, vault, clock, random, ids, log, metrics };
		const sandbox = await startSandbox({ ...shared, host, port: config.sandboxPort, accounts });
		onStop.push(() => sandbox.stop(1_000));
		const egress = createEgress({ allow: config.egressAllow, clock });
		const at = { port: sandbox.port, accounts };
		const routes = await openRoutes({ ...shared, config, egress, sandbox: at });
		const poke = { webhooks: (): void => undefined };
		const sending = await startSending({
			...shared,
			ledger: createLedger(shared),
			routes,
			unknownReconcileMs: config.unknownReconcileMs,
			alone: options.alone,
			onEvents: gathered(() => poke.webhooks()),
			pollMs: options.post === undefined ? pollMs.alone : pollMs.told,
			...(options.post !== undefined && { post: options.post }),
		});
		onStop.push(() => sending.stop(patienceMs));
		const source: EventSource = {
			topic: "sms",
			eventTypeOf: (ref) => eventTypeOf(ref as unknown as EventRef),
			render: (refs, scope) =>
				renderEvents({ db, vault }, scope, refs as unknown as readonly EventRef[]),
		};
		const webhooks = startWebhooks({ ...shared, db: worker, egress, sources: [source] });
		poke.webhooks = webhooks.poke;
		onStop.push(() => webhooks.stop());
		const { owner, hear } = sending;
		return { owner, hear, smscPort: sandbox.port, routes: routes.map(entryOf), metrics, stop };
	} catch (error) {
		await stop();
		throw error;
	}
}

function entryOf({ id, environment, countries, priority }: RouteEntry): RouteEntry {
	return { id, environment, countries, priority };
}

/** Calls `act` soon after the first of any number of calls: many commits a second are one wake-up. */
function gathered(act: () => void): () => void {
	let timer: NodeJS.Timeout | undefined;
	return () => {
		timer ??= setTimeout(() => {
			timer = undefined;
			act();
		}, gatherMs).unref();
	};
}
