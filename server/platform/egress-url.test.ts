import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deniedRanges, judgeAddress, readAddress, readRanges } from "./egress-address.ts";
import { spellings } from "./egress-spellings.ts";
import { judgeUrl } from "./egress-url.ts";

const loopback = readRanges(["127.0.0.0/8", "::1"]) ?? [];

describe("the text of a URL", () => {
	it("has at least 80 hostile spellings", () => {
		assert.ok(spellings.filter(([, shows]) => shows !== "resolves").length >= 80);
	});
	for (const [url, shows] of spellings)
		it(`${JSON.stringify(url.slice(0, 60))} → ${shows}`, () => {
			const judged = judgeUrl(url, []);
			assert.equal(judged.kind === "refused" ? judged.reason : "resolves", shows);
		});

	const listed: [url: string, expected: string][] = [
		["http://127.0.0.1:3000/hook", "judged, only allowed"],
		["http://localhost:3000/hook", "judged, only allowed"],
		["https://localhost/hook", "judged, only allowed"],
		["http://[::1]:3000/", "judged, only allowed"],
		["http://2130706433/", "judged, only allowed"],
		["https://127.0.0.1/", "judged"],
		["http://good.test/", "judged, only allowed"],
		["https://good.test:5432/", "judged, only allowed"],
		["https://good.test/", "judged"],
		["https://10.0.0.1/", "address"],
		["https://[::ffff:10.0.0.1]/", "address"],
		["http://[::ffff:127.0.0.1]:3000/", "judged, only allowed"],
		["https://user@127.0.0.1/", "credentials"],
		["http://127.0.0.1:0/", "port"],
	];
	for (const [url, expected] of listed)
		it(`with loopback listed, ${url} → ${expected}`, () => {
			const judged = judgeUrl(url, loopback);
			const shown = judged.kind === "refused" ? judged.reason : "judged";
			const only = judged.kind === "judged" && judged.onlyAllowed ? ", only allowed" : "";
			assert.equal(shown + only, expected);
		});

	it("sends what was parsed, not what was written", () => {
		const judged = judgeUrl("HTTPS://BÜCHER.test:8443/a/../b?c", []);
		assert.partialDeepStrictEqual(judged, {
			host: "xn--bcher-kva.test",
			authority: "xn--bcher-kva.test:8443",
			port: 8443,
			target: "/b?c",
		});
	});
});

describe("addresses", () => {
	const cases: [address: string, verdict: string][] = [
		["93.184.215.14", "public"],
		["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "public"],
		["::ffff:93.184.215.14", "public"],
		["::ffff:10.0.0.1", "denied"],
		["::ffff:a00:1", "denied"],
		["::ffff:127.0.0.1", "allowed"],
		["127.255.255.254", "allowed"],
		["::1", "allowed"],
		["0:0:0:0:0:0:0:1", "allowed"],
		["::", "denied"],
		["::7f00:1", "denied"],
		["64:ff9b::5db8:d70e", "denied"],
		["2002:5db8:d70e::1", "denied"],
		["2001:0:5ef5:79fd::1", "denied"],
		["2001:db8::1", "denied"],
		["2001:4860:4860::8888", "public"],
		["fe80::1%eth0", "denied"],
		["fe80::1", "denied"],
		["172.15.255.255", "public"],
		["172.16.0.0", "denied"],
		["172.31.255.255", "denied"],
		["172.32.0.0", "public"],
		["100.63.255.255", "public"],
		["100.64.0.0", "denied"],
		["223.255.255.255", "public"],
		["224.0.0.0", "denied"],
		["127.1", "denied"],
		["0127.0.0.1", "denied"],
		["1.2.3", "denied"],
		["1.2.3.256", "denied"],
		["", "denied"],
		["1::2::3", "denied"],
		["1:2:3:4:5:6:7", "denied"],
		["1:2:3:4:5:6:7:8:9", "denied"],
		["1:2:3:4:5:6:7::8", "denied"],
		["2600::1.2.3.4", "public"],
		["2600:1.2.3.4::", "denied"],
		["2600::g", "denied"],
		["198.51.100.7", "denied"],
		["8.8.4.4", "denied"],
		["2600::77", "denied"],
	];
	for (const [address, verdict] of cases)
		it(`${address} is ${verdict}`, () => {
			const own = () => ["8.8.4.4", "2600:0:0::77"];
			assert.equal(judgeAddress(address, loopback, own), verdict);
		});

	it("denies the first and last address of every range", () => {
		for (const [cidr] of deniedRanges) {
			const [range] = readRanges([cidr]) ?? [];
			assert.ok(range, cidr);
			const spare = BigInt((range.family === 4 ? 32 : 128) - range.bits);
			for (const value of [range.value, range.value | ((1n << spare) - 1n)])
				assert.equal(judgeAddress(show(range.family, value), []), "denied", cidr);
		}
	});

	for (const bad of [
		"127.0.0.0/33",
		"127.0.0.0/",
		"127/8",
		"::/129",
		"::ffff:0:0/96",
		"x",
		"1.2.3.4/8/8",
		"1.2.3.4/-1",
	])
		it(`${bad} is no CIDR block`, () => assert.equal(readRanges([bad]), undefined));
});

function show(family: 4 | 6, value: bigint): string {
	const groups: bigint[] = [];
	const width = family === 4 ? 8n : 16n;
	for (let i = family === 4 ? 3n : 7n; i >= 0n; i--)
		groups.push((value >> (i * width)) & ((1n << width) - 1n));
	const text = groups
		.map((group) => group.toString(family === 4 ? 10 : 16))
		.join(family === 4 ? "." : ":");
	assert.ok(readAddress(text));
	return text;
}
