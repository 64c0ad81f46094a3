/**
 * What people send us. Texts that arrive together, over any number of binds and routes, are written in one
 * transaction, one transaction at a time: whatever came while one ran is in the next. What cannot be stored
 * is refused, so that the carrier sends it again.
 */
import { Fault } from "#platform/errors.ts";
import type { Log } from "#platform/log.ts";
import { type FromPerson, type InboundText, readInbound } from "./inbound-text.ts";
import { type WriteParts, writeTexts } from "./inbound-write.ts";

/** Texts of one transaction. */
const writeMax = 256;
/** Texts that may wait to be written before the carrier is told to come back. */
const waitingMax = 10_000;
/** How long a database that is away is left alone. */
const retryMs = 250;

export interface InboundParts extends WriteParts {
	readonly log: Log;
	/** Counts what is not taken: nobody's sender, no number, or no text. */
	readonly unowned: (texts: number) => void;
	/** Called after commits that put something in the outbox. */
	readonly onEvents: () => void;
}

export interface Inbound {
	/** Resolves when the text is stored (or is nobody's), rejects when it could not be. */
	receive(fromPerson: FromPerson): Promise<void>;
	/** Texts that are not yet written. */
	waiting(): number;
	/** Resolves when nothing is under way. */
	idle(): Promise<void>;
}

interface Waiting {
	readonly text: InboundText;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
}

interface Inner {
	readonly parts: InboundParts;
	/** In the order they arrived: a person's words are heeded in that order. */
	queue: Waiting[];
	/** Texts of the next transaction, at most: one by one while a poisonous one is looked for. */
	most: number;
	writing: boolean;
	readonly onIdle: (() => void)[];
}

export function createInbound(parts: InboundParts): Inbound {
	const inner: Inner = { parts, queue: [], most: writeMax, writing: false, onIdle: [] };
	return {
		receive(fromPerson) {
			if (inner.queue.length >= waitingMax)
				return Promise.reject(new Error("too many texts from people wait"));
			const read = readInbound(fromPerson);
			if (!read.ok) {
				leave(parts, read.why, 1);
				return Promise.resolve();
			}
			const stored = new Promise<void>(
				(resolve, reject) => void inner.queue.push({ text: read.text, resolve, reject }),
			);
			wake(inner);
			return stored;
		},
		waiting: () => inner.queue.length,
		idle: () =>
			inner.writing ? new Promise((resolve) => void inner.onIdle.push(resolve)) : Promise.resolve(),
	};
}

function leave({ log, unowned }: InboundParts, why: string, texts: number): void {
	if (texts === 0) return;
	unowned(texts);
	log.warn({ why, texts }, "inbound messages were not taken");
}

function wake(inner: Inner): void {
	if (inner.writing) return;
	inner.writing = true;
	// The turn of the event loop is the window: everything read in it travels together.
	setImmediate(() => void writeOut(inner));
}

async function writeOut(inner: Inner): Promise<void> {
	while (inner.queue.length > 0) await writeSome(inner);
	inner.writing = false;
	for (const done of inner.onIdle.splice(0)) done();
}

async function writeSome(inner: Inner): Promise<void> {
	const { parts } = inner;
	const some = inner.queue.slice(0, inner.most);
	let written;
	try {
		written = await writeTexts(
			parts,
			some.map((one) => one.text),
		);
	} catch (error) {
		await recover(inner, error, some);
		return;
	}
	inner.most = Math.min(writeMax, inner.most * 2);
	inner.queue = inner.queue.slice(some.length);
	for (const one of some) one.resolve();
	leave(parts, "no_owner", written.unowned);
	if (written.messages > 0) parts.onEvents();
}

/**
 * A database that is away is left alone for a moment, with this batch refused. What it refuses to take is
 * tried again one by one; the one that fails alone is refused alone, so that it cannot hold up the others.
 */
async function recover(inner: Inner, error: unknown, some: readonly Waiting[]): Promise<void> {
	const isAway = error instanceof Fault;
	inner.parts.log.error({ err: error, texts: some.length }, "inbound messages could not be stored");
	if (!isAway && some.length > 1) {
		inner.most = 1;
		return;
	}
	inner.queue = inner.queue.slice(some.length);
	for (const one of some) one.reject(error);
	if (isAway) await new Promise((resolve) => void setTimeout(resolve, retryMs));
}
