import assert from "node:assert/strict";
import { test } from "node:test";
import { createLanes, type Urgency } from "./lanes.ts";
import type { Batch, Parcel } from "./parcel.ts";

let next = 0;
function batch(tenantId: string, classNumber: number, messages: number, routeId = "r"): Batch {
	return {
		id: `b${next++}`,
		routeId,
		class: classNumber,
		tenantId,
		parcels: Array.from({ length: messages }, () => ({}) as Parcel),
		handed: false,
		started: false,
	};
}

test("the smaller class leaves first, whoever came first", () => {
	const lanes = createLanes();
	lanes.push(batch("a", 3, 10));
	lanes.push(batch("b", 1, 10));
	lanes.push(batch("c", 0, 10));
	const classes = (urgency: Urgency) => lanes.take("r", urgency, 25).map((one) => one.class);
	assert.deepEqual(classes("urgent"), [0]);
	assert.deepEqual(classes("ordinary"), [1, 3]);
	assert.equal(lanes.waiting("r"), 0);
});

test("tenants of a class take turns by messages, so that one's million does not delay another's ten", () => {
	const lanes = createLanes();
	for (let i = 0; i < 20; i++) lanes.push(batch("large", 1, 64));
	for (let i = 0; i < 4; i++) lanes.push(batch("small", 1, 16));
	const order = lanes.take("r", "ordinary", 256).map((one) => one.tenantId);
	assert.deepEqual(order.slice(0, 5), ["large", "small", "small", "small", "small"]);
	assert.ok(order.filter((tenant) => tenant === "large").length >= 3);
});

test("a tenant with small batches gets as many messages in a turn as one with large ones", () => {
	const lanes = createLanes();
	for (let i = 0; i < 100; i++) {
		lanes.push(batch("large", 1, 64));
		for (let j = 0; j < 64; j++) lanes.push(batch("small", 1, 1));
	}
	const counts = { large: 0, small: 0 };
	for (const one of lanes.take("r", "ordinary", 1_280))
		counts[one.tenantId as "large" | "small"] += one.parcels.length;
	assert.deepEqual(counts, { large: 640, small: 640 });
});

test("whole batches are taken, and only of the classes that were asked for", () => {
	const lanes = createLanes();
	lanes.push(batch("a", 1, 10));
	lanes.push(batch("b", 0, 4));
	assert.deepEqual(lanes.take("r", "ordinary", 0), []);
	assert.deepEqual(
		lanes.take("r", "urgent", 100).map((one) => one.class),
		[0],
	);
	assert.deepEqual(lanes.take("r", "urgent", 100), []);
	assert.equal(lanes.take("r", "ordinary", 1).length, 1);
});

test("drain gives back everything, and nothing is left", () => {
	const lanes = createLanes();
	lanes.push(batch("a", 1, 3));
	lanes.push(batch("b", 2, 4, "other"));
	assert.equal(lanes.batchIds().length, 2);
	assert.equal(lanes.drain().length, 2);
	assert.deepEqual(lanes.take("r", "ordinary", 10), []);
	assert.equal(lanes.waiting("other"), 0);
});
