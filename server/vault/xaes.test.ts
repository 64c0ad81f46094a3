import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { xaesKey } from "./xaes.ts";

// https://c2sp.org/XAES-256-GCM, "Test vectors". The first has MSB(L) = 0, the second MSB(L) = 1.
const vectors = [
	{
		keyByte: 0x01,
		aad: "",
		sealed: "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
	},
	{
		keyByte: 0x03,
		aad: "c2sp.org/XAES-256-GCM",
		sealed: "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
	},
];
const nonce = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX");
const plaintext = Buffer.from("XAES-256-GCM");

for (const { keyByte, aad, sealed } of vectors)
	test(`the published vector of key ${keyByte} seals and opens`, () => {
		const key = xaesKey(Buffer.alloc(32, keyByte));
		const [ciphertext, tag] = key.seal(nonce, plaintext, Buffer.from(aad));
		assert.equal(Buffer.concat([ciphertext, tag]).toString("hex"), sealed);
		assert.deepEqual(key.open(nonce, ciphertext, tag, Buffer.from(aad)), plaintext);
	});

test("the published accumulated vector of 10,000 random inputs", () => {
	const rounds = 10_000;
	// The longest an input can be is 32 + 24 + 1 + 255 + 1 + 255 bytes; half of that is plenty on average.
	const stream = createHash("shake128", { outputLength: rounds * 340 }).digest();
	assert.equal(stream.toString("hex", 0, 16), "7f9c2ba4e88f827d616045507605853e");
	let at = 0;
	const take = (size: number): Buffer => stream.subarray(at, (at += size));
	const sum = createHash("shake128", { outputLength: 32 });
	for (let round = 0; round < rounds; round++) {
		const key = xaesKey(take(32));
		const roundNonce = take(24);
		const text = take(take(1)[0] as number);
		const aad = take(take(1)[0] as number);
		const [ciphertext, tag] = key.seal(roundNonce, text, aad);
		sum.update(ciphertext).update(tag);
		assert.deepEqual(key.open(roundNonce, ciphertext, tag, aad), text);
	}
	assert.ok(at <= stream.length);
	assert.equal(
		sum.digest("hex"),
		"e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939",
	);
});

test("a warm key gives the same bytes as a fresh one, in any order", () => {
	const bytes = Buffer.alloc(32, 7);
	const warm = xaesKey(bytes);
	const nonces = [0, 1, 2, 0, 1].map((fill) => Buffer.alloc(24, fill));
	for (const each of nonces)
		assert.deepEqual(
			warm.seal(each, plaintext, Buffer.alloc(0)),
			xaesKey(bytes).seal(each, plaintext, Buffer.alloc(0)),
		);
});

test("the caller may overwrite the key once it is made", () => {
	const bytes = Buffer.alloc(32, 1);
	const key = xaesKey(bytes);
	bytes.fill(0);
	assert.equal(
		Buffer.concat(key.seal(nonce, plaintext, Buffer.alloc(0))).toString("hex"),
		vectors[0]?.sealed,
	);
});

function flip(bytes: Buffer): Buffer {
	const changed = Buffer.from(bytes);
	changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
	return changed;
}

test("a wrong nonce, ciphertext, tag or aad does not open; short ones neither", () => {
	const key = xaesKey(Buffer.alloc(32, 9));
	const aad = Buffer.from("here");
	const [ciphertext, tag] = key.seal(nonce, plaintext, aad);
	assert.deepEqual(key.open(nonce, ciphertext, tag, aad), plaintext);
	assert.equal(key.open(flip(nonce), ciphertext, tag, aad), undefined);
	assert.equal(key.open(nonce, flip(ciphertext), tag, aad), undefined);
	assert.equal(key.open(nonce, ciphertext, flip(tag), aad), undefined);
	assert.equal(key.open(nonce, ciphertext, tag, flip(aad)), undefined);
	assert.equal(key.open(nonce, ciphertext, tag.subarray(0, 12), aad), undefined);
	assert.throws(() => key.seal(nonce.subarray(1), plaintext, aad), RangeError);
	assert.throws(() => xaesKey(Buffer.alloc(31)));
});
