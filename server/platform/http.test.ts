import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { route } from "./http.ts";

test("the handler's input has the types of the schemas", async () => {
	const declared = route({
		method: "POST",
		path: "/v1/things/:id",
		operationId: "thing.touch",
		tag: "Things",
		summary: "Touch a thing",
		permission: "things:write",
		idempotency: "none",
		audited: false,
		params: Type.Object({ id: Type.String() }, { additionalProperties: false }),
		body: Type.Object({ count: Type.Integer() }, { additionalProperties: false }),
		answers: { 200: { description: "Touched" } },
		handle: async ({ params, body, query }) => {
			const none: undefined = query;
			return { status: 200, body: { id: params.id.length, next: body.count + 1, none } };
		},
	});
	assert.equal(declared.operationId, "thing.touch");
});
