/**
 * Which addresses may be reached from inside. Ranges are data: the special-purpose registries of IANA
 * (RFC 6890 and its updates) plus every part of IPv6 that is not global unicast (RFC 4291 §2.4). An
 * address that cannot be read is refused. Pure: no sockets, no names.
 */

export interface Address {
	readonly family: 4 | 6;
	readonly value: bigint;
}

export interface Range {
	readonly family: 4 | 6;
	readonly value: bigint;
	/** How many leading bits must agree. */
	readonly bits: number;
}

/** Never reachable unless the operator lists them: private, local, special, documentation, tunnels. */
export const deniedRanges: readonly (readonly [cidr: string, because: string])[] = [
	["0.0.0.0/8", "this network"],
	["10.0.0.0/8", "private"],
	["100.64.0.0/10", "carrier-grade NAT"],
	["127.0.0.0/8", "loopback"],
	["169.254.0.0/16", "link-local, cloud metadata"],
	["172.16.0.0/12", "private"],
	["192.0.0.0/24", "protocol assignments"],
	["192.0.2.0/24", "documentation"],
	["192.88.99.0/24", "6to4 relay"],
	["192.168.0.0/16", "private"],
	["198.18.0.0/15", "benchmarking"],
	["198.51.100.0/24", "documentation"],
	["203.0.113.0/24", "documentation"],
	["224.0.0.0/4", "multicast"],
	["240.0.0.0/4", "reserved, broadcast"],
	["::/3", "unspecified, loopback, v4-compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard"],
	["2001::/23", "protocol assignments, Teredo, ORCHID"],
	["2001:db8::/32", "documentation"],
	["2002::/16", "6to4"],
	["3fff::/20", "documentation"],
	["4000::/2", "not global unicast; segment routing (5f00::/16)"],
	["8000::/1", "not global unicast; unique local, link-local, site-local, multicast"],
];

/** Dotted decimal or any text form of RFC 4291 §2.2, without a zone. Undefined for anything else. */
export function readAddress(text: string): Address | undefined {
	if (text.includes(":")) return readV6(text);
	const value = readV4(text);
	return value === undefined ? undefined : { family: 4, value };
}

function readV4(text: string): bigint | undefined {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
	if (match === null) return undefined;
	let value = 0n;
	for (const part of match.slice(1)) {
		if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
		value = (value << 8n) | BigInt(part);
	}
	return value;
}

function readV6(text: string): Address | undefined {
	if (text.length > 45) return undefined;
	const halves = text.split("::");
	if (halves.length > 2) return undefined;
	const head = readGroups(halves[0] as string, halves.length === 1);
	const tail = halves.length === 2 ? readGroups(halves[1] as string, true) : [];
	if (head === undefined || tail === undefined) return undefined;
	const missing = 8 - head.length - tail.length;
	if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
	const groups = [...head, ...Array<bigint>(missing).fill(0n), ...tail];
	return innermost(groups.reduce((value, group) => (value << 16n) | group, 0n));
}

/** The 16-bit groups of one side of `::`; the last may be dotted decimal where the address ends. */
function readGroups(text: string, ends: boolean): bigint[] | undefined {
	if (text === "") return [];
	const groups: bigint[] = [];
	const parts = text.split(":");
	for (const [position, part] of parts.entries()) {
		if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
			groups.push(BigInt(`0x${part}`));
			continue;
		}
		const dotted = ends && position === parts.length - 1 ? readV4(part) : undefined;
		if (dotted === undefined) return undefined;
		groups.push(dotted >> 16n, dotted & 0xffffn);
	}
	return groups;
}

/** `::ffff:0:0/96` is an IPv4 address in another spelling, and is judged as one. */
function innermost(value: bigint): Address {
	return value >> 32n === 0xffffn
		? { family: 4, value: value & 0xffff_ffffn }
		: { family: 6, value };
}

/** Reads CIDR blocks; a bare address is a block of one. Undefined when any of them is not one. */
export function readRanges(texts: readonly string[]): readonly Range[] | undefined {
	const ranges: Range[] = [];
	for (const text of texts) {
		const [before, length, ...more] = text.split("/") as [string, string?, ...string[]];
		const address = readAddress(before);
		if (address === undefined || more.length > 0) return undefined;
		// A block of mapped addresses would be read as IPv4 with the wrong length.
		if (address.family === 4 && before.includes(":")) return undefined;
		const width = address.family === 4 ? 32 : 128;
		const bits = length === undefined ? width : Number(length);
		if (length !== undefined && (!/^\d{1,3}$/.test(length) || bits > width)) return undefined;
		ranges.push({ ...address, bits });
	}
	return ranges;
}

export function within(address: Address, ranges: readonly Range[]): boolean {
	return ranges.some((range) => {
		if (range.family !== address.family) return false;
		const spare = BigInt((range.family === 4 ? 32 : 128) - range.bits);
		return address.value >> spare === range.value >> spare;
	});
}

const denied = readRanges(deniedRanges.map(([cidr]) => cidr)) ?? [];

/** Whether an address, as text, may be reached; what is allow-listed wins over every denial. */
export function judgeAddress(
	text: string,
	allow: readonly Range[],
	own: () => readonly string[] = () => [],
): "public" | "allowed" | "denied" {
	const address = readAddress(text);
	if (address === undefined) return "denied";
	if (within(address, allow)) return "allowed";
	if (within(address, denied)) return "denied";
	const ours = own().some((one) => {
		const parsed = readAddress(one);
		return parsed?.family === address.family && parsed.value === address.value;
	});
	return ours ? "denied" : "public";
}
