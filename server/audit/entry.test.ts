import assert from "node:assert/strict";
import { test } from "node:test";
import { type Entry, encodeEntry, readEntry } from "./entry.ts";

const entry: Entry = {
	id: "aud_01k0000000000000000000000a",
	log: "ten_01k0000000000000000000000b",
	atMs: 1_764_200_000_123,
	action: "api_key.created",
	actor: { type: "api_key", id: "key_01k0000000000000000000000c" },
	environment: "live",
	targets: ["key_01k0000000000000000000000d"],
	outcome: "ok",
	requestId: "req_01k0000000000000000000000e",
	data: {},
	detailSha256: "00".repeat(32),
};

test("an entry's bytes are these, for ever: proofs of old entries depend on them", () => {
	assert.equal(
		encodeEntry(entry).toString("utf8"),
		[
			'{"action":"api_key.created","actor":{"auth":"key","id":"key_01k0000000000000000000000c","session":null,"type":"api_key"},',
			`"data":{},"detail_sha256":"${"00".repeat(32)}","environment":"live","grant_id":null,"id":"aud_01k0000000000000000000000a",`,
			'"log":"ten_01k0000000000000000000000b","outcome":"ok","reason":null,"request_id":"req_01k0000000000000000000000e",',
			'"targets":["key_01k0000000000000000000000d"],"time":"2025-11-26T23:33:20.123Z","v":1}',
		].join(""),
	);
});

test("what does not belong into an entry is refused", () => {
	const refused = (change: Partial<Entry>): void =>
		assert.throws(() => encodeEntry({ ...entry, ...change }), RangeError, JSON.stringify(change));
	refused({ targets: ["+919812345678"] });
	refused({ targets: ["key_1"] });
	refused({ targets: Array.from({ length: 21 }, () => "key_01k0000000000000000000000d") });
	refused({ data: { note: "x" } });
	const many = { ...entry, action: "authentication.failures" } as const;
	encodeEntry({ ...many, data: { count: 3, seconds: 60 } });
	for (const data of [{}, { count: 3 }, { count: -1, seconds: 60 }, { count: "3", seconds: 60 }])
		refused({ ...many, data: data as Entry["data"] });
	const failed = { ...entry, action: "authentication.failed" } as const;
	encodeEntry({ ...failed, data: { why: "key_invalid", source: "0a" } });
	refused({ ...failed, data: { why: "key_invalid", source: "127.0.0.1" } });
	refused({ ...failed, data: { why: "a\nb", source: "0a" } });
});

test("reading takes its own bytes only, to the last one", () => {
	const bytes = encodeEntry(entry);
	assert.equal(readEntry(bytes)?.action, "api_key.created");
	for (const text of ["", "null", "{}", ` ${bytes}`, bytes.toString().replace('"v":1', '"v":2')])
		assert.equal(readEntry(Buffer.from(text)), undefined, text.slice(0, 20));
});
