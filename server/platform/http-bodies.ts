/**
 * How much of large bodies may be worked on at once. Reading and judging a batch holds the process for tens of
 * milliseconds, one after the other, and whatever else arrives waits behind them: what goes beyond is told to
 * come back before its body is read. Small requests are never refused here. Knows nothing of what is in a body.
 */
import { Fault } from "./errors.ts";

/** Smaller bodies do not count; nor do those that do not say their length, which `bodyLimit` bounds. */
export const largeBytes = 16_384;
/**
 * Bytes of large bodies whose requests are not answered yet: some nine batches of a thousand messages, more
 * than the commits under way can hold. So small that what is read is also accepted: to read and then to
 * refuse would cost almost as much as accepting.
 */
const openBytesMax = 1_835_008;

export interface BodyAllowance {
	/** What to give back when the request is answered or gone. @throws Fault `rate_limited` */
	take(contentLength: string | undefined): number;
	giveBack(bytes: number): void;
}

export function createBodyAllowance(): BodyAllowance {
	let openBytes = 0;
	return {
		take(contentLength) {
			const bytes = Number(contentLength ?? 0);
			if (!(bytes > largeBytes)) return 0;
			// One alone may be as large as its route allows.
			if (openBytes > 0 && openBytes + bytes > openBytesMax)
				throw Fault.of("rate_limited", { retryAfterSeconds: 1 });
			openBytes += bytes;
			return bytes;
		},
		giveBack(bytes) {
			openBytes -= bytes;
		},
	};
}
