/**
 * Cuts a byte stream into PDUs by command_length (SMPP v3.4 §3.2). A PDU that lies whole in a chunk is
 * a view over it; only one that is cut is copied, into a buffer that doubles, so that single octets
 * cost no more than linear time and a peer that announces 64 KiB and stays silent holds no 64 KiB.
 */
import { headerBytes, pduBytesMax } from "./pdu.ts";

export interface FrameFault {
	/** The command_length that no PDU can have. The stream cannot be read any further. */
	readonly commandLength: number;
	readonly reason: string;
}

export interface Framer {
	/**
	 * Gives every PDU completed by `chunk` to `take`, in order. `take` returns false to be given no
	 * more of them (they are dropped: the connection is being closed). Returns a fault when the stream
	 * has lost its sense; from then on every push returns the same fault.
	 */
	push(chunk: Buffer, take: (octets: Buffer) => boolean | void): FrameFault | undefined;
	/** Octets held of a PDU not yet complete. */
	held(): number;
}

export function createFramer(): Framer {
	let partial = Buffer.allocUnsafe(0);
	let have = 0;
	/** command_length of the PDU being collected; 0 while its four octets are incomplete. */
	let need = 0;
	let fault: FrameFault | undefined;

	const keep = (chunk: Buffer, from: number, to: number): void => {
		const wanted = have + (to - from);
		if (wanted > partial.length) {
			const grown = Buffer.allocUnsafe(Math.max(wanted, Math.min(need || 64, partial.length * 2)));
			partial.copy(grown, 0, 0, have);
			partial = grown;
		}
		chunk.copy(partial, have, from, to);
		have = wanted;
	};

	/** Completes the PDU begun in earlier chunks; returns the offset where the next one begins. */
	const complete = (chunk: Buffer, take: (octets: Buffer) => boolean | void): number => {
		let at = 0;
		if (have < 4) {
			at = Math.min(4 - have, chunk.length);
			keep(chunk, 0, at);
			if (have < 4) return at;
			need = partial.readUInt32BE(0);
			fault = judge(need);
			if (fault !== undefined) return chunk.length;
		}
		const end = Math.min(at + need - have, chunk.length);
		keep(chunk, at, end);
		if (have < need) return end;
		const whole = partial.subarray(0, need);
		partial = Buffer.allocUnsafe(0);
		have = 0;
		need = 0;
		return take(whole) === false ? chunk.length : end;
	};

	return {
		held: () => have,
		push(chunk, take) {
			if (fault !== undefined) return fault;
			let at = have > 0 ? complete(chunk, take) : 0;
			while (fault === undefined && at < chunk.length) {
				if (chunk.length - at < 4) {
					keep(chunk, at, chunk.length);
					break;
				}
				const length = chunk.readUInt32BE(at);
				fault = judge(length);
				if (fault !== undefined) break;
				if (chunk.length - at < length) {
					need = length;
					keep(chunk, at, chunk.length);
					break;
				}
				if (take(chunk.subarray(at, at + length)) === false) break;
				at += length;
			}
			return fault;
		},
	};
}

function judge(commandLength: number): FrameFault | undefined {
	if (commandLength < headerBytes) return { commandLength, reason: "command_length below 16" };
	if (commandLength > pduBytesMax)
		return { commandLength, reason: `command_length above ${pduBytesMax}` };
	return undefined;
}
