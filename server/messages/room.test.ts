import assert from "node:assert/strict";
import { test } from "node:test";
import { createSuspects } from "./apart.ts";
import type { Outlet } from "./dispatch.ts";
import { createLanes } from "./lanes.ts";
import type { Batch, Parcel } from "./parcel.ts";
import { createRoom, startMax } from "./room.ts";

let next = 0;
function batch(classNumber: number, messages: number): Batch {
	const parcels = Array.from({ length: messages }, () => ({}) as Parcel);
	const shared = { routeId: "r", tenantId: "t", handed: false, started: false };
	return { ...shared, id: `b${next++}`, class: classNumber, parcels };
}

/** A route whose binds have 100 parts free, 10 of them kept. */
function setUp() {
	const lanes = createLanes();
	const pool = { room: () => 100, commonRoom: () => 90 };
	const room = createRoom(lanes, createSuspects(), () => ({ pool }) as unknown as Outlet);
	return { lanes, room };
}

test("what is being started takes up common room, and none of what is urgent", () => {
	const { lanes, room } = setUp();
	for (let i = 0; i < 4; i++) lanes.push(batch(3, 64));
	assert.equal(room.fill("r", "ordinary", startMax).length, 2);
	assert.deepEqual(room.fill("r", "ordinary", startMax), []);
	assert.equal(room.fits(batch(1, 1)), false);
	assert.equal(room.fits(batch(0, 100)), true);
	lanes.push(batch(0, 64));
	assert.equal(room.fill("r", "urgent", startMax).length, 1);
	assert.equal(room.fits(batch(0, 36)), true);
	assert.equal(room.fits(batch(0, 37)), false);
	room.leave("r", "ordinary", 128);
	assert.equal(room.fits(batch(1, 26)), true);
	assert.equal(room.fits(batch(1, 27)), false);
});

test("no more than is asked for is taken, but that the last batch may go over", () => {
	const { lanes, room } = setUp();
	for (let i = 0; i < 4; i++) lanes.push(batch(3, 20));
	assert.equal(room.fill("r", "ordinary", 30).length, 2);
	assert.equal(lanes.waiting("r"), 40);
});
