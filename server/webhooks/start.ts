/**
 * The two loops of webhooks: from the outbox to deliveries, and from deliveries to receivers. Each works while
 * there is work, then waits for a poke or a fifth of a second. Owns every timer it sets.
 */
import { createDeliverer, type DeliverParts } from "./deliver.ts";
import { fanOut } from "./fan-out.ts";
import { pause } from "./pause.ts";

export type WebhookParts = DeliverParts;

export interface StartedWebhooks {
	/** Says that something may be waiting in the outbox. */
	poke(): void;
	/** No new work, in-flight requests settled; those that take longer than `graceMs` (5 s) are broken off. */
	stop(graceMs?: number): Promise<void>;
}

/** From one look into the outbox that found something, and all of it, to the next: every commit of the path adds rows, and tells. */
const gatherMs = 25;
const idleMs = 200;
const idleMaxMs = 800;
/** After a failure, and at most between two looks. */
const failedMs = 2_000;

export function startWebhooks(parts: WebhookParts): StartedWebhooks {
	const deliverer = createDeliverer(parts, () => delivery.poke());
	const delivery: Loop = startLoop(parts, "webhooks.deliver", async () => ({
		found: await deliverer.step(),
		restMs: 0,
	}));
	const outbox = startLoop(parts, "webhooks.fan_out", async () => {
		const { outboxRows, deliveries, isFull } = await fanOut(parts);
		if (deliveries > 0) delivery.poke();
		return { found: outboxRows, restMs: isFull ? 0 : gatherMs };
	});
	return {
		poke: outbox.poke,
		async stop(graceMs = 5_000) {
			await outbox.stop();
			await Promise.all([delivery.stop(), deliverer.stop(graceMs)]);
			// A step that was leasing when told to stop has given back what it got.
			await deliverer.settled();
		},
	};
}

interface Loop {
	poke(): void;
	stop(): Promise<void>;
}

interface Step {
	readonly found: number;
	/** From its beginning to that of the next, at least, if it found something; milliseconds. */
	readonly restMs: number;
}

/** Runs `step` again while it finds work. What costs more when idle is done less often. */
function startLoop(
	{ clock, log }: Pick<WebhookParts, "clock" | "log">,
	name: string,
	step: () => Promise<Step>,
): Loop {
	let stopping = false;
	let poked = false;
	let sleeping = new AbortController();
	const ending = new AbortController();
	const wake = (): void => {
		poked = true;
		sleeping.abort();
	};
	const run = async (): Promise<void> => {
		while (!stopping) {
			poked = false;
			const began = clock.elapsed();
			let wait = idleMs;
			try {
				const done = await step();
				if (done.found > 0) {
					const restMs = done.restMs - (clock.elapsed() - began);
					if (restMs > 0 && !stopping) await pause(restMs, ending.signal);
					continue;
				}
				wait = Math.min(idleMaxMs, Math.max(idleMs, 4 * (clock.elapsed() - began)));
			} catch (err) {
				log.error({ event: name, err }, "webhooks cannot work; trying again");
				wait = failedMs;
			}
			if (poked || stopping) continue;
			sleeping = new AbortController();
			await pause(wait, sleeping.signal);
		}
	};
	const running = run();
	return {
		poke: wake,
		async stop() {
			stopping = true;
			ending.abort();
			wake();
			await running;
		},
	};
}
