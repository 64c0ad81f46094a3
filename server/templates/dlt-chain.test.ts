import assert from "node:assert/strict";
import { test } from "node:test";
import { chainHash } from "./dlt-chain.ts";

const entity = "1101172974420810001";
/** Computed with another program's SHA-256 over the joined text. */
const vectors: { telemarketers: string[]; hash: string }[] = [
	{
		telemarketers: ["1101172974420830004"],
		hash: "c0c951afca257c5b87c3da535c09112080483f35b7e6faf35e2428b3b526b694",
	},
	{
		telemarketers: ["1101172974420820002", "1101172974420830004"],
		hash: "ba38bbe4ab3780a70aad6071c006e720eed8efc1ff70b00691d3b6844e6497e2",
	},
	{
		telemarketers: ["1101172974420820002", "1101172974420820003", "1101172974420830004"],
		hash: "d3133e436040034d9e95932ea93a1f82c37e1d98803229f835d8f3124e77e07f",
	},
];
for (const { telemarketers, hash } of vectors) {
	test(`a chain of ${telemarketers.length} telemarketers`, () => {
		assert.equal(chainHash(entity, telemarketers), hash);
	});
}
