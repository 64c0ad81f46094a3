/**
 * Gathers results while the last batch is being written, and writes them together. A batch that cannot be
 * written is tried again until a stop is asked for; then leases run out and the deliveries are made again.
 */
import type { Clock } from "#platform/clock.ts";
import { pause } from "./pause.ts";
import { type RecordParts, type Result, record } from "./record.ts";

export interface Recorder {
	add(result: Result): void;
	/** From now on a failure to write is not tried again. */
	hurry(): void;
}

const batchMax = 500;
const retryMs = 1_000;

/** `onRecorded` is told how many results are off its hands. */
export function createRecorder(
	parts: RecordParts & { readonly clock: Clock },
	onRecorded: (count: number) => void,
): Recorder {
	const results: Result[] = [];
	const hurried = new AbortController();
	let writing = false;

	const writeBatch = async (batch: readonly Result[]): Promise<void> => {
		for (;;)
			try {
				return await record(parts, batch, parts.clock.now());
			} catch (err) {
				const event = "webhooks.record_failed";
				parts.log.error({ event, err }, "results of webhooks are not recorded");
				if (hurried.signal.aborted) return;
				await pause(retryMs, hurried.signal);
			}
	};
	const writeAll = async (): Promise<void> => {
		// What else ends in this turn of the event loop joins the batch.
		await new Promise((done) => setImmediate(done));
		while (results.length > 0) {
			const batch = results.splice(0, batchMax);
			await writeBatch(batch);
			onRecorded(batch.length);
		}
		writing = false;
	};
	return {
		add(result) {
			results.push(result);
			if (writing) return;
			writing = true;
			void writeAll();
		},
		hurry: () => hurried.abort(),
	};
}
