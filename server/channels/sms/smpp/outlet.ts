/**
 * What leaves through a socket. PDUs are encoded straight into a slab and handed over once per turn
 * of the event loop, so that a thousand small PDUs are one write. When the socket has had enough, what
 * follows waits here until it drains: until then nothing of it has left this process.
 */
import type { Socket } from "node:net";
import { encode, encodeInto, type Pdu } from "./pdu.ts";

export interface Outlet {
	/** Queues the PDU under this sequence number. Throws a Fault for a value no PDU can carry. */
	put(pdu: Pdu, sequence: number): void;
	/** The socket has had enough: better put nothing more than answers before `onDrain`. */
	blocked(): boolean;
	/** Octets put and not yet handed to the socket. */
	waitingBytes(): number;
	/** Hands over now what waits, unless the socket is blocked. */
	flush(): void;
	/** Forgets what waits. */
	close(): void;
}

export interface OutletEvents {
	/** Everything put so far has been handed to the socket. */
	readonly onHandedOver: () => void;
	readonly onDrain: () => void;
}

const slabBytes = 65_536;

interface State {
	readonly socket: Socket;
	readonly events: OutletEvents;
	/** Filled once from end to end, then replaced: the socket may still be reading what is before `from`. */
	slab: Buffer;
	/** What is put and waits in the slab lies between these. */
	from: number;
	to: number;
	/** What waits and comes before that. */
	pieces: Buffer[];
	pieceBytes: number;
	turn: NodeJS.Immediate | undefined;
	blocked: boolean;
	closed: boolean;
}

export function createOutlet(socket: Socket, events: OutletEvents): Outlet {
	const state: State = {
		socket,
		events,
		slab: Buffer.allocUnsafeSlow(slabBytes),
		from: 0,
		to: 0,
		pieces: [],
		pieceBytes: 0,
		turn: undefined,
		blocked: false,
		closed: false,
	};
	socket.on("drain", () => {
		if (state.closed) return;
		state.blocked = false;
		flush(state);
		if (!state.blocked) events.onDrain();
	});
	return {
		put: (pdu, sequence) => put(state, pdu, sequence),
		blocked: () => state.blocked,
		waitingBytes: () => state.pieceBytes + (state.to - state.from),
		flush: () => flush(state),
		close() {
			state.closed = true;
			if (state.turn !== undefined) clearImmediate(state.turn);
			state.pieces = [];
			state.pieceBytes = 0;
			state.from = state.to;
		},
	};
}

function put(state: State, pdu: Pdu, sequence: number): void {
	let end = encodeInto(pdu, state.slab, state.to);
	if (end < 0) {
		endPiece(state);
		state.slab = Buffer.allocUnsafeSlow(slabBytes);
		state.from = 0;
		state.to = 0;
		end = encodeInto(pdu, state.slab, 0);
	}
	if (end < 0) {
		const large = encode(pdu);
		large.writeUInt32BE(sequence, 12);
		addPiece(state, large);
	} else {
		state.slab.writeUInt32BE(sequence, state.to + 12);
		state.to = end;
	}
	state.turn ??= setImmediate(() => {
		state.turn = undefined;
		flush(state);
	});
}

function addPiece(state: State, piece: Buffer): void {
	if (piece.length === 0) return;
	state.pieces.push(piece);
	state.pieceBytes += piece.length;
}

function endPiece(state: State): void {
	addPiece(state, state.slab.subarray(state.from, state.to));
	state.from = state.to;
}

function flush(state: State): void {
	if (state.closed || state.blocked) return;
	endPiece(state);
	const { pieces, socket } = state;
	if (pieces.length === 0) return;
	state.pieces = [];
	state.pieceBytes = 0;
	if (pieces.length > 1) socket.cork();
	for (const piece of pieces) if (!socket.write(piece)) state.blocked = true;
	if (pieces.length > 1) socket.uncork();
	state.events.onHandedOver();
}
