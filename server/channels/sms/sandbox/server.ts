/**
 * The sandbox carrier: a real SMPP v3.4 server on loopback, the default route in development and the
 * only one of test keys. It sends nothing anywhere; what it does with a message is in
 * magic-numbers.ts. Nothing a peer sends can make it throw, and no session disturbs another.
 */
import { createServer, type Socket } from "node:net";
import type { Clock } from "#platform/clock.ts";
import { Fault } from "#platform/errors.ts";
import type { Random } from "#platform/ids.ts";
import type { Log } from "#platform/log.ts";
import type { Bind, Pdu, SubmitSm } from "../smpp/pdu.ts";
import { notServed } from "../smpp/refusal.ts";
import { createSession, defaultTimers, type Session } from "../smpp/session.ts";
import { status } from "../smpp/status.ts";
import { numberTlv, tags } from "../smpp/tlv.ts";
import { type Agenda, createAgenda } from "./agenda.ts";
import { createPostbox, type Postbox, type PostboxCounts } from "./postbox.ts";
import {
	type Account,
	agendaSizeMax,
	createSubmit,
	respond,
	type SubmitCounts,
	type Submitter,
} from "./submit.ts";

export type SandboxAccount = Account;

export interface SandboxParts {
	/** A loopback address: the sandbox is not made for a network. */
	readonly host: string;
	/** 0 takes a free one. */
	readonly port: number;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
	readonly accounts: readonly SandboxAccount[];
	/** How late the number that answers late is. Default 15 s. */
	readonly lateAnswerMs?: number;
}

export interface SandboxStats extends Readonly<SubmitCounts>, Readonly<PostboxCounts> {
	readonly sessions: number;
	/** Answers, receipts and replies that are not due yet. */
	readonly scheduled: number;
	/** Deliver_sm for accounts that have no receiver bound, or a slow one. */
	readonly waiting: number;
}

export interface Sandbox {
	readonly port: number;
	/** Unbinds every session, at the latest after `graceMs`; what was scheduled is given up. */
	stop(graceMs: number): Promise<void>;
	stats(): SandboxStats;
}

const sessionsMax = 256;
const bindWithinMs = 10_000;
const bindTriesMax = 3;
/** Submits left unanswered on one session; the oldest is then answered, far too late. */
const leftMax = 500;

type Role = "unbound" | "transmitter" | "receiver" | "transceiver";

interface Connection {
	readonly session: Session;
	role: Role;
	/** Set by the bind. */
	submitter: Submitter | undefined;
	bindTries: number;
	/** Sequences of submits that are never answered. */
	readonly left: number[];
}

interface State {
	readonly parts: SandboxParts;
	readonly accounts: ReadonlyMap<string, { account: Account; postbox: Postbox }>;
	readonly connections: Set<Connection>;
	readonly agenda: Agenda;
	readonly counts: SubmitCounts & PostboxCounts;
	readonly submit: (from: Submitter, pdu: SubmitSm) => void;
}

/** Starts listening. Throws a Fault for a host that is not loopback. */
export async function startSandbox(parts: SandboxParts): Promise<Sandbox> {
	if (!/^(127(\.\d{1,3}){3}|::1|localhost)$/.test(parts.host))
		throw Fault.of("internal", { message: "The sandbox carrier listens on loopback only." });
	const state = createState(parts);
	const server = createServer({ noDelay: true }, (socket) => connect(state, socket));
	server.maxConnections = sessionsMax;
	server.on("error", (cause) => parts.log.error({ err: cause }, "sandbox server failed"));
	await listen(server, parts.host, parts.port);
	const address = server.address();
	const port = typeof address === "object" && address !== null ? address.port : parts.port;
	parts.log.info({ port }, "sandbox carrier listening");
	return {
		port,
		async stop(graceMs) {
			const closed = new Promise<void>((resolve) => server.close(() => resolve()));
			await Promise.all([...state.connections].map(({ session }) => session.unbind(graceMs)));
			state.agenda.stop();
			await closed;
		},
		stats: () => ({
			...state.counts,
			sessions: state.connections.size,
			scheduled: state.agenda.size(),
			waiting: [...state.accounts.values()].reduce(
				(sum, { postbox }) => sum + postbox.waiting(),
				0,
			),
		}),
	};
}

function createState(parts: SandboxParts): State {
	const { clock, random, log, lateAnswerMs = 15_000 } = parts;
	const agenda = createAgenda(clock, agendaSizeMax, (cause) =>
		log.error({ err: cause }, "sandbox act failed"),
	);
	const submits = { submitted: 0, accepted: 0, refused: 0, unanswered: 0, receipts: 0, replies: 0 };
	const counts = { ...submits, delivered: 0, redelivered: 0, dropped: 0 };
	const accounts = new Map(
		parts.accounts.map((account) => [
			account.systemId,
			{ account, postbox: createPostbox(agenda, counts) },
		]),
	);
	const submit = createSubmit({ clock, random, agenda, counts, lateAnswerMs });
	return { parts, accounts, connections: new Set(), agenda, counts, submit };
}

function connect(state: State, socket: Socket): void {
	const { clock, log } = state.parts;
	if (state.connections.size >= sessionsMax) return void socket.destroy();
	const session = createSession({
		socket,
		clock,
		role: "smsc",
		timers: defaultTimers,
		onRequest: (pdu) => guard(state, connection, () => serve(state, connection, pdu)),
		onDrain: () => reopen(connection),
		onClose: (reason) => {
			state.connections.delete(connection);
			connection.submitter?.postbox.closed(session);
			log.info({ reason }, "sandbox session ended");
		},
	});
	const connection: Connection = {
		session,
		role: "unbound",
		submitter: undefined,
		bindTries: 0,
		left: [],
	};
	state.connections.add(connection);
	state.agenda.add(bindWithinMs, () => {
		if (connection.role === "unbound") session.close();
	});
}

/** A fault of ours in one session ends that session, not the process. */
function guard(state: State, connection: Connection, act: () => void): void {
	try {
		act();
	} catch (cause) {
		state.parts.log.error({ err: cause }, "sandbox session failed");
		connection.session.close();
	}
}

function serve(state: State, connection: Connection, pdu: Pdu): void {
	const { session, role, submitter } = connection;
	switch (pdu.command) {
		case "bind_transmitter":
		case "bind_receiver":
		case "bind_transceiver":
			return bind(state, connection, pdu);
		case "submit_sm":
			if (submitter !== undefined && role !== "receiver") return state.submit(submitter, pdu);
			return session.answer(respond(pdu.sequence, status.invalidBindStatus, ""));
		default: {
			const refusal = notServed(pdu);
			if (refusal !== undefined) session.answer(refusal);
		}
	}
}

function bind(state: State, connection: Connection, pdu: Bind): void {
	const { session } = connection;
	if (connection.role !== "unbound") return answerBind(session, pdu, status.alreadyBound);
	const found = state.accounts.get(pdu.systemId);
	if (found === undefined || found.account.password !== pdu.password) {
		answerBind(session, pdu, found === undefined ? status.invalidSystemId : status.invalidPassword);
		if (++connection.bindTries >= bindTriesMax) void session.unbind(1_000);
		return;
	}
	const { account, postbox } = found;
	connection.role = pdu.command.slice(5) as Role;
	connection.submitter = {
		account,
		session,
		postbox,
		leave: (sequence) => leave(connection, sequence),
	};
	answerBind(session, pdu, status.ok);
	state.parts.log.info(
		{ systemId: account.systemId, role: connection.role },
		"sandbox session bound",
	);
	reopen(connection);
}

function answerBind(session: Session, pdu: Bind, commandStatus: number): void {
	const isBound = commandStatus === status.ok;
	session.answer({
		command: `${pdu.command}_resp`,
		sequence: pdu.sequence,
		status: commandStatus,
		systemId: isBound ? "WAXWING-SANDBOX" : "",
		tlvs: isBound ? [numberTlv(tags.sc_interface_version, 1, 0x34)] : [],
	});
}

function reopen(connection: Connection): void {
	const takesDeliveries = connection.role === "receiver" || connection.role === "transceiver";
	if (takesDeliveries) connection.submitter?.postbox.opened(connection.session);
}

/**
 * A submit that is never answered. The session stops reading when too many requests wait for their
 * answer, so the oldest is answered once hundreds of later ones wait: by then nobody listens.
 */
function leave(connection: Connection, sequence: number): void {
	connection.left.push(sequence);
	if (connection.left.length <= leftMax) return;
	const oldest = connection.left.shift() as number;
	connection.session.answer(respond(oldest, status.systemError, ""));
}

function listen(
	server: ReturnType<typeof createServer>,
	host: string,
	port: number,
): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, host, 512, () => {
			server.off("error", reject);
			resolve();
		});
	});
}
