import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Webhook } from "standardwebhooks";
import type { PostOutcome } from "#platform/egress.ts";
import { seededRandom, systemRandom } from "#platform/ids.ts";
import { createCircuits } from "./circuit.ts";
import {
	currentUrl,
	newContent,
	newSecret,
	overlapMs,
	rotated,
	showSecret,
	signingKeys,
	urlAt,
	withUrl,
} from "./endpoint.ts";
import { eventIdOf, signedHeaders } from "./event.ts";
import { pageOf } from "./routes.ts";
import { retryDelaysMs, stepAfter } from "./schedule.ts";

const answered = (status: number, retryAfterSeconds?: number): PostOutcome => ({
	kind: "answered",
	status,
	durationMs: 1,
	bodyStart: "",
	...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
const failed = (reason: "timeout" | "refused_address"): PostOutcome => ({
	kind: "failed",
	reason,
	durationMs: 1,
});
const middle = { ...seededRandom(1), fraction: () => 0.5 };
const hour = 3_600_000;

describe("the schedule", () => {
	it("is the specification's example: ten attempts in 75 h 35 min 5 s", () => {
		assert.equal(retryDelaysMs.length, 10);
		assert.equal(
			retryDelaysMs.reduce((sum, delay) => sum + delay),
			((75 * 60 + 35) * 60 + 5) * 1000,
		);
	});

	const cases: [what: string, outcome: PostOutcome, attempts: number, expected: string][] = [
		["200", answered(200), 1, "delivered"],
		["299", answered(299), 10, "delivered"],
		["a redirect", answered(302), 1, "retry 5000"],
		["400", answered(400), 1, "retry 5000"],
		["410", answered(410), 1, "gone"],
		["410 with Retry-After", answered(410, 60), 1, "gone"],
		["429 with Retry-After", answered(429, 60), 1, "retry 60000"],
		["429 with a shorter Retry-After than the schedule", answered(429, 1), 2, "retry 300000"],
		["503 with an absurd Retry-After", answered(503, 1e9), 1, `retry ${24 * hour}`],
		["500, second time", answered(500), 2, "retry 300000"],
		["500, ninth time", answered(500), 9, `retry ${24 * hour}`],
		["500, tenth time", answered(500), 10, "failed"],
		["429, tenth time", answered(429, 60), 10, "failed"],
		["a timeout", failed("timeout"), 1, "retry 5000"],
		["a refused address", failed("refused_address"), 3, `retry ${hour / 2}`],
	];
	for (const [what, outcome, attempts, expected] of cases)
		it(`${what}, attempt ${attempts} → ${expected}`, () => {
			const step = stepAfter(outcome, attempts, 1000, middle);
			assert.equal(step.kind === "retry" ? `retry ${step.dueMs - 1000}` : step.kind, expected);
		});

	it("spreads retries by ten percent either way", () => {
		const random = seededRandom(3);
		const waits = Array.from({ length: 1000 }, () => {
			const step = stepAfter(answered(500), 2, 0, random);
			return step.kind === "retry" ? step.dueMs : Number.NaN;
		});
		assert.ok(Math.min(...waits) >= 270_000 && Math.min(...waits) < 275_000);
		assert.ok(Math.max(...waits) <= 330_000 && Math.max(...waits) > 325_000);
	});
});

describe("secrets", () => {
	const random = systemRandom();

	it("are 32 bytes in the form of the specification, and sign what the peer library verifies", () => {
		const key = newSecret(random);
		assert.match(showSecret(key), /^whsec_[A-Za-z0-9+/]{43}=$/);
		const body = '{"type":"sms.sent","data":"é"}';
		const event = "019ab4c1-1111-7000-8000-000000000001";
		const headers = signedHeaders([key], event, Date.now(), body);
		assert.match(headers["webhook-id"] ?? "", /^evt_[0-9a-z]{26}$/);
		new Webhook(showSecret(key)).verify(body, headers);
		for (const change of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
			const bent = { ...headers, [change]: `${headers[change]}0`.replace(/=0$/, "A") };
			assert.throws(() => new Webhook(showSecret(key)).verify(body, bent), change);
		}
		assert.throws(() => new Webhook(showSecret(newSecret(random))).verify(body, headers));
	});

	it("are kept a day after they are replaced, five at most", () => {
		const keys = Array.from({ length: 8 }, () => newSecret(random));
		const [first, second] = keys as [Buffer, Buffer];
		let content = newContent("https://a.test/", undefined, first, 0);
		content = rotated(content, second, 1000);
		const at = (ms: number): Buffer[] => signingKeys(content, ms);
		assert.deepEqual(at(1000), [second, first]);
		assert.deepEqual(at(1000 + overlapMs - 1), [second, first]);
		assert.deepEqual(at(1000 + overlapMs), [second]);
		for (const key of keys.slice(2)) content = rotated(content, key, 2000);
		assert.deepEqual(at(2000), keys.slice(3).reverse());
	});

	it("tell which URL was in use when", () => {
		let content = newContent("https://0.test/", "d", newSecret(random), 0);
		for (let i = 1; i <= 12; i++) content = withUrl(content, `https://${i}.test/`, i * 10);
		assert.equal(withUrl(content, "https://12.test/", 999), content);
		assert.equal(currentUrl(content), "https://12.test/");
		assert.deepEqual(
			[125, 119, 110, 0].map((ms) => urlAt(content, ms)),
			["https://12.test/", "https://11.test/", "https://11.test/", "https://3.test/"],
		);
		assert.equal(content.urls.length, 10);
	});
});

describe("references", () => {
	const id = "019ab4c1-1111-7000-8000-000000000001";
	const cases: [ref: unknown, expected: string | undefined][] = [
		[["m", id, 2], id],
		[["m", id], id],
		[["m", id.toUpperCase()], undefined],
		[["m", `${id}'`], undefined],
		[["m"], undefined],
		[[], undefined],
		[null, undefined],
		[{ 1: id }, undefined],
	];
	for (const [ref, expected] of cases)
		it(`${JSON.stringify(ref)} names ${expected}`, () => assert.equal(eventIdOf(ref), expected));
});

describe("circuits", () => {
	const make = (global = 64) => createCircuits({ global, perEndpoint: 8 });
	const quota = (circuits: ReturnType<typeof make>, id: string, nowMs: number): number => {
		const { listed, quotas } = circuits.quotas(nowMs);
		return quotas[listed.indexOf(id)] ?? circuits.usualQuota;
	};
	const startMany = (circuits: ReturnType<typeof make>, id: string): number => {
		let started = 0;
		while (circuits.mayStart(id, 0)) {
			circuits.started(id);
			started++;
		}
		return started;
	};

	it("lets an endpoint grow from two to eight with success, and fall to one with a failure", () => {
		const circuits = make();
		circuits.meet("e", "t", false);
		const widths = [startMany(circuits, "e")];
		for (let i = 0; i < 8; i++) {
			circuits.finished("e", true, 0, 0);
			widths.push(startMany(circuits, "e"));
		}
		assert.deepEqual(widths, [2, 2, 2, 2, 2, 2, 2, 1, 1]);
		circuits.finished("e", false, 0, 0);
		assert.equal(circuits.mayStart("e", 0), false);
		assert.equal(quota(circuits, "e", 0), 0);
	});

	it("rests after three failures, longer each time, at most a minute; one success ends it", () => {
		const circuits = make();
		circuits.meet("e", "t", false);
		const rests: number[] = [];
		let nowMs = 0;
		for (let i = 0; i < 9; i++) {
			assert.ok(circuits.mayStart("e", nowMs));
			circuits.started("e");
			circuits.finished("e", false, nowMs, 0);
			let rest = 0;
			while (quota(circuits, "e", nowMs + rest) === 0) rest += 1000;
			rests.push(rest / 1000);
			nowMs += rest;
			assert.equal(quota(circuits, "e", nowMs), 1);
		}
		assert.deepEqual(rests, [0, 0, 5, 10, 20, 40, 60, 60, 60]);
		circuits.started("e");
		circuits.finished("e", true, nowMs, 0);
		assert.ok(quota(circuits, "e", nowMs) > 1);
	});

	it("rests as long as it was asked to, five minutes at most", () => {
		const circuits = make();
		circuits.meet("e", "t", false);
		circuits.started("e");
		circuits.finished("e", false, 0, 30_000);
		assert.deepEqual(
			[29_999, 30_000].map((ms) => quota(circuits, "e", ms)),
			[0, 1],
		);
		circuits.started("e");
		circuits.finished("e", false, 0, 1e9);
		assert.deepEqual(
			[299_999, 300_000].map((ms) => quota(circuits, "e", ms)),
			[0, 1],
		);
	});

	it("keeps failing endpoints to a quarter and one tenant to half of what there is", () => {
		const circuits = make(16);
		for (let i = 0; i < 20; i++) circuits.meet(`bad${i}`, `t${i}`, true);
		let started = 0;
		for (let i = 0; i < 20; i++) started += startMany(circuits, `bad${i}`);
		assert.equal(started, 4);
		for (let i = 0; i < 20; i++) circuits.meet(`mine${i}`, "greedy", false);
		started = 0;
		for (let i = 0; i < 20; i++) started += startMany(circuits, `mine${i}`);
		assert.equal(started, 8);
		circuits.meet("good", "t", false);
		assert.equal(startMany(circuits, "good"), 2);
	});

	it("counts nothing twice when an endpoint changes sides in flight", () => {
		const circuits = make(16);
		circuits.meet("e", "t", false);
		for (let round = 0; round < 50; round++) {
			const started = startMany(circuits, "e");
			assert.ok(started > 0, `round ${round}`);
			for (let i = 0; i < started; i++) circuits.finished("e", (round + i) % 3 > 0, 0, 0);
			if (!circuits.mayStart("e", 0)) {
				circuits.started("e");
				circuits.finished("e", true, 0, 0);
			}
		}
		circuits.meet("f", "u", true);
		assert.ok(circuits.mayStart("f", 0));
	});

	it("remembers a bounded number of endpoints", () => {
		const circuits = make();
		for (let i = 0; i < 5000; i++) circuits.meet(`e${i}`, "t", false);
		assert.ok(circuits.quotas(0).listed.length <= 2000);
	});
});

describe("pages of endpoints", () => {
	const all = ["e", "d", "c", "b", "a"].map((id, position) => ({
		id,
		url: `https://${position}.test/`,
	}));
	const cases: [
		query: Record<string, unknown>,
		ids: string,
		next: string | null,
		previous: string | null,
	][] = [
		[{ limit: 20 }, "edcba", null, null],
		[{ limit: 2 }, "ed", "d", null],
		[{ limit: 2, starting_after: "d" }, "cb", "b", "c"],
		[{ limit: 2, starting_after: "b" }, "a", null, "a"],
		[{ limit: 2, starting_after: "a" }, "", null, null],
		[{ limit: 2, ending_before: "b" }, "dc", "c", "d"],
		[{ limit: 2, ending_before: "d" }, "e", "e", null],
		[{ limit: 20, order: "asc" }, "abcde", null, null],
		[{ limit: 20, sort: "url" }, "abcde", null, null],
		[{ limit: 2, sort: "url", order: "asc" }, "ed", "d", null],
	];
	for (const [query, ids, next, previous] of cases)
		it(JSON.stringify(query), () => {
			const page = pageOf(all, query as { limit: number }) as Record<string, unknown>;
			const shown = (page["data"] as { id: string }[]).map(({ id }) => id).join("");
			assert.deepEqual([shown, page["next_cursor"]], [ids, next]);
			if (shown !== "") assert.equal(page["prev_cursor"], previous);
		});
	it("refuses a cursor that is not of this list, and two at once", () => {
		assert.throws(() => pageOf(all, { limit: 2, starting_after: "x" }), /starting_after/);
		assert.throws(
			() => pageOf(all, { limit: 2, starting_after: "a", ending_before: "b" }),
			/not both/,
		);
	});
});
