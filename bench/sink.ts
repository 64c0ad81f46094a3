/**
 * A carrier for measurements and fault tests: an SMSC on loopback that answers submits at once and sends
 * DELIVRD receipts in batches a few milliseconds later, over whatever bind stands, until they are
 * acknowledged. It counts what it saw by destination; a fault test may make it misbehave. It shares the
 * codec with the product and nothing else. Run as a process it reports over IPC.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createFramer } from "../server/channels/sms/smpp/frame.ts";
import {
	decode,
	deliverSm,
	encode,
	type Pdu,
	type SubmitSm,
} from "../server/channels/sms/smpp/pdu.ts";
import { numberTlv, tags, textTlv } from "../server/channels/sms/smpp/tlv.ts";

export interface SinkOptions {
	readonly port?: number;
	/** Receipts wait this long and leave together. */
	readonly receiptAfterMs?: number;
	/** Receipts without an answer for so long are sent again, as carriers do; not unless given. */
	readonly receiptTimeoutMs?: number;
	/** Ids count up from here. */
	readonly firstId?: number;
	/** What becomes of a submit; accepted unless it says otherwise. Called before anything is answered. */
	readonly judge?: (pdu: SubmitSm) => Judgement;
}

/** `silent`: taken and receipted, never answered. `drop`: taken, then the connection is reset. */
export type Judgement = "accept" | "silent" | "drop";

export interface Sink {
	readonly port: number;
	/** submit_sm taken. */
	submits(): number;
	/** Receipts that the client has acknowledged. */
	acknowledged(): number;
	/** Receipts not yet acknowledged. */
	owed(): number;
	connections(): number;
	/** Called with each submit as it arrives, and the number of the connection it came by. */
	onSubmit: ((pdu: SubmitSm, connection: number) => void) | undefined;
	onAcknowledged: (() => void) | undefined;
	/** Whether submits are owed a receipt; they are unless told otherwise. */
	receipts: boolean;
	/** Stops listening and resets every connection; what is owed stays owed. */
	down(): Promise<void>;
	up(): Promise<void>;
}

interface Receipt {
	readonly id: string;
	readonly source: SubmitSm["source"];
	readonly destination: SubmitSm["destination"];
}

interface Peer {
	readonly socket: Socket;
	/** Connections are counted up. */
	readonly number: number;
	bound: boolean;
	sequence: number;
	readonly unacknowledged: Map<number, Receipt>;
}

/** Receipts without an answer per connection: carriers have a window too. */
const receiptWindow = 1_000;
const receiptDate = "2611221200";

export async function startSink(options: SinkOptions = {}): Promise<Sink> {
	const peers = new Set<Peer>();
	const queue: Receipt[] = [];
	const { receiptAfterMs = 5, receiptTimeoutMs = 0, judge = () => "accept" } = options;
	let nextId = options.firstId ?? 1_000_000_000;
	let submits = 0;
	let connections = 0;
	let acknowledged = 0;
	let armed = false;
	let server: Server | undefined;

	const arm = (): void => {
		if (armed || queue.length === 0) return;
		armed = true;
		setTimeout(flush, receiptAfterMs);
	};
	const flush = (): void => {
		armed = false;
		for (const peer of peers) {
			const room = receiptWindow - peer.unacknowledged.size;
			if (!peer.bound || room <= 0) continue;
			const some = queue.splice(0, room);
			if (some.length === 0) continue;
			peer.socket.write(Buffer.concat(some.map((receipt) => writeReceipt(peer, receipt))));
			if (receiptTimeoutMs > 0) setTimeout(() => sendAgain(peer, some), receiptTimeoutMs).unref();
		}
	};
	const sendAgain = (peer: Peer, some: readonly Receipt[]): void => {
		// When the connection has ended they are back in the queue already.
		if (!peers.has(peer)) return;
		for (const [sequence, receipt] of peer.unacknowledged) {
			if (!some.includes(receipt)) continue;
			peer.unacknowledged.delete(sequence);
			queue.push(receipt);
		}
		arm();
	};
	const take = (peer: Peer, pdu: SubmitSm, out: Buffer[]): void => {
		submits++;
		const id = String(nextId++);
		sink.onSubmit?.(pdu, peer.number);
		const verdict = judge(pdu);
		if (sink.receipts) queue.push({ id, source: pdu.source, destination: pdu.destination });
		if (verdict === "drop") return void peer.socket.resetAndDestroy();
		if (verdict === "accept")
			out.push(
				encode({
					command: "submit_sm_resp",
					sequence: pdu.sequence,
					status: 0,
					messageId: id,
					tlvs: [],
				}),
			);
	};
	const settle = (peer: Peer, sequence: number, status: number): void => {
		const receipt = peer.unacknowledged.get(sequence);
		if (receipt === undefined) return;
		peer.unacknowledged.delete(sequence);
		if (status === 0) {
			acknowledged++;
			sink.onAcknowledged?.();
		} else {
			// Told to come back: a carrier waits before it does.
			setTimeout(() => {
				queue.push(receipt);
				arm();
			}, 250);
		}
	};
	const answer = (peer: Peer, pdu: Pdu, out: Buffer[]): void => {
		switch (pdu.command) {
			case "submit_sm":
				return take(peer, pdu, out);
			case "deliver_sm_resp":
				return settle(peer, pdu.sequence, pdu.status);
			case "bind_transceiver":
			case "bind_receiver":
			case "bind_transmitter":
				peer.bound = pdu.command !== "bind_transmitter";
				return void out.push(
					encode({
						command: `${pdu.command}_resp`,
						sequence: pdu.sequence,
						status: 0,
						systemId: "sink",
						tlvs: [],
					}),
				);
			case "enquire_link":
			case "unbind":
				return void out.push(
					encode({ command: `${pdu.command}_resp`, sequence: pdu.sequence, status: 0 }),
				);
			default:
		}
	};
	const serve = (socket: Socket): void => {
		const peer: Peer = {
			socket,
			number: connections++,
			bound: false,
			sequence: 1,
			unacknowledged: new Map(),
		};
		const framer = createFramer();
		peers.add(peer);
		socket.setNoDelay(true).on("error", () => undefined);
		socket.once("close", () => {
			peers.delete(peer);
			queue.push(...peer.unacknowledged.values());
		});
		socket.on("data", (chunk: Buffer) => {
			const out: Buffer[] = [];
			framer.push(chunk, (octets) => {
				const read = decode(octets);
				if (!read.ok) throw new Error(`the sink was sent what it cannot read: ${read.reason}`);
				answer(peer, read.pdu, out);
				return !socket.destroyed;
			});
			if (out.length > 0 && socket.writable)
				socket.write(out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out));
			arm();
		});
	};
	const listen = async (port: number): Promise<number> => {
		server = createServer(serve).listen(port, "127.0.0.1");
		await once(server, "listening");
		return (server.address() as AddressInfo).port;
	};
	const port = await listen(options.port ?? 0);
	const sink: Sink = {
		port,
		submits: () => submits,
		acknowledged: () => acknowledged,
		owed: () => queue.length + [...peers].reduce((sum, peer) => sum + peer.unacknowledged.size, 0),
		connections: () => peers.size,
		onSubmit: undefined,
		onAcknowledged: undefined,
		receipts: true,
		async down() {
			const closing = server;
			if (closing === undefined) return;
			server = undefined;
			closing.close();
			for (const { socket } of peers) socket.resetAndDestroy();
			await once(closing, "close");
		},
		async up() {
			if (server === undefined) await listen(port);
		},
	};
	return sink;
}

function writeReceipt(peer: Peer, receipt: Receipt): Buffer {
	const sequence = peer.sequence++;
	peer.unacknowledged.set(sequence, receipt);
	const { id, source, destination } = receipt;
	const text = `id:${id} sub:001 dlvrd:001 submit date:${receiptDate} done date:${receiptDate} stat:DELIVRD err:000 text:`;
	return encode(
		deliverSm({
			sequence,
			source: destination,
			destination: source,
			esmClass: 0x04,
			shortMessage: Buffer.from(text, "latin1"),
			tlvs: [textTlv(tags.receipted_message_id, id, true), numberTlv(tags.message_state, 1, 2)],
		}),
	);
}

// As a process ------------------------------------------------------------------------------------------------

/** What the process tells of the submits since the last `reset`; times by the machine's monotonic clock. */
export interface SinkReport {
	/** By the number's index: when it was first seen, milliseconds; 0 for never. */
	readonly seenAtMs: Float64Array;
	readonly unique: number;
	readonly duplicates: number;
	/** Submits by connection, in the order in which they first sent one. */
	readonly binds: readonly number[];
	readonly lastSubmitMs: number;
	readonly acknowledged: number;
	readonly lastAcknowledgedMs: number;
}

/** What the process is asked: begin anew, tell, or be there or not. */
export interface SinkQuestion {
	readonly reset?: number;
	readonly receipts?: boolean;
	readonly report?: boolean;
	readonly listen?: boolean;
}

async function serveParent(): Promise<void> {
	const sink = await startSink();
	const digits = 8;
	let seenAtMs = new Float64Array(0);
	let [unique, duplicates, lastSubmitMs, lastAcknowledgedMs, before] = [0, 0, 0, 0, 0];
	const binds = new Map<number, number>();
	sink.onSubmit = ({ destination }, connection) => {
		binds.set(connection, (binds.get(connection) ?? 0) + 1);
		const index = Number(destination.address.slice(-digits));
		if ((seenAtMs[index] ?? 1) !== 0) duplicates++;
		else {
			lastSubmitMs = monotonicMs();
			seenAtMs[index] = lastSubmitMs;
			unique++;
		}
	};
	sink.onAcknowledged = () => void (lastAcknowledgedMs = monotonicMs());
	process.on("message", (asked: SinkQuestion) => {
		if (asked.listen !== undefined) {
			void (asked.listen ? sink.up() : sink.down()).then(() => process.send?.({}));
			return;
		}
		if (asked.reset !== undefined) {
			sink.receipts = asked.receipts !== false;
			seenAtMs = new Float64Array(asked.reset);
			[unique, duplicates, lastSubmitMs, lastAcknowledgedMs] = [0, 0, 0, 0];
			binds.clear();
			before = sink.acknowledged();
			process.send?.({ reset: true });
			return;
		}
		const counts = {
			unique,
			duplicates,
			binds: [...binds.values()],
			lastSubmitMs,
			acknowledged: sink.acknowledged() - before,
			lastAcknowledgedMs,
		};
		process.send?.(asked.report === true ? { ...counts, seenAtMs } : counts);
	});
	process.once("disconnect", () => process.exit());
	process.send?.({ port: sink.port });
}

/** The same in all processes of a machine: CLOCK_MONOTONIC. */
export function monotonicMs(): number {
	return Number(process.hrtime.bigint()) / 1e6;
}

if (import.meta.main) await serveParent();
