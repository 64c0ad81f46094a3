/** What may be handed over in memory, and what must wait in the table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGate, type Gate, laneMax, lanesMax, startedMax } from "./gate.ts";

const routes = ["r", "s", "t", "u", "v"];

function open(backlog: readonly string[] = []): Gate {
	const gate = createGate();
	gate.hear({ kind: "lanes", bound: routes, backlog });
	return gate;
}

function left(gate: Gate, classNumber: number, tenantId: string, messages: number, routeId = "r") {
	gate.hear({
		kind: "left",
		batches: [{ routeId, class: classNumber, tenantId, started: false, messages }],
	});
}

test("nothing is handed over to a route without a bind, or past what waits in the table", () => {
	assert.equal(createGate().pass("r", 1, "a"), "table");
	const gate = open(["r/1"]);
	assert.equal(gate.pass("r", 1, "a"), "table");
	assert.equal(gate.pass("r", 0, "a"), "started");
	gate.hear({ kind: "lanes", bound: routes, backlog: [] });
	assert.equal(gate.pass("r", 1, "a"), "started");
	gate.hear({ kind: "lanes", bound: [], backlog: [] });
	assert.equal(gate.pass("r", 1, "a"), "table");
});

test("what is sent at most once is not started before it can leave", () => {
	const gate = open();
	assert.deepEqual(
		[0, 1, 2, 3].map((number) => gate.pass("r", number, "a")),
		["started", "started", "lane", "lane"],
	);
});

test("nothing is started while its own class or a more urgent one waits", () => {
	const gate = open();
	for (let i = 0; i < startedMax; i++) assert.equal(gate.pass("r", 1, "a"), "started");
	assert.equal(gate.pass("r", 1, "a"), "lane");
	const started = { routeId: "r", class: 1, tenantId: "a", started: true, messages: startedMax };
	gate.hear({ kind: "left", batches: [started] });
	assert.equal(gate.pass("r", 1, "b"), "lane");
	assert.equal(gate.pass("r", 0, "b"), "started");
	left(gate, 1, "a", 1);
	left(gate, 1, "b", 1);
	assert.equal(gate.pass("r", 1, "b"), "started");
});

test("a tenant has half a lane at most, and a full lane sends what follows to the table", () => {
	const gate = open();
	for (let i = 0; i < laneMax / 2; i++) assert.equal(gate.pass("r", 3, "a"), "lane");
	assert.equal(gate.pass("r", 3, "a"), "table");
	// Nobody overtakes it until the other half says that the table is empty.
	assert.equal(gate.pass("r", 3, "b"), "table");
	gate.hear({ kind: "lanes", bound: routes, backlog: [] });
	assert.equal(gate.pass("r", 3, "b"), "lane");
	left(gate, 3, "a", 1);
	assert.equal(gate.pass("r", 3, "a"), "lane");
	assert.equal(gate.pass("r", 3, "a"), "table");
});

test("all lanes together are bounded, and what leaves makes room", () => {
	const gate = open();
	let handed = 0;
	for (const route of routes)
		for (const tenant of ["a", "b"])
			for (let i = 0; i < laneMax / 2 && gate.pass(route, 3, tenant) === "lane"; i++) handed++;
	assert.equal(handed, lanesMax);
	gate.hear({ kind: "lanes", bound: routes, backlog: [] });
	assert.equal(gate.pass("v", 3, "c"), "table");
	left(gate, 3, "a", 640);
	gate.hear({ kind: "lanes", bound: routes, backlog: [] });
	assert.equal(gate.pass("v", 3, "c"), "lane");
});
