/**
 * Time, timers and the order of events of a simulation: one queue, one step at a time. While it is installed,
 * the global timers are its own, so that product code which waits does not wait for real. Every event belongs
 * to a process of the product (or to the world): what a dead process waited for never comes to it.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** A running process of the product, as far as time is concerned. */
export interface Owner {
	readonly name: string;
	isAlive: boolean;
	/** Until this virtual moment nothing of it runs: a pause of the whole process. */
	frozenUntilMs: number;
	/** How far its wall clock is ahead. */
	skewMs: number;
}

export interface Event {
	readonly atMs: number;
	readonly order: number;
	readonly owner: Owner | undefined;
	/** Set to undefined, it does not happen. */
	work: (() => void) | undefined;
}

export interface VirtualTime {
	/** Virtual milliseconds since the start. */
	now(): number;
	schedule(delayMs: number, owner: Owner | undefined, work: () => void): Event;
	/** Runs the next event and everything that follows from it at once; false when there is none. */
	step(): Promise<boolean>;
	/** Nothing runs for so long, as when a laptop sleeps. */
	skip(ms: number): void;
	/** How long was skipped, in all. */
	skippedMs(): number;
	/** When the next event is due; undefined when there is none. */
	nextMs(): number | undefined;
	as<T>(owner: Owner | undefined, work: () => T): T;
	current(): Owner | undefined;
	/** Replaces the global timers; the returned function puts them back. */
	install(): () => void;
}

const realImmediate = globalThis.setImmediate;

let drains = 0;

/**
 * Resolves when every promise that can go on has gone on: a tick comes after all microtasks. Now and then a turn of
 * the event loop, in which Node notices rejections that nobody handles.
 */
function drained(): Promise<void> {
	const isTurn = (++drains & 63) === 0;
	return new Promise(
		(resolve) => void (isTurn ? realImmediate(resolve) : process.nextTick(resolve)),
	);
}

export function createVirtualTime(): VirtualTime {
	const context = new AsyncLocalStorage<Owner | undefined>();
	const events: Event[] = [];
	let nowMs = 0;
	let order = 0;
	let skippedMs = 0;
	const time: VirtualTime = {
		now: () => nowMs,
		schedule(delayMs, owner, work) {
			const atMs = nowMs + Math.max(0, Number.isFinite(delayMs) ? delayMs : 0);
			const event = { atMs, order: order++, owner, work };
			push(events, event);
			return event;
		},
		async step() {
			const event = pop(events);
			if (event === undefined) return false;
			const { owner, work } = event;
			if (work === undefined || owner?.isAlive === false) return true;
			nowMs = Math.max(nowMs, event.atMs);
			if (owner !== undefined && owner.frozenUntilMs > nowMs) {
				push(events, { ...event, atMs: owner.frozenUntilMs });
				return true;
			}
			event.work = undefined;
			context.run(owner, work);
			await drained();
			return true;
		},
		skip(ms) {
			nowMs += ms;
			skippedMs += ms;
		},
		skippedMs: () => skippedMs,
		nextMs: () => events[0]?.atMs,
		as: (owner, work) => context.run(owner, work),
		current: () => context.getStore(),
		install: () => install(time),
	};
	return time;
}

function install(time: VirtualTime): () => void {
	const { setTimeout, setImmediate, clearTimeout, clearImmediate } = globalThis;
	const later = (ms: number, work: () => void): object => {
		const event = time.schedule(ms, time.current(), work);
		const handle = { event, unref: () => handle, ref: () => handle, hasRef: () => true };
		return handle;
	};
	const cancel = (handle: unknown): void => {
		const { event } = (handle ?? {}) as { event?: Event };
		if (event !== undefined) event.work = undefined;
	};
	// A simulation makes thousands of failures on purpose; their stacks are the dearest part of them.
	const { stackTraceLimit } = Error;
	Error.stackTraceLimit = 0;
	Object.assign(globalThis, {
		setTimeout: (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
			later(ms, () => work(...args)),
		setImmediate: (work: (...args: unknown[]) => void, ...args: unknown[]) =>
			later(0, () => work(...args)),
		clearTimeout: cancel,
		clearImmediate: cancel,
	});
	return () => {
		Error.stackTraceLimit = stackTraceLimit;
		Object.assign(globalThis, { setTimeout, setImmediate, clearTimeout, clearImmediate });
	};
}

// A binary heap by time, then by order of arrival ----------------------------------------------------------

function isBefore(a: Event, b: Event): boolean {
	return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
	let at = heap.length;
	heap.push(event);
	while (at > 0) {
		const parent = (at - 1) >> 1;
		if (!isBefore(event, heap[parent] as Event)) break;
		heap[at] = heap[parent] as Event;
		at = parent;
	}
	heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
	const [first] = heap;
	const last = heap.pop();
	if (first === undefined || last === undefined || heap.length === 0) return first;
	let at = 0;
	for (;;) {
		let child = 2 * at + 1;
		if (child >= heap.length) break;
		if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event))
			child++;
		if (!isBefore(heap[child] as Event, last)) break;
		heap[at] = heap[child] as Event;
		at = child;
	}
	heap[at] = last;
	return first;
}
