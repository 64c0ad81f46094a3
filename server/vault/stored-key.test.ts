/** What is stored of a contact's key: derived as NIST SP 800-108r1 says, and of use at its own place only. */
import assert from "node:assert/strict";
import { createHmac, hkdfSync } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "#platform/ids.ts";
import { deriveContact, epochKey, type KeyPlace, openContact, secretBytes } from "./stored-key.ts";

const random = seededRandom(16);
const place: KeyPlace = {
	tenantId: "0190a000-0000-7000-8000-00000000000a",
	environment: "live",
	index: random.bytes(32),
};
const root = random.bytes(32);
const under = epochKey(Buffer.from(root));

/** K(1) ‖ K(2) by node's own HMAC, written from the standard: [i] ‖ Label ‖ 0x00 ‖ Context ‖ [L]. */
function expected(
	secret: Buffer,
	epoch: number,
	{ tenantId, environment, index }: KeyPlace,
): Buffer {
	const key = Buffer.from(
		hkdfSync("sha256", root, Buffer.alloc(0), "waxwing/1/contact/derive", 32),
	);
	const number = Buffer.alloc(4);
	number.writeUInt32BE(epoch);
	const texts = [environment, tenantId].map((text) =>
		Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]),
	);
	const label = Buffer.from("waxwing/1/contact-key");
	const context = Buffer.concat([secret, index, number, ...texts]);
	const blocks = [1, 2].map((i) =>
		createHmac("sha256", key)
			.update(Buffer.concat([Buffer.from([i]), label, Buffer.from([0]), context]))
			.update(Buffer.from([384 >> 8, 384 & 255]))
			.digest(),
	);
	return Buffer.concat(blocks);
}

test("a new key is K(1) of the standard's counter mode, its check and name begin K(2)", () => {
	for (let epoch = 1; epoch < 200; epoch++) {
		const secret = random.bytes(secretBytes);
		const { stored, material } = deriveContact(under, epoch, place, Buffer.from(secret));
		const wanted = expected(secret, epoch, place);
		assert.deepEqual(material.subarray(4), wanted.subarray(0, 32));
		assert.deepEqual(material.subarray(0, 4), wanted.subarray(32, 36));
		assert.deepEqual(stored, Buffer.concat([Buffer.from([3]), secret, wanted.subarray(32, 48)]));
		assert.deepEqual(openContact(under, epoch, place, stored), material);
	}
});

test("what is stored does not open changed, cut, elsewhere, or under another epoch's key", () => {
	const { stored } = deriveContact(under, 1, place, random.bytes(secretBytes));
	for (let bit = 0; bit < stored.length * 8; bit++) {
		const changed = Buffer.from(stored);
		changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
		assert.equal(openContact(under, 1, place, changed), undefined, `bit ${bit}`);
	}
	for (let length = 0; length < stored.length; length++)
		assert.equal(openContact(under, 1, place, stored.subarray(0, length)), undefined);
	const elsewhere: KeyPlace[] = [
		{ ...place, environment: "test" },
		{ ...place, tenantId: "0190a000-0000-7000-8000-00000000000b" },
		{ ...place, index: random.bytes(32) },
	];
	for (const other of elsewhere) assert.equal(openContact(under, 1, other, stored), undefined);
	assert.equal(openContact(under, 2, place, stored), undefined);
	assert.equal(openContact(epochKey(random.bytes(32)), 1, place, stored), undefined);
	assert.notEqual(openContact(under, 1, place, stored), undefined);
});
