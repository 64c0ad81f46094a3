/**
 * Group commit: requests that arrive together share a transaction, so that a single send costs what one
 * message of a batch costs. Bounded: beyond `waitingMax` messages the caller is told to come back.
 */
import { Fault } from "#platform/errors.ts";
import { type AcceptAnswer, acceptGroup, type AcceptParts, type AcceptRequest } from "./accept.ts";
import { createGather } from "./gather.ts";

/** Messages of one commit, unless a single request is larger. */
const groupMax = 1_000;
/** Commits under way at once: the database works on one while the next is prepared. */
const commitsMax = 2;
/** How long requests that keep coming are gathered for a commit, milliseconds. */
const gatherMs = 2;
/** Messages that may wait for a commit before 429. */
const waitingMax = 20_000;

interface Waiting {
	readonly request: AcceptRequest;
	readonly resolve: (answer: AcceptAnswer) => void;
	readonly reject: (error: unknown) => void;
}

export interface Acceptor {
	accept(request: AcceptRequest): Promise<AcceptAnswer>;
	/** Messages that wait for a commit. */
	waiting(): number;
	/** Resolves when nothing is under way. */
	idle(): Promise<void>;
}

export function createAcceptor(parts: AcceptParts): Acceptor {
	const queue: Waiting[] = [];
	const inProgress = new Set<string>();
	let waiting = 0;
	let commits = 0;
	let onIdle: (() => void)[] = [];

	const pump = (): void => {
		while (commits < commitsMax && queue.length > 0) {
			const group = takeGroup(queue);
			waiting -= sizeOf(group);
			commits++;
			void commitGroup(parts, group).finally(() => {
				commits--;
				if (queue.length > 0) arrived();
				else if (commits === 0) for (const done of onIdle.splice(0)) done();
			});
		}
	};

	const arrived = createGather({
		clock: parts.clock,
		mostMs: gatherMs,
		enough: groupMax,
		size: () => waiting,
		act: pump,
	});

	return {
		waiting: () => waiting,
		idle: () =>
			queue.length === 0 && commits === 0
				? Promise.resolve()
				: new Promise((resolve) => void (onIdle = [...onIdle, resolve])),
		accept(request) {
			if (waiting + request.drafts.length > waitingMax)
				return Promise.reject(Fault.of("rate_limited", { retryAfterSeconds: 1 }));
			const name = nameOf(request);
			if (name !== undefined && inProgress.has(name))
				return Promise.reject(Fault.of("request_in_progress", { retryAfterSeconds: 1 }));
			if (name !== undefined) inProgress.add(name);
			waiting += request.drafts.length;
			const answered = new Promise<AcceptAnswer>(
				(resolve, reject) => void queue.push({ request, resolve, reject }),
			);
			if (commits < commitsMax) arrived();
			return name === undefined ? answered : answered.finally(() => inProgress.delete(name));
		},
	};
}

function nameOf({ scope, idempotency }: AcceptRequest): string | undefined {
	return idempotency === undefined
		? undefined
		: `${scope.tenantId}/${scope.environment}/${idempotency.keyHash.toString("base64")}`;
}

function takeGroup(queue: Waiting[]): Waiting[] {
	let messages = 0;
	let end = 0;
	while (end < queue.length) {
		const size = (queue[end] as Waiting).request.drafts.length;
		if (end > 0 && messages + size > groupMax) break;
		messages += size;
		end++;
	}
	return queue.splice(0, end);
}

function sizeOf(group: readonly Waiting[]): number {
	return group.reduce((sum, one) => sum + one.request.drafts.length, 0);
}

/** If a group fails for a reason that lies in one of its requests, the others must not suffer: one by one. */
async function commitGroup(parts: AcceptParts, group: readonly Waiting[]): Promise<void> {
	try {
		const answers = await acceptGroup(
			parts,
			group.map((one) => one.request),
		);
		for (const [i, one] of group.entries()) one.resolve(answers[i] as AcceptAnswer);
		parts.onEvents();
	} catch (error) {
		if (error instanceof Fault || group.length === 1) for (const one of group) one.reject(error);
		else for (const one of group) await commitGroup(parts, [one]);
	}
}
