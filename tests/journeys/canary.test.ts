/**
 * Nothing that anybody writes is found in clear afterwards: distinctive strings and numbers go through
 * every writable field of every route and in from a carrier; then the data directory of an embedded
 * PostgreSQL (heap, indexes, WAL), the logs and the metrics are searched, byte by byte.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TSchema } from "typebox";
import { connectAdmin } from "#platform/db.ts";
import type { Route } from "#platform/http.ts";
import { declaredRoutes } from "#processes/routes.ts";
import { hunt, needlesOf } from "../support/canary-hunt.ts";
import { type Client, client, type Json, until } from "../support/http.ts";
import type { Dev } from "../support/platform.ts";
import { startReceiver } from "../support/receiver.ts";

/** In every canary text. Letters and digits only, so that no escaping can change it. */
const mark = "Kq7Zwaxcanary";
/** In every canary number: +91 98711735xx. */
const digits = "98711735";
/** The same mark as a person's answer in UCS-2 has it, and as carriers may quote it. */
let lastCanary = 0;
const canary = (maxLength = 40): string => `${mark}${++lastCanary}`.slice(0, maxLength);
let lastPerson = 10;
const person = (): string => `+91${digits}${String(++lastPerson % 100).padStart(2, "0")}`;

interface Smsc {
	readonly port: number;
	/** Sends a deliver_sm to whoever is bound. */
	deliver(from: string, text: string, receipt?: boolean): void;
	readonly submitted: Json[];
	close(): void;
}

/** What we use of a session of the package, which has no types. */
interface Peer {
	on(what: string, then: (pdu: Json & { response(with_?: Json): unknown }) => void): void;
	send(pdu: unknown): void;
	deliver_sm(pdu: Json): void;
}

/** Somebody else's SMSC (npm `smpp`): takes everything, and says what we want people and carriers to say. */
async function startSmsc(): Promise<Smsc> {
	const smpp = createRequire(import.meta.url)("smpp");
	const sessions = new Set<Peer>();
	const submitted: Json[] = [];
	const server = smpp.createServer({}, (session: Peer) => {
		session.on("error", () => undefined);
		session.on("bind_transceiver", (pdu: { response: () => unknown }) => {
			session.send(pdu.response());
			sessions.add(session);
		});
		session.on("submit_sm", (pdu: Json & { response: (with_: Json) => unknown }) => {
			submitted.push(pdu);
			session.send(pdu.response({ message_id: `id${submitted.length}` }));
		});
		session.on("enquire_link", (pdu: { response: () => unknown }) => session.send(pdu.response()));
		session.on("unbind", (pdu: { response: () => unknown }) => session.send(pdu.response()));
		session.on("close", () => void sessions.delete(session));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return {
		port: server.address().port as number,
		submitted,
		deliver(from, text, receipt = false) {
			for (const session of sessions)
				session.deliver_sm({
					source_addr_ton: 1,
					source_addr_npi: 1,
					source_addr: from.slice(1),
					destination_addr: "56767",
					esm_class: receipt ? 4 : 0,
					data_coding: receipt ? 0 : 8,
					short_message: { message: text },
				});
		},
		close: () => server.close(),
	};
}

const dataDir = mkdtempSync(join(tmpdir(), "waxwing-canary-"));
const smsc = await startSmsc();
const receiver = await startReceiver(() => 500);
let output = "";
const child = startProgram();
after(async () => {
	await stopProgram();
	smsc.close();
	rmSync(dataDir, { recursive: true, force: true });
});

function startProgram(): ChildProcess {
	const entry = new URL("../../server/processes/all.ts", import.meta.url).pathname;
	const started = spawn(process.execPath, [entry], {
		env: {
			PATH: process.env["PATH"],
			WAXWING_DATA_DIR: dataDir,
			WAXWING_PORT: "0",
			WAXWING_LOG_LEVEL: "debug",
			WAXWING_DEV_SMSC: `smpp://canary:pw@127.0.0.1:${smsc.port}`,
			WAXWING_DANGEROUS_NO_FSYNC: "true",
		},
		stdio: ["ignore", "pipe", "pipe"],
	});
	for (const stream of [started.stdout, started.stderr])
		stream?.on("data", (chunk: Buffer) => void (output += chunk.toString("latin1")));
	return started;
}

async function stopProgram(): Promise<void> {
	if (child.exitCode !== null) return;
	const gone = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
	child.kill("SIGTERM");
	await gone;
}

const dev = (await until("it runs", readDev, (found) => found !== undefined, 60_000)) as Dev;
const live = client(dev.baseUrl, dev.apiKey);
const admin = client(dev.baseUrl, dev.adminKey);
const operator = client(dev.baseUrl, dev.operatorKey);

function readDev(): Dev | undefined {
	try {
		return JSON.parse(readFileSync(join(dataDir, "dev.json"), "utf8")) as Dev;
	} catch {
		assert.equal(child.exitCode, null, output);
		return undefined;
	}
}

/** What a body must say for the route to accept it; the rest is filled with canaries by its schema. */
const fixed: Readonly<Record<string, () => Json>> = {
	"POST /v1/sms/messages": message,
	"POST /v1/sms/batches": () => ({
		messages: [
			message(),
			{ ...message(), scheduled_at: new Date(Date.now() + 3_600_000).toISOString() },
		],
	}),
	"POST /v1/webhooks": () => ({
		url: `${receiver.url}/${canary()}?q=${canary()}`,
		events: ["sms.accepted", "sms.received", "sms.sent"],
	}),
	"PATCH /v1/webhooks/:id": () => ({
		url: `${receiver.url}/${canary()}`,
		events: ["sms.accepted", "sms.received"],
		status: "active",
	}),
	"POST /v1/webhooks/:id/test": () => ({ event_type: "sms.sent" }),
	"POST /v1/preferences": () => ({ handle: person(), consented_at: "2026-01-01T00:00:00Z" }),
	"POST /v1/contacts/erasures": () => ({ destination: person() }),
	"POST /v1/sms/suppressions": () => ({ destination: person() }),
	"POST /v1/senders": () => ({ address: canary(11), kind: "alphanumeric" }),
	"PATCH /v1/settings": () => ({
		countries: ["IN"],
		promotional_window: { from: "10:30", until: "20:00" },
		dlt: { entity_id: "1101172974420810001", telemarketers: [] },
	}),
	"POST /v1/api-keys": () => ({ scopes: ["sms:read"], expires_at: "2099-01-01T00:00:00Z" }),
	"POST /v1/operator/routes": () => ({
		environment: "live",
		url: `smpp://${canary()}:${canary()}@127.0.0.1:9`,
		countries: ["ZW"],
	}),
};

function message(): Json {
	return {
		to: person(),
		from: "WAXWNG",
		category: "transactional",
		validity_period: 3_600,
		consent: { source: canary(), consented_at: "2026-01-01T00:00:00Z" },
		options: { smart_encoding: false },
		metadata: { [canary()]: { deep: [canary()] } },
		dlt: { entity_id: "1101172974420810001", template_id: "1107161951486743588" },
	};
}

const required = new Set(["scheduled_at"]);

/** A value for this schema, canaries wherever text is free; `given` wins, member by member. */
function fill(schema: TSchema, given: unknown, name = ""): unknown {
	const { type, properties, items, anyOf, ...rest } = schema as unknown as Record<
		string,
		unknown
	> & { properties?: Record<string, TSchema>; items?: TSchema; anyOf?: TSchema[] };
	if (type === "object" && properties !== undefined) {
		const known = (given ?? {}) as Record<string, unknown>;
		const members = Object.entries(properties).map(([key, one]) => [
			key,
			fill(one, known[key], key),
		]);
		return Object.fromEntries(members.filter(([, value]) => value !== undefined));
	}
	if (type === "array" && items !== undefined) {
		if (Array.isArray(given)) return given.map((one) => fill(items, one));
		const one = fill(items, undefined);
		return one === undefined ? undefined : [one];
	}
	if (given !== undefined || required.has(name)) return given;
	if (anyOf !== undefined)
		return anyOf.map((one) => fill(one, undefined)).find((value) => value !== undefined);
	if (rest["const"] !== undefined) return rest["const"];
	if (type !== "string") return undefined;
	if (rest["format"] !== undefined) return undefined;
	const text = canary(Number(rest["maxLength"] ?? 40));
	const pattern = rest["pattern"] as string | undefined;
	return pattern === undefined || new RegExp(pattern).test(text) ? text : undefined;
}

const routes = declaredRoutes();
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;
const keyFor = (route: Route): Client => (route.permission === "operator" ? operator : admin);
const secrets: string[] = [];

async function call(
	route: Route,
	body: unknown,
	id = "",
): Promise<{ status: number; text: string; body: Json }> {
	const path = route.path.replace(":id", id);
	const as = keyFor(route);
	if (route.method === "PATCH") return as.patch(path, body, { "idempotency-key": canary() });
	return as.post(path, body, { "idempotency-key": canary() });
}

test("every writable field takes a canary, and is accepted", async () => {
	let fields = 0;
	for (const route of routes.filter((one) => one.body !== undefined)) {
		const from = lastCanary;
		const body = fill(route.body as TSchema, fixed[nameOf(route)]?.());
		const id = route.path.startsWith("/v1/webhooks/:id") ? await aWebhook() : "";
		const reply = await call(route, body, id);
		assert.ok(reply.status < 300, `${nameOf(route)} ${JSON.stringify(body)}: ${reply.text}`);
		fields += lastCanary - from;
		for (const found of reply.text.matchAll(/"(?:secret|key)":"([^"]+)"/g))
			secrets.push(String(found[1]));
	}
	assert.ok(fields > 30, `${fields} canaries went in`);
});

async function aWebhook(): Promise<string> {
	return String((await admin.get("/v1/webhooks")).data[0]?.["id"]);
}

test("what is refused, asked for and not found carries canaries too", async () => {
	for (const route of routes) {
		const path = route.path.replace(":id", canary());
		const query = `?${canary()}=${canary()}&to=${encodeURIComponent(person())}&tag=${canary()}`;
		const as = keyFor(route);
		if (route.method === "GET") await as.get(path + query);
		if (route.method === "DELETE") await as.delete(path);
		if (route.method === "POST" || route.method === "PATCH") {
			await call(route, { [canary()]: canary() }, canary());
			const body = fill(route.body ?? {}, undefined);
			await call(route, body, canary());
		}
	}
	await live.get(
		`/v1/sms/messages?to=${encodeURIComponent(person())}&tag=${canary()}:${canary()}&from=${canary()}`,
	);
	await live.post("/v1/sms/messages", { ...message(), text: `${canary()} ${"न".repeat(700)}` });
	await live.raw("/v1/sms/messages", {
		method: "POST",
		headers: { authorization: `Bearer ${canary()}`, "x-canary": canary(), "user-agent": canary() },
		body: canary(),
	});
	await live.raw("/v1/sms/messages", {
		method: "POST",
		headers: { authorization: `Bearer ${dev.apiKey}`, "content-type": "application/json" },
		body: `{"to": ${canary()}`,
	});
});

test("what people and carriers send carries canaries too", async () => {
	const { submitted } = smsc;
	await until(
		"the messages have left",
		() => submitted.length,
		(count) => count >= 2,
	);
	assert.ok(
		submitted.some((pdu) => JSON.stringify(pdu).includes(mark)),
		"the carrier got the text, in clear",
	);
	const said = `${canary()} is what I say`;
	smsc.deliver(person(), said);
	smsc.deliver(person(), "STOP");
	smsc.deliver(person(), `STOP ${canary()}`);
	const now = "2611221200";
	// The id is the carrier's own and kept in clear, also of a receipt that nobody waits for.
	for (const id of ["id1", "nobodys0", "id2"])
		smsc.deliver(
			person(),
			`id:${id} sub:001 dlvrd:001 submit date:${now} done date:${now} stat:DELIVRD err:000 text:${canary()}`,
			true,
		);
	smsc.deliver(person(), `${canary()} no receipt at all`, true);
	const inbound = async () => (await live.get("/v1/sms/messages?direction=inbound")).data;
	const list = await until("they are stored", inbound, (found) => found.length >= 3);
	assert.ok(list.some(({ text }) => text === said));
	await receiver.find("and told", ({ raw }) => raw.includes(said));
	await until(
		"attempts failed and are kept",
		async () => (await admin.get(`/v1/webhooks/${await aWebhook()}/attempts`)).data,
		(data) => data.length > 0,
	);
});

function needles(): Map<string, Buffer> {
	const found = new Map([
		...needlesOf("a canary text", mark),
		...needlesOf("a canary number", digits),
	]);
	for (const [i, secret] of secrets.entries()) {
		found.set(`secret ${i}`, Buffer.from(secret.slice(-24)));
		if (secret.startsWith("whsec_"))
			found.set(`secret ${i}, decoded`, Buffer.from(secret.slice(6), "base64"));
	}
	return found;
}

function search(): readonly string[] {
	const { found, files } = hunt([dataDir], needles(), ["dev.json"]);
	assert.ok(files > 500, `${files} files were searched`);
	return found;
}

test("none of it is in the data directory, the logs or the metrics", async () => {
	const metrics = await (await fetch(dev.metricsUrl)).text();
	const password = readFileSync(join(dataDir, "postgres.password"), "utf8").trim();
	const root = await connectAdmin({
		host: join(dataDir, "run"),
		port: 5432,
		user: "waxwing_root",
		password,
		database: "waxwing",
		applicationName: "canary",
	});
	await root.run("checkpoint");
	const found = search();
	const relations = await root.run(
		"select c.relname, c.relfilenode from pg_class c where c.relfilenode::text = any ($1)",
		[found.map((one) => one.split("/").at(-1))],
	);
	assert.deepEqual(found, [], JSON.stringify(relations));
	for (const [what, needle] of needles()) {
		assert.ok(!output.includes(needle.toString("latin1")), `${what} is in the logs`);
		assert.ok(!metrics.includes(needle.toString("latin1")), `${what} is in the metrics`);
	}
	assert.ok(output.includes('"requestId"'), "the logs were read, at level debug");

	// That it is not found means something only because it would be.
	await root.run("create table scratch (said text, bytes bytea)");
	await root.run("insert into scratch values ($1, $2)", [canary(), Buffer.from(person())]);
	await root.run("checkpoint");
	const planted = search();
	assert.ok(
		planted.some((one) => one.startsWith("a canary text as it is")),
		planted.join(),
	);
	assert.ok(
		planted.some((one) => one.startsWith("a canary number as it is")),
		planted.join(),
	);
	await root.run("drop table scratch");
	await root.close();
});
