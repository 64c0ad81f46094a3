/** Keys over HTTP, for operator keys only: what state they are in, their rotation, and the end of an old root key. */
import { Type } from "typebox";
import { Fault } from "#platform/errors.ts";
import { type Route, route } from "#platform/http.ts";
import { readId } from "#platform/ids.ts";
import { KeyProviderError, type KeyStatus, type KeyWork, VaultError } from "#vault/index.ts";
import { requireActor } from "./actor.ts";
import type { AccessRouteParts } from "./key-routes.ts";
import { shownIdSchema } from "./page.ts";
import { operatorScope } from "./scopes.ts";

export interface RootKeyRouteParts {
	readonly db: AccessRouteParts["db"];
	readonly keyWork: Pick<KeyWork, "status" | "rotateRoot" | "rotateTenant" | "destroyRoot">;
}

const closed = { additionalProperties: false };
const nullableText = Type.Union([Type.String(), Type.Null()]);
const count = Type.Integer({ minimum: 0 });
const statusSchema = Type.Object(
	{
		provider: Type.String(),
		trouble: nullableText,
		root: nullableText,
		keys_by_root: Type.Record(Type.String(), count, {
			description: "How many keys each root key wraps.",
		}),
		root_due_at: nullableText,
		tenants_due: count,
		tenants_turning: count,
		erasures_waiting: count,
		oldest_erasure_at: nullableText,
		last_failure: nullableText,
	},
	closed,
);
const started = {
	202: { description: "It has begun; it goes on by itself.", schema: statusSchema },
};
const common = {
	tag: "Operator",
	permission: operatorScope,
	idempotency: "none",
} as const;

export function rootKeyRoutes({ db, keyWork }: RootKeyRouteParts): Route[] {
	return [
		route({
			...common,
			method: "GET",
			path: "/v1/operator/keys",
			operationId: "keys.status",
			audited: "keys.read",
			summary: "The state of the keys",
			answers: { 200: { description: "What wraps what, and what is due.", schema: statusSchema } },
			handle: async ({ caller }) => {
				requireActor(caller);
				return { status: 200, body: show(await keyWork.status()) };
			},
		}),
		route({
			...common,
			method: "POST",
			path: "/v1/operator/keys/rotate",
			operationId: "keys.rotate",
			audited: "keys.rotation_asked",
			summary: "Rotate the root key, or one tenant's keys",
			description:
				"Without `tenant_id`: a new root key; all keys are wrapped by it beside serving. With it: a new key and a new contact epoch for that tenant.",
			body: Type.Object({ tenant_id: Type.Optional(shownIdSchema("ten")) }, closed),
			answers: started,
			handle: async ({ caller, body, audit }) => {
				requireActor(caller);
				const { tenant_id: shown } = body;
				const tenantId = shown === undefined ? undefined : readId("ten", shown);
				// The work goes on for long after the answer: that it was asked for is on record before it begins.
				const targets = shown === undefined ? [] : [shown];
				await db.inPlatform((tx) => audit.record(tx, { targets }));
				await orConflict(() =>
					tenantId === undefined ? keyWork.rotateRoot() : keyWork.rotateTenant(tenantId),
				);
				return { status: 202, body: show(await keyWork.status()) };
			},
		}),
		route({
			...common,
			method: "POST",
			path: "/v1/operator/keys/destroy",
			operationId: "keys.destroy",
			audited: "keys.destruction_asked",
			summary: "Destroy a root key that wraps nothing any more",
			description:
				"`root` as it stands in `keys_by_root` before a rotation. A backup whose keys it wrapped needs the key files of today.",
			body: Type.Object({ root: Type.String({ minLength: 3, maxLength: 240 }) }, closed),
			answers: started,
			handle: async ({ caller, body, audit }) => {
				requireActor(caller);
				await db.inPlatform((tx) => audit.record(tx, { detail: { root: body.root } }));
				await orConflict(() => keyWork.destroyRoot(body.root));
				return { status: 202, body: show(await keyWork.status()) };
			},
		}),
	];
}

/** The operator is told why it cannot be done now. */
async function orConflict(work: () => Promise<void>): Promise<void> {
	try {
		await work();
	} catch (error) {
		const isTold =
			error instanceof KeyProviderError ||
			(error instanceof VaultError && error.reason !== "keys_away");
		if (isTold) throw Fault.of("conflict", { message: error.message, cause: error });
		throw error;
	}
}

function show(status: KeyStatus) {
	const time = (ms: number | undefined): string | null =>
		ms === undefined ? null : new Date(ms).toISOString();
	return {
		provider: status.provider,
		trouble: status.trouble ?? null,
		root: status.newestRoot ?? null,
		keys_by_root: Object.fromEntries(status.keysByRoot),
		root_due_at: time(status.rootDueAtMs),
		tenants_due: status.tenantsDue,
		tenants_turning: status.tenantsTurning,
		erasures_waiting: status.erasuresWaiting,
		oldest_erasure_at: time(status.oldestErasureMs),
		last_failure: status.lastFailure ?? null,
	};
}
