import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { explain } from "./http-explain.ts";

const closed = { additionalProperties: false };
const pair = Type.Object({ name: Type.String({ minLength: 1, maxLength: 3 }) }, closed);
const schema = Type.Object(
	{
		to: Type.String({ pattern: "^\\+\\d+$", "x-rule": "must be an E.164 number" }),
		code: Type.Optional(Type.String({ pattern: "^[A-Z]{2}$" })),
		class: Type.Optional(Type.Union([Type.Literal("a"), Type.Literal("b")])),
		kind: Type.Optional(Type.Enum(["x", "y"])),
		count: Type.Optional(Type.Integer({ minimum: 1, maximum: 9, multipleOf: 2 })),
		ratio: Type.Optional(Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 })),
		on: Type.Optional(Type.Boolean()),
		at: Type.Optional(Type.String({ format: "date-time" })),
		tags: Type.Optional(Type.Array(pair, { minItems: 1, maxItems: 2, uniqueItems: true })),
		fields: Type.Optional(
			Type.Record(Type.String({ pattern: "^[a-z]{1,5}$" }), Type.String(), closed),
		),
		note: Type.Optional(Type.Union([Type.String({ maxLength: 2 }), Type.Null()])),
		via: Type.Optional(
			Type.Union([
				Type.Object({ type: Type.Literal("text"), text: Type.String() }, closed),
				Type.Object({ type: Type.Literal("link"), url: Type.String({ format: "uri" }) }, closed),
			]),
		),
	},
	closed,
);

/** The sentences for `{ to: "+1", …over }`. */
function sentences(over: object, of: TSchema = schema): string[] {
	const value = { to: "+1", ...over };
	assert.equal(Compile(of).Check(value), false, "the case must not fit the schema");
	return explain(of, value, "").map(({ message }) => message);
}

describe("each way to be wrong has its sentence", () => {
	const cases: [over: object, expected: string[]][] = [
		[{ to: 5 }, ["to must be a text"]],
		[{ to: "1" }, ["to must be an E.164 number"]],
		[{ code: "in" }, ["code must match the pattern ^[A-Z]{2}$"]],
		[{ class: "c" }, ["class must be one of a, b"]],
		[{ kind: 1 }, ["kind must be one of x, y"]],
		[{ count: 1.5 }, ["count must be a whole number"]],
		[{ count: 0 }, ["count must be 1 or more"]],
		[{ count: 10 }, ["count must be 9 or less"]],
		[{ count: 3 }, ["count must be a multiple of 2"]],
		[{ ratio: 0 }, ["ratio must be more than 0"]],
		[{ ratio: 1 }, ["ratio must be less than 1"]],
		[{ on: "yes" }, ["on must be true or false"]],
		[{ at: "tomorrow" }, ["at must be a time such as 2026-01-31T09:00:00Z"]],
		[{ tags: {} }, ["tags must be a list"]],
		[{ tags: [] }, ["tags must have 1 or more items"]],
		[{ tags: [1, 2, 3] }, ["tags must have 2 or fewer items"]],
		[{ tags: [{ name: "a" }, { name: "a" }] }, ["tags must not have the same item twice"]],
		[{ tags: [{ name: "" }] }, ["tags[0].name must not be empty"]],
		[{ tags: [{ name: "a" }, { name: "abcd" }] }, ["tags[1].name must have 3 characters or fewer"]],
		[{ tags: [{}] }, ["tags[0].name is required"]],
		[{ tags: [{ name: "a", b: 1 }] }, ["tags[0].b is not a known parameter"]],
		[{ fields: { A: "x" } }, ["fields.A is not a known parameter"]],
		[{ fields: { a: 1 } }, ["fields.a must be a text"]],
		[{ note: "abc" }, ["note must have 2 characters or fewer"]],
		[{ note: 1 }, ["note must be a text or null"]],
		[{ via: { type: "link", url: "x" } }, ["via.url must be an absolute URL"]],
		[{ via: { type: "other" } }, ["via has none of the forms it may have"]],
		[{ colour: 1, to: "x" }, ["to must be an E.164 number", "colour is not a known parameter"]],
	];
	for (const [over, expected] of cases)
		test(expected.join("; "), () => assert.deepEqual(sentences(over), expected));
});

test("a body that is not an object is named as the body", () => {
	assert.deepEqual(explain(schema, [], ""), [{ param: "body", message: "body must be an object" }]);
});

test("at most ten details are given, names are cut, values are never quoted", () => {
	const long = Object.fromEntries(
		Array.from({ length: 40 }, (_, n) => [`${n}${"k".repeat(99)}`, "+4477"]),
	);
	const details = explain(schema, { to: "+1", ...long }, "");
	assert.equal(details.length, 10);
	for (const { param, message } of details) {
		assert.ok(param.length <= 65);
		assert.ok(!message.includes("+4477"));
	}
});
