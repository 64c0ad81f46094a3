/**
 * For tests only: a small SMSC on loopback that does what a test tells it and records what it was
 * sent. It shares the codec with the product but neither session nor pool.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Secret } from "#platform/hidden.ts";
import { dialects } from "./dialect.ts";
import { createFramer } from "./frame.ts";
import { decode, encode, type Pdu, type SubmitSm } from "./pdu.ts";
import type { SmppRoute } from "./pool.ts";
import type { SmsSubmission } from "./submission.ts";

export interface PeerConnection {
	readonly socket: Socket;
	readonly received: Pdu[];
	send(...pdus: readonly Pdu[]): void;
}

export interface Peer {
	readonly port: number;
	readonly connections: PeerConnection[];
	readonly submits: SubmitSm[];
	/** What every other test does: the default answer to a PDU. */
	usual(pdu: Pdu, connection: PeerConnection): void;
	close(): Promise<void>;
}

/** `act` sees every PDU first; when it returns true the peer does nothing more about it. */
export async function startPeer(
	act: (pdu: Pdu, connection: PeerConnection, peer: Peer) => boolean | void = () => {},
	tls?: { key: string; cert: string },
): Promise<Peer> {
	const serve = (socket: Socket): void => {
		const send = (...pdus: readonly Pdu[]): void =>
			void socket.write(Buffer.concat(pdus.map(encode)));
		const connection: PeerConnection = { socket, received: [], send };
		peer.connections.push(connection);
		const framer = createFramer();
		socket.setNoDelay(true).on("error", () => {});
		socket.on("data", (chunk: Buffer) => {
			framer.push(chunk, (octets) => {
				const result = decode(octets);
				if (!result.ok) throw new Error(`the peer was sent what it cannot read: ${result.reason}`);
				connection.received.push(result.pdu);
				if (result.pdu.command === "submit_sm") peer.submits.push(result.pdu);
				if (act(result.pdu, connection, peer) !== true) peer.usual(result.pdu, connection);
			});
		});
	};
	const server: Server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	let accepted = 0;
	const peer: Peer = {
		port: (server.address() as AddressInfo).port,
		connections: [],
		submits: [],
		usual(pdu, { send, socket }) {
			const { command } = pdu;
			if (
				command === "bind_transceiver" ||
				command === "bind_receiver" ||
				command === "bind_transmitter"
			)
				send({
					command: `${command}_resp`,
					sequence: pdu.sequence,
					status: 0,
					systemId: "peer",
					tlvs: [],
				});
			else if (command === "submit_sm") send(submitResp(pdu, `id${++accepted}`));
			else if (command === "enquire_link")
				send({ command: "enquire_link_resp", sequence: pdu.sequence, status: 0 });
			else if (command === "unbind") {
				send({ command: "unbind_resp", sequence: pdu.sequence, status: 0 });
				socket.end();
			}
		},
		async close() {
			for (const { socket } of peer.connections) socket.destroy();
			server.close();
			await once(server, "close");
		},
	};
	return peer;
}

export function submitResp(pdu: Pdu, messageId: string, code = 0): Pdu {
	return { command: "submit_sm_resp", sequence: pdu.sequence, status: code, messageId, tlvs: [] };
}

/** A socket to the peer, and the peer's end of it. */
export async function connectTo(peer: Peer): Promise<{ socket: Socket; there: PeerConnection }> {
	const before = peer.connections.length;
	const socket = connect(peer.port, "127.0.0.1");
	await once(socket, "connect");
	await until(() => peer.connections.length > before);
	return { socket, there: peer.connections[before] as PeerConnection };
}

/** Waits until `holds`, at most five seconds. */
export async function until(holds: () => boolean, says = "what the test waits for"): Promise<void> {
	for (let tries = 0; !holds(); tries++) {
		if (tries > 1_000) throw new Error(`${says} did not happen`);
		await pause(5);
	}
}

export function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

export function routeTo(port: number, changes: Partial<SmppRoute> = {}): SmppRoute {
	return {
		host: "127.0.0.1",
		port,
		tls: undefined,
		systemId: "waxwing",
		password: new Secret("secret"),
		dialect: dialects.get("standard") as SmppRoute["dialect"],
		binds: { transceiver: 1, transmitter: 0, receiver: 0 },
		window: 10,
		tps: 0,
		backoff: { firstMs: 20, mostMs: 50 },
		...changes,
	};
}

let made = 0;

/** A message of `parts` parts. */
export function message(parts = 1, changes: Partial<SmsSubmission> = {}): SmsSubmission {
	made++;
	return {
		id: `m${made}`,
		source: { ton: 5, npi: 0, address: "WAXWNG" },
		destination: { ton: 1, npi: 1, address: "919812345678" },
		parts: Array.from({ length: parts }, (_, i) => Buffer.from(`message ${made} part ${i + 1}`)),
		encoding: "GSM_7BIT",
		reference: made & 0xffff,
		validityMs: undefined,
		registeredDelivery: true,
		...changes,
	};
}
