import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { hashParts, hmacKey, type Part, sha256 } from "./hmac.ts";

test("RFC 4231: the test cases whose key fits a block", () => {
	const cases: [key: Buffer, text: string, sum: string][] = [
		[
			Buffer.alloc(20, 0x0b),
			"Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		],
		[
			Buffer.from("Jefe"),
			"what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		],
	];
	for (const [key, text, sum] of cases) assert.equal(hmacKey(key).text(text).toString("hex"), sum);
});

/** Each part behind its length, as the standard library would write it. */
function joined(parts: readonly Part[]): Buffer {
	const octets = parts.map((part) => Buffer.from(part as string, "utf8"));
	return Buffer.concat(
		octets.flatMap((part) => {
			const length = Buffer.alloc(4);
			length.writeUInt32BE(part.length);
			return [length, part];
		}),
	);
}

test("the same as node's own, for any key and message", () => {
	const random = seededRandom(4);
	for (let round = 0; round < 2_000; round++) {
		const key = random.bytes(round % 65);
		const mac = hmacKey(key);
		const size = round % 10 === 0 ? 3_000 : 300;
		const letters = random.bytes(Math.floor(random.fraction() * size)).toString("latin1");
		const text = round % 7 === 0 ? letters.replaceAll("a", "€😀") : letters;
		const expected = (message: Buffer): string =>
			createHmac("sha256", key).update(message).digest("hex");
		assert.equal(mac.text(text).toString("hex"), expected(Buffer.from(text, "utf8")));
		const parts = [text, random.bytes(round % 40), ""];
		const room = Buffer.concat([Buffer.alloc(64), Buffer.from(text, "utf8")]);
		assert.equal(mac.behind(room).toString("hex"), expected(Buffer.from(text, "utf8")));
		assert.equal(mac.parts(parts).toString("hex"), expected(joined(parts)));
		assert.deepEqual(hashParts(parts), createHash("sha256").update(joined(parts)).digest());
		assert.deepEqual(sha256(text), createHash("sha256").update(text).digest());
	}
});

test("what it gave stays as it was, and a key is kept out of sight", () => {
	const mac = hmacKey(Buffer.alloc(32, 7));
	const first = mac.text("a");
	const copy = Buffer.from(first);
	mac.text("b");
	assert.deepEqual(first, copy);
	assert.equal(/7|Buffer/.test(JSON.stringify(mac)), false);
	assert.throws(() => hmacKey(Buffer.alloc(65)), RangeError);
});
