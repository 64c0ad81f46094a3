/**
 * Group commit: requests that arrive together share a transaction, so that a single send costs what one
 * message of a batch costs. One-time codes do not wait behind the others: they have a queue and commits of their
 * own. Bounded: beyond `waitingMax` messages of either kind, or `waitMaxMs`, the caller is told to come back.
 */
import type { Clock } from "#platform/clock.ts";
import { Fault } from "#platform/errors.ts";
import { nextTurn } from "#platform/turns.ts";
import type { AcceptAnswer, AcceptRequest, Answered } from "./accept.ts";
import { createGather } from "./gather.ts";

/** Messages of one commit, unless a single request is larger. */
const groupMax = 1_000;
/** Commits under way at once, of either kind: the database works on one while the next is prepared. */
const commitsMax = 2;
/** How long requests that keep coming are gathered for a commit, milliseconds. */
const gatherMs = { urgent: 2, ordinary: 3 } as const;
/**
 * Two commits go on at once when one of them has this many messages. Few beside few wait for its end, and gather: much of
 * what a single send costs is its share of a commit. Few beside many do not wait, nor do codes.
 */
const besideMin = { urgent: 1, ordinary: 256 } as const;
/** Messages that may wait for a commit before 429: of one-time codes, and of all others. */
const waitingMax = 20_000;
/**
 * Nor does anything join those that wait while the first of them has waited for so long, milliseconds: on a machine that
 * is slow just now fewer may wait, and those who are told to come back are told at once.
 */
const waitMaxMs = 4_000;
/** Messages whose answers are written in one turn of the event loop. */
const answeredAtOnce = 64;

interface Waiting {
	readonly request: AcceptRequest;
	/** On the clock's monotonic scale. */
	readonly sinceMs: number;
	readonly resolve: (answer: Answered) => void;
	readonly reject: (error: unknown) => void;
}

interface Queue {
	readonly requests: Waiting[];
	messages: number;
	commits: number;
	/** Messages of the commits under way. */
	underWay: number;
	readonly besideMin: number;
	/** Something is there, or a commit has ended. */
	readonly arrived: () => void;
}

export interface AcceptorParts {
	readonly clock: Pick<Clock, "elapsed">;
	/** Called after a commit that put something in the outbox. */
	readonly onEvents: () => void;
	readonly commit: (requests: readonly AcceptRequest[]) => Promise<AcceptAnswer[]>;
}

export interface Acceptor {
	/** Rejects when the request was not carried out. */
	accept(request: AcceptRequest): Promise<Answered>;
	/** Messages that wait for a commit. */
	waiting(): number;
	/** Resolves when nothing is under way. */
	idle(): Promise<void>;
}

/** `commit` is `acceptGroup` with its parts; answers in the order of the requests, and throws when nothing was committed. */
export function createAcceptor({ clock, onEvents, commit }: AcceptorParts): Acceptor {
	const inProgress = new Set<string>();
	let onIdle: (() => void)[] = [];
	const isIdle = (): boolean =>
		[urgent, ordinary].every((queue) => queue.requests.length + queue.commits === 0);
	const pump = (queue: Queue): void => {
		while (mayCommit(queue)) {
			const group = takeGroup(queue);
			const messages = messagesOf(group);
			queue.commits++;
			queue.underWay += messages;
			void commitGroup(commit, group, onEvents).finally(() => {
				queue.commits--;
				queue.underWay -= messages;
				if (queue.requests.length > 0) queue.arrived();
				if (isIdle()) for (const done of onIdle.splice(0)) done();
			});
		}
	};
	const urgent = createQueue("urgent", clock, pump);
	const ordinary = createQueue("ordinary", clock, pump);

	return {
		waiting: () => urgent.messages + ordinary.messages,
		idle: () =>
			isIdle() ? Promise.resolve() : new Promise((resolve) => void (onIdle = [...onIdle, resolve])),
		accept(request) {
			const queue = request.drafts.every((draft) => draft.class === "authentication")
				? urgent
				: ordinary;
			if (isFull(queue, request.drafts.length, clock.elapsed()))
				return Promise.reject(Fault.of("rate_limited", { retryAfterSeconds: 1 }));
			const name = nameOf(request);
			if (name !== undefined && inProgress.has(name))
				return Promise.reject(Fault.of("request_in_progress", { retryAfterSeconds: 1 }));
			if (name !== undefined) inProgress.add(name);
			queue.messages += request.drafts.length;
			const answered = new Promise<Answered>(
				(resolve, reject) =>
					void queue.requests.push({ request, sinceMs: clock.elapsed(), resolve, reject }),
			);
			if (mayCommit(queue)) queue.arrived();
			return name === undefined ? answered : answered.finally(() => inProgress.delete(name));
		},
	};
}

/** `act`: when what has arrived is to be committed. */
function createQueue(
	kind: "urgent" | "ordinary",
	clock: AcceptorParts["clock"],
	act: (queue: Queue) => void,
): Queue {
	const arrived = createGather({
		clock,
		mostMs: gatherMs[kind],
		enough: groupMax,
		size: () => queue.messages,
		act: () => act(queue),
	});
	const counts = { messages: 0, commits: 0, underWay: 0 };
	const queue: Queue = { requests: [], ...counts, besideMin: besideMin[kind], arrived };
	return queue;
}

function mayCommit({ requests, messages, commits, underWay, besideMin }: Queue): boolean {
	if (requests.length === 0 || commits >= commitsMax) return false;
	return commits === 0 || Math.max(messages, underWay) >= besideMin;
}

function isFull({ requests, messages }: Queue, more: number, nowMs: number): boolean {
	const [first] = requests;
	if (first !== undefined && nowMs - first.sinceMs > waitMaxMs) return true;
	return messages + more > waitingMax;
}

function messagesOf(group: readonly Waiting[]): number {
	return group.reduce((sum, { request }) => sum + request.drafts.length, 0);
}

function nameOf({ scope, idempotency }: AcceptRequest): string | undefined {
	return idempotency === undefined
		? undefined
		: `${scope.tenantId}/${scope.environment}/${idempotency.keyHash.toString("base64")}`;
}

function takeGroup(queue: Queue): Waiting[] {
	let messages = 0;
	let end = 0;
	for (const { request } of queue.requests) {
		if (end > 0 && messages + request.drafts.length > groupMax) break;
		messages += request.drafts.length;
		end++;
	}
	queue.messages -= messages;
	return queue.requests.splice(0, end);
}

/** If a group fails for a reason that lies in one of its requests, the others must not suffer: it is halved until that one stands alone. */
async function commitGroup(
	commit: AcceptorParts["commit"],
	group: readonly Waiting[],
	onEvents: () => void,
): Promise<void> {
	try {
		const answers = await commit(group.map((one) => one.request));
		void answer(group, answers);
		onEvents();
	} catch (error) {
		if (error instanceof Fault || group.length === 1) for (const one of group) one.reject(error);
		else for (const half of halvesOf(group)) await commitGroup(commit, half, onEvents);
	}
}

function halvesOf<T>(group: readonly T[]): readonly (readonly T[])[] {
	const middle = group.length >> 1;
	return [group.slice(0, middle), group.slice(middle)];
}

/** Showing a message takes its time too: some in each turn. The next commit does not wait for it. */
async function answer(group: readonly Waiting[], answers: readonly AcceptAnswer[]): Promise<void> {
	let shown = 0;
	for (const [i, { request, resolve, reject }] of group.entries()) {
		if (shown >= answeredAtOnce) {
			await nextTurn();
			shown = 0;
		}
		const answer = answers[i] as AcceptAnswer;
		if (answer.kind === "failed") reject(answer.error);
		else resolve(answer);
		shown += request.drafts.length;
	}
}
