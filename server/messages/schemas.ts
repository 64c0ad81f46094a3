/**
 * The shapes of the message routes. Limits are the SDK's where it has them. What the SDK knows and we do not
 * offer (media, profiles, broadcasts) is refused as unknown, by name.
 */
import { Type } from "typebox";

const closed = { additionalProperties: false } as const;
const time = (description: string) => Type.String({ maxLength: 40, description });

export const tagSchema = Type.Object(
	{
		name: Type.String({ minLength: 1, maxLength: 64, pattern: "^[^:]+$" }),
		value: Type.String({ minLength: 1, maxLength: 256 }),
	},
	closed,
);

export const messageRequest = Type.Object(
	{
		to: Type.String({
			minLength: 1,
			maxLength: 40,
			description: "Recipient in E.164, such as +919812345678.",
		}),
		from: Type.String({
			minLength: 1,
			maxLength: 20,
			description:
				"A sender registered to the tenant: a number in E.164, a short code, or an alphanumeric sender ID.",
		}),
		text: Type.String({
			minLength: 1,
			maxLength: 2_000,
			description: "The text, exactly as it is to arrive. At most 10 segments.",
		}),
		category: Type.Union(
			[
				Type.Literal("authentication"),
				Type.Literal("transactional"),
				Type.Literal("service"),
				Type.Literal("marketing"),
				Type.Literal("promotional"),
			],
			{ description: "Why it is sent. `promotional` and `marketing` are the same." },
		),
		scheduled_at: Type.Optional(
			time("When to send, RFC 3339 with an offset; at most 30 days ahead."),
		),
		validity_period: Type.Optional(
			Type.Integer({
				minimum: 60,
				maximum: 172_800,
				description: "Seconds after which the message is no longer wanted. Default 172800.",
			}),
		),
		tags: Type.Optional(Type.Array(tagSchema, { maxItems: 20 })),
		metadata: Type.Optional(
			Type.Record(Type.String({ maxLength: 64 }), Type.Unknown(), {
				maxProperties: 50,
				description: "Your own data, at most 2 KB as JSON; returned, and part of webhooks.",
			}),
		),
		options: Type.Optional(Type.Object({ smart_encoding: Type.Optional(Type.Boolean()) }, closed)),
		dlt: Type.Optional(
			Type.Object(
				{
					entity_id: Type.Optional(
						Type.String({
							pattern: "^[0-9]{19}$",
							description: "Principal entity, 19 digits; the tenant's registered one unless given.",
						}),
					),
					template_id: Type.Optional(
						Type.String({ pattern: "^[0-9]{19}$", description: "Content template, 19 digits." }),
					),
				},
				{ ...closed, description: "India: identifiers of the Distributed Ledger registration." },
			),
		),
		consent: Type.Optional(
			Type.Object(
				{
					source: Type.String({
						minLength: 1,
						maxLength: 200,
						description: "Where the person consented, in your words.",
					}),
					consented_at: time("When, RFC 3339; not in the future."),
				},
				{
					...closed,
					description:
						"Promotional consent, stated with the send: put on record with this evidence before the message is judged. Anything newer (a STOP) outranks it.",
				},
			),
		),
	},
	closed,
);

/** Messages of one batch. */
export const batchMax = 1_000;
export const batchRequest = Type.Object(
	{ messages: Type.Array(messageRequest, { minItems: 1, maxItems: batchMax }) },
	closed,
);

const nullableTime = Type.Union([Type.String(), Type.Null()]);
const errorSchema = Type.Object({
	code: Type.String(),
	description: Type.String(),
	carrier_error_code: Type.Union([Type.String(), Type.Null()]),
	occurred_at: Type.String(),
});

export const messageSchema = Type.Object({
	id: Type.String({ examples: ["msg_01k9f8z3e6fxbt2v3n4p5q6r7s"] }),
	direction: Type.Union([Type.Literal("outbound"), Type.Literal("inbound")]),
	status: Type.String({
		description:
			"scheduled, accepted, unknown, sent, delivered, undelivered, failed, rejected, expired, canceled or received.",
	}),
	to: Type.String(),
	from: Type.String(),
	text: Type.Optional(Type.String()),
	category: Type.Union([Type.String(), Type.Null()]),
	segments: Type.Object({
		count: Type.Integer(),
		encoding: Type.String(),
		characters: Type.Integer(),
	}),
	cost: Type.Null(),
	tags: Type.Array(Type.Object({ name: Type.String(), value: Type.String() })),
	metadata: Type.Record(Type.String(), Type.Unknown()),
	options: Type.Optional(Type.Object({ smart_encoding: Type.Boolean() })),
	validity_period: Type.Optional(Type.Integer()),
	scheduled_at: Type.Optional(nullableTime),
	possible_duplicate: Type.Optional(
		Type.Boolean({
			description: "It was submitted again after a submit whose outcome was unknown.",
		}),
	),
	decision: Type.Optional(
		Type.Object(
			{
				outcome: Type.Union([
					Type.Literal("cleared"),
					Type.Literal("deferred"),
					Type.Literal("refused"),
				]),
				until: Type.Optional(Type.String()),
				rule: Type.Optional(Type.Union([Type.String(), Type.Null()])),
				reason: Type.Optional(Type.String()),
				cites: Type.Optional(Type.Array(Type.String())),
			},
			{
				description:
					"In the answer to a send: what the rules decided. All verdicts: GET …/decision.",
			},
		),
	),
	last_error: Type.Optional(errorSchema),
	created_at: Type.String(),
	sent_at: nullableTime,
	delivered_at: nullableTime,
});

const cursor = Type.Union([Type.String(), Type.Null()]);
export const messageList = Type.Object({
	data: Type.Array(messageSchema),
	next_cursor: cursor,
	prev_cursor: cursor,
	refresh_cursor: cursor,
});
export const batchAnswer = Type.Object({
	data: Type.Array(messageSchema),
	summary: Type.Object({ accepted_count: Type.Integer() }),
});
export const eventList = Type.Object({
	data: Type.Array(
		Type.Object({
			id: Type.String(),
			type: Type.String(),
			occurred_at: Type.String(),
			error: Type.Optional(errorSchema),
		}),
	),
});
export const decisionSchema = Type.Object({
	message_id: Type.String(),
	data: Type.Array(
		Type.Object({
			judged_at: Type.String(),
			ruleset: Type.String(),
			outcome: Type.String(),
			until: nullableTime,
			verdicts: Type.Array(
				Type.Object({
					rule: Type.String(),
					title: Type.String(),
					verdict: Type.String(),
					cites: Type.Array(Type.String()),
					in_force: Type.Object({ from: Type.String(), until: nullableTime }),
				}),
			),
		}),
	),
});

export const messageParams = Type.Object({ id: Type.String({ maxLength: 40 }) }, closed);
const several = (maxLength: number) =>
	Type.Optional(Type.Array(Type.String({ maxLength }), { maxItems: 20 }));
export const listQuery = Type.Object(
	{
		limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
		starting_after: Type.Optional(
			Type.String({ maxLength: 40, description: "next_cursor of the page before." }),
		),
		ending_before: Type.Optional(
			Type.String({ maxLength: 40, description: "prev_cursor of the page after." }),
		),
		created_after: Type.Optional(time("RFC 3339; inclusive.")),
		created_before: Type.Optional(time("RFC 3339; exclusive.")),
		direction: Type.Optional(Type.Union([Type.Literal("outbound"), Type.Literal("inbound")])),
		status: several(20),
		error_code: several(40),
		tag: several(330),
		category: Type.Optional(Type.String({ maxLength: 20 })),
		to: Type.Optional(Type.String({ maxLength: 40 })),
		from: Type.Optional(Type.String({ maxLength: 40 })),
	},
	closed,
);
export const eventsQuery = Type.Object(
	{ type: Type.Optional(Type.String({ maxLength: 40 })) },
	closed,
);
