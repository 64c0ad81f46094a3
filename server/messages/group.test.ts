import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { Fault } from "#platform/errors.ts";
import type { MessageClass } from "#policy/index.ts";
import type { AcceptAnswer, AcceptRequest } from "./accept.ts";
import type { Draft } from "./draft.ts";
import { createAcceptor } from "./group.ts";

interface Commit {
	readonly sizes: readonly number[];
	/** `failed`: requests that are refused alone, by their sizes. */
	end(failure?: Error, failed?: readonly number[]): void;
}

/** An acceptor whose commits end when the test says so. */
function acceptorOf() {
	const commits: Commit[] = [];
	const clock = manualClock(0);
	const acceptor = createAcceptor({
		clock,
		onEvents: () => undefined,
		commit: (requests) =>
			new Promise<AcceptAnswer[]>((resolve, reject) => {
				const answerOf = ({ drafts }: AcceptRequest, failed: readonly number[]): AcceptAnswer =>
					failed.includes(drafts.length)
						? { kind: "failed", error: new Error("its own") }
						: { kind: "replayed", messageIds: [] };
				const end: Commit["end"] = (failure, failed = []) =>
					failure === undefined
						? resolve(requests.map((one) => answerOf(one, failed)))
						: reject(failure);
				commits.push({ sizes: requests.map(({ drafts }) => drafts.length), end });
			}),
	});
	return { acceptor, clock, commits };
}

function requestOf(messages: number, name: MessageClass = "transactional"): AcceptRequest {
	const drafts = Array.from({ length: messages }, () => ({ class: name }) as Draft);
	return {
		scope: { tenantId: "a", environment: "test" },
		keyId: "k",
		drafts,
		idempotency: undefined,
	};
}

/** Long enough for any gathering to end. */
async function turns(): Promise<void> {
	for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

test("few beside few wait for its end and go together; many, few beside many, and codes do not wait", async () => {
	const cases: [
		under: AcceptRequest,
		then: AcceptRequest[],
		begun: readonly (readonly number[])[],
	][] = [
		[requestOf(1), [requestOf(1), requestOf(3)], [[1]]],
		[requestOf(1), [requestOf(256)], [[1], [256]]],
		[requestOf(256), [requestOf(1)], [[256], [1]]],
		[requestOf(1), [requestOf(1, "authentication")], [[1], [1]]],
		[requestOf(1, "authentication"), [requestOf(1, "authentication")], [[1], [1]]],
		[requestOf(300), [requestOf(800), requestOf(800)], [[300], [800]]],
	];
	for (const [under, then, begun] of cases) {
		const { acceptor, commits } = acceptorOf();
		const first = acceptor.accept(under);
		await turns();
		const others = then.map((one) => acceptor.accept(one));
		await turns();
		const label = JSON.stringify(begun);
		assert.deepEqual(
			commits.map(({ sizes }) => sizes),
			begun,
			label,
		);
		for (let at = 0; at < commits.length; at++, await turns()) commits[at]?.end();
		await Promise.all([first, ...others]);
		await acceptor.idle();
		const sizes = commits.flatMap((one) => one.sizes);
		assert.deepEqual(
			sizes.toSorted(),
			[under, ...then].map((one) => one.drafts.length).toSorted(),
			label,
		);
	}
});

test("what waited for a commit's end goes in one", async () => {
	const { acceptor, commits } = acceptorOf();
	const answers = [acceptor.accept(requestOf(256))];
	await turns();
	commits[0]?.end();
	await turns();
	answers.push(acceptor.accept(requestOf(1)));
	await turns();
	for (let i = 0; i < 20; i++) answers.push(acceptor.accept(requestOf(2)));
	await turns();
	assert.equal(acceptor.waiting(), 40);
	commits[1]?.end();
	await turns();
	assert.equal(commits.length, 3);
	assert.equal(commits[2]?.sizes.length, 20);
	assert.equal(acceptor.waiting(), 0);
	commits[2]?.end();
	await Promise.all(answers);
});

test("a failure that lies in one request ends that one alone; beyond the bound the caller is told to come back", async () => {
	const { acceptor, commits } = acceptorOf();
	const under = acceptor.accept(requestOf(1));
	await turns();
	const answers = [1, 2, 3].map((messages) => acceptor.accept(requestOf(messages)));
	const settling = Promise.allSettled([under, ...answers]);
	commits[0]?.end();
	await turns();
	commits[1]?.end(new Error("one of these"));
	await turns();
	for (let at = 2; at < 6; at++, await turns())
		commits[at]?.end(at === 3 || at === 4 ? new Error("this") : undefined);
	assert.deepEqual(
		commits.map(({ sizes }) => sizes),
		[[1], [1, 2, 3], [1], [2, 3], [2], [3]],
	);
	const settled = await settling;
	assert.deepEqual(
		settled.map(({ status }) => status),
		["fulfilled", "fulfilled", "rejected", "fulfilled"],
	);

	const full = acceptorOf();
	void full.acceptor.accept(requestOf(1));
	await turns();
	for (let i = 0; i < 21; i++) void full.acceptor.accept(requestOf(1_000)).catch(() => undefined);
	await assert.rejects(
		full.acceptor.accept(requestOf(1)),
		(error) => error instanceof Fault && error.name === "rate_limited",
	);
});

test("of a group that is committed, a request that failed alone is told so", async () => {
	const { acceptor, commits } = acceptorOf();
	const settling = Promise.allSettled([1, 2, 3].map((n) => acceptor.accept(requestOf(n))));
	await turns();
	commits[0]?.end(undefined, [2]);
	const settled = await settling;
	assert.deepEqual(
		settled.map((one) => (one.status === "rejected" ? String(one.reason) : one.value.kind)),
		["replayed", "Error: its own", "replayed"],
	);
	assert.equal(commits.length, 1);
});

test("one bad request among many costs two commits for each halving", async () => {
	const { acceptor, commits } = acceptorOf();
	const under = acceptor.accept(requestOf(300));
	await turns();
	const sizes = Array.from({ length: 64 }, (_, i) => (i === 39 ? 2 : 1));
	const settling = Promise.allSettled(sizes.map((n) => acceptor.accept(requestOf(n))));
	commits[0]?.end();
	await under;
	for (let at = 1; ; at++) {
		await turns();
		const commit = commits[at];
		if (commit === undefined) break;
		commit.end(commit.sizes.includes(2) ? new Error("the fortieth") : undefined);
	}
	const failed = (await settling).flatMap(({ status }, i) =>
		status === "rejected" ? [i + 1] : [],
	);
	assert.deepEqual(failed, [40]);
	assert.equal(commits.length, 1 + 1 + 2 * Math.log2(64));
});

test("nobody joins those that wait while the first of them has waited for four seconds; codes wait for themselves", async () => {
	const { acceptor, clock, commits } = acceptorOf();
	const refused = (error: unknown): boolean =>
		error instanceof Fault && error.name === "rate_limited";
	const answers = [acceptor.accept(requestOf(1))];
	await turns();
	answers.push(acceptor.accept(requestOf(1)));
	clock.advance(4_000);
	answers.push(acceptor.accept(requestOf(1)));
	clock.advance(1);
	await assert.rejects(acceptor.accept(requestOf(1)), refused);
	answers.push(acceptor.accept(requestOf(1, "authentication")));
	await turns();
	assert.equal(commits.length, 2, "the code's own");
	commits[0]?.end();
	await turns();
	answers.push(acceptor.accept(requestOf(1)));
	for (let at = 1; at < 4; at++, await turns()) commits[at]?.end();
	await Promise.all(answers);
	await acceptor.idle();
});

test("answers are given some in each turn, in order", async () => {
	const { acceptor, commits } = acceptorOf();
	const first = acceptor.accept(requestOf(1));
	await turns();
	const order: number[] = [];
	const answers = Array.from({ length: 4 }, (_, i) =>
		acceptor.accept(requestOf(63)).then(() => void order.push(i)),
	);
	commits[0]?.end();
	await first;
	await turns();
	assert.deepEqual(commits[1]?.sizes, [63, 63, 63, 63]);
	commits[1]?.end();
	const seen: number[] = [];
	while (order.length < 4) {
		await new Promise<void>((resolve) => void setImmediate(resolve));
		seen.push(order.length);
	}
	assert.deepEqual(seen, [2, 4]);
	assert.deepEqual(order, [0, 1, 2, 3]);
	await Promise.all(answers);
});
