/**
 * The wall clock of the product jumps, by minutes and by a day, forwards and back, under load: leases, windows,
 * clearances and signatures hold. Only the product's own process is faked (faketime.ts); PostgreSQL, the
 * carrier and the customer keep the true time, and the monotonic clock is never touched.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { makeDataDir, pause, removeDataDir } from "../../bench/product.ts";
import { startExternalPostgres } from "./external-postgres.ts";
import { createFakeTime, type FakeTime } from "./faketime.ts";
import type { FaultClass, Sent } from "./ledger.ts";
import { bodyOf } from "./overload-load.ts";
import { openWorld, tokenOf, type World } from "./world.ts";

export interface ClockResult {
	readonly messages: number;
	readonly jumps: number;
	readonly submittedTwice: number;
	readonly webhooks: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** From noon to half past ten. */
const nightMs = 10.5 * hourMs;
/** From noon in India: a jump and its way back, in turn. */
const jumps = [5 * minuteMs, 0, -5 * minuteMs, 0, dayMs, 0, -dayMs, 0] as const;

export async function jumpClock({
	library,
	rounds,
	seed,
}: {
	library: string;
	/** How often all of `jumps`. */
	rounds: number;
	seed: number;
}): Promise<ClockResult> {
	const dataDir = makeDataDir();
	const time = createFakeTime(library, dataDir);
	const aheadMs = noonInIndia() - Date.now();
	time.set(aheadMs);
	const postgres = await startExternalPostgres(dataDir);
	const env = { ...time.env, DATABASE_URL: postgres.url };
	const world = await openWorld({ seed, env, client: { pauseMs: 10 } });
	const hooks = await receiveWebhooks(time);
	const stage = stageOf(world, time, aheadMs);
	try {
		await hooks.subscribe(world);
		world.client.start(4, 1);
		for (let i = 0; i < rounds; i++)
			for (const jump of jumps) {
				await world.acceptMore(25);
				await world.someLoad(30);
				await stage.goTo(jump);
				await hooks.arriveInTime();
			}
		await world.acceptMore(25);
		await world.client.stop();
		await world.client.retryUnanswered();
		await keepsTheWindow(stage);
		const sent = [...world.client.sent(), ...stage.sent];
		const { submits } = await world.settle(60_000, sent);
		assert.equal(world.product().child.exitCode, null, "it still runs");
		return {
			messages: sent.length,
			jumps: rounds * jumps.length,
			submittedTwice: [...submits.values()].filter((times) => times > 1).length,
			webhooks: hooks.count(),
		};
	} finally {
		await world.close();
		await postgres.stop();
		hooks.close();
		removeDataDir(dataDir);
	}
}

/** Of a day that has days of the same month before and after it, as partitions of months are made ahead only. */
function noonInIndia(): number {
	const noonUtcMs = 6.5 * hourMs;
	for (let day = Math.floor(Date.now() / dayMs); ; day++) {
		const date = new Date(day * dayMs).getUTCDate();
		if (date >= 3 && date <= 26) return day * dayMs + noonUtcMs;
	}
}

// Going there --------------------------------------------------------------------------------------------------

interface Stage {
	readonly world: World;
	/** What was sent one by one. */
	readonly sent: Sent[];
	readonly seen: ReadonlySet<string>;
	/** So far from noon, and the product is shown to be there. */
	goTo(ms: number): Promise<void>;
	send(messageClass: FaultClass): Promise<{ token: string; body: Record<string, unknown> }>;
	statusOf(token: string): Promise<string>;
}

function stageOf(world: World, time: FakeTime, aheadMs: number): Stage {
	const run = world.random.bytes(3).toString("hex").toUpperCase();
	const seen = new Set<string>();
	world.sink.onSubmit = (pdu) => void seen.add(tokenOf(pdu));
	const stage: Stage = {
		world,
		sent: [],
		seen,
		async goTo(ms) {
			time.set(aheadMs + ms);
			// A message accepted now says when: otherwise all that follows would prove nothing.
			const { body } = await stage.send("transactional");
			const at = Date.parse(String(body["created_at"]));
			assert.ok(
				Math.abs(at - time.now()) < 3_000,
				`the product's clock says ${new Date(at).toISOString()}, not ${new Date(time.now()).toISOString()}`,
			);
		},
		async send(messageClass) {
			const number = stage.sent.length + 1;
			const token = `W${run}${String(number).padStart(7, "0")}`;
			const order =
				messageClass === "promotional" ? promotion(token) : bodyOf(messageClass, token, number);
			const { status, body } = await world.client.call("POST", "/v1/sms/messages", order);
			assert.equal(status, 202, JSON.stringify(body));
			stage.sent.push({ token, class: messageClass, id: String(body["id"]) });
			return { token, body };
		},
		async statusOf(token) {
			const id = stage.sent.find((one) => one.token === token)?.id;
			const { body } = await world.client.call("GET", `/v1/sms/messages/${id}`);
			return String(body["status"]);
		},
	};
	return stage;
}

/** To India, whose law knows hours. */
function promotion(token: string): object {
	return {
		to: "+919812345678",
		from: "WAXWNG",
		category: "marketing",
		dlt: { template_id: "1107161951486743590" },
		text: `${token}: 20 percent off all raincoats. Reply STOP to 56767 to end. -WAXWNG`,
		consent: { source: "web_form", consented_at: "2026-01-05T09:30:00Z" },
	};
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
	for (const end = performance.now() + 30_000; !(await holds()); await pause(50))
		assert.ok(performance.now() < end, `30 s later it is not so: ${what}`);
}

/** What waited over a jump out of the window is judged again: it may not go before the window is open. */
async function keepsTheWindow({ world, seen, goTo, send, statusOf }: Stage): Promise<void> {
	await goTo(0);
	await world.sink.down();
	const held = await send("promotional");
	assert.equal(held.body["status"], "accepted", "at noon it may be sent");
	const parcel = await send("transactional");
	await goTo(nightMs);
	await world.sink.up();
	await until("a message whose clearance ran out in the jump goes", () => seen.has(parcel.token));
	await until("the promotion waits", async () => (await statusOf(held.token)) === "scheduled");
	const late = await send("promotional");
	assert.equal(late.body["status"], "scheduled", "at night it may not be sent");
	await pause(1_000);
	assert.deepEqual([seen.has(held.token), seen.has(late.token)], [false, false], "by night");
	await goTo(0);
	await goTo(dayMs);
	await until("both go at the next noon", () => seen.has(held.token) && seen.has(late.token));
	await goTo(0);
}

// Webhooks -----------------------------------------------------------------------------------------------------

interface Hooks {
	subscribe(world: World): Promise<void>;
	/** Resolves when one has come that was signed at about the product's present time. */
	arriveInTime(): Promise<void>;
	count(): number;
	close(): void;
}

/** Each must verify at the time it names: the receiver's clock is then as wrong as the product's. */
async function receiveWebhooks(time: FakeTime): Promise<Hooks> {
	let secret = "";
	const signedAtMs: number[] = [];
	const forged: string[] = [];
	const server: Server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => void chunks.push(chunk));
		request.on("end", () => {
			const headers = request.headers as Record<string, string>;
			const atMs = Number(headers["webhook-timestamp"]) * 1_000;
			try {
				verifyAt(atMs, secret, Buffer.concat(chunks).toString(), headers);
				signedAtMs.push(atMs);
			} catch (error) {
				forged.push(String(error));
			}
			response.writeHead(204).end();
		});
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	return {
		async subscribe(world) {
			const order = { url: `http://127.0.0.1:${port}/hook`, events: ["sms.delivered"] };
			const { status, body } = await world.client.call("POST", "/v1/webhooks", order);
			assert.equal(status, 201, JSON.stringify(body));
			secret = String(body["secret"]);
		},
		async arriveInTime() {
			const before = signedAtMs.length;
			await until("webhooks come, signed now", () =>
				signedAtMs.slice(before).some((atMs) => Math.abs(atMs - time.now()) < 5_000),
			);
			assert.deepEqual(forged, [], "every signature verifies");
		},
		count: () => signedAtMs.length,
		close() {
			server.close();
			server.closeAllConnections();
		},
	};
}

/** The package knows no time but Date's; nothing else runs meanwhile. */
function verifyAt(
	atMs: number,
	secret: string,
	raw: string,
	headers: Record<string, string>,
): void {
	const { now } = Date;
	Date.now = () => atMs;
	try {
		new Webhook(secret).verify(raw, headers);
	} finally {
		Date.now = now;
	}
}
