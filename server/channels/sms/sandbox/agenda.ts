/**
 * What is to be done later, in one sorted queue (a binary heap) with one timer, so that a hundred
 * thousand receipts on their way cost a hundred thousand array slots and not as many timers.
 */
import type { Clock } from "#platform/clock.ts";

export interface Agenda {
	/** Runs `act` in `afterMs`. False when the agenda is full: nothing was noted. */
	add(afterMs: number, act: () => void): boolean;
	size(): number;
	/** Forgets everything; nothing runs any more. */
	stop(): void;
}

interface Entry {
	readonly dueMs: number;
	/** Keeps the order of entries that are due together. */
	readonly order: number;
	readonly act: () => void;
}

/** `onFault` is given what an act throws; the others still run. */
export function createAgenda(
	clock: Clock,
	sizeMax: number,
	onFault: (cause: unknown) => void,
): Agenda {
	const heap: Entry[] = [];
	let order = 0;
	let timer: NodeJS.Timeout | undefined;
	let timerDueMs = Number.POSITIVE_INFINITY;
	let stopped = false;

	const arm = (): void => {
		const first = heap[0];
		if (stopped || first === undefined || first.dueMs >= timerDueMs) return;
		clearTimeout(timer);
		timerDueMs = first.dueMs;
		timer = setTimeout(run, Math.max(1, Math.ceil(first.dueMs - clock.elapsed()))).unref();
	};
	const run = (): void => {
		timerDueMs = Number.POSITIVE_INFINITY;
		const now = clock.elapsed();
		while (!stopped && heap[0] !== undefined && heap[0].dueMs <= now) {
			try {
				takeFirst(heap).act();
			} catch (cause) {
				onFault(cause);
			}
		}
		arm();
	};
	return {
		add(afterMs, act) {
			if (stopped || heap.length >= sizeMax) return false;
			put(heap, { dueMs: clock.elapsed() + afterMs, order: order++, act });
			arm();
			return true;
		},
		size: () => heap.length,
		stop() {
			stopped = true;
			heap.length = 0;
			clearTimeout(timer);
		},
	};
}

function before(a: Entry, b: Entry): boolean {
	return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function put(heap: Entry[], entry: Entry): void {
	let at = heap.push(entry) - 1;
	while (at > 0) {
		const parent = (at - 1) >> 1;
		if (!before(entry, heap[parent] as Entry)) break;
		heap[at] = heap[parent] as Entry;
		at = parent;
	}
	heap[at] = entry;
}

function takeFirst(heap: Entry[]): Entry {
	const first = heap[0] as Entry;
	const last = heap.pop() as Entry;
	if (heap.length === 0) return first;
	let at = 0;
	for (;;) {
		let child = at * 2 + 1;
		if (child >= heap.length) break;
		if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
		if (!before(heap[child] as Entry, last)) break;
		heap[at] = heap[child] as Entry;
		at = child;
	}
	heap[at] = last;
	return first;
}
