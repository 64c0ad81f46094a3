/**
 * Arrays for statements of the message path, in PostgreSQL's binary form (array_recv in its source:
 * dimensions, null flag, element type, then each element behind its length). A batch of a thousand rows is
 * otherwise written and read as text, quoted and escaped, on both sides. The statement says the type: `$1::uuid[]`.
 */
type Nullable<T> = readonly (T | null)[];

/** Element types by their OID in pg_type. */
const oids = {
	bool: 16,
	bytea: 17,
	int2: 21,
	int4: 23,
	text: 25,
	float8: 701,
	uuid: 2950,
} as const;

const headBytes = 20;
const nullLength = -1;

/** Fills one array; `sizes` is the octets of all elements that are not null. */
function build<T>(
	oid: number,
	values: Nullable<T>,
	sizes: number,
	write: (octets: Buffer, value: T, at: number) => number,
): Buffer {
	if (values.length === 0) return empty(oid);
	const octets = Buffer.allocUnsafe(headBytes + 4 * values.length + sizes);
	octets.writeInt32BE(1, 0);
	octets.writeInt32BE(oid, 8);
	octets.writeInt32BE(values.length, 12);
	octets.writeInt32BE(1, 16);
	let at = headBytes;
	let nulls = 0;
	for (const value of values) {
		if (value === null) {
			nulls = 1;
			octets.writeInt32BE(nullLength, at);
			at += 4;
			continue;
		}
		const end = write(octets, value, at + 4);
		octets.writeInt32BE(end - at - 4, at);
		at = end;
	}
	octets.writeInt32BE(nulls, 4);
	return octets.subarray(0, at);
}

function empty(oid: number): Buffer {
	const octets = Buffer.alloc(12);
	octets.writeInt32BE(oid, 8);
	return octets;
}

/** UUIDs in their usual text form, lower or upper case. @throws RangeError for any other text */
export function uuids(values: Nullable<string>): Buffer {
	// A tenant, a route, a batch: many rows in succession name the same.
	let last: string | undefined;
	let lastAt = 0;
	return build(oids.uuid, values, 16 * values.length, (octets, value, at) => {
		if (value === last) return at + octets.copy(octets, at, lastAt, lastAt + 16);
		const end = writeUuid(octets, value, at);
		last = value;
		lastAt = at;
		return end;
	});
}

const hyphen = 45;

function writeUuid(octets: Buffer, value: string, start: number): number {
	if (value.length !== 36) throw new RangeError("not a UUID");
	let at = start;
	for (let i = 0; i < 36; i += 2) {
		if (i === 8 || i === 13 || i === 18 || i === 23) {
			if (value.charCodeAt(i) !== hyphen) throw new RangeError("not a UUID");
			i++;
		}
		const octet = (nibble(value.charCodeAt(i)) << 4) | nibble(value.charCodeAt(i + 1));
		octets[at++] = octet;
	}
	return at;
}

function nibble(code: number): number {
	if (code >= 48 && code <= 57) return code - 48;
	const lower = code | 0x20;
	if (lower >= 97 && lower <= 102) return lower - 87;
	throw new RangeError("not a UUID");
}

export function byteas(values: Nullable<Buffer>): Buffer {
	let sizes = 0;
	for (const value of values) sizes += value?.length ?? 0;
	return build(oids.bytea, values, sizes, (octets, value, at) => at + value.copy(octets, at));
}

export function texts(values: Nullable<string>): Buffer {
	let sizes = 0;
	for (const value of values) sizes += value === null ? 0 : Buffer.byteLength(value, "utf8");
	return build(
		oids.text,
		values,
		sizes,
		(octets, value, at) => at + octets.write(value, at, "utf8"),
	);
}

/** -32,768 to 32,767. */
export function int2s(values: Nullable<number>): Buffer {
	return build(oids.int2, values, 2 * values.length, (octets, value, at) =>
		octets.writeInt16BE(value, at),
	);
}

export function int4s(values: Nullable<number>): Buffer {
	return build(oids.int4, values, 4 * values.length, (octets, value, at) =>
		octets.writeInt32BE(value, at),
	);
}

export function float8s(values: Nullable<number>): Buffer {
	return build(oids.float8, values, 8 * values.length, (octets, value, at) =>
		octets.writeDoubleBE(value, at),
	);
}

export function bools(values: Nullable<boolean>): Buffer {
	return build(oids.bool, values, values.length, (octets, value, at) =>
		octets.writeUInt8(value ? 1 : 0, at),
	);
}
