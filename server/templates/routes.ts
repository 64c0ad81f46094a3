/** Sender identities and settings over HTTP: thin handlers over senders.ts and settings.ts. */
import { Type } from "typebox";
import type { Clock } from "#platform/clock.ts";
import type { Database } from "#platform/db.ts";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { type Ids, readId, showId } from "#platform/ids.ts";
import { pageAnswer, pageSchema, readPage, showPage } from "#platform/page.ts";
import { promotionalHoursAt } from "#policy/index.ts";
import type { Vault } from "#vault/index.ts";
import { chainHash } from "./dlt-chain.ts";
import { type ReadNumber, requireSender } from "./sender.ts";
import { registerSender, showSender } from "./senders.ts";
import { defaultSettings, showTime, type TenantSettings } from "./settings.ts";
import { saveSettings, settingsOf } from "./settings-store.ts";
import { deleteSender, listSenders } from "./store.ts";

export interface TemplateParts {
	readonly db: Pick<Database, "inTenant">;
	readonly vault: Vault;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly readNumber: ReadNumber;
}

export function templateRoutes(parts: TemplateParts): Route[] {
	return [list(parts), register(parts), remove(parts), readSettings(parts), patchSettings(parts)];
}

const kind = Type.Union([
	Type.Literal("alphanumeric"),
	Type.Literal("number"),
	Type.Literal("short_code"),
]);

const sender = Type.Object({
	id: Type.String(),
	address: Type.String(),
	kind,
	active: Type.Boolean(),
	created_at: Type.String({ format: "date-time" }),
});

function list({ db, vault }: TemplateParts): Route {
	return route({
		method: "GET",
		path: "/v1/senders",
		operationId: "listSenders",
		tag: "Senders",
		summary: "List the sender identities of the tenant",
		permission: "senders:read",
		idempotency: "none",
		audited: false,
		query: Type.Object(pageSchema, { additionalProperties: false }),
		answers: { 200: { description: "A page of senders.", schema: pageAnswer(sender) } },
		async handle({ scope, query }) {
			await vault.warm([scope.tenantId]);
			const page = readPage("snd", query);
			const rows = await db.inTenant(scope, (tx) => listSenders(tx, scope, page));
			const body = showPage("snd", page, { rows, lookedTo: undefined }, (row) =>
				showSender(vault, scope, row),
			);
			return { status: 200, body };
		},
	});
}

function register({ db, vault, clock, ids, readNumber }: TemplateParts): Route {
	return route({
		method: "POST",
		path: "/v1/senders",
		operationId: "registerSender",
		tag: "Senders",
		summary: "Register a sender identity",
		description:
			"A sender belongs to one tenant of the platform, together with what can be mistaken for it. It is used in `from` exactly as registered.",
		permission: "senders:write",
		idempotency: "stored",
		audited: "sender.registered",
		body: Type.Object(
			{ address: Type.String({ minLength: 3, maxLength: 16 }), kind },
			{ additionalProperties: false },
		),
		answers: {
			201: { description: "The sender.", schema: sender },
			409: { description: "It, or one that looks like it, is registered already." },
		},
		async handle({ scope, body, audit }) {
			await vault.warm([scope.tenantId]);
			const address = requireSender(body.kind, body.address, readNumber);
			const registration = { id: ids.next(), kind: body.kind, address, atMs: clock.now() };
			const row = await db.inTenant(scope, async (tx) => {
				const made = await registerSender(tx, vault, scope, registration);
				const detail = { kind: body.kind, address };
				await audit.record(tx, { targets: [showId("snd", made.id)], detail });
				return made;
			});
			return { status: 201, body: showSender(vault, scope, row) };
		},
	});
}

function remove({ db }: TemplateParts): Route {
	return route({
		method: "DELETE",
		path: "/v1/senders/:id",
		operationId: "deleteSender",
		tag: "Senders",
		summary: "Delete a sender identity",
		description: "Messages that wait to leave under it are refused at dispatch.",
		permission: "senders:write",
		idempotency: "none",
		audited: "sender.deleted",
		params: Type.Object(
			{ id: Type.String({ minLength: 30, maxLength: 30 }) },
			{ additionalProperties: false },
		),
		answers: { 204: { description: "The sender is gone." } },
		async handle({ scope, params, audit }) {
			const id = readId("snd", params.id);
			if (id === undefined) throw Fault.of("not_found");
			await db.inTenant(scope, async (tx) => {
				if (!(await deleteSender(tx, scope, id))) throw Fault.of("not_found");
				await audit.record(tx, { targets: [params.id] });
			});
			return { status: 204 };
		},
	});
}

const time = Type.String({ minLength: 5, maxLength: 5, pattern: "^[0-9]{2}:[0-9]{2}$" });
const nullable = (schema: ReturnType<typeof Type.String>) => Type.Union([schema, Type.Null()]);
const choice = Type.Union([Type.Literal("defer"), Type.Literal("refuse")]);

const settingsAnswer = Type.Object({
	countries: Type.Array(Type.String()),
	promotional_window: Type.Object({
		from: nullable(time),
		until: nullable(time),
		law: Type.Union([
			Type.Object({
				from: time,
				until: time,
				dispatch_until: time,
				utc_offset_minutes: Type.Integer(),
				cites: Type.Array(Type.String()),
			}),
			Type.Null(),
		]),
	}),
	outside_window: choice,
	dlt: Type.Object({
		entity_id: nullable(Type.String()),
		telemarketers: Type.Array(Type.String()),
		chain_hash: nullable(Type.String()),
	}),
});

function readSettings({ db, clock }: TemplateParts): Route {
	return route({
		method: "GET",
		path: "/v1/settings",
		operationId: "getSettings",
		tag: "Settings",
		summary: "Read the tenant's settings",
		permission: "settings:read",
		idempotency: "none",
		audited: false,
		answers: { 200: { description: "The settings.", schema: settingsAnswer } },
		async handle({ scope }) {
			const found = await db.inTenant(scope, (tx) => settingsOf(tx, [scope]));
			const settings = found.get(`${scope.tenantId}/${scope.environment}`) ?? defaultSettings;
			return { status: 200, body: show(settings, clock.now()) };
		},
	});
}

function patchSettings({ db, clock }: TemplateParts): Route {
	return route({
		method: "PATCH",
		path: "/v1/settings",
		operationId: "updateSettings",
		tag: "Settings",
		summary: "Change the tenant's settings",
		description:
			"What is left out stays. `promotional_window` holds for promotional messages to India, in Indian time; it may narrow the law's hours, never widen them.",
		permission: "settings:write",
		idempotency: "none",
		audited: "settings.changed",
		body: Type.Object(
			{
				countries: Type.Optional(
					Type.Array(Type.String({ minLength: 2, maxLength: 2 }), { maxItems: 250 }),
				),
				promotional_window: Type.Optional(
					Type.Object(
						{ from: Type.Optional(nullable(time)), until: Type.Optional(nullable(time)) },
						{ additionalProperties: false },
					),
				),
				outside_window: Type.Optional(choice),
				dlt: Type.Optional(
					Type.Object(
						{
							entity_id: Type.Optional(nullable(Type.String({ maxLength: 19 }))),
							telemarketers: Type.Optional(
								Type.Array(Type.String({ maxLength: 19 }), { maxItems: 8 }),
							),
						},
						{ additionalProperties: false },
					),
				),
			},
			{ additionalProperties: false },
		),
		answers: { 200: { description: "The settings after the change.", schema: settingsAnswer } },
		async handle({ scope, body, audit }) {
			const nowMs = clock.now();
			const settings = await db.inTenant(scope, async (tx) => {
				const changed = await saveSettings(tx, scope, body, nowMs);
				await audit.record(tx, { detail: body });
				return changed;
			});
			return { status: 200, body: show(settings, nowMs) };
		},
	});
}

function show(settings: TenantSettings, nowMs: number) {
	const shown = (minutes: number | null) => (minutes === null ? null : showTime(minutes));
	const { dltEntityId, dltTelemarketers } = settings;
	return {
		countries: settings.countries,
		promotional_window: {
			from: shown(settings.promotionalFrom),
			until: shown(settings.promotionalUntil),
			law: showLaw(nowMs),
		},
		outside_window: settings.outsideWindow,
		dlt: {
			entity_id: dltEntityId,
			telemarketers: dltTelemarketers,
			chain_hash: dltEntityId === null ? null : chainHash(dltEntityId, dltTelemarketers),
		},
	};
}

function showLaw(nowMs: number) {
	const law = promotionalHoursAt(nowMs);
	if (law === undefined) return null;
	const { fromMinute, untilMinute, guardMinutes, offsetMinutes } = law.value;
	return {
		from: showTime(fromMinute),
		until: showTime(untilMinute),
		dispatch_until: showTime(untilMinute - guardMinutes),
		utc_offset_minutes: offsetMinutes,
		cites: law.cites,
	};
}
