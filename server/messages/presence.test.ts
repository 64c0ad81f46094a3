import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { seededRandom } from "#platform/ids.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { createPresence, joinMs, type Presence, presentMs } from "./presence.ts";

const { worker, admin } = await testDatabase();
const ownerOf = (n: number): string => `018f3a5e-0000-7000-8000-${String(n).padStart(12, "0")}`;
const clock = manualClock(Date.parse("2026-11-22T12:00:00Z"));

interface Member {
	readonly presence: Presence;
	share(): number;
}
let made = 0;
function join(alone = false): Member {
	let share = 1;
	const onShare = (next: number): void => void (share = next);
	const presence = createPresence({ worker, clock, owner: ownerOf(++made), alone, onShare });
	return { presence, share: () => share };
}

async function pass(ms: number, ...members: readonly Member[]): Promise<void> {
	for (let left = ms; left > 0; left -= 1_000) {
		clock.advance(1_000);
		for (const { presence } of members) await presence.look();
	}
}

test("who comes waits until the others have made room, and who goes leaves its share to them", async () => {
	const [first, second] = [join(), join()];
	assert.equal(first.share(), 0);
	await first.presence.look();
	assert.equal(first.share(), 0, "others may be there that it has not seen");
	await pass(joinMs, first);
	assert.equal(first.share(), 1);
	await second.presence.look();
	await pass(1_000, first, second);
	assert.deepEqual([first.share(), second.share()], [0.5, 0]);
	await pass(joinMs, first, second);
	assert.deepEqual([first.share(), second.share()], [0.5, 0.5]);
	await second.presence.leave();
	await pass(1_000, first);
	assert.equal(first.share(), 1);
	await first.presence.leave();
});

test("whoever comes, dies, stands still and comes back: the shares are never more than one", async () => {
	const random = seededRandom(7);
	const members = [join(), join(), join()];
	const awake = members.map(() => true);
	let used = 0;
	for (let second = 0; second < 300; second++) {
		clock.advance(1_000);
		for (const [i, member] of members.entries()) {
			if (random.fraction() < 0.05) awake[i] = awake[i] !== true;
			// One that stands still sends nothing, and looks before it goes on.
			if (awake[i] === true) await member.presence.look();
		}
		const shares = members.map((member, i) => (awake[i] === true ? member.share() : 0));
		const sum = shares.reduce((sum, share) => sum + share, 0);
		assert.ok(sum <= 1.000_001, `${second}: ${shares.join()}`);
		used += sum;
	}
	assert.ok(used > 100, `of 300 seconds' shares only ${used} were used`);
	for (const { presence } of members) await presence.leave();
});

test("who has not been able to say that it is there has no share", async () => {
	const [member, other] = [join(), join()];
	await member.presence.look();
	await pass(joinMs, member);
	assert.equal(member.share(), 1);
	clock.advance(presentMs);
	await other.presence.look();
	await member.presence.look();
	assert.equal(member.share(), 0);
	await pass(joinMs, member, other);
	assert.deepEqual([member.share(), other.share()], [0.5, 0.5]);
	await member.presence.leave();
	await other.presence.leave();
});

test("who is alone has all of it at once, and leaves no row", async () => {
	const member = join(true);
	await member.presence.look();
	await member.presence.leave();
	assert.equal(member.share(), 1);
	assert.deepEqual(await admin.run("select owner from sending_processes"), []);
});
