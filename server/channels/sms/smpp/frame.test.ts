import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { createFramer } from "./frame.ts";
import { encode, pduBytesMax, submitSm } from "./pdu.ts";

const address = { ton: 1, npi: 1, address: "919812345678" };

function submit(sequence: number, payloadBytes: number): Buffer {
	const tlvs =
		payloadBytes > 0 ? [{ tag: 0x0424, value: Buffer.alloc(payloadBytes, sequence) }] : [];
	return encode(submitSm({ sequence, source: address, destination: address, tlvs }));
}

function cut(chunks: readonly Buffer[]): Buffer[] {
	const framer = createFramer();
	const found: Buffer[] = [];
	for (const chunk of chunks)
		assert.equal(
			framer.push(chunk, (octets) => void found.push(Buffer.from(octets))),
			undefined,
		);
	assert.equal(framer.held(), 0);
	return found;
}

test("a stream cut in any way gives the same PDUs", () => {
	const random = seededRandom(11);
	const pdus = Array.from({ length: 60 }, (_, i) => submit(i + 1, i % 7 === 0 ? i * 1000 : i % 3));
	const stream = Buffer.concat(pdus);
	const check = (chunks: Buffer[]): void => assert.ok(Buffer.concat(cut(chunks)).equals(stream));
	check([stream]);
	for (const most of [1, 2, 3, 4, 5, 15, 16, 17, 1000, 70_000]) {
		const chunks: Buffer[] = [];
		for (let at = 0; at < stream.length; ) {
			const size = most === 1 ? 1 : 1 + Math.floor(random.fraction() * most);
			chunks.push(stream.subarray(at, at + size));
			at += size;
		}
		assert.equal(cut(chunks).length, pdus.length);
		check(chunks);
	}
	check([Buffer.alloc(0), stream, Buffer.alloc(0)]);
});

test("1,000 PDUs in one chunk are views over it", () => {
	const stream = Buffer.concat(Array.from({ length: 1000 }, (_, i) => submit(i + 1, 0)));
	let taken = 0;
	createFramer().push(stream, (octets) => {
		taken++;
		assert.equal(octets.buffer, stream.buffer);
	});
	assert.equal(taken, 1000);
});

test("the longest PDU by single octets is linear work, not quadratic", () => {
	const long = submit(1, 65_535);
	const stream = Buffer.concat(Array.from({ length: 8 }, () => long));
	const framer = createFramer();
	let taken = 0;
	for (let at = 0; at < stream.length; at++)
		framer.push(stream.subarray(at, at + 1), () => void taken++);
	assert.equal(taken, 8);
});

test("a peer that announces the longest PDU and sends little holds little", () => {
	const framer = createFramer();
	const header = Buffer.alloc(20);
	header.writeUInt32BE(pduBytesMax, 0);
	for (const octet of header)
		framer.push(Buffer.from([octet]), () => assert.fail("nothing is complete"));
	assert.equal(framer.held(), 20);
});

describe("a command_length that no PDU can have ends the stream", () => {
	const cases: readonly (readonly [string, Buffer, number])[] = [
		["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), 0x47455420],
		["TLS ClientHello", Buffer.from("16030100c8010000c40303", "hex"), 0x16030100],
		["0", Buffer.alloc(16), 0],
		["15", Buffer.from("0000000f", "hex"), 15],
		["0x7fffffff", Buffer.from("7fffffff", "hex"), 0x7fffffff],
		["0xffffffff", Buffer.from("ffffffff", "hex"), 0xffffffff],
		[
			"one too many",
			Buffer.from((pduBytesMax + 1).toString(16).padStart(8, "0"), "hex"),
			pduBytesMax + 1,
		],
	];
	for (const [name, octets, commandLength] of cases)
		test(name, () => {
			for (const size of [octets.length, 1]) {
				const framer = createFramer();
				let taken = 0;
				assert.equal(
					framer.push(submit(1, 0), () => void taken++),
					undefined,
				);
				let fault: { commandLength: number } | undefined;
				for (let at = 0; at < octets.length; at += size)
					fault = framer.push(octets.subarray(at, at + size), () => assert.fail("no PDU")) ?? fault;
				assert.equal(fault?.commandLength, commandLength);
				assert.equal(
					framer.push(submit(2, 0), () => void taken++),
					fault,
				);
				assert.equal(taken, 1);
			}
		});
	test("65537 is long, not impossible", () => {
		assert.equal(
			createFramer().push(Buffer.from("00010001", "hex"), () => {}),
			undefined,
		);
	});
});

test("PDUs before the fault are given, and none after the taker has had enough", () => {
	const stream = Buffer.concat([submit(1, 0), submit(2, 0), Buffer.alloc(4)]);
	let taken = 0;
	assert.equal(createFramer().push(stream, () => void taken++)?.commandLength, 0);
	assert.equal(taken, 2);
	taken = 0;
	assert.equal(
		createFramer().push(stream, () => ++taken < 1),
		undefined,
	);
	assert.equal(taken, 1);
});
