/**
 * Deliver_sm on their way to one account: they wait until a receiver is bound and has room, are sent
 * again when it answers "not now" or the connection is lost, and are given up, counted, after that.
 * Bounded: the oldest that waits gives way.
 */
import type { DeliverSm } from "../smpp/pdu.ts";
import type { Answer, Session } from "../smpp/session.ts";
import { status } from "../smpp/status.ts";
import type { Agenda } from "./agenda.ts";

export interface Postbox {
	post(pdu: DeliverSm, preferred?: Session): void;
	/** A session that takes deliver_sm was bound, or has room again. */
	opened(session: Session): void;
	closed(session: Session): void;
	waiting(): number;
}

export interface PostboxCounts {
	delivered: number;
	redelivered: number;
	dropped: number;
}

interface Letter {
	readonly pdu: DeliverSm;
	readonly tries: number;
}

/** Unanswered deliver_sm on one session. */
const window = 1_000;
const waitingMax = 100_000;
const triesMax = 6;
const firstPauseMs = 250;

export function createPostbox(agenda: Agenda, counts: PostboxCounts): Postbox {
	const sessions = new Set<Session>();
	let queue: Letter[] = [];
	let head = 0;

	const enqueue = (letter: Letter): void => {
		queue.push(letter);
		if (queue.length - head <= waitingMax) return;
		head++;
		counts.dropped++;
	};
	const settle = (letter: Letter, again: boolean): void => {
		if (!again) counts.delivered++;
		else if (letter.tries + 1 >= triesMax) counts.dropped++;
		else {
			const retry = (): void => {
				counts.redelivered++;
				enqueue({ pdu: letter.pdu, tries: letter.tries + 1 });
				pumpAll();
			};
			if (!agenda.add(firstPauseMs * 2 ** letter.tries, retry)) counts.dropped++;
		}
	};
	const send = (session: Session, letter: Letter): boolean =>
		session.request(letter.pdu, (answer) => {
			if (answer.kind === "late") return;
			settle(letter, comesAgain(answer));
			pump(session);
		});
	const pump = (session: Session): void => {
		if (!sessions.has(session)) return;
		while (head < queue.length && hasRoom(session)) {
			const letter = queue[head] as Letter;
			if (!send(session, letter)) return;
			head++;
		}
		if (head > 0 && (head === queue.length || head > 4_096)) {
			queue = queue.slice(head);
			head = 0;
		}
	};
	const pumpAll = (): void => {
		for (const session of sessions) pump(session);
	};
	return {
		post(pdu, preferred) {
			const letter = { pdu, tries: 0 };
			const isDirect = preferred !== undefined && sessions.has(preferred) && head === queue.length;
			if (isDirect && hasRoom(preferred) && send(preferred, letter)) return;
			enqueue(letter);
			pumpAll();
		},
		opened(session) {
			sessions.add(session);
			pump(session);
		},
		closed: (session) => void sessions.delete(session),
		waiting: () => queue.length - head,
	};
}

function hasRoom(session: Session): boolean {
	return session.outstanding() < window && !session.blocked();
}

const temporary: ReadonlySet<number> = new Set([
	status.temporaryError,
	status.systemError,
	status.queueFull,
	status.throttled,
]);

/** A peer that says no for good has taken it; anything else comes again, as carriers do. */
function comesAgain(answer: Answer): boolean {
	if (answer.kind !== "response") return true;
	return "status" in answer.pdu && temporary.has(answer.pdu.status);
}
