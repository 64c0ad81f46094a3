/** Reads the arrays that server/platform/db-arrays.ts writes, so that what a statement means is told in plain values. */

/** A binary array as the array it is; anything else as it stands, octets that are none too. */
export function plain(value: unknown): unknown {
	return Buffer.isBuffer(value) && isArray(value) ? readArray(value) : value;
}

/** By its head: dimensions, whether there are nulls, a type that is known here. */
function isArray(octets: Buffer): boolean {
	if (octets.length < 12 || octets.readInt32BE(0) > 1 || octets.readInt32BE(0) < 0) return false;
	return octets.readUInt32BE(4) <= 1 && readers[octets.readInt32BE(8)] !== undefined;
}

function readArray(octets: Buffer): unknown[] {
	if (octets.readInt32BE(0) === 0) return [];
	const read = readers[octets.readInt32BE(8)];
	if (read === undefined) throw new Error(`arrays of ${octets.readInt32BE(8)} are not known here`);
	const values: unknown[] = [];
	let at = 20;
	for (let left = octets.readInt32BE(12); left > 0; left--) {
		const length = octets.readInt32BE(at);
		at += 4;
		if (length < 0) {
			values.push(null);
			continue;
		}
		values.push(read(octets.subarray(at, at + length)));
		at += length;
	}
	return values;
}

/** By the OID of the element's type. */
const readers: Readonly<Record<number, (octets: Buffer) => unknown>> = {
	16: (octets) => octets[0] === 1,
	17: (octets) => Buffer.from(octets),
	21: (octets) => octets.readInt16BE(0),
	23: (octets) => octets.readInt32BE(0),
	25: (octets) => octets.toString("utf8"),
	701: (octets) => octets.readDoubleBE(0),
	2950: (octets) =>
		octets.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
};
