import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { route } from "./http.ts";
import { openApiOf } from "./http-openapi.ts";

const closed = { additionalProperties: false };
const Thing = Type.Object({ id: Type.String() }, { ...closed, $id: "Thing" });
const shared = { tag: "Things", summary: "S", permission: "things:read", audited: false } as const;
const handle = async () => ({ status: 200 });
const list = route({
	...shared,
	method: "GET",
	path: "/v1/things",
	operationId: "thing.list",
	idempotency: "none",
	query: Type.Object({ limit: Type.Integer({ default: 20, description: "How many." }) }, closed),
	answers: { 200: { description: "Page", schema: Type.Object({ data: Type.Array(Thing) }) } },
	handle,
});
const touch = route({
	...shared,
	method: "POST",
	path: "/v1/things/:id/touch",
	operationId: "thing.touch",
	idempotency: "stored",
	params: Type.Object({ id: Type.String() }, closed),
	body: Thing,
	answers: { 200: { description: "Thing", schema: Thing }, 204: { description: "Nothing" } },
	handle,
});
const info = { title: "T", version: "1", description: "D" };

// biome-ignore format: one look at the shape
const document = openApiOf([list, touch], info) as {
	openapi: string; paths: Record<string, Record<string, Record<string, unknown>>>; components: { schemas: object };
};

test("a named schema is published once and referred to", () => {
	assert.equal(document.openapi, "3.1.1");
	assert.deepEqual(Object.keys(document.components.schemas), ["Error", "Thing"]);
	const text = JSON.stringify(document.paths);
	assert.equal(text.split('"#/components/schemas/Thing"').length - 1, 3);
	assert.ok(!text.includes("$id"));
});

test("path, query and idempotency key are parameters", () => {
	const get = document.paths["/v1/things"]?.["get"];
	assert.deepEqual(get?.["parameters"], [
		{
			name: "limit",
			in: "query",
			description: "How many.",
			schema: { type: "integer", default: 20 },
		},
	]);
	const post = document.paths["/v1/things/{id}/touch"]?.["post"];
	const names = ((post?.["parameters"] ?? []) as { name: string }[]).map(({ name }) => name);
	assert.deepEqual(names, ["id", "Idempotency-Key"]);
	assert.deepEqual(Object.keys(post?.["responses"] as object).toSorted(), [
		"200",
		"204",
		"401",
		"403",
		"404",
		"422",
		"default",
	]);
});

test("doubles are refused", () => {
	assert.throws(() => openApiOf([list, list], info), /two routes/);
	const other = { ...list, path: "/v1/others" };
	assert.throws(() => openApiOf([list, other], info), /thing\.list/);
	const Other = Type.Object({ name: Type.String() }, { $id: "Thing" });
	const clash = { ...touch, operationId: "x", path: "/x", body: Other };
	assert.throws(() => openApiOf([list, clash], info), /two different schemas/);
});

test("the same routes give the same document", () => {
	assert.equal(JSON.stringify(openApiOf([list, touch], info)), JSON.stringify(document));
});
