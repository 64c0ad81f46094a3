/** What tests of webhooks need around them: a tenant, a vault, a clock that is moved, a receiver. Tests only. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { manualClock } from "#platform/clock.ts";
import { type Scope, sql } from "#platform/db.ts";
import { createEgress } from "#platform/egress.ts";
import { createIds, seededRandom, systemRandom } from "#platform/ids.ts";
import { silentLog } from "#platform/log.ts";
import { createVault } from "#vault/index.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { testLedger } from "../../tests/support/ledger.ts";
import type { EventRef, EventSource } from "./event.ts";

export const eventTypes = ["sms.accepted", "sms.sent", "sms.delivered", "sms.failed"];
const createTenant = sql("webhooks.test.create_tenant", "select wx.create_tenant($1, $2, $3, $4)");
const addOutbox = sql(
	"webhooks.test.add_outbox",
	"insert into outbox (tenant_id, id, environment, topic, refs, created_at) values ($1, $2, $3, $4, $5, $6)",
);

export async function testWorld() {
	const database = await testDatabase();
	// The verifier of the peer library reads the real time, so that is where the clock starts.
	const clock = manualClock(Date.now());
	const random = seededRandom(7);
	const ids = createIds(clock, systemRandom());
	const vault = createVault({
		db: database.worker,
		rootKey: Buffer.alloc(32, 7),
		random: systemRandom(),
		clock,
	});
	const egress = createEgress({ allow: ["127.0.0.0/8"], clock, totalTimeoutMs: 5_000 });
	after(() => egress.close());
	const parts = {
		db: database.worker,
		vault,
		egress,
		clock,
		random,
		ids,
		log: silentLog,
		sources: [smsSource(clock)],
	};
	return {
		...database,
		clock,
		ids,
		parts,
		ledger: testLedger({ db: database.app, vault, clock, ids }),
		manage: { db: database.app, vault, egress, clock, random: systemRandom(), ids, eventTypes },
		async tenant(): Promise<Scope> {
			const tenantId = ids.next();
			const values = [
				tenantId,
				Buffer.from("x"),
				(await vault.makeTenantKey(tenantId)).wrapped,
				new Date(clock.now()),
			];
			await database.app.inPlatform((tx) => tx.query(createTenant, values));
			await vault.warm([tenantId]);
			return { tenantId, environment: "live" };
		},
		/** Writes one outbox row of `count` events; returns the events' ids. */
		async happened(scope: Scope, count: number, type = 2, topic = "sms.events"): Promise<string[]> {
			const refs = Array.from({ length: count }, () => [ids.next(), ids.next(), type]);
			const row = [
				scope.tenantId,
				ids.next(),
				scope.environment,
				topic,
				JSON.stringify(refs),
				new Date(clock.now()),
			];
			await database.app.inTenant(scope, async (tx) => tx.post(addOutbox, row));
			return refs.map((ref) => String(ref[1]));
		},
	};
}

export type TestWorld = Awaited<ReturnType<typeof testWorld>>;

function smsSource(clock: { now(): number }): EventSource {
	return {
		topic: "sms.events",
		eventTypeOf: (ref: EventRef) => eventTypes[Number(ref[2])],
		render: async (refs) =>
			new Map(
				refs.map((ref) => [
					String(ref[1]),
					{
						type: eventTypes[Number(ref[2])] ?? "",
						timestamp: new Date(clock.now()).toISOString(),
						data: { sms_id: ref[0], to: "+919810000001" },
					},
				]),
			),
	};
}

export interface Received {
	readonly path: string;
	readonly headers: Record<string, string>;
	readonly body: string;
}

export interface TestReceiver {
	readonly url: string;
	readonly received: Received[];
	/** Decides each answer; undefined never answers. May be replaced at any time. */
	answer: (
		request: Received,
	) => { status: number; headers?: Record<string, string>; body?: string } | undefined;
}

export async function testReceiver(): Promise<TestReceiver> {
	const receiver: { -readonly [K in keyof TestReceiver]: TestReceiver[K] } = {
		url: "",
		received: [],
		answer: () => ({ status: 204 }),
	};
	const server = http.createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			const headers = request.headers as Record<string, string>;
			const one = { path: request.url ?? "", headers, body };
			receiver.received.push(one);
			const answer = receiver.answer(one);
			if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	after(() => {
		server.closeAllConnections();
		server.close();
	});
	receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return receiver;
}
