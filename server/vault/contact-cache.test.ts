/** Keys of contacts in memory: whose they are, for how long they are good, how many there are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import { createContactCache } from "./contact-cache.ts";
import { type ContactKey, contactKey, contactNonceBytes, materialBytes } from "./contact-key.ts";
import type { ContactRef } from "./contact-store.ts";

const random = seededRandom(23);
const tenantId = "0190a000-0000-7000-8000-00000000000a";
const minuteMs = 60_000;

function person(index = random.bytes(32)): ContactRef & { readonly material: Buffer } {
	return { tenantId, environment: "live", index, material: random.bytes(materialBytes) };
}

/** Whether it is the key of this material: what the one seals the other opens. */
function isKeyOf(found: ContactKey | undefined, material: Buffer): boolean {
	if (found === undefined) return false;
	const aad = Buffer.from("place");
	const sealed = found.seal(random.bytes(contactNonceBytes), aad, Buffer.from("text"));
	return contactKey(Buffer.from(material)).open(aad, sealed)?.toString() === "text";
}

test("a key is found for its own contact, for as long as nobody of the tenant was erased, for ten minutes", () => {
	const clock = manualClock(0);
	const cache = createContactCache(clock, 100);
	const one = person();
	cache.keep(one, one.material, 7);
	assert.ok(isKeyOf(cache.recall(one, 7), one.material));
	assert.equal(cache.recall(one, 8), undefined);
	assert.equal(cache.recall({ ...one, environment: "test" }, 7), undefined);
	const other = "0190a000-0000-7000-8000-00000000000b";
	assert.equal(cache.recall({ ...one, tenantId: other }, 7), undefined);
	assert.equal(cache.recall({ ...one, index: random.bytes(32) }, 7), undefined);
	clock.advance(10 * minuteMs - 1);
	assert.ok(isKeyOf(cache.recall(one, 7), one.material));
	clock.advance(1);
	assert.equal(cache.recall(one, 7), undefined);
});

test("the later of two keys of one contact is found, and what was handed in may be overwritten", () => {
	const cache = createContactCache(manualClock(0), 100);
	const one = person();
	cache.keep(one, one.material, 0);
	const later = random.bytes(materialBytes);
	const handed = Buffer.from(later);
	cache.keep(one, handed, 1);
	handed.fill(0);
	assert.equal(cache.recall(one, 0), undefined);
	assert.ok(isKeyOf(cache.recall(one, 1), later));
});

test("contacts whose indexes begin alike are told apart", () => {
	const cache = createContactCache(manualClock(0), 64);
	const people = Array.from({ length: 32 }, (_, i) => {
		// The last octets of the table, so that looking for a place goes over its end.
		const index = Buffer.alloc(32, 0xff);
		index[31] = i;
		return person(index);
	});
	for (const one of people) cache.keep(one, one.material, 0);
	for (const one of people) assert.ok(isKeyOf(cache.recall(one, 0), one.material));
});

for (const most of [1, 2, 3, 10, 1_000, 5_000])
	test(`${most} at most: those used last stay, the others go`, () => {
		const cache = createContactCache(manualClock(0), most);
		const half = Math.ceil(most / 2);
		const favourite = person();
		for (let round = 0; round < 5; round++) {
			cache.keep(favourite, favourite.material, 0);
			const people = Array.from({ length: 2 * half + 1 }, () => person());
			for (const one of people) {
				cache.keep(one, one.material, 0);
				if (half > 1) assert.ok(isKeyOf(cache.recall(favourite, 0), favourite.material));
			}
			const found = people.filter((one) => cache.recall(one, 0) !== undefined);
			assert.ok(found.length <= 2 * half, `${found.length} of ${most}`);
			const last = people.at(-1) as (typeof people)[0];
			assert.ok(isKeyOf(cache.recall(last, 0), last.material));
			assert.equal(cache.recall(people[0] as ContactRef, 0), undefined);
		}
	});

test("with room for none nothing is held", () => {
	const cache = createContactCache(manualClock(0), 0);
	const one = person();
	cache.keep(one, one.material, 0);
	assert.equal(cache.recall(one, 0), undefined);
});

test("more tenants than are remembered: no one is taken for another", () => {
	const cache = createContactCache(manualClock(0), 100);
	const one = person();
	cache.keep(one, one.material, 0);
	for (let i = 0; i < 10_000; i++) {
		const stranger = `0190a000-0000-7000-8000-${i.toString(16).padStart(12, "0")}`;
		cache.recall({ ...one, tenantId: stranger }, 0);
	}
	const found = cache.recall(one, 0);
	assert.ok(found === undefined || isKeyOf(found, one.material));
});
