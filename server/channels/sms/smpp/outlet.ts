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

export function createOutlet(socket: Socket, events: OutletEvents): Outlet {
	let slab = Buffer.allocUnsafeSlow(slabBytes);
	let from = 0;
	let to = 0;
	let pieces: Buffer[] = [];
	let pieceBytes = 0;
	let scheduled: NodeJS.Immediate | undefined;
	let blocked = false;
	let closed = false;

	const addPiece = (piece: Buffer): void => {
		if (piece.length === 0) return;
		pieces.push(piece);
		pieceBytes += piece.length;
	};
	const endPiece = (): void => {
		addPiece(slab.subarray(from, to));
		from = to;
	};
	const flush = (): void => {
		if (closed || blocked) return;
		endPiece();
		if (pieces.length === 0) return;
		const leaving = pieces;
		pieces = [];
		pieceBytes = 0;
		if (leaving.length > 1) socket.cork();
		for (const piece of leaving) if (!socket.write(piece)) blocked = true;
		if (leaving.length > 1) socket.uncork();
		events.onHandedOver();
	};
	const schedule = (): void => {
		scheduled ??= setImmediate(() => {
			scheduled = undefined;
			flush();
		});
	};
	socket.on("drain", () => {
		if (closed) return;
		blocked = false;
		flush();
		if (!blocked) events.onDrain();
	});

	return {
		put(pdu, sequence) {
			let end = encodeInto(pdu, slab, to);
			if (end < 0) {
				endPiece();
				slab = Buffer.allocUnsafeSlow(slabBytes);
				from = 0;
				to = 0;
				end = encodeInto(pdu, slab, 0);
			}
			if (end < 0) {
				const large = encode(pdu);
				large.writeUInt32BE(sequence, 12);
				addPiece(large);
			} else {
				slab.writeUInt32BE(sequence, to + 12);
				to = end;
			}
			schedule();
		},
		blocked: () => blocked,
		waitingBytes: () => pieceBytes + (to - from),
		flush,
		close() {
			closed = true;
			if (scheduled !== undefined) clearImmediate(scheduled);
			pieces = [];
			from = to;
		},
	};
}
